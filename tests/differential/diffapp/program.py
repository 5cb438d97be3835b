"""Handlers that run a program: the request's X-Program header, JSON that tells what to do in each hook.

A program is ``{hook: [step, ...]}`` with the hooks "defaults", "prepare", "method", "error", "finish" and "close". A step is
``[name, argument, ...]``; ``["try", step]`` logs what the step raises. With ``"async": [hook, ...]`` prepare and method are
coroutines, and wait where a step can be waited for. What is observable of a step that is not in the answer goes to the log.
"""

import asyncio
import json
import logging

from tornado import gen, iostream, web

from diffapp.control import Busy

log = logging.getLogger("app")


def decoded(value):
    """A value of the program: {"bytes": text} stands for bytes."""
    if isinstance(value, dict) and set(value) == {"bytes"}:
        return value["bytes"].encode("latin-1")
    return value


class ProgramError(Exception):
    pass


def make_error(kind, arguments):
    if kind == "http":
        return web.HTTPError(*arguments[:1], *arguments[1:])
    if kind == "reason":
        return web.HTTPError(arguments[0], reason=arguments[1])
    if kind == "finish":
        return web.Finish(*map(decoded, arguments))
    if kind == "missing":
        return web.MissingArgumentError(*arguments)
    if kind == "closed":
        return iostream.StreamClosedError()
    if kind == "cancelled":
        return asyncio.CancelledError()
    return ProgramError(*arguments)


class Program(web.RequestHandler):
    @property
    def program(self):
        return json.loads(self.request.headers.get("X-Program", "{}"))

    def run(self, hook):
        """The steps of a hook, without waiting. Returns the value of the last one that gives something back."""
        for step in self.program.get(hook, ()):
            result = self.step(step)
            if step[0] == "return":
                return result

    async def run_async(self, hook):
        for step in self.program.get(hook, ()):
            result = self.step(step)
            if step[0] == "return":
                return result
            if step[0] in ("await", "sleep", "moment"):
                await self.waited(result)

    async def waited(self, future):
        if future is not None:
            value = await gen.convert_yielded(future)
            if value is not None:
                log.info("awaited %r", value)

    def step(self, step):
        name, *arguments = step
        return getattr(self, "do_" + name)(*arguments)

    def set_default_headers(self):
        self.run("defaults")

    def prepare(self):
        if "prepare" in self.program.get("async", ()):
            return self.run_async("prepare")
        return self.run("prepare")

    def get(self):
        if "method" in self.program.get("async", ()):
            return self.run_async("method")
        return self.run("method")

    head = post = put = delete = patch = options = get

    def write_error(self, status_code, **kwargs):
        if "error" not in self.program:
            return super().write_error(status_code, **kwargs)
        log.info("write_error %d %s", status_code, sorted(kwargs))
        self.run("error")
        if not self._finished and not self.program.get("hangs"):
            self.finish()

    def on_finish(self):
        log.info("on_finish %d", self.get_status())
        self.run("finish")

    def on_connection_close(self):
        log.info("on_connection_close")
        self.run("close")
        super().on_connection_close()

    # Steps. One whose result can be waited for gives it back.

    def do_try(self, step):
        try:
            return self.step(step)
        except Exception as e:
            log.info("%s raised %s %s", step[0], type(e).__name__, e)

    def do_await(self, step):
        return self.step(step)

    def do_sleep(self):
        return asyncio.sleep(0) if "method" in self.program.get("async", ()) else None

    def do_moment(self):
        return gen.moment

    def do_status(self, code, reason=None):
        self.set_status(code, reason)

    def do_set(self, name, value):
        self.set_header(name, decoded(value))

    def do_add(self, name, value):
        self.add_header(name, decoded(value))

    def do_clear_header(self, name):
        self.clear_header(name)

    def do_clear(self):
        self.clear()

    def do_write(self, value):
        self.write(decoded(value))

    def do_large(self, size):
        self.write(b"x" * size)

    def do_flush(self, *arguments):
        return self.flush(*arguments)

    def do_finish(self, *arguments):
        return self.finish(*map(decoded, arguments))

    def do_redirect(self, url, permanent=False, status=None):
        self.redirect(url, permanent, status)

    def do_send_error(self, code, reason=None):
        self.send_error(code, **({"reason": reason} if reason else {}))

    def do_raise(self, kind, *arguments):
        raise make_error(kind, arguments)

    def do_cookie(self, name, value, options=()):
        self.set_cookie(name, value, **dict(options))

    def do_clear_cookie(self, name):
        self.clear_cookie(name)

    def do_etag(self):
        self.set_etag_header()

    def do_check_etag(self):
        log.info("check_etag_header %r", self.check_etag_header())

    def do_show(self):
        log.info("%d %r %r", self.get_status(), self._reason, [pair for pair in self._headers.get_all() if pair[0] != "Date"])
        log.info("%r %r %r", self._finished, self._headers_written, self._write_buffer)

    def do_auto_finish(self, value):
        self._auto_finish = value

    def do_return(self, value):
        return value

    def do_later(self, *steps):
        """Steps in a callback of their own."""
        Busy.count += 1
        asyncio.get_running_loop().call_soon(self.run_later, steps)

    def run_later(self, steps):
        Busy.count -= 1
        for step in steps:
            self.step(step)

    def do_buffer(self, value):
        """The attribute that Tornado's own subclasses write to."""
        self._write_buffer.append(decoded(value))

    def do_closes(self):
        self.request.connection.stream.close()

    def do_render(self, name):
        return self.render(name, name="n")

    def do_written(self):
        log.info("%r", self._headers_written)

    def do_call(self, name):
        """A method of Tornado's by its name, without arguments."""
        log.info("%s %r", name, getattr(self, name)())


class Overriding(Program):
    """The same on the general path."""

    def set_header(self, name, value):
        super().set_header(name, value)

    def flush(self, include_footers=False):
        return super().flush(include_footers)

    def finish(self, chunk=None):
        return super().finish(chunk)


class OwnEtag(Program):
    def compute_etag(self):
        return '"own"'


@web.stream_request_body
class Streaming(Program):
    def data_received(self, chunk):
        self.run("data")


ROUTES = [
    ("/program", Program),
    ("/program/overriding", Overriding),
    ("/program/etag", OwnEtag),
    ("/program/stream", Streaming),
]
