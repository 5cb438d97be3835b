"""HOOKS of connections: closing, streamed bodies, delegates, logging; see evil_http.py."""

import asyncio
import gzip
import logging

import evil_http
import tornado.web
from evil_http_handlers import plan, simple
from evil_stage import Registry
from inprocess import request
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerConnectionDelegate, ResponseStartLine
from tornado.log import access_log, app_log, gen_log

import tornadoc.httpserver
from tornadoc import http1connection
from tornadoc.web import RequestHandler

STAGE = evil_http
HOOKS = Registry()
hook = HOOKS.add

# -- closing --


@hook
def on_connection_close(scene):
    async def get(self):
        waiting.append(self)
        await asyncio.sleep(3600)

    waiting = []
    handler = simple(get=get, on_connection_close=lambda self: scene.fire(self))
    return plan(handler, send=[request("/v"), ..., lambda client: client.abort()], ready=lambda: waiting)


@hook
def close_callback(scene):
    async def get(self):
        connection = self.request.connection
        connection.set_close_callback(lambda: scene.fire(exchange=connection))
        waiting.append(self)
        await asyncio.sleep(3600)

    waiting = []
    return plan(simple(get=get), send=[request("/v"), ..., lambda client: client.close()], ready=lambda: waiting)


@hook
def stream_close_callback(scene):
    async def get(self):
        connection = self.request.connection
        connection.stream.set_close_callback(lambda: scene.fire(exchange=connection))
        waiting.append(self)
        await asyncio.sleep(3600)

    waiting = []
    return plan(simple(get=get), send=[request("/v"), ..., lambda client: client.close()], ready=lambda: waiting)


@hook
def server_on_close(scene):
    class Server(tornadoc.httpserver.HTTPServer):
        def on_close(self, connection):
            super().on_close(connection)
            scene.fire()

    return plan(simple(), send=[request("/v", headers=["Connection: close"])], server_class=Server)


@hook
def future_of_flush(scene):
    """More than the kernel takes at once."""

    def get(self):
        self.set_header("Content-Length", str(1 << 24))
        self.write(b"x" * (1 << 24))
        self.flush().add_done_callback(lambda future: scene.fire(self))

    reading = []
    return plan(simple(get=get), send=[request("/v"), lambda client: reading.append(asyncio.ensure_future(client.rest()))])


@hook
def future_of_flush_after_reset(scene):
    async def get(self):
        waiting.append(self)
        self.write(b"x" * (1 << 24))
        future = self.flush()
        future.add_done_callback(lambda future: scene.fire(self))
        await future

    waiting = []
    return plan(simple(get=get), send=[request("/v"), ..., lambda client: client.abort()], ready=lambda: waiting)


# -- streamed bodies --

BODY = request("/v", "POST", body=b"x" * 200000)
CHUNKED = request("/v", "POST", ["Transfer-Encoding: chunked"])


def streaming(scene, where, coroutine=False):
    class Victim(RequestHandler):
        def prepare(self):
            if where == "prepare":
                scene.fire(self)

        def data_received(self, chunk):
            if coroutine:
                return self.received(chunk)
            if where == "data":
                scene.fire(self)
            return None

        async def received(self, chunk):
            if where == "at_once":
                scene.fire(self)
            await asyncio.sleep(0)
            if where == "data":
                scene.fire(self)

        def post(self):
            if where == "post":
                scene.fire(self)

        def on_connection_close(self):
            if where == "close":
                scene.fire(self)
            super().on_connection_close()

        def on_finish(self):
            if where == "finish":
                scene.fire(self)

    return tornado.web.stream_request_body(Victim)


for _where in ("prepare", "data", "post", "finish"):
    HOOKS["streaming_" + _where] = lambda scene, where=_where: plan(streaming(scene, where), send=[BODY + request("/v")])
for _where in ("data", "at_once", "post"):
    HOOKS["streaming_coroutine_" + _where] = lambda scene, where=_where: plan(streaming(scene, where, True), send=[BODY])
HOOKS["streaming_continue"] = lambda scene: plan(
    streaming(scene, "prepare"), send=[request("/v", "POST", ["Expect: 100-continue", "Content-Length: 5"]), b"12345"]
)


@hook
def streaming_close(scene):
    handler = streaming(scene, "close")
    head = request("/v", "POST", ["Content-Length: 100"])
    return plan(handler, send=[head + b"some", lambda client: client.close()])


@hook
def streaming_early_finish(scene):
    class Victim(RequestHandler):
        def prepare(self):
            self.finish("early")

        def data_received(self, chunk):
            pass

        def on_connection_close(self):
            scene.fire(self)

    head = request("/v", "POST", ["Content-Length: 100"])
    return plan(tornado.web.stream_request_body(Victim), send=[head + b"some", lambda client: client.close()])


@hook
def decompressed_body(scene):
    handler = simple(post=lambda self: scene.fire(self))
    data = request("/v", "POST", ["Content-Encoding: gzip"], gzip.compress(b"x" * 1000))
    return plan(handler, send=[data * 2], options={"decompress_request": True})


# -- delegates --


class Delegate(HTTPMessageDelegate):
    def __init__(self, scene, where, exchange, coroutine):
        self.scene, self.where, self.exchange, self.coroutine = scene, where, exchange, coroutine
        self.path = ""
        self.answered = False

    def fire(self, where):
        if where == self.where and self.path == "/v":
            self.scene.fire(exchange=self.exchange)

    def maybe_wait(self, where):
        if not self.coroutine:
            return self.fire(where)

        async def later():
            self.fire(where + "_at_once")
            await asyncio.sleep(0)
            self.fire(where)

        return later()

    def headers_received(self, start_line, headers):
        self.path = start_line.path
        return self.maybe_wait("headers")

    def data_received(self, chunk):
        return self.maybe_wait("data")

    def finish(self):
        self.fire("finish")
        try:
            start = ResponseStartLine("HTTP/1.1", 200, "OK")
            future = self.exchange.write_headers(start, HTTPHeaders({"Content-Length": "8"}), b"unharmed")
            future.add_done_callback(lambda future: self.fire("written"))
            self.exchange.finish()
        finally:
            self.fire("after_finish")

    def on_connection_close(self):
        self.fire("close")


def general(where, coroutine=False, send=None):
    def make(scene):
        class Server(HTTPServerConnectionDelegate):
            def start_request(self, server_conn, request_conn):
                if where == "start":
                    scene.fire(exchange=request_conn)
                return Delegate(scene, where, request_conn, coroutine)

        pieces = send or [request("/v", "POST", body=b"x" * 200000) + request("/v")]
        return {"callback": Server(), "general": True, "send": pieces}

    HOOKS["delegate_" + ("coroutine_" if coroutine else "") + where] = make


for _where in ("start", "headers", "data", "finish", "after_finish", "written"):
    general(_where)
for _where in ("headers", "headers_at_once", "data", "data_at_once"):
    general(_where, coroutine=True)
general("close", send=[request("/v", "POST", ["Content-Length: 100"]) + b"some", lambda client: client.close()])


@hook
def callable_callback(scene):
    def callback(request):
        if request.path == "/v":
            scene.fire(request=request)
        start = ResponseStartLine("HTTP/1.1", 200, "OK")
        request.connection.write_headers(start, HTTPHeaders({"Content-Length": "8"}), b"unharmed")
        request.connection.finish()

    return {"callback": callback, "general": True, "send": [request("/v") * 2]}


@hook
def patched_write_headers(scene):
    """As tracers do it: on the class of the connection."""
    cls = http1connection.NativeHTTP1Connection

    def write_headers(self, *args, **kwargs):
        scene.fire(exchange=self)
        return super(cls, self).write_headers(*args, **kwargs)

    def arrange():
        cls.write_headers = write_headers

    def cleanup():
        del cls.write_headers

    return plan(simple(), arrange=arrange, cleanup=cleanup)


@hook
def chunk_from_iterable(scene):
    """HTTP1Connection.write makes bytes of what it is given."""

    class Chunk:
        def __init__(self, exchange):
            self.exchange = exchange

        def __iter__(self):
            scene.fire(exchange=self.exchange)
            return iter(b"abc")

    def get(self):
        connection = self.request.connection
        connection.write_headers(ResponseStartLine("", 200, "OK"), HTTPHeaders({"Content-Length": "3"}))
        connection.write(Chunk(connection))
        connection.finish()
        self._finished = True

    return plan(simple(get=get))


# -- logging and the loop's exception handler --


def logging_hook(name, logger, plan_of, hooks=HOOKS):
    def make(scene):
        class Evil(logging.Handler):
            def emit(self, record):
                scene.fire(box[0] if box else None)

        box = []
        handler = Evil()
        level = logger.level

        def arrange():
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)

        def cleanup():
            logger.removeHandler(handler)
            logger.setLevel(level)

        return {**plan_of(box), "arrange": arrange, "cleanup": cleanup}

    hooks["logging_" + name] = make


def _fails(self):
    raise ValueError("wanted")


def _remember(box, then=None):
    def get(self):
        box.append(self)
        if then:
            then(self)
        self.write("x")

    return simple(get=get)


logging_hook("access", access_log, lambda box: plan(_remember(box)))
logging_hook("uncaught", app_log, lambda box: plan(_remember(box, _fails)))
logging_hook("initialize", app_log, lambda box: plan(simple(initialize=_fails)))
logging_hook("warning", gen_log, lambda box: plan(simple(), "/v/(.*)", [request("/v/%ff")]))
logging_hook("malformed", gen_log, lambda box: plan(simple(), send=[b"no request\r\n\r\n"]))
logging_hook("malformed_body", gen_log, lambda box: plan(simple(), send=[CHUNKED + b"zz\r\n"]))
logging_hook("too_large", gen_log, lambda box: plan(simple(), send=[b"GET /v HTTP/1.1\r\nA: " + b"x" * 70000 + b"\r\n\r\n"]))
logging_hook(
    "body_timeout",
    gen_log,
    lambda box: plan(simple(), send=[request("/v", "POST", ["Content-Length: 5"])], options={"body_timeout": 0.05}),
)


@hook
def exception_handler(scene):
    """The loop's, called for what is no Exception."""

    def get(self):
        def handler(loop, context):
            scene.fire(self)

        asyncio.get_running_loop().set_exception_handler(handler)
        raise GeneratorExit

    return plan(simple(get=get))
