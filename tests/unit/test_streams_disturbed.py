"""What runs in the middle of a stream's work and pulls the ground away."""

import asyncio
import gc
import os
import socket
import ssl
import sys

import pytest
from stream_support import IMPLEMENTATIONS, certificate, logged, new_loops, run, socket_pair
from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError

from tornadoc.platform.asyncio import AsyncIOLoop

OURS = IMPLEMENTATIONS["tornadoc"]


@pytest.fixture(params=new_loops())
def loop(request):
    return request.param


def test_closing_a_neighbour_whose_event_is_in_the_same_batch(loop):
    """The descriptor's number is used again at once: the stale event must not reach the new stream."""

    async def main():
        pairs = [socket_pair(OURS) for _ in range(6)]
        fresh = []
        outcomes = []

        async def reader(i):
            try:
                outcomes.append(await pairs[i][0].read_bytes(1))
            except StreamClosedError:
                outcomes.append(None)
                return
            victim = pairs[(i + 1) % 6][0]
            if not victim.closed():
                victim.close()
                a, b = socket_pair(OURS)
                fresh.append((a, b, a.read_bytes(1)))

        readers = [asyncio.ensure_future(reader(i)) for i in range(6)]
        await asyncio.sleep(0)
        for _, b in pairs:
            b.write(b"x")
        await asyncio.gather(*readers)
        await asyncio.sleep(0.01)
        untouched = [future.done() for _, _, future in fresh]
        for _, b, _ in fresh:
            b.write(b"y")
        later = [await future for _, _, future in fresh]
        for a, b in [*pairs, *(pair[:2] for pair in fresh)]:
            a.close()
            b.close()
        return len(outcomes), any(untouched), set(later)

    assert run(main(), loop) == (6, False, {b"y"})


def test_dropping_every_reference_while_the_loop_has_the_stream(loop):
    async def main():
        ends = []
        for _ in range(20):
            a, b = socket_pair(OURS)
            future = a.read_until(b"\n")
            future.add_done_callback(lambda f: gc.collect())
            ends.append((b, future))
            del a, future
        gc.collect()
        for b, _ in ends:
            b.write(b"line\n")
        results = {await future for _, future in ends}
        for b, _ in ends:
            b.close()
        return results

    assert run(main(), loop) == {b"line\n"}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes with __buffer__ came with Python 3.12")
@pytest.mark.parametrize("what", ["close", "general", "collect"])
def test_a_buffer_whose_release_interferes(loop, what):
    async def main():
        a, b = socket_pair(OURS)

        class Buffer:
            def __init__(self):
                self.memory = bytearray(100_000)

            def __len__(self):
                return len(self.memory)

            def __buffer__(self, flags):
                return memoryview(self.memory)

            def __release_buffer__(self, view):
                view.release()
                if what == "close":
                    a.close()
                elif what == "general":
                    len(a._read_buffer)
                else:
                    gc.collect()

        buffer = Buffer()
        b.write(b"abc")
        try:
            result = await asyncio.wait_for(a.read_into(buffer, partial=True), 20)
        except StreamClosedError:
            result = "closed"
        a.close()
        b.close()
        return result

    with logged():
        assert run(main(), loop) == ("closed" if what == "close" else 3)


def test_the_descriptor_is_closed_behind_the_stream(loop):
    async def main():
        a, b = socket_pair(OURS)
        await b.write(b"x")
        await a.read_bytes(1)
        # The number stays free until the stream closes it once more.
        os.close(a.socket.fileno())
        with pytest.raises(OSError):
            a.read_bytes(1)
        a.close()
        c, d = socket_pair(OURS)
        c.socket.close()
        with pytest.raises((OSError, StreamClosedError)):
            await c.read_bytes(1)
        for stream in (b, c, d):
            stream.close()

    with logged():
        run(main(), loop)


def test_futures_that_are_cancelled(loop):
    async def main():
        a, b = socket_pair(OURS)
        reading = a.read_bytes(2)
        writing = b.write(b"x" * 5_000_000)
        reading.cancel()
        writing.cancel()
        while a.reading():
            await asyncio.sleep(0)
        count = 0
        # The first two bytes went to the read that was cancelled.
        while count < 5_000_000 - 2:
            count += len(await a.read_bytes(1_000_000, partial=True))
        b.close()
        with pytest.raises(StreamClosedError):
            await a.read_bytes(1)

    with logged() as records:
        run(main(), loop)
    assert records == []


def test_an_exception_that_must_leave_the_loop(loop):
    class Stop(BaseException):
        pass

    async def main():
        a, b = socket_pair(OURS)

        def stop(_):
            raise Stop

        a.read_bytes(1).add_done_callback(stop)
        b.write(b"x")
        try:
            await asyncio.sleep(0.05)
        finally:
            a.close()
            b.close()

    with logged():
        try:
            run(main(), loop)
        except Stop:
            pass


def test_tls_callbacks_that_close_the_stream(loop, tmp_path):
    options = certificate(tmp_path)

    async def main():
        a, b = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(**options)
        server = OURS.SSLIOStream(context.wrap_socket(a, server_side=True, do_handshake_on_connect=False))
        context.sni_callback = lambda *args: server.close()
        insecure = ssl._create_unverified_context()
        client = OURS.SSLIOStream(
            insecure.wrap_socket(b, do_handshake_on_connect=False, server_hostname="any"), ssl_options=insecure
        )
        with pytest.raises((StreamClosedError, OSError)):
            await client.wait_for_handshake()
        client.close()
        return server.closed()

    with logged():
        assert run(main(), loop)


@pytest.mark.parametrize("how", ["read", "write"])
def test_tls_messages_seen_by_a_callback_that_closes(loop, tmp_path, how):
    options = certificate(tmp_path)

    async def main():
        a, b = socket.socketpair()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(**options)
        armed = []
        context._msg_callback = lambda *args: armed and server.close()
        server = OURS.SSLIOStream(context.wrap_socket(a, server_side=True, do_handshake_on_connect=False))
        insecure = ssl._create_unverified_context()
        client = OURS.SSLIOStream(insecure.wrap_socket(b, do_handshake_on_connect=False), ssl_options=insecure)
        await asyncio.gather(server.wait_for_handshake(), client.wait_for_handshake())
        armed.append(True)
        if how == "read":
            client.write(b"x" * 100)
            with pytest.raises((StreamClosedError, OSError)):
                await server.read_bytes(200)
        else:
            with pytest.raises((StreamClosedError, OSError)):
                await server.write(b"x" * 100)
        client.close()
        return server.closed()

    with logged():
        assert run(main(), loop)


@pytest.mark.parametrize("make_loop", [IOLoop, AsyncIOLoop])
@pytest.mark.parametrize("all_fds", [True, False])
def test_the_loop_is_closed_under_streams(all_fds, make_loop):
    io_loop = make_loop(make_current=False)
    streams = []

    async def main():
        a, b = socket_pair(OURS)
        a.read_bytes(1)
        b.write(b"x" * 5_000_000)
        streams.extend([a, b])

    io_loop.run_sync(main)
    sockets = [stream.socket for stream in streams]
    io_loop.close(all_fds=all_fds)
    assert [sock.fileno() == -1 for sock in sockets] == [all_fds] * 2
    for sock in sockets:
        sock.close()
    known = len(streams)
    streams.clear()
    gc.collect()
    assert known == 2
