"""Handlers that override, replace or poke what most programs leave alone."""

import logging
import zlib

from tornado import gen, httputil, web

log = logging.getLogger("app")


class InstanceHooks(web.RequestHandler):
    """Methods replaced on the instance."""

    def initialize(self):
        which = self.request.query
        if which == "write_error":
            self.write_error = lambda status_code, **kwargs: self.finish("instance %d" % status_code)
        elif which == "on_finish":
            self.on_finish = lambda: log.info("instance on_finish")
        elif which == "get":
            self.get = lambda: self.write("instance get")
        elif which == "prepare":
            self.prepare = lambda: self.set_header("X-Prepared", "instance")
        elif which == "compute_etag":
            self.compute_etag = lambda: '"instance"'
        elif which == "write":
            original = self.write
            self.write = lambda chunk: original(chunk.upper())
        elif which == "finish":
            original_finish = self.finish
            self.finish = lambda chunk=None: original_finish("instance finish")
        elif which == "flush":
            original_flush = self.flush
            self.flush = lambda include_footers=False: (log.info("instance flush"), original_flush(include_footers))[1]
        elif which == "log_exception":
            self.log_exception = lambda *args: log.info("instance log_exception %s", args[0].__name__)
        elif which == "_log":
            self._log = lambda: log.info("instance _log")
        elif which == "_request_summary":
            self._request_summary = lambda: "SUMMARY"
        elif which == "get_status":
            self.get_status = lambda: 599
        elif which == "_execute":

            async def execute(transforms, *args, **kwargs):
                self._transforms = transforms
                self.finish("instance _execute")

            self._execute = execute
        elif which == "supported":
            self.SUPPORTED_METHODS = ("POST",)
        elif which == "settings":
            self.application.settings.setdefault("poked", 1)

    def get(self):
        if self.request.query in ("write_error", "log_exception"):
            raise ValueError("for the hooks")
        self.write("class get")

    head = get


class ClassHooks(web.RequestHandler):
    """Every step overridden with a call to the inherited one."""

    def _execute(self, transforms, *args, **kwargs):
        log.info("_execute %d", len(args))
        return super()._execute(transforms, *args, **kwargs)

    def clear(self):
        log.info("clear")
        super().clear()
        self.set_header("X-Clear", "1")

    def write(self, chunk):
        super().write(b"<")
        super().write(chunk)
        super().write(b">")

    def flush(self, include_footers=False):
        log.info("flush %s", include_footers)
        return super().flush(include_footers)

    def finish(self, chunk=None):
        log.info("finish %r", chunk)
        return super().finish(chunk)

    def set_header(self, name, value):
        log.info("set_header %s", name)
        super().set_header(name, value)

    def set_status(self, status_code, reason=None):
        log.info("set_status %d", status_code)
        super().set_status(status_code, reason)

    def send_error(self, status_code=500, **kwargs):
        log.info("send_error %d %s", status_code, sorted(kwargs))
        super().send_error(status_code, **kwargs)

    def write_error(self, status_code, **kwargs):
        log.info("write_error %d", status_code)
        super().write_error(status_code, **kwargs)

    def check_etag_header(self):
        log.info("check_etag_header")
        return super().check_etag_header()

    def set_etag_header(self):
        log.info("set_etag_header")
        super().set_etag_header()

    def compute_etag(self):
        log.info("compute_etag")
        return super().compute_etag()

    def decode_argument(self, value, name=None):
        log.info("decode_argument %r %r", value, name)
        return super().decode_argument(value, name)

    def log_exception(self, typ, value, tb):
        log.info("log_exception %s", typ.__name__)
        super().log_exception(typ, value, tb)

    def _handle_request_exception(self, e):
        log.info("_handle_request_exception %s", type(e).__name__)
        super()._handle_request_exception(e)

    def _log(self):
        log.info("_log")
        super()._log()

    def on_finish(self):
        log.info("on_finish %s", self._finished)

    def data_received(self, chunk):
        log.info("data_received")

    def get(self, arg):
        if arg == "raise":
            raise web.HTTPError(404, "asked")
        self.write(arg)

    head = get


class ExecuteFuture(web.RequestHandler):
    """_execute that returns a Future, as a decorated one does."""

    @gen.coroutine
    def _execute(self, transforms, *args, **kwargs):
        self._transforms = transforms
        yield gen.moment
        self.write("by hand")
        self.finish()


class ExecuteRaises(web.RequestHandler):
    async def _execute(self, transforms, *args, **kwargs):
        self._transforms = transforms
        self.finish("finished")
        raise ValueError("from _execute")


class Poke(web.RequestHandler):
    """State assigned directly."""

    def get(self, what):
        if what == "headers":
            self._headers = httputil.HTTPHeaders({"X-Fresh": "1"})
        elif what == "headers_dict_order":
            old = self._headers
            self._headers = httputil.HTTPHeaders()
            for name, value in reversed(list(old.get_all())):
                self._headers.add(name, value)
        elif what == "buffer":
            self._write_buffer = [b"poked ", b"buffer"]
            return
        elif what == "buffer_append":
            self.write("a")
            self._write_buffer.append(b"b")
            self._write_buffer.insert(0, b"c")
            return
        elif what == "status":
            self._status_code = 299
            self._reason = "Poked"
        elif what == "transforms":
            self._transforms = [Upper(self.request)]
        elif what == "finished":
            self.write("x")
            self.finish()
            self._finished = False
            self._finished = True
            return
        elif what == "headers_written":
            self.request.connection.stream.write(b"HTTP/1.1 200 By Hand\r\nContent-Length: 2\r\n\r\n")
            self._headers_written = True
        elif what == "no_keep_alive":
            self.request.connection.no_keep_alive = True
        elif what == "disconnect":
            self.request.connection._disconnect_on_finish = True
        elif what == "class":
            self.__class__ = Swapped
        elif what == "dict":
            self.anything = {"a": [1]}
            vars(self)["other"] = 2
            self.write("%r %r " % (self.anything, self.other))
        elif what == "read":
            self.write("ok " if self._headers["Content-Type"] == self._headers.get("content-type") else "no ")
            state = [self._status_code, self._reason, self._finished, self._headers_written, self._auto_finish]
            self.write(repr(state + [len(self._transforms), self._write_buffer]))
        elif what == "cookie":
            import http.cookies

            self._new_cookie = http.cookies.SimpleCookie({"poked": "1"})
        elif what == "user":
            self._current_user = "poked"
            self.write(self.current_user + " ")
        elif what == "unimplemented":
            self.write(repr([m for m in ("get", "post") if getattr(type(self), m) is web.RequestHandler._unimplemented_method]))
        elif what == "start_time":
            self.request._start_time -= 0
        self.write("ok")

    head = get


class Swapped(Poke):
    def on_finish(self):
        log.info("Swapped on_finish")


class Wrapped(web.RequestHandler):
    def get(self):
        self.write("wrapped")


def wrap(cls):
    """Wraps methods on the class after its definition, as tracers do."""
    finish, init, execute = cls.on_finish, cls.__init__, cls._execute

    def on_finish(self):
        log.info("tracer on_finish %d", self.get_status())
        return finish(self)

    def __init__(self, *args, **kwargs):
        log.info("tracer init")
        init(self, *args, **kwargs)

    async def _execute(self, *args, **kwargs):
        log.info("tracer enter")
        try:
            return await execute(self, *args, **kwargs)
        finally:
            log.info("tracer leave")

    cls.on_finish, cls.__init__, cls._execute = on_finish, __init__, _execute
    return cls


wrap(Wrapped)


class Upper(web.OutputTransform):
    """A transform that changes status, headers and body."""

    def __init__(self, request):
        self.request = request

    def transform_first_chunk(self, status_code, headers, chunk, finishing):
        log.info("first chunk %d %r %s", status_code, chunk, finishing)
        headers["X-Transform"] = "upper"
        return status_code, headers, chunk.upper()

    def transform_chunk(self, chunk, finishing):
        log.info("chunk %r %s", chunk, finishing)
        return chunk.upper()


class Checksum(web.OutputTransform):
    """A transform that changes the length and the status."""

    def __init__(self, request):
        self.crc = 0

    def transform_first_chunk(self, status_code, headers, chunk, finishing):
        headers.pop("Content-Length", None)
        if status_code == 200:
            status_code = 203
        return status_code, headers, self.transform_chunk(chunk, finishing)

    def transform_chunk(self, chunk, finishing):
        self.crc = zlib.crc32(chunk, self.crc)
        return chunk + (b"[%08x]" % self.crc if finishing else b"")


class User(web.RequestHandler):
    def get_current_user(self):
        return self.get_cookie("user")

    @web.authenticated
    def get(self):
        self.write("hello " + self.current_user)

    @web.authenticated
    def post(self):
        self.write("posted")


class Slashes(web.RequestHandler):
    @web.addslash
    def get(self, *args):
        self.write("with slash")

    @web.removeslash
    def post(self, *args):
        self.write("without slash")


class NoSlash(web.RequestHandler):
    @web.removeslash
    def get(self, *args):
        self.write("no slash")


class Locale(web.RequestHandler):
    def get(self):
        self.write(self.locale.code + " " + self.get_browser_locale().code)


class Callbacks(web.RequestHandler):
    """set_close_callback replaced by the handler."""

    def get(self):
        self.request.connection.set_close_callback(lambda: log.info("own close callback"))
        self.write("set")
