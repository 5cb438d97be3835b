"""In which order callbacks, events and requests come: as on asyncio's loop, and as in Tornado."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from inprocess import TORNADO, TORNADOC, Running, request, run, settle
from tornado.iostream import IOStream as TornadoIOStream

import tornadoc
from tornadoc.iostream import IOStream

LOOPS: dict[str, Callable[[], Any]] = {"asyncio": asyncio.SelectorEventLoop, "tornadoc": tornadoc.EventLoop}


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = LOOPS[request.param]()
    yield loop
    loop.close()


@contextlib.contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


class Recorder(asyncio.Protocol):
    def __init__(self, seen: list[str]) -> None:
        self.seen = seen

    def data_received(self, data: bytes) -> None:
        self.seen.append("data")

    def connection_lost(self, error: Exception | None) -> None:
        self.seen.append("lost")


def test_callbacks_that_were_ready_come_before_events_and_timers_and_theirs_after(loop: Any) -> None:
    seen: list[str] = []

    async def main() -> None:
        with pair() as (left, right):
            transport, _ = await loop.create_connection(lambda: Recorder(seen), sock=left)
            with pair() as (third, fourth):
                loop.add_reader(third, lambda: (loop.remove_reader(third), seen.append("reader")))

                def ready() -> None:
                    seen.append("ready")
                    loop.call_soon(seen.append, "next")

                loop.call_soon(ready)
                loop.call_at(loop.time(), seen.append, "timer")
                right.send(b"x")
                fourth.send(b"x")
                for _ in range(3):
                    await asyncio.sleep(0)
            transport.abort()
            await asyncio.sleep(0)

    loop.run_until_complete(main())
    assert seen[0] == "ready"
    assert sorted(seen[1:4]) == ["data", "reader", "timer"]
    assert seen[4:] == ["next", "lost"]


@pytest.mark.parametrize("act", ["pause_reading", "abort", "close"])
def test_a_callback_ahead_of_an_event_can_prevent_it(loop: Any, act: str) -> None:
    seen: list[str] = []

    async def main() -> None:
        with pair() as (left, right):
            transport, _ = await loop.create_connection(lambda: Recorder(seen), sock=left)
            loop.call_soon(getattr(transport, act))
            right.send(b"x")
            for _ in range(3):
                await asyncio.sleep(0)
            assert "data" not in seen
            if act == "pause_reading":
                transport.resume_reading()
                while not seen:
                    await asyncio.sleep(0)
                assert seen == ["data"]
            transport.abort()
            await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_reader_that_is_removed_ahead_of_its_event_is_not_called(loop: Any) -> None:
    seen: list[str] = []

    async def main() -> None:
        with pair() as (left, right), pair() as (third, fourth):
            loop.add_reader(left, seen.append, "left")
            loop.add_reader(third, seen.append, "third")
            loop.call_soon(loop.remove_reader, left)
            # The number of a descriptor that is closed is another's by the time of the event.
            loop.call_soon(lambda: (loop.remove_reader(third), third.close(), files.append(socket.socket())))
            files: list[socket.socket] = []
            right.send(b"x")
            fourth.send(b"x")
            for _ in range(3):
                await asyncio.sleep(0)
            files[0].close()

    loop.run_until_complete(main())
    assert seen == []


@pytest.mark.parametrize("make_stream", [TornadoIOStream, IOStream], ids=["tornado", "tornadoc"])
def test_a_stream_closed_ahead_of_its_event_reads_nothing(make_stream: Any) -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        with pair() as (left, right):
            stream = make_stream(left)
            stream.set_close_callback(lambda: seen.append("closed"))
            future = stream.read_bytes(1)
            await settle()
            asyncio.get_running_loop().call_soon(stream.close)
            right.send(b"x")
            with contextlib.suppress(tornadoc.iostream.StreamClosedError):
                seen.append((await future).decode())
            await asyncio.sleep(0.01)
        return seen

    for make_loop in LOOPS.values():
        loop = make_loop()
        try:
            assert loop.run_until_complete(main()) == ["closed"]
        finally:
            loop.close()


STEPS = 2


def make_application(web: Any, seen: list[int]) -> Any:
    class Leaves(web.RequestHandler):  # type: ignore[misc]
        """Leaves the loop a callback that leaves it another."""

        def leave(self) -> None:
            loop = asyncio.get_running_loop()

            def step(number: int) -> None:
                seen.append(number)
                if number < STEPS:
                    loop.call_soon(step, number + 1)

            loop.call_soon(step, 1)
            self.write("left")

        def get(self) -> None:
            self.leave()

    class LeavesLater(Leaves):
        async def get(self) -> None:
            await asyncio.sleep(0)
            self.leave()

    class LeavesAtTheEnd(web.RequestHandler):  # type: ignore[misc]
        def get(self) -> None:
            self.write("left")

        def on_finish(self) -> None:
            Leaves.leave(self)

        def write(self, chunk: Any) -> None:
            if not self._finished:
                super().write(chunk)

    class Looks(web.RequestHandler):  # type: ignore[misc]
        def get(self) -> None:
            self.write(f"{len(seen)} steps")
            seen.clear()

    return web.Application([("/now", Leaves), ("/later", LeavesLater), ("/end", LeavesAtTheEnd), ("/look", Looks)])


@pytest.mark.parametrize("make_loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("path", ["/now", "/later", "/end"])
@pytest.mark.parametrize("implementation", [TORNADO, TORNADOC], ids=["tornado", "tornadoc"])
def test_what_a_handler_leaves_to_the_loop_is_done_before_the_next_pipelined_request(
    implementation: Any, path: str, make_loop: Callable[[], Any]
) -> None:
    web, httpserver = implementation

    async def main() -> list[bytes]:
        seen: list[int] = []
        async with Running(make_application(web, seen), httpserver.HTTPServer) as server:
            client = await server.client()
            client.send((request(path) + request("/look")) * 3)
            return [(await client.answer()).body for _ in range(6)]

    loop = make_loop()
    try:
        answers = loop.run_until_complete(asyncio.wait_for(main(), 20))
    finally:
        loop.close()
    assert answers == [b"left", b"2 steps"] * 3


def test_a_loop_that_is_never_idle_holds_no_pipelined_request_up() -> None:
    async def main() -> list[bytes]:
        busy = True

        def spin() -> None:
            if busy:
                asyncio.get_running_loop().call_soon(spin)

        async with Running(make_application(TORNADOC[0], []), TORNADOC[1].HTTPServer) as server:
            spin()
            client = await server.client()
            client.send(request("/look") * 20)
            answers = [(await client.answer()).body for _ in range(20)]
            busy = False
            return answers

    assert run(main()) == [b"0 steps"] * 20
