"""The callback forms of stream methods that Tornado had before version 6."""

import asyncio
import socket

import pytest
from stream_support import IMPLEMENTATIONS, logged, new_loops, run, socket_pair
from tornado.ioloop import IOLoop

from tornadoc.iostream import IOStream

OURS = IMPLEMENTATIONS["tornadoc"]


@pytest.fixture(params=new_loops())
def loop(request):
    return request.param


def collector():
    """(queue, callback): the callback puts its arguments into the queue."""
    queue = asyncio.Queue()
    return queue, lambda *args: queue.put_nowait(args)


@pytest.mark.parametrize(
    "call, result",
    [
        (lambda s, cb: s.read_until(b"\n", cb), (b"line\n",)),
        (lambda s, cb: s.read_until(b"\n", callback=cb, max_bytes=100), (b"line\n",)),
        (lambda s, cb: s.read_until_regex(b"i.", cb), (b"lin",)),
        (lambda s, cb: s.read_bytes(2, cb), (b"li",)),
        (lambda s, cb: s.read_bytes(100, callback=cb, partial=True), (b"line\nrest",)),
        (lambda s, cb: s.read_until_close(cb), (b"line\nrest",)),
        (lambda s, cb: s.read_into(bytearray(3), cb), (3,)),
        (lambda s, cb: s.write(b"x", cb), ()),
        (lambda s, cb: s.write(b"x", callback=cb), ()),
    ],
)
def test_callbacks_get_the_result(loop, call, result):
    async def main():
        a, b = socket_pair(OURS)
        queue, callback = collector()
        assert call(a, callback) is None
        assert queue.empty()
        await b.write(b"line\nrest")
        b.set_close_callback(None)
        asyncio.get_running_loop().call_later(0.01, b.close)
        got = await queue.get()
        a.close()
        return got

    assert run(main(), loop) == result


def test_connect(loop):
    async def main():
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        stream = IOStream(socket.socket(), io_loop=IOLoop.current())
        queue, callback = collector()
        assert stream.connect(listener.getsockname(), callback) is None
        got = await queue.get()
        stream.close()
        listener.close()
        return got

    assert run(main(), loop) == ()


@pytest.mark.parametrize("until_close", [True, False])
def test_streaming_callbacks_get_pieces_and_the_final_one_nothing(loop, until_close):
    async def main():
        a, b = socket_pair(OURS)
        pieces = []
        queue, callback = collector()
        if until_close:
            a.read_until_close(callback, pieces.append)
        else:
            a.read_bytes(200_000, callback, streaming_callback=pieces.append)
        b.write(b"x" * 200_000)
        while sum(map(len, pieces)) < 200_000:
            await asyncio.sleep(0)
        b.close()
        got = await queue.get()
        a.close()
        return got, len(pieces) > 1

    assert run(main(), loop) == ((b"",), True)


def test_an_exception_closes_the_stream(loop):
    async def main():
        a, b = socket_pair(OURS)
        told = asyncio.Event()
        a.set_close_callback(told.set)

        def callback(data):
            raise ValueError(data)

        a.read_bytes(1, callback)
        await b.write(b"x")
        await told.wait()
        b.close()
        return repr(a.error)

    with logged() as records:
        assert run(main(), loop) == "ValueError(b'x')"
    assert records[0] == ("tornado.application", "ERROR", "Uncaught exception, closing connection.")
    assert [record[0] for record in records] == ["tornado.application"] * 2


def test_a_callback_is_not_called_when_the_stream_is_closed_first(loop):
    async def main():
        a, b = socket_pair(OURS)
        queue, callback = collector()
        told = asyncio.Event()
        a.set_close_callback(told.set)
        a.read_bytes(1, callback)
        b.close()
        await told.wait()
        return queue.empty()

    assert run(main(), loop)


def test_no_callback_is_the_form_of_today(loop):
    async def main():
        a, b = socket_pair(OURS)
        await b.write(b"ab\n", callback=None)
        result = await a.read_until(b"\n", callback=None)
        a.close()
        b.close()
        return result

    assert run(main(), loop) == b"ab\n"


def test_wrong_arguments_are_type_errors(loop):
    async def main():
        a, b = socket_pair(OURS)
        for call in (
            lambda: a.read_until(),
            lambda: a.read_until(b"x", 1, 2, 3, 4),
            lambda: a.read_bytes(1, wrong=2),
            lambda: a.write(),
            lambda: a.read_until(b"x", delimiter=b"y"),
        ):
            with pytest.raises(TypeError):
                call()
        a.close()
        b.close()

    run(main(), loop)
