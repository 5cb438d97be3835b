"""Servers inside the test's own process, and clients that write raw bytes to them."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import tornado.httpserver
import tornado.web

import tornadoc.httpserver
import tornadoc.web

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE = 20  # seconds before something that should happen counts as never happening

TORNADO = (tornado.web, tornado.httpserver)
TORNADOC = (tornadoc.web, tornadoc.httpserver)


def request(path="/", method="GET", headers=(), body=b"", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def listening_socket():
    sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sock.setblocking(False)
    return sock


class Answer:
    """A parsed response; `raw` is what came, without what changes from one run to the next."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        self.code = int(lines[0].split(" ")[1])
        self.headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines[1:]) if name]
        self.body = body

    def __getitem__(self, name):
        return self.get(name)

    def get(self, name, default=None):
        return next((value for key, value in self.headers if key.lower() == name.lower()), default)

    def shape(self):
        """Everything that two servers must agree on."""
        return self.status_line, [(k, "*" if k == "Date" else v) for k, v in self.headers], self.body

    def __repr__(self):
        return f"<{self.status_line} {self.body[:80]!r}>"


class Client:
    """A connection of an asyncio program."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.socket = writer.get_extra_info("socket")

    @classmethod
    async def connect(cls, port, tls=None):
        """tls: an ssl.SSLContext, or None."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None))

    def send(self, data):
        self.writer.write(data)

    async def answer(self, head_only=False):
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        answer = Answer(head, b"")
        if head_only or answer.code in (100, 101, 204, 304):
            return answer
        length = answer.get("Content-Length")
        if length is not None:
            answer.body = await asyncio.wait_for(self.reader.readexactly(int(length)), PATIENCE)
        elif answer.get("Transfer-Encoding") == "chunked":
            while True:
                size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), PATIENCE), 16)
                answer.body += (await asyncio.wait_for(self.reader.readexactly(size + 2), PATIENCE))[:-2]
                if size == 0:
                    break
        else:
            answer.body = await self.rest()
        return answer

    async def get(self, path="/", **options):
        self.send(request(path, **options))
        return await self.answer(head_only=options.get("method") == "HEAD")

    async def rest(self):
        """What comes until the server closes; a reset counts as closing."""
        data = bytearray()  # megabytes of it grow in place
        with contextlib.suppress(ConnectionError):
            while piece := await asyncio.wait_for(self.reader.read(65536), PATIENCE):
                data += piece
        return bytes(data)

    def close(self):
        with contextlib.suppress(RuntimeError):
            self.writer.close()

    def abort(self):
        """Close with a reset."""
        # A socket that has been closed, or a loop, stays so.
        with contextlib.suppress(OSError, RuntimeError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.writer.transport.abort()


class Running:
    """A server of either implementation in the running loop: `async with Running(application) as server`.

    tls: the clients' ssl.SSLContext.
    """

    def __init__(self, callback, http_server=tornadoc.httpserver.HTTPServer, tls=None, **options):
        self.tls = tls
        self.server = http_server(callback, **options)
        self.clients = []

    async def __aenter__(self):
        sock = listening_socket()
        self.port = sock.getsockname()[1]
        self.server.add_sockets([sock])
        return self

    async def __aexit__(self, *exc_info):
        # Not closed with an end of file: each would keep a port from being listened at for a minute, and there are many.
        for client in self.clients:
            client.abort()
        self.server.stop()
        if hasattr(self.server, "close_all_connections"):
            await self.server.close_all_connections()
        await settle()

    async def client(self):
        client = await Client.connect(self.port, self.tls)
        self.clients.append(client)
        return client

    async def fetch(self, path="/", **options):
        """One request on a connection of its own."""
        client = await self.client()
        answer = await client.get(path, **options)
        client.close()
        return answer


async def settle(turns=5):
    """Let the loop run what is due."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition, complaint="it never happened"):
    for _ in range(PATIENCE * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(complaint)


def run(coroutine):
    """asyncio.run, with a limit."""
    return asyncio.run(asyncio.wait_for(coroutine, 5 * PATIENCE))


@contextlib.contextmanager
def thread_server(make_callback, http_server=tornadoc.httpserver.HTTPServer):
    """A server in a loop of a thread of its own; gives its port."""
    started = threading.Event()
    box = {}

    async def serve():
        box["stop"] = asyncio.Event()
        box["loop"] = asyncio.get_running_loop()
        async with Running(make_callback(), http_server) as server:
            box["port"] = server.port
            started.set()
            await box["stop"].wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield box["port"]
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def fetch_blocking(port, data):
    """Send bytes, read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.sendall(data)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer


@contextlib.contextmanager
def log_records(*names, level=logging.INFO):
    """What Tornado's loggers are given, as (logger, level, message)."""
    records = []

    class Keep(logging.Handler):
        def emit(self, record):
            records.append((record.name, record.levelname, record.getMessage()))

    handler = Keep()
    loggers = [logging.getLogger(name) for name in names or ("tornado.access", "tornado.application", "tornado.general")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False
    try:
        yield records
    finally:
        for logger, (old_level, propagate) in zip(loggers, before):
            logger.removeHandler(handler)
            logger.setLevel(old_level)
            logger.propagate = propagate


def run_python(*arguments, timeout=240, **environment):
    """Run Python code that may crash or leak, with this package importable."""
    path = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
