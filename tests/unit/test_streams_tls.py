"""SSLIOStream: the same results, errors and log records from Tornado's class and tornadoc's."""

import asyncio
import os
import socket
import ssl

import pytest
from stream_support import IMPLEMENTATIONS, certificate, logged, new_loops, run, socket_pair, tls_pair
from tornado.iostream import StreamClosedError


@pytest.fixture(params=IMPLEMENTATIONS)
def iostreams(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture(params=new_loops())
def loop(request):
    return request.param


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


def test_reads_and_writes(iostreams, loop, options):
    data = os.urandom(1_000_000).replace(b"E", b"e")

    async def main():
        client, server = await tls_pair(iostreams, options)
        writing = client.write(b"hello\r\n" + b"12345" + data)
        results = [await server.read_until(b"\r\n"), await server.read_bytes(5)]
        buffer = bytearray(len(data))
        results += [await server.read_into(buffer), bytes(buffer) == data]
        await writing
        server.write(data)
        server.write(memoryview(data))
        server.write(b"END")
        results.append(await client.read_until(b"END") == data * 2 + b"END")
        pending = client.read_until_close()
        await server.write(b"last")
        server.close()
        return [*results, await pending, client.closed()]

    assert run(main(), loop) == [b"hello\r\n", b"12345", 1_000_000, True, True, b"last", True]


def test_many_small_messages_in_one_segment(iostreams, loop, options):
    """What lies decrypted inside the TLS object is not reported by the kernel."""

    async def main():
        client, server = await tls_pair(iostreams, options, read_chunk_size=7)
        for i in range(200):
            client.write(b"%03d " % i)
        got = [await server.read_until(b" ") for _ in range(200)]
        pending = server.read_bytes(3)
        await asyncio.sleep(0)
        await client.write(b"end")
        end = await pending
        client.close()
        server.close()
        return got == [b"%03d " % i for i in range(200)], end

    assert run(main(), loop) == (True, b"end")


def test_data_behind_the_handshake(iostreams, loop, options):
    async def main():
        a, b = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(**options)
        server = iostreams.SSLIOStream(context.wrap_socket(a, server_side=True, do_handshake_on_connect=False))
        insecure = ssl._create_unverified_context()
        client = iostreams.SSLIOStream(insecure.wrap_socket(b, do_handshake_on_connect=False), ssl_options=insecure)
        written = client.write(b"early")
        result = await server.read_bytes(5)
        await written
        client.close()
        server.close()
        return result

    assert run(main(), loop) == b"early"


def test_close_is_noticed_while_idle(iostreams, loop, options):
    async def main():
        client, server = await tls_pair(iostreams, options)
        told = asyncio.Event()
        server.set_close_callback(told.set)
        client.write(b"x")
        await server.read_bytes(1)
        client.close()
        await told.wait()
        return server.closed()

    assert run(main(), loop)


@pytest.mark.parametrize("name, good", [("foo.example.com", True), ("bar.example.com", False)])
def test_the_hostname_is_checked(iostreams, loop, options, name, good):
    async def main():
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(**options)
        trusting = ssl.create_default_context(cafile=options["certfile"])
        client = iostreams.SSLIOStream(socket.socket(), ssl_options=trusting)
        connecting = client.connect(listener.getsockname(), server_hostname=name)
        accepted, _ = listener.accept()
        listener.close()
        server = iostreams.SSLIOStream(context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False))
        try:
            result = await connecting is client
        except ssl.SSLCertVerificationError:
            result = False
            # The server is told, and logs it.
            with pytest.raises((StreamClosedError, ssl.SSLError, OSError)):
                await server.read_bytes(1)
        client.close()
        server.close()
        return result

    with logged() as records:
        assert run(main(), loop) is good
    assert [record[:2] for record in records] == ([] if good else [("tornado.general", "WARNING")] * 2)
    assert all(record[2].startswith("SSL Error on ") for record in records)


def test_start_tls(iostreams, loop, options):
    async def main():
        client, server = socket_pair(iostreams)
        await server.write(b"220 ready\r\n")
        await client.read_until(b"\r\n")
        upgrading = (
            server.start_tls(True, options),
            client.start_tls(False, ssl_options={"cert_reqs": ssl.CERT_NONE}, server_hostname="any"),
        )
        server, client = await asyncio.gather(*upgrading)
        await client.write(b"secret")
        result = await server.read_bytes(6)
        client.close()
        server.close()
        return result

    assert run(main(), loop) == b"secret"


def test_start_tls_needs_an_idle_stream(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(1)
        with pytest.raises(ValueError, match="not idle"):
            a.start_tls(False)
        await b.write(b"x")
        await pending
        a.close()
        b.close()

    run(main(), loop)


def test_plain_tls_streams_take_the_fast_path(loop, options):
    async def main():
        client, server = await tls_pair(IMPLEMENTATIONS["tornadoc"], options)
        await client.write(b"x" * 100_000)
        await server.read_bytes(100_000)
        general = client._is_general(), server._is_general()
        client.socket.recv_into = lambda *args: 0
        overridden = client._is_general()
        client.close()
        server.close()
        return general, overridden

    assert run(main(), loop) == ((False, False), True)


def test_a_read_hook_sees_plaintext(iostreams, loop, options):
    async def main():
        client, server = await tls_pair(iostreams, options)
        seen = bytearray()
        original = server.read_from_fd

        def read_from_fd(buf):
            count = original(buf)
            seen.extend(bytes(buf[: count or 0]))
            return count

        server.read_from_fd = read_from_fd
        client.write(b"plain\n")
        result = await server.read_until(b"\n")
        client.close()
        server.close()
        return result, bytes(seen)

    assert run(main(), loop) == (b"plain\n", b"plain\n")


