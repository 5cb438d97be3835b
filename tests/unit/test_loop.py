"""The event loop: what must be as on asyncio's own loop runs on both."""

import asyncio
import contextlib
import gc
import os
import selectors
import signal
import socket
import threading
import weakref

import pytest

import tornadoc


@pytest.fixture(params=[asyncio.SelectorEventLoop, tornadoc.EventLoop], ids=["asyncio", "tornadoc"])
def loop(request):
    loop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def native():
    with contextlib.closing(tornadoc.EventLoop()) as loop:
        yield loop


def turn(loop, count=1):
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


def test_callbacks_run_in_order_and_what_they_add_runs_in_the_next_iteration(loop):
    seen = []
    loop.call_soon(seen.append, 1)
    loop.call_soon(lambda: loop.call_soon(seen.append, 4))
    loop.call_soon(seen.append, 2).cancel()
    loop.call_soon(seen.append, 3)
    turn(loop)
    assert seen == [1, 3]
    turn(loop)
    assert seen == [1, 3, 4]


def test_equal_deadlines_are_first_in_first_out(native):
    seen = []
    when = native.time()
    for number in range(100):
        native.call_at(when, seen.append, number)
    native.call_at(when - 1, seen.append, "earlier")
    turn(native)
    assert seen == ["earlier", *range(100)]


def test_cancelled_timer_is_freed_at_once(native):
    class Thing:
        pass

    thing = Thing()
    reference = weakref.ref(thing)
    handle = native.call_later(1000, print, thing)
    assert list(native._scheduled) == [handle]
    del thing
    handle.cancel()
    assert reference() is None
    assert not native._scheduled
    assert handle.cancelled()


def test_handles_are_asyncios(loop):
    handle = loop.call_soon(print, 1)
    timer = loop.call_at(5, print, 2)
    later = loop.call_at(6, print, 2)
    assert isinstance(handle, asyncio.Handle) and isinstance(timer, asyncio.TimerHandle)
    assert repr(handle) == repr(asyncio.Handle(print, (1,), loop))
    assert repr(timer) == repr(asyncio.TimerHandle(5, print, (2,), loop))
    assert timer.when() == 5
    assert timer < later and later >= timer and timer != later and hash(timer) == hash(5)
    for each in (handle, timer, later):
        each.cancel()
    assert repr(handle) == "<Handle cancelled>"
    assert repr(timer) == "<TimerHandle cancelled when=5>"


def test_exception_goes_to_the_handler(loop):
    contexts = []
    loop.set_exception_handler(lambda loop, context: contexts.append(context))
    handle = loop.call_soon(divmod, 1, 0)
    turn(loop)
    assert contexts[0]["message"].startswith("Exception in callback divmod(")
    assert isinstance(contexts[0]["exception"], ZeroDivisionError)
    assert contexts[0]["handle"] is handle


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_exit_leaves_the_loop_and_the_rest_runs_later(loop, exception):
    seen = []

    def leave():
        raise exception

    loop.call_soon(leave)
    loop.call_soon(seen.append, 1)
    with pytest.raises(exception):
        loop.run_forever()
    assert not seen
    turn(loop)
    assert seen == [1]


def test_readers_and_writers(loop):
    a, b = socket.socketpair()
    seen = []
    with a, b:
        a.setblocking(False)
        b.setblocking(False)
        assert loop.add_reader(a, lambda: seen.append(a.recv(10))) is None
        assert loop.add_writer(a.fileno(), seen.append, "writable") is None
        turn(loop)
        turn(loop)
        assert "writable" in seen and b"x" not in seen
        assert loop.remove_writer(a) is True
        assert loop.remove_writer(a) is False
        b.send(b"x")
        turn(loop, 2)
        assert seen[-1] == b"x"
        loop.add_reader(a, seen.append, "replaced")
        b.send(b"y")
        turn(loop, 2)
        assert seen[-1] == "replaced"
        assert loop.remove_reader(a) is True
        assert loop.remove_reader(a) is False
    with pytest.raises(ValueError):
        loop.add_reader(-1, print)
    with pytest.raises(ValueError):
        loop.add_reader(object(), print)
    with open(__file__) as file, pytest.raises(PermissionError):
        loop.add_reader(file, print)


def test_descriptor_that_was_closed_and_opened_again(native):
    a, b = socket.socketpair()
    number = a.fileno()
    native.add_reader(number, print)
    a.close()
    b.close()
    a, b = socket.socketpair()
    with a, b:
        os.dup2(a.fileno(), number)
        seen = []
        native.add_reader(number, lambda: seen.append(os.read(number, 10)))
        b.send(b"x")
        turn(native, 2)
        assert seen == [b"x"]
        assert native.remove_reader(number)
        if number not in (a.fileno(), b.fileno()):
            os.close(number)


def test_another_thread_wakes_a_loop_that_waits(loop):
    def other():
        loop.call_soon_threadsafe(loop.stop)

    loop.call_soon(threading.Thread(target=other).start)
    loop.run_forever()


def test_signal_handlers(loop):
    loop.add_signal_handler(signal.SIGUSR1, loop.stop)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert loop.remove_signal_handler(signal.SIGUSR1)


def test_closed_loop_refuses(loop):
    loop.close()
    assert loop.is_closed()
    for call in (loop.call_soon, loop.call_soon_threadsafe):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call(print)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.call_later(1, print)
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        loop.run_forever()
    loop.close()


def test_unclosed_loop_warns_and_is_freed():
    loop = tornadoc.EventLoop()
    loop.call_soon(loop.stop)
    loop.call_later(1000, loop.stop)
    reference = weakref.ref(loop)
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        del loop
        gc.collect()
    assert reference() is None


class Clock:
    """A clock that stands still until it is moved."""

    now = 100.0

    def time(self):
        return self.now


@pytest.mark.parametrize("where", ["class", "instance"])
def test_overridden_time_is_the_clock(where):
    if where == "class":
        loop = type("Loop", (Clock, tornadoc.EventLoop), {})()
        clock = loop
    else:
        loop = tornadoc.EventLoop()
        clock = Clock()
        loop.time = clock.time
    with contextlib.closing(loop):
        seen = []
        handle = loop.call_later(50, seen.append, "later")
        loop.call_at(120, seen.append, "at")
        assert handle.when() == 150.0
        turn(loop)
        assert seen == []
        clock.now = 120.0
        turn(loop)
        assert seen == ["at"]
        clock.now = 200.0
        turn(loop)
        assert seen == ["at", "later"]
        if where == "instance":
            del loop.time
            assert loop.call_later(0, print).when() > 0 and loop.time() != 200.0
        # A wait goes by the clock as well: this one would be long by the real one.
        else:
            loop.call_at(200.001, loop.stop)
            loop.call_soon(setattr, clock, "now", 201)
            loop.run_forever()


def test_time_that_fails_leaves_the_loop(native):
    native.call_later(0, print)
    native.time = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        native.call_later(1, print)
    with pytest.raises(ZeroDivisionError):
        turn(native)
    del native.time


def test_overridden_methods_are_called_by_others():
    calls = []

    class Loop(tornadoc.EventLoop):
        def call_at(self, when, callback, *args, context=None):
            calls.append("call_at")
            return super().call_at(when, callback, *args, context=context)

        def _add_reader(self, fd, callback, *args):
            calls.append("_add_reader")
            return super()._add_reader(fd, callback, *args)

        def _remove_writer(self, fd):
            calls.append("_remove_writer")
            return super()._remove_writer(fd)

    a, b = socket.socketpair()
    with a, b, contextlib.closing(Loop()) as loop:
        loop.call_later(0, calls.append, "ran")
        loop.add_reader(a, print)
        assert loop.remove_writer(a) is False
        assert loop.remove_reader(a) is True
        assert calls == ["call_at", "_add_reader", "_remove_writer"]
        turn(loop)
        assert calls[3:] == ["ran"]


@pytest.mark.parametrize("make", [selectors.DefaultSelector, selectors.SelectSelector])
def test_a_selector_may_be_given_and_is_closed_with_the_loop(make):
    selector = make()
    loop = tornadoc.EventLoop(selector)
    turn(loop)
    loop.close()
    with pytest.raises((RuntimeError, KeyError, ValueError)):
        selector.get_key(0)
    assert not selector.get_map()


def test_a_selector_with_its_own_ways_is_refused():
    class Own(selectors.DefaultSelector):
        pass

    with contextlib.closing(Own()) as selector, pytest.raises(TypeError, match=r"needs asyncio\.SelectorEventLoop"):
        tornadoc.EventLoop(selector)


def test_selector_tells_what_is_watched(loop):
    a, b = socket.socketpair()
    with a, b:
        loop.add_reader(a, print)
        loop.add_writer(a, print)
        loop.add_writer(b.fileno(), print)
        key = loop._selector.get_key(a)
        assert (key.fileobj, key.fd, key.events) == (a, a.fileno(), selectors.EVENT_READ | selectors.EVENT_WRITE)
        assert all(isinstance(handle, asyncio.Handle) for handle in key.data)
        key = loop._selector.get_map()[b.fileno()]
        assert (key.fileobj, key.events, key.data[0]) == (b.fileno(), selectors.EVENT_WRITE, None)
        for file in (a, b):
            loop.remove_reader(file)
            loop.remove_writer(file)
        with pytest.raises(KeyError, match="is not registered"):
            loop._selector.get_key(a)


def test_slow_callback_is_reported_by_asyncios_logger(loop, caplog):
    loop.set_debug(True)
    loop.slow_callback_duration = 0
    loop.call_soon(int)
    turn(loop)
    assert {record.name for record in caplog.records} == {"asyncio"}
    assert any("Executing <Handle int() created at" in record.getMessage() for record in caplog.records)


def test_descriptor_of_a_transport_is_refused(loop):
    async def main():
        a, b = socket.socketpair()
        with b:
            a.setblocking(False)
            _, writer = await asyncio.open_connection(sock=a)
            for method in (loop.add_reader, loop.add_writer):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    method(a.fileno(), print)
            with pytest.raises(RuntimeError, match="is used by transport"):
                loop.remove_reader(a)
            writer.close()
            await writer.wait_closed()

    loop.run_until_complete(main())


def test_install_sets_the_policy():
    before = asyncio.get_event_loop_policy()
    tornadoc.install()
    try:

        async def main():
            return type(asyncio.get_running_loop())

        assert asyncio.run(main()) is tornadoc.EventLoop
    finally:
        tornadoc.uninstall()
    assert asyncio.get_event_loop_policy() is before
