"""IOStream and PipeIOStream: the same results, errors and log records from Tornado's classes and tornadoc's."""

import asyncio
import collections
import gc
import os
import re
import socket
import warnings
import weakref

import pytest
from stream_support import IMPLEMENTATIONS, logged, new_loops, run, socket_pair
from tornado.ioloop import IOLoop
from tornado.iostream import StreamBufferFullError, StreamClosedError, UnsatisfiableReadError
from tornado.platform.asyncio import AsyncIOLoop

import tornadoc.iostream


@pytest.fixture(params=IMPLEMENTATIONS)
def iostreams(request):
    return IMPLEMENTATIONS[request.param]


@pytest.fixture(params=new_loops())
def loop(request):
    return request.param


async def closed(stream):
    """Wait until the stream's close callback runs."""
    event = asyncio.Event()
    stream.set_close_callback(event.set)
    await event.wait()


def test_an_open_stream_lives_as_long_as_the_ioloop_of_a_closed_loop(iostreams, loop):
    """Its socket is dropped, with a ResourceWarning, when the IOLoop is, and not before."""
    sock, peer = socket.socketpair()

    async def main():
        stream = iostreams.IOStream(sock)
        pending = stream.read_bytes(1)
        del pending
        return IOLoop.current(), weakref.ref(stream)

    made = new_loops()[loop]()
    io_loop, stream = made.run_until_complete(main())
    made.close()
    gc.collect()
    assert stream() is not None
    del io_loop, made
    # An IOLoop whose asyncio loop was closed is forgotten when another one is made.
    AsyncIOLoop(make_current=False).close()
    gc.collect()
    assert stream() is None
    sock.close()
    peer.close()


# -- reading --


def test_reads_of_every_kind(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"line\r\nexactly 10" + b"key=1;" + b"partial")
        results = [
            await a.read_until(b"\r\n"),
            await a.read_bytes(10),
            await a.read_until_regex(rb"=\d;"),
            await a.read_bytes(100, partial=True),
            await a.read_bytes(0),
        ]
        buffer = bytearray(8)
        pending = a.read_into(buffer)
        await b.write(b"1234")
        await b.write(b"5678rest")
        results += [await pending, bytes(buffer), await a.read_into(buffer, partial=True), bytes(buffer)]
        pending = a.read_until_close()
        b.write(b"the end")
        b.close()
        return [*results, await pending, a.closed(), a.reading(), a.writing()]

    assert run(main(), loop) == [
        b"line\r\n",
        b"exactly 10",
        b"key=1;",
        b"partial",
        b"",
        8,
        b"12345678",
        4,
        b"rest5678",
        b"the end",
        True,
        False,
        False,
    ]


def test_a_delimiter_may_come_byte_by_byte(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        found = []
        for delimiter, message in ((b"\r\n\r\n", b"a\r\n\r\r\n\r\n"), (b"aab", b"aaaab"), (b"x", b"x")):
            pending = a.read_until(delimiter)
            for i in range(len(message)):
                await b.write(message[i : i + 1])
                await asyncio.sleep(0)
            found.append(await pending)
        a.close()
        b.close()
        return found

    assert run(main(), loop) == [b"a\r\n\r\r\n\r\n", b"aaaab", b"x"]


@pytest.mark.parametrize("size", [65535, 65536, 65537, 1 << 20, 3_000_001])
def test_large_reads_and_writes(iostreams, loop, size):
    data = os.urandom(size).replace(b"E", b"e")

    async def main():
        a, b = socket_pair(iostreams)
        first, second = a.read_bytes(size - 1), b.write(data)
        got = await first
        rest = await a.read_bytes(1)
        await second
        buffer = bytearray(size)
        filled = a.read_into(buffer)
        b.write(memoryview(data)[: size // 2])
        b.write(bytearray(data[size // 2 :]))
        count = await filled
        b.write(data)
        b.write(b"END")
        until = await a.read_until(b"END")
        a.close()
        b.close()
        return got + rest == data, count, bytes(buffer) == data, until == data + b"END"

    assert run(main(), loop) == (True, size, True, True)


def test_what_a_large_read_had_is_there_after_closing(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(1 << 20)
        await b.write(b"x" * 1000)
        await asyncio.sleep(0.01)
        b.close()
        with pytest.raises(StreamClosedError):
            await pending
        size = a._read_buffer_size
        return size, len(await a.read_until_close())

    assert run(main(), loop) == (1000, 1000)


@pytest.mark.parametrize("method", ["read_until", "read_until_regex"])
@pytest.mark.parametrize("inline", [True, False])
def test_unsatisfiable_reads_close_the_stream(iostreams, loop, method, inline):
    async def main():
        a, b = socket_pair(iostreams)
        if inline:
            await b.write(b"123456")
        pending = getattr(a, method)(b"z", max_bytes=5)
        if not inline:
            await asyncio.sleep(0)
            await b.write(b"123456")
        with pytest.raises(StreamClosedError) as raised:
            await pending
        b.close()
        return type(raised.value.real_error), a.closed(), str(a.error)

    with logged() as records:
        kind, is_closed, text = run(main(), loop)
    assert (kind, is_closed) == (UnsatisfiableReadError, True)
    subject = "re.compile(b'z')" if method == "read_until_regex" else "b'z'"
    assert text == f"delimiter {subject} not found within 5 bytes"
    assert records == [("tornado.general", "INFO", f"Unsatisfiable read, closing connection: {text}")]


def test_too_much_input_is_an_error(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams, max_buffer_size=1000)
        pending = a.read_until(b"z")
        b.write(b"x" * 5000)
        with pytest.raises(StreamClosedError) as raised:
            await pending
        b.close()
        return type(raised.value.real_error)

    with logged() as records:
        assert run(main(), loop) is StreamBufferFullError
    assert records == [
        ("tornado.general", "ERROR", "Reached maximum read buffer size"),
        ("tornado.general", "WARNING", "error on read: Reached maximum read buffer size"),
    ]


def test_one_read_at_a_time(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(1)
        with pytest.raises(AssertionError, match="Already reading"):
            a.read_bytes(1)
        a.close()
        b.close()
        with pytest.raises(StreamClosedError):
            await pending
        with pytest.raises(StreamClosedError):
            a.read_bytes(1)
        with pytest.raises(StreamClosedError):
            a.write(b"x")

    run(main(), loop)


def test_odd_arguments_are_tornados_business(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"abc\ndef")
        results = [await a.read_until(bytearray(b"\n"))]
        for call in (lambda: a.read_bytes("1"), lambda: b.write("text"), lambda: a.read_into(b"constant")):
            with pytest.raises((AssertionError, TypeError)) as raised:
                call()
            results.append(type(raised.value))
        a.close()
        b.close()
        return results

    assert run(main(), loop) == [b"abc\n", AssertionError, TypeError, AssertionError]


# -- writing --


def test_writes_resolve_in_order(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        order = []
        writes = [b.write(bytes([65 + i]) * size) for i, size in enumerate((10, 2_000_000, 0, 3, 1_000_000, 1))]
        for i, future in enumerate(writes):
            future.add_done_callback(lambda _, i=i: order.append(i))
        data = await a.read_bytes(3_000_014)
        await asyncio.gather(*writes)
        a.close()
        b.close()
        return order, collections.Counter(data)

    order, counts = run(main(), loop)
    assert order == [0, 1, 2, 3, 4, 5]
    assert counts == {65: 10, 66: 2_000_000, 68: 3, 69: 1_000_000, 70: 1}


def test_the_write_buffer_has_a_limit(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams, max_write_buffer_size=5_000_000)
        pending = b.write(b"x" * 4_000_000)
        with pytest.raises(StreamBufferFullError):
            b.write(b"y" * 5_000_000)
        await a.read_bytes(4_000_000)
        await pending
        a.close()
        b.close()

    run(main(), loop)


def test_writes_fail_when_the_peer_is_gone(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = b.write(b"x" * 10_000_000)
        a.close()
        with pytest.raises(StreamClosedError) as raised:
            await pending
        return type(raised.value.real_error), b.closed(), b._write_buffer

    with logged() as records:
        assert run(main(), loop) == (BrokenPipeError, True, None)
    assert records == []


def test_output_is_put_in_the_write_buffer_by_hand(iostreams, loop):
    """As distributed does."""

    async def main():
        a, b = socket_pair(iostreams)
        for frame in (b"small", memoryview(b"L" * 100_000), bytearray(b"end")):
            b._write_buffer.append(frame)
            b._total_write_index += len(frame)
        size = len(b._write_buffer)
        future = b.write(b"")
        data = await a.read_bytes(100_008)
        await future
        a.close()
        b.close()
        return size, data == b"small" + b"L" * 100_000 + b"end"

    assert run(main(), loop) == (100_008, True)


# -- closing --


@pytest.mark.parametrize("method", ["read_until", "read_until_regex"])
def test_a_client_that_has_ended_its_side_is_answered(iostreams, loop, method):
    """The request and the end behind it come together."""

    async def main():
        one, other = socket.socketpair()
        other.setblocking(False)
        stream = iostreams.IOStream(one)
        request = getattr(stream, method)(b"\n")
        other.send(b"request\n")
        other.shutdown(socket.SHUT_WR)
        answer = await request
        await stream.write(b"answer to " + answer)
        await closed(stream)
        with other:
            return other.recv(100)

    assert run(main(), loop) == b"answer to request\n"


def test_close_is_noticed_while_idle(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"x")
        await a.read_bytes(1)
        b.close()
        await closed(a)
        return a.closed(), a.error

    assert run(main(), loop) == (True, None)


def test_close_is_not_noticed_before_the_input_is_read(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        told = asyncio.Event()
        await b.write(b"xy")
        await a.read_bytes(1)
        a.set_close_callback(told.set)
        b.close()
        await asyncio.sleep(0.02)
        before = told.is_set(), a.closed()
        rest = await a.read_bytes(1)
        await told.wait()
        return before, rest, a.closed()

    assert run(main(), loop) == ((False, False), b"y", True)


def test_the_close_callback_comes_last(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        order = []
        a.set_close_callback(lambda: order.append("close"))
        pending = a.read_bytes(5)
        pending.add_done_callback(lambda _: order.append("read"))
        a.close(exc_info=ValueError("why"))
        a.close()
        await asyncio.sleep(0.01)
        b.close()
        return order, str(a.error), type(pending.exception().real_error)

    assert run(main(), loop) == (["read", "close"], "why", ValueError)


def test_exc_info_of_close(iostreams, loop):
    async def main():
        errors = []
        for how in ("true", "tuple", "false"):
            a, b = socket_pair(iostreams)
            try:
                raise KeyError(how)
            except KeyError as e:
                a.close(exc_info={"true": True, "tuple": (KeyError, e, None), "false": False}[how])
            errors.append(a.error)
            b.close()
        return [repr(error) for error in errors]

    assert run(main(), loop) == ["KeyError('true')", "KeyError('tuple')", "None"]


def test_read_until_close_gives_up_on_an_error(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_until_close()
        await b.write(b"half")
        await asyncio.sleep(0.01)
        a.close(exc_info=OSError("boom"))
        b.close()
        with pytest.raises(StreamClosedError) as raised:
            await pending
        return str(raised.value.real_error)

    assert run(main(), loop) == "boom"


def test_a_connection_that_is_refused(iostreams, loop):
    async def main():
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        stream = iostreams.IOStream(socket.socket())
        with pytest.raises(StreamClosedError) as raised:
            await stream.connect(bound.getsockname())
        bound.close()
        return type(raised.value.real_error)

    with logged():
        assert run(main(), loop) is ConnectionRefusedError


# -- what keeps a stream alive --


def test_a_stream_that_nobody_waits_for_is_freed(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"x")
        await a.read_bytes(1)
        known = weakref.ref(a)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del a
            gc.collect()
        b.close()
        return known() is None

    assert run(main(), loop)


def test_a_stream_that_its_loop_knows_stays(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(1)
        del a
        gc.collect()
        await b.write(b"x")
        result = await pending
        b.close()
        return result

    assert run(main(), loop) == b"x"


# -- pipes --


def test_pipes(iostreams, loop):
    async def main():
        r, w = os.pipe()
        reader, writer = iostreams.PipeIOStream(r), iostreams.PipeIOStream(w)
        writing = writer.write(b"1" * 1_000_000 + b"\n")
        line = await reader.read_until(b"\n")
        await writing
        writer.write(b"tail")
        writer.close()
        return len(line), await reader.read_until_close(), reader.closed(), reader.fileno() == r

    assert run(main(), loop) == (1_000_001, b"tail", True, True)


# -- the general path --


HOOKS = ["read_from_fd", "write_to_fd", "_handle_read", "_read_to_buffer", "_find_read_pos", "_handle_events", "close_fd"]


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("where", ["class", "instance"])
def test_hooks_that_are_overridden_are_called(iostreams, loop, hook, where):
    calls = []

    async def main():
        def wrapped(stream, original):
            def call(*args, **kwargs):
                calls.append(hook)
                return original(*args, **kwargs)

            return call

        if where == "class":

            class Stream(iostreams.IOStream):
                pass

            setattr(Stream, hook, lambda self, *args: wrapped(self, getattr(super(Stream, self), hook))(*args))
            a, b = (Stream(s) for s in socket.socketpair())
        else:
            a, b = socket_pair(iostreams)
            for stream in (a, b):
                setattr(stream, hook, wrapped(stream, getattr(stream, hook)))
        pending = a.read_until(b"\n")
        await b.write(b"one\ntwo\n")
        results = [await pending, await a.read_until(b"\n")]
        a.close()
        b.close()
        return results

    assert run(main(), loop) == [b"one\n", b"two\n"]
    assert calls


def test_a_hook_that_is_set_while_a_read_is_pending(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(4)
        await asyncio.sleep(0)
        original = a.read_from_fd
        seen = []

        def read_from_fd(buffer):
            seen.append(len(buffer) > 0)
            return original(buffer)

        a.read_from_fd = read_from_fd
        await b.write(b"data")
        result = await pending
        a.close()
        b.close()
        return result, seen[:1]

    assert run(main(), loop) == (b"data", [True])


def test_a_stream_of_ones_own(iostreams, loop):
    class Memory(iostreams.BaseIOStream):
        def __init__(self, sock):
            self.sock = sock
            sock.setblocking(False)
            super().__init__()

        def fileno(self):
            return self.sock.fileno()

        def close_fd(self):
            self.sock.close()

        def read_from_fd(self, buf):
            try:
                return self.sock.recv_into(buf)
            except BlockingIOError:
                return None

        def write_to_fd(self, data):
            return self.sock.send(data)

    async def main():
        a, b = (Memory(s) for s in socket.socketpair())
        pending = a.read_until(b"!")
        await b.write(b"hello!")
        result = await pending
        b.close()
        await closed(a)
        return result, a.closed()

    assert run(main(), loop) == (b"hello!", True)


def test_the_read_buffer_can_be_looked_at_and_filled(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"ab:cd")
        first = await a.read_until(b":")
        seen = bytes(a._read_buffer)
        a._read_buffer += b"ef:"
        a._read_buffer_size += 3
        second = await a.read_until(b":")
        pending = a.read_until(b":")
        await b.write(b"gh:")
        third = await pending
        b.close()
        await closed(a)
        return first, seen, second, third

    assert run(main(), loop) == (b"ab:", b"cd", b"cdef:", b"gh:")


def test_going_over_to_the_general_path_in_the_middle(loop):
    """Everything that is pending goes on."""
    iostreams = IMPLEMENTATIONS["tornadoc"]

    async def main():
        a, b = socket_pair(iostreams)
        reading = b.read_bytes(300_000)
        written = b.write(b"w" * 3_000_000)
        await a.write(b"r" * 100_000)
        await asyncio.sleep(0.01)
        before = b._is_general()
        waiting = len(b._write_futures), len(b._read_buffer)
        after = b._is_general()
        a.write(b"r" * 200_000)
        results = len(await reading), len(await a.read_bytes(3_000_000))
        await written
        a.close()
        b.close()
        return before, waiting, after, results

    assert run(main(), loop) == (False, (1, 100_000), True, (300_000, 3_000_000))


def test_plain_streams_take_the_fast_path(loop):
    async def main():
        a, b = socket_pair(IMPLEMENTATIONS["tornadoc"])
        r, w = os.pipe()
        reader, writer = tornadoc.iostream.PipeIOStream(r), tornadoc.iostream.PipeIOStream(w)
        streams = (a, b, reader, writer)
        pending = a.read_until_regex(b"x"), reader.read_bytes(1)
        await asyncio.gather(b.write(b"x"), writer.write(b"x"), *pending)
        general = [stream._is_general() for stream in streams]
        for stream in streams:
            stream.close()
        return general

    assert run(main(), loop) == [False] * 4


def test_regexes_of_any_kind(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        await b.write(b"abc123")
        results = [await a.read_until_regex(b"[a-c]+"), await a.read_until_regex(re.compile(rb"\d+"))]
        with pytest.raises(re.error):
            a.read_until_regex(b"(")
        a.close()
        b.close()
        return results

    assert run(main(), loop) == [b"abc", b"123"]


def test_a_closed_stream_is_read_to_its_end_after_a_read_that_was_too_long(iostreams, loop):
    async def main():
        a, b = socket_pair(iostreams)
        pending = a.read_bytes(100)
        await b.write(b"one\ntwo\nrest")
        b.close()
        with pytest.raises(StreamClosedError):
            await pending
        return [await a.read_until(b"\n"), await a.read_until_regex(b"o\n"), await a.read_until_close()]

    assert run(main(), loop) == [b"one\n", b"two\n", b"rest"]
