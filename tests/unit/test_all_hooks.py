"""Every hook that monitors, tracers and applications use, wrapped at once in one process: the results are Tornado's.

Each agent below wraps what products of its kind wrap, with their manner of wrapping; they are stacked on each other, as they are
where an application has several.
"""

import asyncio
import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import tornado.http1connection
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.routing
import tornado.web
import tornado.websocket
from sidebyside import compare, get, patched
from test_overrides import CALLABLE, REQUESTS, ask_all, brief, make_handler, targets, wrapper

import tornadoc.iostream
import tornadoc.websocket

APPLICATION = ["start_request", "find_handler", "get_handler_delegate", "log_request"]
CONNECTION = ["write_headers", "write", "finish", "set_close_callback"]


def every_handler_hook(side, stack, where):
    """Each hook of the fast path, on the base class."""
    target = targets(side, where)
    for name in CALLABLE:
        if hasattr(tornado.web.RequestHandler, name):
            original = getattr(target, name)
            stack.enter_context(patched(target, name, wrapper(side, name, original)))


def span_around_execute(side, stack, where):
    """A tracer that opens a span in _execute and closes it in on_finish; log_exception marks it."""
    target = targets(side, where)
    execute, on_finish, log_exception = target._execute, target.on_finish, target.log_exception

    async def traced(self, *args, **kwargs):
        self.request._span = ["open", self.request.path]
        return await execute(self, *args, **kwargs)

    def finished(self, *args, **kwargs):
        side.note("span", *self.request._span, self.get_status())
        return on_finish(self, *args, **kwargs)

    def failed(self, kind, value, traceback):
        self.request._span.append(kind.__name__)
        return log_exception(self, kind, value, traceback)

    for name, value in (("_execute", traced), ("on_finish", finished), ("log_exception", failed)):
        stack.enter_context(patched(target, name, value))


def hub_around_execute(side, stack, where):
    """An error reporter: _execute is awaited inside a context manager, errors are seen in _handle_request_exception."""
    target = targets(side, where)
    execute, handle = target._execute, target._handle_request_exception

    @contextlib.contextmanager
    def hub(handler):
        side.note("hub", "in", type(handler).__name__, handler.request.method)
        try:
            yield
        finally:
            side.note("hub", "out", handler._finished, handler._status_code)

    @functools.wraps(execute)
    async def reported(self, *args, **kwargs):
        with hub(self):
            return await execute(self, *args, **kwargs)

    def error(self, e):
        side.note("error", repr(e))
        return handle(self, e)

    stack.enter_context(patched(target, "_execute", reported))
    stack.enter_context(patched(target, "_handle_request_exception", error))


def classes_patched_as_they_are_made(side, stack, where):
    """An instrumentation that wraps the methods of each handler's class when its first object is made."""
    target = targets(side, where)
    init = target.__init__
    seen = []

    def made(self, *args, **kwargs):
        cls = self.__class__
        if cls not in seen:
            seen.append(cls)
            for name in ("prepare", "on_finish"):
                stack.enter_context(patched(cls, name, wrapper(side, "late " + name, getattr(cls, name))))
        return init(self, *args, **kwargs)

    stack.enter_context(patched(target, "__init__", made))


def delegates_and_applications(side, stack, where):
    """An agent that follows a request from the server on, by attributes on delegates which it pops again."""
    application = side.Application if where == "ahead" else tornado.web.Application
    for name in APPLICATION:
        original = getattr(application, name)

        def method(self, *args, name=name, original=original, **kwargs):
            result = original(self, *args, **kwargs)
            if name in ("find_handler", "start_request") and result is not None:
                follow(result)
            return result

        stack.enter_context(patched(application, name, method))

    def follow(delegate):
        for name in ("headers_received", "finish"):
            if name in vars(delegate):
                continue
            original = getattr(delegate, name)

            def method(*args, name=name, original=original, delegate=delegate):
                vars(delegate).pop(name, None)
                side.note("delegate", name, brief(args))
                return original(*args)

            setattr(delegate, name, method)


def headers_and_requests(side, stack, where):
    """Wrappers of module functions and of the request's class."""
    normalize = tornado.httputil._normalize_header
    stack.enter_context(patched(tornado.httputil, "_normalize_header", lambda name: normalize(name)))
    request = tornado.httputil.HTTPServerRequest
    parse = request._parse_body

    def parse_body(self):
        side.note("parse", len(self.body))
        return parse(self)

    stack.enter_context(patched(request, "_parse_body", parse_body))


def connections(side, stack, where):
    """Methods set on the type of the first connection that is seen, which also keeps attributes."""
    target = targets(side, where)
    initialize = target.initialize
    kinds = []

    def first(self, *args, **kwargs):
        connection = self.request.connection
        connection._first_seen = self.request.path
        kind = type(connection)
        if kind not in kinds:
            kinds.append(kind)
            for name in CONNECTION:
                original = getattr(kind, name)

                def method(self, *args, name=name, original=original, **kwargs):
                    side.note(
                        "connection",
                        name,
                        getattr(self, "_first_seen", None),
                        None if name == "set_close_callback" else brief(args),
                    )
                    return original(self, *args, **kwargs)

                stack.enter_context(patched(kind, name, method))
        return initialize(self, *args, **kwargs)

    stack.enter_context(patched(target, "initialize", first))


def private_state(side, stack, where):
    """What adapters and tracers read and set of handlers, requests and connections, before a method runs and after."""
    target = targets(side, where)
    initialize, on_finish = target.initialize, target.on_finish

    def state(self):
        connection = self.request.connection
        names = ("_status_code", "_reason", "_finished", "_auto_finish", "_headers_written", "_current_user", "_new_cookie")
        return (
            [getattr(self, name, "nothing") for name in names],
            list(self._headers),
            [type(piece).__name__ for piece in self._write_buffer],
            callable(self._log),
            self.put.__func__ is type(self)._unimplemented_method,
            tornado.web._has_stream_request_body(type(self)),
            hasattr(self.request, "_body_future"),
            getattr(connection.context, "_orig_remote_ip", "nothing"),
            connection.no_keep_alive,
            connection._request_start_line,
        )

    def first(self, *args, **kwargs):
        connection = self.request.connection
        side.note("state", state(self), connection.stream.socket.family.name)
        self._current_user = "agent"
        self._xsrf_token = b"token"
        fresh = tornado.httputil.HTTPHeaders(self._headers)
        fresh["X-Agent"] = "here"
        self._headers = fresh
        return initialize(self, *args, **kwargs)

    def last(self, *args, **kwargs):
        side.note("state", state(self), self.current_user, self.xsrf_token, [type(t).__name__ for t in self._transforms])
        return on_finish(self, *args, **kwargs)

    stack.enter_context(patched(target, "initialize", first))
    stack.enter_context(patched(target, "on_finish", last))


def matchers_and_rules(side, stack, where):
    """A tracer that names spans by routes: what matchers keep, and a rule of its own among the application's."""
    find = tornado.web.Application.find_handler if where == "behind" else side.Application.find_handler
    target = tornado.web.Application if where == "behind" else side.Application

    def traced(self, request, **kwargs):
        routes = []
        for rule in self.wildcard_router.rules:
            matcher = rule.matcher
            routes.append((matcher._path, matcher._group_count, matcher.regex.pattern))
        side.note("routes", request.path, routes, len(self.default_router.rules))
        if not any(rule.name == "agent" for rule in self.wildcard_router.rules):
            rule = tornado.web.URLSpec("/agent", side.web.ErrorHandler, {"status_code": 410}, name="agent")
            self.wildcard_router.rules.append(rule)
        return find(self, request, **kwargs)

    stack.enter_context(patched(target, "find_handler", traced))
    groups = tornado.routing.PathMatches._find_groups

    def find_groups(self):
        side.note("groups", self.regex.pattern)
        return groups(self)

    stack.enter_context(patched(tornado.routing.PathMatches, "_find_groups", find_groups))


AGENTS = [
    every_handler_hook,
    span_around_execute,
    hub_around_execute,
    classes_patched_as_they_are_made,
    delegates_and_applications,
    headers_and_requests,
    connections,
    private_state,
    matchers_and_rules,
]


async def a_stream_of_an_adapter(side):
    """As distributed's comms write: into the stream's own buffer, and then nothing by write()."""
    streams = (tornadoc if side.native else tornado).iostream
    near, far = socket.socketpair()
    one, other = streams.IOStream(near), streams.IOStream(far)
    closed = []
    one.set_close_callback(lambda: closed.append("closed"))
    io_loop = tornado.ioloop.IOLoop.current()
    known = [
        io_loop.asyncio_loop is asyncio.get_running_loop(),
        tornado.ioloop.IOLoop._ioloop_for_asyncio[asyncio.get_running_loop()] is io_loop,
        one.io_loop is io_loop,
        one._close_callback is not None,
    ]
    for piece in (b"by ", b"the ", b"buffer\n"):
        one._write_buffer.append(piece)
        one._total_write_index += len(piece)
    await one.write(b"")
    received = [await other.read_until(b" "), other._read_buffer_size, bytes(other._read_buffer)]
    received.append(await other.read_until(b"\n"))
    one.close()
    await asyncio.sleep(0)
    other.close()
    await asyncio.sleep(0)
    return known, received, one._write_buffer, one._close_callback, closed


async def a_websocket_of_an_adapter(side):
    """As SockJS and Jupyter servers end one."""
    opened = asyncio.get_running_loop().create_future()

    class Socket((tornadoc if side.native else tornado).websocket.WebSocketHandler):
        def open(self):
            connection = self.ws_connection
            side.note("websocket", connection.client_terminated, connection.stream.closed(), self.close_code)
            connection._abort()
            side.note("websocket", connection.client_terminated, connection.stream.closed())
            opened.set_result(None)

    side.serve(side.Application([("/ws", Socket)]))
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    answer = await side.fetch(get("/ws", *upgrade, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", close=False))
    await opened
    return answer



@pytest.mark.parametrize("where", ["behind", "ahead"])
@pytest.mark.parametrize("agent", AGENTS)
def test_one_agent(agent, where):
    async def scenario(side):
        with contextlib.ExitStack() as stack:
            agent(side, stack, where)
            during = await ask_all(side, make_handler(side))
        return during, await side.fetch(get("/text")), await side.is_fast("/text")

    assert compare(scenario).result[-1]


@pytest.mark.parametrize("order", [1, -1], ids=["first to last", "last to first"])
@pytest.mark.parametrize("where", ["behind", "ahead"])
def test_all_agents_at_once(where, order):
    async def scenario(side):
        with contextlib.ExitStack() as stack:
            for agent in AGENTS[::order]:
                agent(side, stack, where)
            during = await ask_all(side, make_handler(side), compress_response=True, xsrf_cookies=False)
            pipelined = await side.fetch(get("/text", close=False) + get("/json", close=False) + get("/later"))
            adapters = await a_stream_of_an_adapter(side), await a_websocket_of_an_adapter(side)
        after = await side.fetch(REQUESTS[0])
        return during, pipelined, adapters, after

    outcome = compare(scenario)
    noted = {entry[0] for entry in outcome.noted}
    assert {"_execute", "hub", "error", "span", "delegate", "parse", "connection", "late prepare", "__init__"} <= noted
    assert {"state", "routes", "groups", "websocket"} <= noted


def test_a_polling_transport_that_drives_the_handler_itself():
    """As SockJS servers do: an _execute of their own, transforms set, no keep-alive, chunks by hand, finished from elsewhere."""

    async def scenario(side):
        class Polling(side.RequestHandler):
            SUPPORTED_METHODS = ("GET", "POST", "OPTIONS")

            def initialize(self, label):
                self.label = label
                self.active = True

            async def _execute(self, transforms, *args, **kwargs):
                side.note("execute", brief(transforms), brief(args), brief(kwargs))
                self._auto_finish = False
                await super()._execute([], *args, **kwargs)

            def prepare(self):
                self.request.connection.no_keep_alive = self.request.arguments.get("close") == [b"1"]
                self._headers.pop("Etag", None)

            def get(self):
                self.set_status(200)
                self.set_header("Content-Type", "application/javascript")
                self.flush()
                for _ in range(2):
                    self.write("h" * 3)
                    self.flush()
                asyncio.get_running_loop().call_soon(self.safe_finish)

            def post(self):
                self.set_status(204)
                self.set_cookie("JSESSIONID", "dummy")
                self._headers = tornado.httputil.HTTPHeaders({"X-Own": self.label})
                self.safe_finish()

            def safe_finish(self):
                if not self._finished:
                    self.finish()

            def on_connection_close(self):
                self.active = False

        side.serve(side.Application([("/poll", Polling, {"label": "l"})], compress_response=True))
        return [
            await side.get("/poll"),
            await side.fetch(get("/poll?close=1", close=False) + get("/poll")),
            await side.get("/poll", method="POST", body=b""),
            await side.get("/poll", method="PUT", body=b""),
        ]

    compare(scenario)


def test_a_server_with_connections_of_its_own():
    """As OctoPrint does: its own classes of server connection and connection, with a limit of the body for each path."""

    async def scenario(side):
        class Connection(tornado.http1connection.HTTP1Connection):
            def _read_body(self, code, headers, delegate):
                path = self._request_start_line.path
                side.note("read body", path, headers.get("Content-Length"))
                if path == "/large":
                    self.set_max_body_size(1000)
                return super()._read_body(code, headers, delegate)

        class ServerConnection(tornado.http1connection.HTTP1ServerConnection):
            async def _server_request_loop(self, delegate):
                try:
                    while True:
                        connection = Connection(self.stream, False, self.params, self.context)
                        request = delegate.start_request(self, connection)
                        if not await connection.read_response(request):
                            return
                        await asyncio.sleep(0)
                except (tornado.iostream.StreamClosedError, asyncio.CancelledError):
                    pass
                finally:
                    delegate.on_close(self)

        class Server(side.HTTPServer):
            def handle_stream(self, stream, address):
                context = tornado.httpserver._HTTPRequestContext(stream, address, self.protocol, self.trusted_downstream)
                connection = ServerConnection(stream, self.conn_params, context)
                self._connections.add(connection)
                connection.start_serving(self)

        class Handler(side.RequestHandler):
            def post(self):
                self.write(f"{len(self.request.body)} {type(self.request.connection).__name__}")

        plain, side.HTTPServer = side.HTTPServer, functools.partial(Server, max_body_size=10)
        try:
            side.serve(side.Application([("/.*", Handler)]))
        finally:
            side.HTTPServer = plain
        return [
            await side.get("/large", method="POST", body=b"x" * 100),
            await side.get("/small", method="POST", body=b"x" * 10),
            await side.get("/small", method="POST", body=b"x" * 11),
        ]

    outcome = compare(scenario)
    assert ("read body", "/large", "100") in outcome.noted and outcome.result[0].endswith(b"100 Connection")


def test_the_doctor_says_what_the_agents_do(tmp_path):
    """A program whose base class an agent has wrapped: each handler names the hook."""
    program = tmp_path / "traced.py"
    program.write_text(
        textwrap.dedent(
            """
            import functools
            import tornado.web, tornado.ioloop

            def wrap(owner, name):
                original = getattr(owner, name)
                setattr(owner, name, functools.wraps(original)(lambda *args, **kwargs: original(*args, **kwargs)))

            for name in ("_execute", "on_finish", "flush", "log_exception", "_handle_request_exception", "__init__"):
                wrap(tornado.web.RequestHandler, name)
            for name in ("find_handler", "log_request"):
                wrap(tornado.web.Application, name)

            class Hello(tornado.web.RequestHandler):
                pass

            tornado.web.Application([("/", Hello)]).listen(0)
            tornado.ioloop.IOLoop.current().start()
            """
        )
    )
    environment = {name: value for name, value in os.environ.items() if name != "TORNADOC"}
    command = [sys.executable, "-m", "tornadoc", "doctor", "--json", str(program)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert result.returncode == 1, result
    found = json.loads(result.stdout)["program"]
    (hello,) = found["handlers"]
    (application,) = found["applications"]
    assert hello["path"] == "general" and {"_execute", "flush"} <= {reason["what"] for reason in hello["reasons"]}
    assert application["path"] == "general"
    assert {reason["what"] for reason in application["reasons"]} == {"find_handler", "log_request"}
