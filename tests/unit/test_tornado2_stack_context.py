"""Stack contexts: entered again around callbacks, and told of their exceptions."""

import asyncio
import concurrent.futures
import contextlib
import functools
import socket
import sys
import threading

import pytest
from stream_support import logged
from tornado import gen
from tornado.ioloop import IOLoop
from tornado2_support import LOOPS, garbage_of, run_on, soon

from tornadoc import stack_context
from tornadoc.iostream import IOStream
from tornadoc.stack_context import (
    ExceptionStackContext,
    NullContext,
    StackContext,
    StackContextInconsistentError,
    run_with_stack_context,
    wrap,
)


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


class Recorder:
    """Notes what happens: contexts that are entered and exited, exceptions that handlers get."""

    def __init__(self):
        self.seen = []
        self.depth = []

    def context(self, name="c", handles=False):
        @contextlib.contextmanager
        def factory():
            self.depth.append(name)
            self.seen.append(f"+{name}")
            try:
                yield
            except Exception as e:
                self.seen.append(f"{name}: {e}")
                if not handles:
                    raise
            finally:
                self.depth.remove(name)
                self.seen.append(f"-{name}")

        return StackContext(factory)

    def handler(self, name="h", handles=True):
        def handle(type, value, traceback):
            assert type is value.__class__ and traceback is not None
            self.seen.append(f"{name}: {value}")
            return handles

        return ExceptionStackContext(handle)


def fail(text="failed"):
    raise ValueError(text)


async def turns(count=6):
    for _ in range(count):
        await asyncio.sleep(0)


# -- the with block itself --


def test_a_context_surrounds_the_block():
    r = Recorder()
    with r.context("a"), r.context("b"):
        r.seen.append("body")
    assert r.seen == ["+a", "+b", "body", "-b", "-a"]


def test_exceptions_of_the_block_go_from_the_inner_to_the_outer_until_one_handles_them():
    r = Recorder()
    with r.handler("outermost"), r.handler("outer"), r.handler("inner", handles=False):
        fail()
    assert r.seen == ["inner: failed", "outer: failed"]


def test_an_exception_that_nobody_handles_is_raised():
    r = Recorder()
    with pytest.raises(ValueError, match="failed"), r.handler(handles=False):
        fail()
    assert r.seen == ["h: failed"]
    assert stack_context._frames.get() == ()


def test_a_handler_that_fails_replaces_the_exception():
    r = Recorder()

    def handle(type, value, traceback):
        raise KeyError("another")

    with r.handler("outer"), ExceptionStackContext(handle):
        fail()
    assert r.seen == ["outer: 'another'"]


def test_a_context_manager_may_handle_an_exception():
    r = Recorder()
    with r.handler("outer"), r.context("c", handles=True):
        fail()
    assert r.seen == ["+c", "c: failed", "-c"]


def test_a_factory_that_fails_leaves_nothing_behind():
    with pytest.raises(ValueError), StackContext(fail):
        pass
    assert stack_context._frames.get() == ()


def test_blocks_that_are_left_in_the_wrong_order_are_inconsistent():
    r = Recorder()
    outer, inner = r.context("outer"), r.context("inner")
    outer.__enter__()
    inner.__enter__()
    with pytest.raises(StackContextInconsistentError):
        outer.__exit__(None, None, None)
    with pytest.raises(StackContextInconsistentError):
        inner.__exit__(None, None, None)
    assert stack_context._frames.get() == (outer,)
    stack_context._frames.set(())


def test_run_with_stack_context():
    r = Recorder()
    assert run_with_stack_context(r.context("c"), lambda: [*r.depth]) == ["c"]
    assert r.seen == ["+c", "-c"]


# -- wrap --


def test_a_wrapped_function_brings_its_contexts_along():
    r = Recorder()
    with r.context("a"):
        wrapped = wrap(lambda x, y: ([*r.depth], x + y))
    with r.context("b"):
        assert wrapped(1, y=2) == (["b", "a"], 3)
    assert r.seen == ["+a", "-a", "+b", "+a", "-a", "-b"]


def test_what_a_wrapped_function_gives_on_has_its_contexts_and_no_others():
    r = Recorder()
    with r.context("a"):
        outer = wrap(lambda: wrap(lambda: [*r.depth]))
    with r.context("b"):
        inner = outer()
    assert inner() == ["a"]


def test_a_function_that_was_wrapped_outside_has_no_contexts():
    r = Recorder()
    wrapped = wrap(lambda: stack_context._frames.get())
    with r.context("a"):
        assert wrapped() == ()
        assert len(stack_context._frames.get()) == 1


def test_wrapping_again_and_wrapping_none():
    r = Recorder()
    with r.context("a"):
        wrapped = wrap(lambda: None)
        assert wrap(wrapped) is wrapped
    assert wrap(wrapped) is wrapped
    assert wrap(None) is None


def test_exceptions_of_a_wrapped_function_are_handled_or_raised():
    r = Recorder()
    with r.handler("outer"), r.handler("inner", handles=False):
        handled = wrap(fail)
    with r.handler("alone", handles=False):
        raised = wrap(fail)
    assert handled("one") is None
    with pytest.raises(ValueError, match="two"):
        raised("two")
    assert r.seen == ["inner: one", "outer: one", "alone: two"]


def test_an_exception_passes_the_contexts_between_the_handlers():
    r = Recorder()
    with r.handler("outer"), r.context("c"):
        wrapped = wrap(fail)
    r.seen.clear()
    wrapped()
    assert r.seen == ["+c", "c: failed", "-c", "outer: failed"]


def test_a_context_that_cannot_be_entered_again_is_an_exception_of_the_callback():
    r = Recorder()
    allowed = [True]

    def factory():
        return contextlib.nullcontext() if allowed else fail("not entered")

    called = []
    with r.handler("outer"), StackContext(factory), r.context("inner"):
        wrapped = wrap(lambda: called.append(1))
    allowed.clear()
    r.seen.clear()
    wrapped()
    assert r.seen == ["outer: not entered"] and not called


def test_a_handler_that_fails_replaces_the_exception_of_a_callback():
    told = []

    def replace(type, value, traceback):
        told.append((sys.exc_info()[1] is value, str(value)))
        raise KeyError("another")

    with ExceptionStackContext(lambda type, value, traceback: told.append(value) or True), ExceptionStackContext(replace):
        wrapped = wrap(fail)
    assert wrapped() is None
    assert told[0] == (True, "failed") and isinstance(told[1], KeyError)
    assert isinstance(told[1].__context__, ValueError)


def test_a_context_that_fails_when_it_is_left():
    r = Recorder()

    @contextlib.contextmanager
    def failing():
        yield
        fail("on leaving")

    with pytest.raises(ValueError), r.handler("outer", handles=False), StackContext(failing):
        wrapped = wrap(lambda: r.seen.append("called"))
    r.seen.clear()
    with pytest.raises(ValueError, match="on leaving"):
        wrapped()
    assert r.seen == ["called", "outer: on leaving"]


def test_there_may_be_very_many_contexts():
    entered = []

    @contextlib.contextmanager
    def factory():
        entered.append(1)
        yield

    with contextlib.ExitStack() as stack:
        for _ in range(3000):
            stack.enter_context(StackContext(factory))
        wrapped = wrap(lambda: "called")
    entered.clear()
    assert wrapped() == "called" and len(entered) == 3000


def test_exceptions_that_are_no_errors_pass_through_the_contexts():
    r = Recorder()
    with r.handler("h", handles=False):
        wrapped = wrap(lambda: sys.exit(3))
    with pytest.raises(SystemExit):
        wrapped()
    assert r.seen == ["h: 3"]


def test_a_deactivated_context_is_left_out():
    r = Recorder()
    with r.context("a") as deactivate, r.handler("h") as deactivate_handler, r.context("b"):
        wrapped = wrap(lambda: [*r.depth])
        failing = wrap(fail)
        deactivate()
        deactivate_handler()
    assert wrapped() == ["b"]
    with pytest.raises(ValueError):
        failing()
    assert not any(seen.startswith("h") for seen in r.seen)


# -- callbacks of the loop --


def ways(io_loop, callback):
    """Each way to give an IOLoop a callback."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.set_result(1)
    return {
        "add_callback": lambda: io_loop.add_callback(callback),
        "add_callback with arguments": lambda: io_loop.add_callback(lambda *args, **kwargs: callback(), 1, x=2),
        "partial": lambda: io_loop.add_callback(functools.partial(callback)),
        "add_timeout": lambda: io_loop.add_timeout(io_loop.time(), callback),
        "call_later": lambda: io_loop.call_later(0, callback),
        "call_at": lambda: io_loop.call_at(io_loop.time(), callback),
        "add_future": lambda: io_loop.add_future(future, lambda f: callback()),
    }


WAYS = ["add_callback", "add_callback with arguments", "partial", "add_timeout", "call_later", "call_at", "add_future"]


@pytest.mark.parametrize("way", WAYS)
def test_contexts_are_entered_around_callbacks_and_exceptions_are_handled(loop, way):
    async def main():
        r = Recorder()
        done = asyncio.get_running_loop().create_future()
        io_loop = IOLoop.current()

        def callback():
            r.seen.append("called in " + ",".join(r.depth))
            io_loop.add_callback(then)
            fail()

        def then():
            r.seen.append("and in " + ",".join(r.depth))
            done.set_result(None)

        with r.handler("outer"), r.context("c"), r.handler("inner", handles=False):
            ways(io_loop, callback)[way]()
            r.seen.clear()
        r.seen.clear()
        await soon(done)
        await turns()
        return r.seen

    with logged() as records:
        seen = run_on(loop, main())
    assert seen == ["+c", "called in c", "inner: failed", "c: failed", "-c", "outer: failed", "+c", "and in c", "-c"]
    assert records == []


def test_an_exception_that_no_context_handles_is_logged_by_the_loop(loop):
    async def main():
        r = Recorder()
        with r.handler(handles=False):
            IOLoop.current().add_callback(fail)
        await turns()
        return r.seen

    with logged() as records:
        assert run_on(loop, main()) == ["h: failed"]
    ((name, level, message),) = records
    assert (name, level) == ("tornado.application", "ERROR") and message.startswith("Exception in callback")


def test_a_callback_from_another_thread_has_the_contexts_of_that_thread(loop):
    async def main():
        r = Recorder()
        io_loop = IOLoop.current()
        done = asyncio.get_running_loop().create_future()

        def work():
            with r.context("thread"):
                io_loop.add_callback(lambda: done.set_result([*r.depth]))

        with r.context("here"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(20)
            r.depth.clear()
            r.depth.append("here")
        return await soon(done)

    assert run_on(loop, main()) == ["thread"]


def test_a_callback_of_a_concurrent_future(loop):
    async def main():
        r = Recorder()
        done = asyncio.get_running_loop().create_future()
        future = concurrent.futures.Future()

        def finished(f):
            done.set_result([*r.depth])
            fail()

        with r.handler(), r.context("c"):
            IOLoop.current().add_future(future, finished)
        thread = threading.Thread(target=future.set_result, args=(1,))
        thread.start()
        thread.join(20)
        depth = await soon(done)
        await turns()
        return depth, r.seen[-1]

    assert run_on(loop, main()) == (["c"], "h: failed")


def test_null_context_and_spawn_callback_leave_contexts_behind(loop):
    async def main():
        r = Recorder()
        with r.context("c"):
            with NullContext():
                IOLoop.current().add_callback(lambda: r.seen.append(("null", [*r.depth])))
            IOLoop.current().spawn_callback(lambda *a, **k: r.seen.append(("spawned", [*r.depth], a, k)), 1, x=2)
            assert len(stack_context._frames.get()) == 1
        r.seen.clear()
        await turns()
        return r.seen

    assert run_on(loop, main()) == [("null", []), ("spawned", [], (1,), {"x": 2})]


def test_callbacks_outside_of_contexts_are_as_ever(loop):
    async def main():
        r = Recorder()
        with r.context("c"):
            pass
        r.seen.clear()
        IOLoop.current().add_callback(lambda: r.seen.append("plain"))
        await turns()
        return r.seen

    assert run_on(loop, main()) == ["plain"]


def test_handlers_of_descriptors_have_the_contexts_of_their_registration(loop):
    async def main():
        r = Recorder()
        done = asyncio.get_running_loop().create_future()
        io_loop = IOLoop.current()
        a, b = socket.socketpair()

        def ready(fd, events):
            io_loop.remove_handler(a)
            done.set_result([*r.depth])
            fail()

        with r.handler(), r.context("c"):
            io_loop.add_handler(a, ready, io_loop.READ)
        b.send(b"x")
        depth = await soon(done)
        await turns()
        a.close()
        b.close()
        return depth, r.seen[-1]

    assert run_on(loop, main()) == (["c"], "h: failed")


# -- streams --


def test_callbacks_of_streams(loop):
    async def main():
        r = Recorder()
        first, second = (IOStream(s) for s in socket.socketpair())
        closed = asyncio.get_running_loop().create_future()

        def got(data):
            r.seen.append((data, [*r.depth]))
            first.set_close_callback(gone)
            fail("after reading")

        def gone():
            r.seen.append(("closed", [*r.depth]))
            closed.set_result(None)
            fail("after closing")

        with r.handler(), r.context("c"):
            first.read_until(b"\n", got)
        r.seen.clear()
        with r.context("other"):
            second.write(b"line\n", lambda: r.seen.append(("written", [*r.depth])))
        for _ in range(1000):
            if any(s == "h: after reading" for s in r.seen):
                break
            await asyncio.sleep(0.001)
        # A handled exception does not close the stream.
        assert not first.closed()
        second.close()
        first.read_until_close()
        await soon(closed)
        await turns()
        return [seen for seen in r.seen if seen not in ("+c", "-c", "+other", "-other")]

    seen = run_on(loop, main())
    assert [s for s in seen if s[0] == "written"] == [("written", ["other"])]
    rest = [s for s in seen if s[0] != "written"]
    assert rest == [
        (b"line\n", ["c"]),
        "c: after reading",
        "h: after reading",
        ("closed", ["c"]),
        "c: after closing",
        "h: after closing",
    ]


# -- coroutines --


def test_contexts_are_entered_around_each_step_of_a_coroutine(loop):
    async def main():
        r = Recorder()

        @gen.coroutine
        def work():
            r.seen.append(("begins", [*r.depth]))
            yield gen.sleep(0)
            r.seen.append(("goes on", [*r.depth]))

        with r.context("c"):
            future = work()
        await soon(future)
        await turns()
        return [seen for seen in r.seen if isinstance(seen, tuple)]

    assert run_on(loop, main()) == [("begins", ["c"]), ("goes on", ["c"])]


def test_a_context_in_a_coroutine_is_that_coroutines_alone(loop):
    async def main():
        r = Recorder()
        handled = []

        async def inside():
            with ExceptionStackContext(lambda t, v, tb: handled.append(str(v)) or True):
                await asyncio.sleep(0)
                IOLoop.current().add_callback(fail, "inside")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                fail("of the block")

        async def outside():
            for _ in range(4):
                r.seen.append(len(stack_context._frames.get()))
                await asyncio.sleep(0)

        await asyncio.gather(inside(), outside())
        return handled, r.seen

    handled, seen = run_on(loop, main())
    assert sorted(handled) == ["inside", "of the block"] and seen == [0, 0, 0, 0]


# -- what is left behind --


def test_handled_exceptions_leave_no_garbage(loop):
    async def main():
        r = Recorder()

        class Manager:
            # contextlib's, on Python 3.10, leaves a cycle of its own behind.
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                pass

        def once():
            with r.handler(), StackContext(Manager):
                IOLoop.current().add_callback(fail)
                IOLoop.current().call_later(0, fail)
                wrap(fail)()

        once()
        await turns(20)

        async def again():
            once()
            await asyncio.sleep(0.01)
            await turns(20)

        return await garbage_of(again)

    assert run_on(loop, main()) == (None, [])
