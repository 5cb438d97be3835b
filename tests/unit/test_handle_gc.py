"""What the garbage collector sees of handles, which it does not track while they wait in a loop's queue."""

import asyncio
import gc
import socket
import warnings
import weakref

import pytest
from sidebyside import at_every_collection

import tornadoc

LOOPS = pytest.mark.parametrize("make_loop", [asyncio.SelectorEventLoop, tornadoc.EventLoop], ids=["asyncio", "tornadoc"])


class Thing:
    """Has a callback that refers to it."""

    def __init__(self, loop):
        self.loop = loop
        self.calls = 0

    def call(self):
        self.calls += 1


def collected(reference):
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return reference() is None


@LOOPS
def test_a_loop_dropped_with_callbacks_waiting_is_collected(make_loop):
    loop = make_loop()
    thing = Thing(loop)
    for _ in range(10):
        loop.call_soon(thing.call)
    references = weakref.ref(loop), weakref.ref(thing)
    del loop, thing
    assert all(collected(reference) for reference in references)


@LOOPS
def test_a_handle_kept_by_its_own_callback_s_object_is_collected_after_it_ran(make_loop):
    loop = make_loop()
    thing = Thing(loop)
    thing.handle = loop.call_soon(thing.call)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert thing.calls == 1
    reference = weakref.ref(thing)
    del thing, loop
    assert collected(reference)


@LOOPS
def test_a_handle_kept_by_its_own_callback_s_object_is_collected_when_the_loop_closes(make_loop):
    loop = make_loop()
    thing = Thing(loop)
    thing.handle = loop.call_soon(thing.call)
    loop.close()
    reference = weakref.ref(thing)
    del thing, loop
    assert collected(reference)


@LOOPS
def test_what_a_kept_handle_refers_to_outlives_the_loop(make_loop):
    loop = make_loop()
    thing = Thing(None)
    handle = loop.call_soon(thing.call)
    reference = weakref.ref(thing)
    del loop, thing
    assert not collected(reference)
    handle._run()
    assert reference().calls == 1


@LOOPS
def test_collecting_while_thousands_wait_loses_none(make_loop):
    loop = make_loop()
    things = [Thing(loop) for _ in range(5000)]
    for index, thing in enumerate(things):
        loop.call_soon(thing.call)
        if index % 500 == 0:
            gc.collect()
    loop.call_soon(gc.collect)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert [thing.calls for thing in things] == [1] * len(things)


def test_a_handle_without_its_attributes_can_be_cancelled():
    loop = tornadoc.EventLoop()
    handle, timer = loop.call_soon(list), loop.call_later(1000, list)
    del handle._cancelled, timer._cancelled
    handle.cancel()
    timer.cancel()
    assert handle.cancelled() and timer.cancelled()
    assert list(loop._scheduled) == []
    loop.close()


def test_a_timer_is_cancelled_by_the_loop_that_has_it_only():
    loop, other = tornadoc.EventLoop(), tornadoc.EventLoop()
    timers = [loop.call_later(1000 + number, list) for number in range(5)]
    others = [other.call_later(1000, list)]
    other._timer_handle_cancelled(timers[2])
    timers[1]._loop = other
    timers[1].cancel()
    assert set(loop._scheduled) == set(timers)
    assert list(other._scheduled) == others
    for timer in timers:
        timer.cancel()
    assert list(loop._scheduled) == [timers[1]]
    loop.close()
    other.close()


@LOOPS
def test_the_ready_queue_may_be_assigned_to_itself(make_loop):
    loop = make_loop()
    seen = []
    loop.call_soon(seen.append, 1)
    loop._ready = loop._ready
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert seen == [1]


@pytest.mark.parametrize("kind", ["_ready", "_scheduled"])
@LOOPS
def test_a_queue_that_grows_while_it_is_listed(make_loop, kind):
    loop = make_loop()

    def grow():
        for _ in range(50):
            loop.call_soon(list) if kind == "_ready" else loop.call_later(1000, list)

    grow()
    kept = []
    with at_every_collection(grow):
        for _ in range(100):
            # Its memory, or that of a list before it, would be used again: what is made of memory at hand starts no collection.
            kept.append([])
            kept.append(list(getattr(loop, kind)))
    assert len(kept[1]) >= 50 and all(isinstance(handle, asyncio.Handle) for listed in kept for handle in listed)
    loop.close()


def test_watches_that_go_while_they_are_listed():
    loop = tornadoc.EventLoop()
    pairs = [socket.socketpair() for _ in range(20)]
    descriptors = [sock.fileno() for pair in pairs for sock in pair]

    def change():
        for fd in descriptors:
            loop.remove_reader(fd)
        for fd in descriptors:
            loop.add_reader(fd, list, fd)

    change()
    kept = []
    with at_every_collection(change):
        for _ in range(50):
            kept += loop._watched()  # kept as above
    assert len(kept) >= 50
    for fd, _, reader, writer in kept:
        assert reader._args in ((fd,), None) and writer is None  # None once it was removed
    for fd in descriptors:
        loop.remove_reader(fd)
    loop.close()
    for pair in pairs:
        for sock in pair:
            sock.close()
