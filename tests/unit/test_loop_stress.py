"""Random programs of callbacks, timers, descriptors, transports, socket operations and threads, on asyncio's loop and on ours.

TORNADOC_STRESS is the number of seeds to try with each loop; TORNADOC_STRESS_SEED the first of them.
"""

import asyncio
import collections
import contextlib
import gc
import os
import random
import socket
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tornadoc

SEEDS = int(os.environ.get("TORNADOC_STRESS", "2"))
FIRST_SEED = int(os.environ.get("TORNADOC_STRESS_SEED", "0"))
STEPS = 400

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "tornadoc": tornadoc.EventLoop}


@pytest.fixture(params=LOOPS)
def make_loop(request: pytest.FixtureRequest) -> Callable[[], Any]:
    return LOOPS[request.param]


@pytest.fixture(params=range(FIRST_SEED, FIRST_SEED + SEEDS))
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@contextlib.contextmanager
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield


class Token:
    """An argument of a callback: alive as long as something keeps the callback."""


class Callbacks:
    """Schedules callbacks by whatever way, and knows which must have run, and in which order."""

    def __init__(self, loop: Any, rng: random.Random) -> None:
        self.loop = loop
        self.rng = rng
        self.number = 0
        self.expected: list[int] = []  # of call_soon(), in order
        self.ran: collections.Counter[int] = collections.Counter()
        self.order: list[int] = []
        self.handles: dict[int, Any] = {}
        self.cancelled: set[int] = set()
        self.unordered: set[int] = set()  # timers, and what finalizers add
        self.live: weakref.WeakSet[Token] = weakref.WeakSet()
        self.left = STEPS
        self.errors: list[Any] = []

    def token(self) -> Token:
        token = Token()
        self.live.add(token)
        return token

    def next(self) -> int:
        self.number += 1
        return self.number

    def soon(self) -> None:
        number = self.next()
        call = self.loop.call_soon if self.rng.random() < 0.8 else self.loop.call_soon_threadsafe
        handle = call(self.run, number, self.token())
        self.expected.append(number)
        self.handles[number] = handle

    def later(self) -> None:
        number = self.next()
        delay = self.rng.choice([-1, 0, 0, 1e-4, 0.001, 0.003])
        self.unordered.add(number)
        self.handles[number] = self.loop.call_later(delay, self.run, number, self.token())

    def cancel(self) -> None:
        if self.handles:
            number = self.rng.choice(list(self.handles))
            handle = self.handles[number] if self.rng.random() < 0.5 else self.handles.pop(number)
            if not self.ran[number]:
                self.cancelled.add(number)
            handle.cancel()
            assert handle.cancelled()

    def forget(self) -> None:
        if self.handles:
            self.handles.pop(self.rng.choice(list(self.handles)))

    def raises(self) -> None:
        number = self.next()
        self.expected.append(number)
        self.loop.call_soon(self.run_and_raise, number, self.token())

    def run_and_raise(self, number: int, token: Token) -> None:
        self.run(number, token)
        raise ZeroDivisionError(number)

    def from_finalizer(self) -> None:
        class Cyclic:
            def __init__(self, callbacks: Callbacks) -> None:
                self.me = self
                self.callbacks = callbacks

            def __del__(self) -> None:
                # Possibly in the middle of another call_soon(): in no certain order.
                callbacks = self.callbacks
                if not callbacks.loop.is_closed():
                    number = callbacks.next()
                    callbacks.unordered.add(number)
                    callbacks.loop.call_soon(callbacks.run, number, callbacks.token())

        Cyclic(self)
        if self.rng.random() < 0.3:
            gc.collect(self.rng.randrange(3))

    def adopt(self) -> None:
        """A handle out of the queue's view, kept by the callback's own argument."""
        ready = list(self.loop._ready)  # a copy: a finalizer that runs amid the loop below adds to it
        waiting = [handle for handle in ready if handle._args and isinstance(handle._args[-1], Token)]
        for handle in waiting[:3]:
            handle._args[-1].handle = handle

    def run(self, number: int, token: Token) -> None:
        self.ran[number] += 1
        if number not in self.unordered:
            self.order.append(number)
        self.step()

    def step(self) -> None:
        if self.left <= 0:
            return
        self.left -= 1
        actions = [self.soon, self.soon, self.later, self.later, self.cancel, self.forget, self.raises]
        actions += [self.from_finalizer, self.adopt]
        for _ in range(self.rng.choice([0, 1, 1, 2, 3])):
            self.rng.choice(actions)()

    def check(self) -> None:
        due = set(range(1, self.number + 1))
        assert set(self.ran.values()) <= {1}
        assert not set(self.ran) & self.cancelled
        assert set(self.ran) | self.cancelled == due
        assert self.order == [number for number in self.expected if number not in self.cancelled]


def drain(loop: Any, callbacks: Callbacks) -> None:
    """Run until nothing is left to run."""
    for _ in range(2):
        while callbacks.left > 0 or loop._ready or any(not timer.cancelled() for timer in loop._scheduled):
            if callbacks.left > 0:
                callbacks.step()
            loop.call_later(0.0005, loop.stop)
            loop.run_forever()
        gc.collect()  # what the last finalizers add runs in the second round


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_callbacks_run_once_in_order_and_leave_nothing(make_loop: Callable[[], Any], seed: int, debug: bool) -> None:
    loop = make_loop()
    loop.set_debug(debug)
    loop.slow_callback_duration = 100
    callbacks = Callbacks(loop, random.Random(seed))
    errors = callbacks.errors
    loop.set_exception_handler(lambda _, context, errors=errors: errors.append(context))
    gc.collect()
    for _ in range(20):
        callbacks.soon()
    drain(loop, callbacks)
    callbacks.check()
    assert all(isinstance(context["exception"], ZeroDivisionError) for context in errors)
    live, loop_ref = callbacks.live, weakref.ref(loop)
    loop.close()
    loop.set_exception_handler(None)
    del callbacks, errors, loop
    gc.collect()
    assert len(live) == 0
    assert loop_ref() is None


def test_a_loop_dropped_in_the_middle_leaves_nothing(make_loop: Callable[[], Any], seed: int) -> None:
    rng = random.Random(seed)
    loop = make_loop()
    callbacks = Callbacks(loop, rng)
    loop.set_exception_handler(lambda _, context: None)
    for _ in range(rng.randrange(1, 60)):
        callbacks.soon()
    for _ in range(rng.randrange(3)):
        loop.call_soon(loop.stop)
        loop.run_forever()
    live, loop_ref = callbacks.live, weakref.ref(loop)
    if rng.random() < 0.5:
        loop.close()
    else:
        # The collector does not see a waiting handle of ours that somebody keeps: such a loop has to be closed.
        callbacks.handles.clear()
    with no_warnings():
        del callbacks, loop
        for _ in range(3):
            gc.collect()
    assert len(live) == 0
    assert loop_ref() is None


def test_threads_lose_no_callback(make_loop: Callable[[], Any], seed: int) -> None:
    """Each thread's callbacks run in its order; what comes once the loop is closed is refused."""
    loop = make_loop()
    seen: dict[int, list[int]] = collections.defaultdict(list)
    accepted: dict[int, int] = {}
    count, total = 3, 300
    stop_at = random.Random(seed).randrange(count * total)

    def note(thread: int, number: int) -> None:
        seen[thread].append(number)
        if sum(map(len, seen.values())) == stop_at:
            loop.stop()

    def feed(thread: int) -> None:
        accepted[thread] = 0
        try:
            for number in range(total):
                loop.call_soon_threadsafe(note, thread, number)
                accepted[thread] += 1
        except RuntimeError as error:
            assert "closed" in str(error)

    threads = [threading.Thread(target=feed, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    if stop_at:
        loop.run_forever()
    loop.close()
    for thread in threads:
        thread.join()
    for thread, numbers in seen.items():
        assert numbers == list(range(len(numbers)))
        assert len(numbers) <= accepted[thread]
    assert sum(map(len, seen.values())) >= stop_at


class Echo(asyncio.Protocol):
    """Sends back what it is given, with a pause now and then."""

    def __init__(self, rng: random.Random, live: "weakref.WeakSet[Echo]", connected: set[Any]) -> None:
        self.rng = rng
        self.connected = connected
        self.transport: Any = None
        live.add(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connected.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.connected.remove(self)

    def data_received(self, data: bytes) -> None:
        chance = self.rng.random()
        if chance < 0.1:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.transport.resume_reading)
        elif chance < 0.15:
            gc.collect(0)
        # asyncio from 3.12 on never gets rid of an empty last piece, and so never closes.
        if chance < 0.5 or len(data) == 1:
            self.transport.write(data)
        else:
            self.transport.writelines([data[:1], data[1:]])


async def echo_by_transport(rng: random.Random, server: Any, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        writer.write(data)
        if rng.random() < 0.2:
            writer.transport.abort()
            return
        assert await reader.readexactly(len(data)) == data
        if rng.random() < 0.3:
            writer.write_eof()
            assert await reader.read() == b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def echo_by_socket(rng: random.Random, server: Any, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, server.sockets[0].getsockname())
        sending = loop.create_task(loop.sock_sendall(sock, data))
        got = bytearray()
        while len(got) < len(data):
            if rng.random() < 0.2:
                # Given up for another, which gets the data.
                waiting = loop.create_task(loop.sock_recv(sock, 100))
                await asyncio.sleep(0)
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    got += await waiting
                continue
            got += await loop.sock_recv(sock, rng.choice([10, 1000, 100_000]))
        await sending
        assert got == data


async def echo_by_reader(rng: random.Random, data: bytes) -> None:
    """add_reader() and add_writer(), whose descriptors are closed and come again."""
    loop = asyncio.get_running_loop()
    left, right = socket.socketpair()
    left.setblocking(False)
    right.setblocking(False)
    got = bytearray()
    done: asyncio.Future[None] = loop.create_future()
    data = data[:1000]

    def readable() -> None:
        with contextlib.suppress(BlockingIOError):
            got.extend(left.recv(rng.choice([1, 100, 10_000])))
        if len(got) == len(data) and not done.done():
            done.set_result(None)

    def writable() -> None:
        assert loop.remove_writer(right)
        right.sendall(data)

    loop.add_reader(left, readable)
    loop.add_writer(right.fileno(), writable)
    if rng.random() < 0.3:
        loop.add_reader(left.fileno(), readable)
    await done
    assert got == data
    if rng.random() < 0.5:
        assert loop.remove_reader(left)
        assert not loop.remove_reader(left)
        left.close()
    else:
        left.close()
        assert loop.remove_reader(left)
    right.close()


async def traffic(rng: random.Random, debug: bool, live: "weakref.WeakSet[Echo]") -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(debug)
    loop.slow_callback_duration = 100
    connected: set[Any] = set()
    server = await loop.create_server(lambda: Echo(rng, live, connected), "127.0.0.1", 0)
    waiting: set[asyncio.Future[None]] = set()
    for _ in range(STEPS // 8):
        data = rng.randbytes(rng.choice([1, 10, 1000, 70_000, 400_000]))
        way = rng.randrange(3)
        if way == 0:
            waiting.add(loop.create_task(echo_by_transport(rng, server, data)))
        elif way == 1:
            waiting.add(loop.create_task(echo_by_socket(rng, server, data)))
        else:
            waiting.add(loop.create_task(echo_by_reader(rng, data)))
        if rng.random() < 0.1:
            gc.collect()
        if len(waiting) > rng.randrange(1, 12):
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*waiting)
    server.close()
    # The servers' ends see the last of it.
    while connected:
        await asyncio.sleep(0.001)
    await server.wait_closed()


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
def test_descriptors_that_come_again_carry_nobody_else_s_data(make_loop: Callable[[], Any], seed: int, debug: bool) -> None:
    loop = make_loop()
    errors: list[Any] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    before = len(os.listdir("/proc/self/fd"))
    live: weakref.WeakSet[Echo] = weakref.WeakSet()
    loop.run_until_complete(asyncio.wait_for(traffic(random.Random(seed), debug, live), 240))
    assert len(os.listdir("/proc/self/fd")) <= before + 3  # a pair for signals
    loop_ref = weakref.ref(loop)
    loop.close()
    assert errors == []
    del loop
    gc.collect()
    assert len(live) == 0
    assert loop_ref() is None
