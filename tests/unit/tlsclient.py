"""A TLS client whose records a test can cut, join, spoil and hold back."""

import asyncio
import ssl
from pathlib import Path

from inprocess import PATIENCE

CERTS = Path(__file__).resolve().parent.parent / "certs"


def ssl_options(name="localhost"):
    """A server's ssl_options as a dict."""
    return {"certfile": str(CERTS / f"{name}.crt"), "keyfile": str(CERTS / f"{name}.key")}


def server_context(name="localhost"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(**ssl_options(name))
    return context


def client_context(*names):
    """Trusts the test certificates, and not the system's, which take long to load."""
    first, *more = [CERTS / f"{name}.crt" for name in names or ("localhost", "other")]
    context = ssl.create_default_context(cafile=first)
    for certificate in more:
        context.load_verify_locations(certificate)
    return context


class TLSClient:
    """TLS on a plain asyncio connection. `seal` gives the records of what is to be sent, `send_raw` sends any bytes."""

    def __init__(self, reader, writer, context, server_hostname="localhost"):
        self.reader = reader
        self.writer = writer
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_hostname)

    @classmethod
    async def open(cls, port, context=None, server_hostname="localhost"):
        """Connected; no byte of TLS has been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, context or client_context(), server_hostname)

    @classmethod
    async def connect(cls, *args, **kwargs):
        client = await cls.open(*args, **kwargs)
        await client.handshake()
        return client

    def send_raw(self, data):
        self.writer.write(data)

    async def receive(self):
        """What comes next goes to TLS. False at the end."""
        data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
        if not data:
            return False
        self.incoming.write(data)
        return True

    async def handshake(self, send=None):
        send = send or self.send_raw
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send(self.outgoing.read())
                if not await self.receive():
                    raise ConnectionError("closed in the handshake") from None
        send(self.outgoing.read())

    def seal(self, *pieces):
        """The records of each piece, one after the other."""
        for piece in pieces:
            assert self.tls.write(piece) == len(piece)
        return self.outgoing.read()

    def send(self, *pieces):
        self.send_raw(self.seal(*pieces))

    async def read(self):
        """Some plaintext; b"" at the end, with or without a goodbye."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.send_raw(self.outgoing.read())
                if not await self.receive():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""

    async def read_until(self, end):
        data = b""
        while end not in data:
            piece = await self.read()
            assert piece, f"closed after {data!r}"
            data += piece
        return data

    async def rest(self):
        data = b""
        try:
            while piece := await self.read():
                data += piece
        except ConnectionError:
            pass
        return data

    @property
    def said_goodbye(self):
        """Has the server closed TLS, and not just the socket?"""
        try:
            return self.tls.read(1) == b""
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            return True

    def close(self):
        self.writer.close()
