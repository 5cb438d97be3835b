"""One line of the loop's benchmark, in a process of its own: so many seconds of one kind of work on one loop.

    python loop_child.py --loop uvloop --line call_soon-chain --seconds 0.5

Prints one JSON line: the operations done, the CPU and the time that they took.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import importlib
import json
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

LOOPS = ("asyncio", "uvloop", "tornadoc")
FAR = 3600.0
WAIT_SECONDS = 30.0
Work = Callable[[asyncio.AbstractEventLoop, int], Awaitable[None]]


@dataclass(frozen=True)
class Line:
    title: str
    """What one operation is."""
    work: Work
    batch: int
    """Operations in one call of `work`."""


LINES: dict[str, Line] = {}


def line(name: str, title: str, batch: int) -> Callable[[Work], Work]:
    def register(work: Work) -> Work:
        LINES[name] = Line(title, work, batch)
        return work

    return register


def make_loop(name: str) -> asyncio.AbstractEventLoop:
    # All of them are imported, whichever runs: what lies on the heap sets the price of each full garbage collection, and a
    # program has more there than any loop brings.
    made = asyncio.SelectorEventLoop
    for module, factory in (("uvloop", "new_event_loop"), ("tornadoc", "EventLoop")):
        try:
            imported = importlib.import_module(module)
        except ImportError:
            if name == module:
                raise
        else:
            if name == module:
                made = getattr(imported, factory)
    return made()


def nothing() -> None:
    pass


async def trivial() -> None:
    pass


@line("call_soon-chain", "a callback that schedules the next: a turn of the loop each", 2000)
async def call_soon_chain(loop: asyncio.AbstractEventLoop, count: int) -> None:
    done = loop.create_future()

    def step() -> None:
        nonlocal count
        count -= 1
        if count:
            loop.call_soon(step)
        else:
            done.set_result(None)

    loop.call_soon(step)
    await done


@line("call_soon-batch", "a callback among 1000 that are scheduled at once", 1000)
async def call_soon_batch(loop: asyncio.AbstractEventLoop, count: int) -> None:
    done = loop.create_future()
    for _ in range(count - 1):
        loop.call_soon(nothing)
    loop.call_soon(done.set_result, None)
    await done


@line("threadsafe-batch", "a callback among 1000 from another thread, which then waits for the last", 20_000)
async def threadsafe_batch(loop: asyncio.AbstractEventLoop, count: int) -> None:
    await from_thread(loop, count, 1000)


@line("threadsafe-wake", "a callback from another thread that waits for each: the loop sleeps in between", 1000)
async def threadsafe_wake(loop: asyncio.AbstractEventLoop, count: int) -> None:
    await from_thread(loop, count, 1)


async def from_thread(loop: asyncio.AbstractEventLoop, count: int, at_once: int) -> None:
    """`count` callbacks from another thread, which after each `at_once` waits until the loop has run them."""
    done = loop.create_future()

    def produce() -> None:
        ran = threading.Event()
        for _ in range(count // at_once):
            ran.clear()
            for _ in range(at_once - 1):
                loop.call_soon_threadsafe(nothing)
            loop.call_soon_threadsafe(ran.set)
            if not ran.wait(WAIT_SECONDS):
                return
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    await asyncio.wait_for(done, WAIT_SECONDS)
    thread.join()


@line("timer-chain", "a call_later(0) that sets the next", 2000)
async def timer_chain(loop: asyncio.AbstractEventLoop, count: int) -> None:
    done = loop.create_future()

    def step() -> None:
        nonlocal count
        count -= 1
        if count:
            loop.call_later(0, step)
        else:
            done.set_result(None)

    loop.call_later(0, step)
    await done


@line("timer-due", "one of 1000 timers that fall due in the same few milliseconds (the wait is in the wall time)", 1000)
async def timer_due(loop: asyncio.AbstractEventLoop, count: int) -> None:
    done = loop.create_future()
    left = count

    def due() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    for i in range(count):
        # Neither in order nor all the same.
        loop.call_later(0.001 + i * 7919 % count * 2e-6, due)
    await done


@line("timer-cancel", "a timer far ahead among 1000, set and later cancelled", 1000)
async def timer_cancel(loop: asyncio.AbstractEventLoop, count: int) -> None:
    timers = [loop.call_later(FAR + i * 7919 % count, nothing) for i in range(count)]
    await asyncio.sleep(0)
    for timer in timers:
        timer.cancel()
    await asyncio.sleep(0)


@line("timeout", "a wait_for whose coroutine yields once and is done long before", 500)
async def timeout(loop: asyncio.AbstractEventLoop, count: int) -> None:
    for _ in range(count):
        await asyncio.wait_for(asyncio.sleep(0), FAR)


@line("task", "create_task of a coroutine that does nothing, among 1000", 1000)
async def task(loop: asyncio.AbstractEventLoop, count: int) -> None:
    for _ in range(count - 1):
        loop.create_task(trivial())
    await loop.create_task(trivial())


@line("sleep0", "await asyncio.sleep(0) in one of two tasks that take turns", 2000)
async def sleep0(loop: asyncio.AbstractEventLoop, count: int) -> None:
    async def player() -> None:
        for _ in range(count // 2):
            await asyncio.sleep(0)

    other = loop.create_task(player())
    await player()
    await other


@line("future", "a Future that a callback resolves, and the task that goes on", 1000)
async def future(loop: asyncio.AbstractEventLoop, count: int) -> None:
    for _ in range(count):
        waited = loop.create_future()
        loop.call_soon(waited.set_result, None)
        await waited


@line("gather", "one of 100 coroutines under gather", 1000)
async def gather(loop: asyncio.AbstractEventLoop, count: int) -> None:
    for _ in range(count // 100):
        await asyncio.gather(*[trivial() for _ in range(100)])


@functools.cache
def watched_sockets() -> list[tuple[socket.socket, socket.socket]]:
    """50 pairs for the life of the process; the first of each is readable once the second has sent."""
    return [socket.socketpair() for _ in range(50)]


@line("reader-churn", "add_reader, a turn of the loop, remove_reader, for one of 50 sockets", 1000)
async def reader_churn(loop: asyncio.AbstractEventLoop, count: int) -> None:
    sockets = [watched for watched, _ in watched_sockets()]
    for _ in range(count // len(sockets)):
        for one in sockets:
            loop.add_reader(one, nothing)
        await asyncio.sleep(0)
        for one in sockets:
            loop.remove_reader(one)
        await asyncio.sleep(0)


@line("reader-event", "a reader's callback: 50 sockets that are always readable", 20_000)
async def reader_event(loop: asyncio.AbstractEventLoop, count: int) -> None:
    done = loop.create_future()
    left = count

    def readable() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set_result(None)

    for watched, other in watched_sockets():
        other.send(b"x")
        loop.add_reader(watched, readable)
    await done
    for watched, _ in watched_sockets():
        loop.remove_reader(watched)
        watched.recv(1)


async def measure(loop: asyncio.AbstractEventLoop, measured: Line, seconds: float) -> dict[str, int]:
    await measured.work(loop, measured.batch)
    operations, cpu, wall = 0, time.process_time_ns(), time.perf_counter_ns()
    took = 0
    while took < seconds * 1e9:
        await measured.work(loop, measured.batch)
        operations += measured.batch
        took = time.perf_counter_ns() - wall
    return {"operations": operations, "cpu_ns": time.process_time_ns() - cpu, "wall_ns": took}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", choices=LOOPS, required=True)
    parser.add_argument("--line", choices=list(LINES), required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    options = parser.parse_args()
    loop = make_loop(options.loop)
    try:
        asyncio.set_event_loop(loop)
        found = loop.run_until_complete(measure(loop, LINES[options.line], options.seconds))
    finally:
        loop.close()
        asyncio.set_event_loop(None)
        for pair in watched_sockets():
            for end in pair:
                end.close()
    print(json.dumps({**found, "loop": f"{type(loop).__module__}.{type(loop).__qualname__}"}))


if __name__ == "__main__":
    sys.exit(main())
