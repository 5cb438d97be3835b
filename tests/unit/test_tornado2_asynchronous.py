"""Handlers that answer from callbacks: @asynchronous, `_auto_finish`, and the generators of gen.engine."""

import asyncio
import functools
import weakref

import pytest
from inprocess import log_records, request, settle, until
from stream_support import logged
from tornado import gen
from tornado.ioloop import IOLoop
from tornado2_support import LOOPS, Port, garbage_of, run_on, soon

from tornadoc.httpserver import HTTPServer
from tornadoc.stack_context import ExceptionStackContext
from tornadoc.tornado2 import Arguments, Callback, Task, Wait, WaitAll, YieldPoint, asynchronous, engine
from tornadoc.web import Application, HTTPError, RequestHandler
from tornadoc.web import asynchronous as of_web


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


def serve(*handlers, **settings):
    return Port(HTTPServer(Application(list(handlers), **settings)))


def later(callback, *args):
    IOLoop.current().add_callback(callback, *args)


class Plain(RequestHandler):
    """Without a decorator."""

    waiting = []

    def get(self):
        self._auto_finish = False
        self.waiting.append(self)

    def on_connection_close(self):
        self.waiting.append("closed")


class Later(RequestHandler):
    @asynchronous
    def get(self):
        later(self.answer)

    @asynchronous
    def post(self):
        self.finish("at once")

    def answer(self):
        what = self.get_argument("what", "")
        if what == "http":
            raise HTTPError(418, reason="Teapot")
        if what == "error":
            raise ValueError("of a callback")
        if what == "after":
            self.finish("finished")
            raise ValueError("too late")
        self.finish("later")

    put = asynchronous(lambda self: 1 / 0)


def test_the_decorator_is_in_web_as_well():
    assert of_web is asynchronous
    assert Later.get.__name__ == "get"


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_the_answer_comes_when_finish_is_called(loop, version):
    async def main():
        Plain.waiting.clear()
        async with serve(("/", Plain)) as port:
            client = await port.client()
            keep = ["Connection: keep-alive"] if version == "1.0" else []
            for i in range(3):
                client.send(request("/", headers=keep, version=version))
                await until(lambda: Plain.waiting)
                await settle()
                handler = Plain.waiting.pop()
                assert not handler._finished
                handler.finish(f"answer {i}")
                answer = await client.answer()
                assert (answer.code, answer.body) == (200, b"answer %d" % i)
            return Plain.waiting

    assert run_on(loop, main()) == []


def test_pipelined_requests_are_answered_in_order(loop):
    async def main():
        Plain.waiting.clear()
        async with serve(("/", Plain), ("/later", Later)) as port:
            client = await port.client()
            client.send(request("/") + request("/later") + request("/"))
            await until(lambda: Plain.waiting)
            await settle()
            assert len(Plain.waiting) == 1
            Plain.waiting.pop().finish("first")
            bodies = [(await client.answer()).body, (await client.answer()).body]
            await until(lambda: Plain.waiting)
            Plain.waiting.pop().finish("third")
            return [*bodies, (await client.answer()).body]

    assert run_on(loop, main()) == [b"first", b"later", b"third"]


def test_a_client_that_goes_away_is_noticed(loop):
    async def main():
        Plain.waiting.clear()
        async with serve(("/", Plain)) as port:
            client = await port.client()
            client.send(request("/"))
            await until(lambda: Plain.waiting)
            client.close()
            await until(lambda: Plain.waiting[-1] == "closed")
            Plain.waiting[0].finish("to nobody")
            Plain.waiting.clear()

    run_on(loop, main())


def test_callbacks_and_answers_at_once(loop):
    async def main():
        async with serve(("/", Later)) as port:
            got = await port.fetch("/")
            posted = await port.fetch("/", method="POST")
            return got.code, got.body, posted.code, posted.body

    assert run_on(loop, main()) == (200, b"later", 200, b"at once")


@pytest.mark.parametrize(
    "path, method, code, record",
    [
        ("/?what=error", "GET", 500, "Uncaught exception GET /?what=error (127.0.0.1)"),
        ("/", "PUT", 500, "Uncaught exception PUT / (127.0.0.1)"),
        ("/?what=http", "GET", 418, None),
    ],
)
def test_exceptions_become_the_answer_and_the_connection_goes_on(loop, path, method, code, record):
    async def main():
        async with serve(("/", Later)) as port:
            client = await port.client()
            answer = await client.get(path, method=method)
            assert (await client.get("/")).body == b"later"
            return answer.code

    with log_records("tornado.application") as records:
        assert run_on(loop, main()) == code
    assert [message.split("\n")[0] for _, _, message in records] == ([record] if record else [])


def test_an_exception_after_finish_is_logged_and_nothing_else(loop):
    async def main():
        async with serve(("/", Later)) as port:
            client = await port.client()
            answer = await client.get("/?what=after")
            await settle()
            return answer.code, answer.body, (await client.get("/")).body

    with log_records("tornado.application") as records:
        assert run_on(loop, main()) == (200, b"finished", b"later")
    assert [message.split("\n")[0] for _, _, message in records] == ["Uncaught exception GET /?what=after (127.0.0.1)"]


def test_a_handler_may_deal_with_exceptions_itself(loop):
    class Handler(Later):
        def _stack_context_handle_exception(self, type, value, traceback):
            self.finish(f"handled {value}")
            return True

    async def main():
        async with serve(("/", Handler)) as port:
            return (await port.fetch("/?what=error")).body

    assert run_on(loop, main()) == b"handled of a callback"


def test_with_coroutines_the_request_ends_with_them(loop):
    class Handler(RequestHandler):
        @asynchronous
        async def get(self):
            await asyncio.sleep(0)
            self.write("async")
            if self.get_argument("fail", None):
                raise ValueError("of a coroutine")

        @asynchronous
        @gen.coroutine
        def post(self):
            yield gen.sleep(0)
            self.write("coroutine")

    async def main():
        async with serve(("/", Handler)) as port:
            client = await port.client()
            answers = [await client.get("/"), await client.get("/", method="POST"), await client.get("/?fail=1")]
            return [(a.code, a.body[:9]) for a in answers]

    with log_records("tornado.application") as records:
        assert run_on(loop, main()) == [(200, b"async"), (200, b"coroutine"), (500, b"<html><ti")]
    assert len(records) == 1


def test_prepare_may_be_asynchronous(loop):
    class Handler(RequestHandler):
        @asynchronous
        def prepare(self):
            self.prepared = True

        def get(self):
            later(self.finish, f"prepared {self.prepared}")

    async def main():
        async with serve(("/", Handler)) as port:
            return (await port.fetch("/")).body

    assert run_on(loop, main()) == b"prepared True"


# -- gen.engine --


class Engine(RequestHandler):
    @asynchronous
    @engine
    def get(self):
        one = yield Task(self.compute, 1)
        several = yield [Task(self.compute, 2), Task(self.compute, 3)]
        later((yield Callback("a")), "a")
        later((yield Callback("b")), "b", 2)
        b = yield Wait("b")
        a = yield Wait("a")
        for key in "xy":
            later((yield Callback(key)), key)
        both = yield WaitAll(["x", "y"])
        named = yield Task(lambda callback: later(functools.partial(callback, key=1)))
        nothing = yield Task(lambda callback: later(callback))
        if self.get_argument("fail", None):
            raise ValueError("of a generator")
        self.finish(repr((one, several, a, tuple(b), both, named, nothing)))

    def compute(self, number, callback):
        later(callback, number * 2)


def test_generators_wait_for_callbacks(loop):
    async def main():
        async with serve(("/", Engine)) as port:
            client = await port.client()
            return (await client.get("/")).body, (await client.get("/?fail=1")).code, (await client.get("/")).code

    expected = (2, [4, 6], "a", (("b", 2), {}), ["x", "y"], Arguments((), {"key": 1}), None)
    with log_records("tornado.application") as records:
        body, failed, again = run_on(loop, main())
    assert body.decode() == repr(expected) and (failed, again) == (500, 200)
    assert [message.split("\n")[0] for _, _, message in records] == ["Uncaught exception GET /?fail=1 (127.0.0.1)"]


def outcome_of(loop, generator_function):
    """What an engine's exception handler is told."""

    async def main():
        told = asyncio.get_running_loop().create_future()
        with ExceptionStackContext(lambda type, value, traceback: told.set_result(value) or True):
            engine(generator_function)()
        return await soon(told)

    return run_on(loop, main())


def leaking():
    yield Callback("never waited for")


def reusing():
    yield Callback("key")
    yield Callback("key")


def unknown():
    yield Wait("unknown")


def returning():
    yield gen.sleep(0)
    return "something"


def failing_late():
    yield gen.sleep(0)
    raise ValueError("late")


def failing_at_once():
    raise ValueError("at once")
    yield


def bad():
    yield object()


@pytest.mark.parametrize(
    "generator, error",
    [
        (leaking, gen.LeakedCallbackError),
        (reusing, gen.KeyReuseError),
        (unknown, gen.UnknownKeyError),
        (returning, gen.ReturnValueIgnoredError),
        (bad, gen.BadYieldError),
        (failing_late, ValueError),
        (failing_at_once, ValueError),
    ],
)
def test_what_generators_do_wrong_goes_to_the_context(loop, generator, error):
    assert type(outcome_of(loop, generator)) is error


def test_generators_can_catch_what_a_task_raises(loop):
    def fails(callback):
        later(inner)

    def inner():
        raise ValueError("in a task")

    async def main():
        done = asyncio.get_running_loop().create_future()

        @engine
        def work():
            try:
                yield Task(fails)
            except ValueError as e:
                done.set_result(str(e))

        assert work() is None
        return await soon(done)

    assert run_on(loop, main()) == "in a task"


def test_a_callback_that_is_called_twice_counts_once(loop):
    async def main():
        def twice(callback):
            later(callback, 1)
            later(callback, 2)

        first = await Task(twice)
        await settle()
        return first

    with logged() as records:
        assert run_on(loop, main()) == 1
    assert records == []


def test_yield_points_belong_into_an_engine():
    for make in (lambda: Callback("k"), lambda: Wait("k"), lambda: WaitAll([]), YieldPoint):
        with pytest.raises(RuntimeError):
            make()


def test_a_function_that_is_no_generator(loop):
    async def main():
        called = []
        assert engine(called.append)(1) is None
        return called

    assert run_on(loop, main()) == [1]


# -- what is left behind --


@pytest.mark.parametrize("path", ["/later", "/later?what=http", "/engine", "/plain"])
def test_requests_leave_no_garbage(loop, path):
    class Finishing(RequestHandler):
        def get(self):
            self._auto_finish = False
            later(self.finish, "plain")

    handlers = weakref.WeakSet()

    class Application_(Application):
        def log_request(self, handler):
            handlers.add(handler)

    async def main():
        application = Application_([("/later", Later), ("/engine", Engine), ("/plain", Finishing)])
        async with Port(HTTPServer(application)) as port:
            client = await port.client()
            await client.get(path)
            await settle(20)

            async def again():
                await client.get(path)
                await settle(20)
                return len(handlers)

            return await garbage_of(again)

    with log_records():
        assert run_on(loop, main()) == (0, [])
