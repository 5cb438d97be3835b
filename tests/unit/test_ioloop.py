"""IOLoop: what must be as Tornado's runs on both, over tornadoc's loop and over others."""

import asyncio
import contextlib
import datetime
import functools
import logging
import os
import socket
import threading
import time

import pytest
import tornado.ioloop
import tornado.platform.asyncio
import uvloop

import tornadoc
import tornadoc.ioloop
import tornadoc.platform.asyncio
from tornadoc.httpserver import HTTPServer
from tornadoc.netutil import bind_sockets

KINDS = {
    "tornado": (tornado.platform.asyncio.AsyncIOLoop, asyncio.SelectorEventLoop),
    "tornadoc": (tornadoc.platform.asyncio.AsyncIOLoop, tornadoc.EventLoop),
    "tornadoc-asyncio": (tornadoc.platform.asyncio.AsyncIOLoop, asyncio.SelectorEventLoop),
    "tornadoc-uvloop": (tornadoc.platform.asyncio.AsyncIOLoop, uvloop.new_event_loop),
    "tornado-tornadoc": (tornado.platform.asyncio.AsyncIOLoop, tornadoc.EventLoop),
}


def make(kind, cls=None):
    io_loop_class, asyncio_class = KINDS[kind]
    if cls is not None:
        io_loop_class = type(cls.__name__, (cls, io_loop_class), {})
    return io_loop_class(make_current=False, asyncio_loop=asyncio_class())


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def io_loop(kind):
    loop = make(kind)
    yield loop
    loop.close()


def turn(io_loop, count=2):
    """Enough iterations for what is due."""
    for _ in range(count):
        io_loop.add_callback(io_loop.stop)
        io_loop.start()


def run_until(io_loop, condition):
    async def wait():
        while not condition():
            await asyncio.sleep(0.001)

    io_loop.run_sync(wait, timeout=60)


def test_callbacks_run_in_order_with_their_arguments(io_loop):
    seen = []
    io_loop.add_callback(lambda *args, **kwargs: seen.append((args, kwargs)), 1, 2)
    io_loop.spawn_callback(lambda *args, **kwargs: seen.append((args, kwargs)), 3, key=4)
    io_loop.add_callback(callback=lambda **kwargs: seen.append(((), kwargs)), key=5)
    turn(io_loop)
    assert seen == [((1, 2), {}), ((3,), {"key": 4}), ((), {"key": 5})]


def test_many_arguments(io_loop):
    seen = []
    io_loop.add_callback(lambda *args: seen.append(args), *range(100))
    turn(io_loop)
    assert seen == [tuple(range(100))]


@pytest.mark.parametrize("method", ["add_callback", "call_later"])
def test_what_is_not_callable_is_refused(io_loop, method):
    args = (5,) if method == "add_callback" else (0, 5)
    with pytest.raises(TypeError, match="the first argument must be callable"):
        getattr(io_loop, method)(*args)


def fail(*args):
    raise ValueError("from a callback")


def describe(record):
    return record.name, record.levelno, record.getMessage(), record.exc_info and record.exc_info[0]


@pytest.mark.parametrize("args", [(), (1, "two")])
def test_exception_is_logged_with_the_callback(io_loop, caplog, args):
    with caplog.at_level(logging.INFO):
        io_loop.add_callback(fail, *args)
        turn(io_loop)
    message = f"Exception in callback {functools.partial(fail, *args)!r}"
    assert [describe(record) for record in caplog.records] == [("tornado.application", logging.ERROR, message, ValueError)]


def test_exception_of_a_coroutine_goes_to_the_log(io_loop, caplog):
    async def late():
        await asyncio.sleep(0)
        fail()

    io_loop.add_callback(late)
    run_until(io_loop, lambda: caplog.records)
    (record,) = caplog.records
    assert record.name == "tornado.application" and record.exc_info[0] is ValueError
    assert record.getMessage().startswith("Exception in callback functools.partial(")


def test_cancelled_error_of_a_callback_is_not_logged(io_loop, caplog):
    def cancelled():
        raise asyncio.CancelledError

    io_loop.add_callback(cancelled)
    io_loop.add_callback(lambda: "not to be waited for")
    turn(io_loop)
    assert not caplog.records


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_exit_leaves_start(io_loop, exception):
    def leave():
        raise exception

    io_loop.add_callback(leave)
    with pytest.raises(exception):
        io_loop.start()


def test_timeouts(io_loop):
    seen = []
    now = io_loop.time()
    assert abs(now - time.time()) < 60
    # In this order: the machine may stop for longer than the difference between the two calls.
    io_loop.add_timeout(datetime.timedelta(milliseconds=1), seen.append, "first")
    io_loop.call_later(0.02, seen.append, "second")
    io_loop.call_at(now - 100, seen.append, "past")
    io_loop.add_timeout(int(now), seen.append, "integer")
    removed = io_loop.add_timeout(now + 0.001, seen.append, "removed")
    io_loop.remove_timeout(removed)
    io_loop.remove_timeout(removed)
    io_loop.call_later(0, lambda key: seen.append(key), key="keyword")
    run_until(io_loop, lambda: len(seen) == 5)
    assert sorted(seen) == ["first", "integer", "keyword", "past", "second"]
    assert seen.index("first") < seen.index("second")


@pytest.mark.parametrize("deadline", ["soon", None, b"1"])
def test_odd_deadlines_are_refused(io_loop, deadline):
    with pytest.raises(TypeError, match="Unsupported deadline"):
        io_loop.add_timeout(deadline, print)


def test_overridden_time_is_the_clock_of_timeouts(kind):
    class Fake:
        now = 1000.0

        def time(self):
            return self.now

    io_loop = make(kind, Fake)
    with contextlib.closing(io_loop):
        seen = []
        io_loop.call_at(1000.001, seen.append, 1)
        io_loop.call_at(2000, seen.append, "never")
        io_loop.call_later(0.002, seen.append, 2)
        run_until(io_loop, lambda: len(seen) == 2)
        assert seen == [1, 2]


def test_overridden_hooks_are_called(kind):
    calls = []

    class Hooked:
        def call_at(self, when, callback, *args, **kwargs):
            calls.append("call_at")
            return super().call_at(when, callback, *args, **kwargs)

        def add_callback(self, callback, *args, **kwargs):
            calls.append("add_callback")
            super().add_callback(callback, *args, **kwargs)

        def _run_callback(self, callback):
            calls.append("_run_callback")
            super()._run_callback(callback)

        def split_fd(self, fd):
            calls.append("split_fd")
            return super().split_fd(fd)

    io_loop = make(kind, Hooked)
    with contextlib.closing(io_loop), socket.socket() as sock:
        io_loop.add_timeout(0, int)
        io_loop.call_later(0, int)
        io_loop.spawn_callback(int)
        assert calls == ["call_at", "call_at", "add_callback"]
        io_loop.add_handler(sock, print, 0)
        io_loop.remove_handler(sock)
        assert calls[3:] == ["split_fd", "split_fd"]
        turn(io_loop)
        assert calls.count("_run_callback") >= 3


def test_instance_attributes_hide_methods_until_they_are_deleted(io_loop):
    seen = []
    io_loop._run_callback = lambda callback: seen.append(callback)
    io_loop.add_callback(print, 1)
    io_loop.asyncio_loop.call_soon(io_loop.stop)
    io_loop.start()
    assert [callback.func for callback in seen] == [print]
    del io_loop._run_callback
    io_loop.add_callback(seen.append, "run")
    turn(io_loop)
    assert seen[-1] == "run"


def test_patch_of_tornados_own_method_is_seen(io_loop, monkeypatch):
    monkeypatch.setattr(tornado.ioloop.IOLoop, "time", lambda self: 5.0)
    assert io_loop.time() == 5.0
    seen = []
    io_loop.call_at(5, seen.append, 1)
    run_until(io_loop, lambda: seen)


def test_callbacks_from_other_threads(io_loop):
    seen = []

    def work(number):
        for _ in range(500):
            io_loop.add_callback(seen.append, number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    run_until(io_loop, lambda: len(seen) == 2000)
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(list(range(4)) * 500)


def test_closed_loop_swallows_callbacks(kind):
    io_loop = make(kind)
    io_loop.close()
    io_loop.add_callback(print, "never")
    with pytest.warns(DeprecationWarning):
        io_loop.add_callback_from_signal(print, "never")


@pytest.mark.parametrize("as_object", [False, True])
def test_handlers(io_loop, as_object):
    seen = []
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        file = a if as_object else a.fileno()

        def on_event(who, events):
            seen.append((who, events))
            io_loop.stop()

        io_loop.add_handler(file, on_event, io_loop.WRITE)
        assert io_loop.handlers[a.fileno()] == (file, on_event)
        assert (io_loop.readers, io_loop.writers) == (set(), {a.fileno()})
        with pytest.raises(ValueError, match=f"fd {a.fileno()} added twice"):
            io_loop.add_handler(a, on_event, io_loop.READ)
        io_loop.start()
        assert set(seen) == {(file, io_loop.WRITE)}
        io_loop.update_handler(file, io_loop.READ)
        assert (io_loop.readers, io_loop.writers) == ({a.fileno()}, set())
        seen.clear()
        b.send(b"x")
        io_loop.start()
        assert set(seen) == {(file, io_loop.READ)}
        io_loop.update_handler(file, io_loop.READ | io_loop.WRITE)
        io_loop.remove_handler(file)
        io_loop.remove_handler(file)
        assert not io_loop.handlers and not io_loop.readers and not io_loop.writers
        seen.clear()
        turn(io_loop)
        assert not seen


def test_handlers_take_keywords(io_loop):
    with socket.socket() as sock:
        io_loop.add_handler(fd=sock.fileno(), handler=print, events=io_loop.READ)
        io_loop.update_handler(fd=sock.fileno(), events=0)
        io_loop.remove_handler(fd=sock.fileno())
        assert not io_loop.handlers


def test_what_a_handler_raises_goes_to_the_exception_handler(io_loop):
    contexts = []
    io_loop.asyncio_loop.set_exception_handler(lambda loop, context: contexts.append(context))
    a, b = socket.socketpair()
    with a, b:

        def on_event(fd, events):
            io_loop.remove_handler(fd)
            io_loop.stop()
            fail()

        io_loop.add_handler(a.fileno(), on_event, io_loop.WRITE)
        io_loop.start()
    assert [type(context["exception"]) for context in contexts] == [ValueError]


def test_handler_of_a_server_is_refused_and_the_server_goes_on(kind):
    if not kind.startswith("tornadoc"):
        pytest.skip("of tornadoc's servers")
    io_loop = make(kind)
    seen = []

    async def main():
        server = HTTPServer(lambda request: (request.connection.finish(), seen.append(request)))
        (sock,) = bind_sockets(0, "127.0.0.1")
        server.add_socket(sock)
        if kind == "tornadoc":
            with pytest.raises(ValueError, match=f"fd {sock.fileno()} added twice"):
                io_loop.add_handler(sock.fileno(), print, io_loop.READ)
            with pytest.raises(FileExistsError):
                io_loop.asyncio_loop.add_reader(sock.fileno(), print)
            assert sock.fileno() not in io_loop.handlers
        _, writer = await asyncio.open_connection(*sock.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        while not seen:
            await asyncio.sleep(0.001)
        writer.close()
        server.stop()
        await server.close_all_connections()

    with contextlib.closing(io_loop):
        io_loop.run_sync(main, timeout=60)
    assert len(seen) == 1


def test_close_closes_all_descriptors(kind):
    io_loop = make(kind)
    a, b = socket.socketpair()
    fd = os.dup(b.fileno())
    with b:
        io_loop.add_handler(a, print, io_loop.READ)
        io_loop.add_handler(fd, print, io_loop.READ)
        io_loop.close(all_fds=True)
        assert a.fileno() == -1
        with pytest.raises(OSError):
            os.fstat(fd)
    assert io_loop.asyncio_loop.is_closed()
    assert io_loop.asyncio_loop not in tornado.ioloop.IOLoop._ioloop_for_asyncio


def test_run_sync_and_executor(io_loop):
    async def main():
        return await io_loop.run_in_executor(None, divmod, 7, 2)

    assert io_loop.run_sync(main) == (3, 1)
    with pytest.raises(TimeoutError if hasattr(asyncio, "Runner") else asyncio.TimeoutError):
        io_loop.run_sync(lambda: asyncio.sleep(1000), timeout=0.001)


def test_periodic_callback(io_loop):
    seen = []

    async def main():
        periodic = tornado.ioloop.PeriodicCallback(lambda: seen.append(1), 1)
        periodic.start()
        while len(seen) < 3:
            await asyncio.sleep(0.001)
        assert periodic.is_running()
        periodic.stop()

    io_loop.run_sync(main, timeout=60)


def test_a_loop_runs_below_one_ioloop_only(io_loop):
    with pytest.raises(RuntimeError, match="already associated"):
        type(io_loop)(make_current=False, asyncio_loop=io_loop.asyncio_loop)


def test_native_loops_are_tornados_and_made_over_tornadocs():
    with contextlib.closing(tornadoc.ioloop.IOLoop(make_current=False)) as io_loop:
        assert isinstance(io_loop, tornado.platform.asyncio.AsyncIOLoop)
        assert isinstance(io_loop, tornadoc.platform.asyncio.BaseAsyncIOLoop)
        assert isinstance(io_loop.asyncio_loop, tornadoc.EventLoop)
        assert io_loop.selector_loop is io_loop.asyncio_loop
        assert not io_loop.closing
    assert io_loop.closing


def test_current_makes_a_native_loop_where_there_is_none():
    found = []

    def work():
        found.append(tornadoc.ioloop.IOLoop.current(instance=False))
        io_loop = tornadoc.ioloop.IOLoop.current()
        found.append(tornadoc.ioloop.IOLoop.instance() is io_loop)
        found.append(tornado.ioloop.IOLoop.current() is io_loop)
        found.append(asyncio.get_event_loop() is io_loop.asyncio_loop)
        found.append(type(io_loop.asyncio_loop))
        io_loop.close()
        asyncio.set_event_loop(None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [None, True, True, True, tornadoc.EventLoop]


def test_current_is_that_of_a_running_loop():
    async def main():
        return tornadoc.ioloop.IOLoop.current()

    with contextlib.closing(uvloop.new_event_loop()) as loop:
        io_loop = loop.run_until_complete(main())
        assert io_loop.asyncio_loop is loop
        assert type(io_loop) is tornadoc.platform.asyncio.AsyncIOMainLoop
        io_loop.close()


def test_make_current_and_clear_current(kind):
    cls, factory = KINDS[kind]
    seen = []

    def work():
        io_loop = cls(asyncio_loop=factory())
        seen.append(asyncio.get_event_loop() is io_loop.asyncio_loop)
        seen.append(cls.current() is io_loop)
        with pytest.warns(DeprecationWarning):
            cls.clear_current()
        io_loop._make_current()
        seen.append(tornado.ioloop.IOLoop.current() is io_loop)
        io_loop.close()
        asyncio.set_event_loop(None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True, True, True]


def test_configure_accepts_tornadocs_class():
    base = tornado.ioloop.IOLoop
    saved = base._save_configuration()
    try:
        base.configure("tornadoc.platform.asyncio.AsyncIOLoop")
        with contextlib.closing(base(make_current=False)) as io_loop:
            assert type(io_loop) is tornadoc.platform.asyncio.AsyncIOLoop
    finally:
        base._restore_configuration(saved)


def test_uninitialized_loop_says_so():
    io_loop = object.__new__(tornadoc.platform.asyncio.AsyncIOLoop)
    with pytest.raises((AttributeError, RuntimeError)):
        io_loop.add_callback(print)
    with pytest.raises(RuntimeError, match="not initialized"):
        io_loop.add_handler(0, print, 1)
    assert io_loop.time() > 0
