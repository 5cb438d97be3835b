"""Handlers about the order of a handler's life: prepare, method, finish, errors, logs."""

import asyncio
import logging

from tornado import gen, web

from diffapp.control import nap

log = logging.getLogger("app")


class Logged(web.RequestHandler):
    """A base whose steps appear in the log."""

    def note(self, text):
        log.info("%s %s", type(self).__name__, text)

    def on_finish(self):
        self.note("on_finish %d" % self.get_status())

    def on_connection_close(self):
        self.note("on_connection_close")
        super().on_connection_close()


class Initialized(Logged):
    def initialize(self, word="none", number=0):
        self.word = word
        self.number = number

    def set_default_headers(self):
        self.note("set_default_headers")
        self.set_header("X-Default", "yes")
        self.set_header("Server", "changed")

    def get(self, *args):
        self.write("%s %d %r" % (self.word, self.number, args))


class PrepareSync(Logged):
    def prepare(self):
        self.note("prepare")
        mode = self.get_argument("mode", "")
        if mode == "finish":
            self.finish("finished in prepare")
        elif mode == "raise":
            raise ValueError("from prepare")
        elif mode == "http":
            raise web.HTTPError(403, "no %s", "entry")
        elif mode == "redirect":
            self.redirect("/elsewhere?a=b")
        elif mode == "status":
            self.set_status(202)
        elif mode == "error":
            self.send_error(409)
        elif mode == "bad":
            return "not awaitable"

    def get(self):
        self.note("get")
        self.write("got")

    post = get


class PrepareAsync(Logged):
    async def prepare(self):
        self.note("prepare")
        mode = self.get_argument("mode", "")
        if mode != "quick":
            await nap()
        if mode == "finish":
            self.finish("finished in prepare")
        elif mode == "raise":
            raise ValueError("from prepare")

    async def get(self):
        self.note("get")
        self.write("got")

    post = get


class PrepareCoroutine(Logged):
    @gen.coroutine
    def prepare(self):
        yield gen.moment
        self.note("prepare")

    @gen.coroutine
    def get(self):
        yield nap(0.001)
        value = yield {"a": gen.maybe_future(1), "b": self.later()}
        self.write(value)

    async def later(self):
        await asyncio.sleep(0)
        return 2


class Methods(Logged):
    """Every kind of method result."""

    def get(self, kind):
        return getattr(self, kind)()

    async def quick(self):
        self.write("quick")

    async def slow(self):
        self.write("before ")
        await nap()
        self.write("after")

    async def moments(self):
        for i in range(5):
            self.write("%d " % i)
            await asyncio.sleep(0)

    @gen.coroutine
    def coroutine(self):
        self.write("co")
        yield nap(0.001)
        raise gen.Return(None)

    def returns_value(self):
        self.write("unused")
        return "text"

    def returns_list(self):
        return [self.slow(), self.slow()]

    def returns_future(self):
        future = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_result, None)
        self.write("future")
        return future

    def returns_failed_future(self):
        future = asyncio.get_running_loop().create_future()
        future.set_exception(KeyError("failed future"))
        return future

    async def returns_something(self):
        self.write("x")
        return 42

    async def cancelled(self):
        raise asyncio.CancelledError()

    async def awaits_cancelled(self):
        future = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.cancel)
        await future

    async def cancels_itself(self):
        asyncio.current_task().cancel()
        await asyncio.sleep(0.01)

    async def times_out(self):
        await gen.with_timeout(0, asyncio.get_running_loop().create_future())

    async def task(self):
        self.write("task %s" % (asyncio.current_task() is not None))

    async def finishes_later(self):
        async def later():
            await nap()
            self.finish("later")

        self.background = asyncio.ensure_future(later())
        await self.background

    async def executor(self):
        value = await asyncio.get_running_loop().run_in_executor(None, lambda: 6 * 7)
        self.write("%d" % value)


class Sync(Logged):
    """A plain method that hands out the finishing to a callback, as _auto_finish allows."""

    def get(self):
        self._auto_finish = False
        asyncio.get_running_loop().call_soon(self.finish, "from a callback")


class Raises(Logged):
    """Errors by name."""

    def get(self, kind):
        getattr(self, kind)()

    post = get

    def value(self):
        raise ValueError("bad value \u2713")

    def after_write(self):
        self.write("lost")
        self.set_header("X-Lost", "1")
        raise RuntimeError("after write")

    def after_flush(self):
        self.write("kept")
        self.flush()
        raise RuntimeError("after flush")

    def http(self):
        raise web.HTTPError(404)

    def logged(self):
        raise web.HTTPError(400, "bad %s and %d", "thing", 7)

    def percent(self):
        raise web.HTTPError(400, "100%")

    def reason(self):
        raise web.HTTPError(499, reason="Custom Reason")

    def bad_reason(self):
        raise web.HTTPError(400, reason="split\r\nX-Evil: 1")

    def markup(self):
        raise web.HTTPError(400, reason="<b>bold</b>")

    def unknown(self):
        raise web.HTTPError(799)

    def no_content(self):
        raise web.HTTPError(204)

    def not_modified(self):
        raise web.HTTPError(304)

    def finish_exception(self):
        self.write("partial")
        raise web.Finish()

    def finish_chunk(self):
        self.set_status(201)
        raise web.Finish("chunk")

    def finish_after(self):
        self.finish("done")
        raise web.Finish()

    def error_after_finish(self):
        self.finish("done")
        raise ValueError("too late")

    def http_after_finish(self):
        self.finish("done")
        raise web.HTTPError(400, "too late")

    def missing(self):
        raise web.MissingArgumentError("thing")

    def generator_exit(self):
        raise GeneratorExit("odd")

    def chained(self):
        try:
            int(1 / 0)
        except ZeroDivisionError as e:
            raise KeyError("outer") from e

    def write_list(self):
        self.write(["a", "b"])

    def write_int(self):
        self.write(5)

    def write_none(self):
        self.write(None)

    def surrogate(self):
        self.write("\ud800")

    def not_json(self):
        self.write({"a": object})


class BadInit(Logged):
    def initialize(self):
        raise ValueError("from initialize")

    def get(self):
        self.write("never")


class BadConstructor(web.RequestHandler):
    def __init__(self, application, request, **kwargs):
        super().__init__(application, request, **kwargs)
        if request.query == "http":
            raise web.HTTPError(403)
        if request.query:
            raise KeyError("from the constructor")
        self.extra = "kept"

    def get(self):
        self.write(self.extra)


class UnexpectedKwargs(web.RequestHandler):
    """Registered with arguments that initialize doesn't take."""

    def get(self):
        self.write("never")


class CustomError(Logged):
    def get(self):
        mode = self.get_argument("mode", "")
        self.mode = mode
        raise web.HTTPError(int(self.get_argument("code", "418")), "because")

    def write_error(self, status_code, **kwargs):
        self.note("write_error %d %s" % (status_code, sorted(kwargs)))
        if self.mode == "raise":
            self.write("partial")
            raise ValueError("from write_error")
        if self.mode == "nothing":
            return
        if self.mode == "json":
            self.write({"code": status_code})
            return
        if self.mode == "flush":
            self.write("flushed")
            self.flush()
            raise ValueError("after flush in write_error")
        self.finish("custom %d %s" % (status_code, type(kwargs["exc_info"][1]).__name__))


class CustomLog(Logged):
    def log_exception(self, typ, value, tb):
        self.note("log_exception %s %s" % (typ.__name__, value))
        if self.get_argument("mode", "") == "raise":
            raise ValueError("from log_exception")

    def get(self):
        raise RuntimeError("logged by the handler")


class FinishRaises(web.RequestHandler):
    def get(self):
        self.write("body")

    async def post(self):
        await nap(0.001)
        self.write("body")

    def on_finish(self):
        raise ValueError("from on_finish")


class AsyncFinish(web.RequestHandler):
    """on_finish declared async by mistake: its coroutine is never awaited."""

    def get(self):
        self.finish("body")

    def on_finish(self):
        log.info("AsyncFinish on_finish %s", self._finished)


class WaitForClose(Logged):
    """Waits until the client goes away."""

    async def get(self):
        self.gone = asyncio.get_running_loop().create_future()
        if self.get_argument("flush", ""):
            self.write("first")
            await self.flush()
        await self.gone
        self.note("seen closed=%s" % self.request.connection.stream.closed())
        self.write("to nobody")
        try:
            await self.finish()
        except Exception as e:
            self.note("finish raised %s" % type(e).__name__)

    post = get

    def on_connection_close(self):
        super().on_connection_close()
        self.gone.set_result(None)


class CloseRaises(Logged):
    async def get(self):
        self.gone = asyncio.get_running_loop().create_future()
        await self.gone

    def on_connection_close(self):
        self.gone.set_result(None)
        raise ValueError("from on_connection_close")


class SlowAnswer(Logged):
    """An answer that takes a moment, for pipelines."""

    async def get(self):
        await nap(0.003)
        self.write(self.get_argument("n", "none"))


class StackOfErrors(web.RequestHandler):
    """_handle_request_exception itself raises."""

    def get(self):
        raise ValueError("first")

    def send_error(self, *args, **kwargs):
        raise KeyError("from send_error")


class SendErrorOverridden(Logged):
    def get(self):
        raise ValueError("first")

    def send_error(self, status_code=500, **kwargs):
        self.note("send_error %d" % status_code)
        super().send_error(503, reason="Busy Now")
