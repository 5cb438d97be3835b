"""Arguments, attributes and names of Tornado 2: io_loop, output transforms, `Application.__call__`, and what install() adds."""

import asyncio
import gzip
import logging
import socket
import threading

import pytest
import tornado.web
from inprocess import Client, log_records, run_python, settle, until
from tornado2_support import LOOPS, Port, run_on

import tornadoc.ioloop
from tornadoc import netutil
from tornadoc.httpserver import HTTPServer
from tornadoc.ioloop import IOLoop, PeriodicCallback
from tornadoc.iostream import IOStream
from tornadoc.platform.asyncio import AsyncIOLoop
from tornadoc.tcpserver import TCPServer
from tornadoc.web import Application, OutputTransform, RequestHandler, UIModule, stream_request_body


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


# -- io_loop --


def hello(request):
    thread = threading.current_thread().name.encode()
    request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(thread), thread))
    request.finish()


class Echo(TCPServer):
    async def handle_stream(self, stream, address):
        line = await stream.read_until(b"\n")
        await stream.write(threading.current_thread().name.encode() + b" " + line)
        stream.close()


@pytest.fixture
def other_loop():
    """An IOLoop that runs in a thread of its own."""
    io_loop = AsyncIOLoop(make_current=False)
    thread = threading.Thread(target=io_loop.start, name="other", daemon=True)
    thread.start()
    yield io_loop
    io_loop.add_callback(io_loop.stop)
    thread.join(20)
    assert not thread.is_alive()
    io_loop.close()


def on_loop(io_loop, function):
    """The result of a function that the loop's thread calls."""
    result = []
    called = threading.Event()

    def call():
        result.append(function())
        called.set()

    io_loop.add_callback(call)
    assert called.wait(20)
    return result[0]


@pytest.mark.parametrize(
    "make", [lambda io: HTTPServer(hello, io_loop=io), lambda io: HTTPServer(hello, False, io, True)], ids=["named", "third"]
)
def test_an_http_server_accepts_on_the_loop_that_it_is_given(other_loop, make):
    server = make(other_loop)

    async def main():
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        server.add_sockets([sock])
        client = await Client.connect(sock.getsockname()[1])
        body = (await client.get("/", headers=["Connection: close"])).body
        client.close()
        return body

    assert run_on("asyncio", main()) == b"other"
    on_loop(other_loop, server.stop)


@pytest.mark.parametrize("make", [lambda io: Echo(io_loop=io), lambda io: Echo(io)], ids=["named", "first"])
def test_a_tcp_server_accepts_on_the_loop_that_it_is_given(other_loop, make):
    server = make(other_loop)

    async def main():
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        server.add_sockets([sock])
        client = await Client.connect(sock.getsockname()[1])
        client.send(b"line\n")
        answer = await client.rest()
        client.close()
        return answer

    assert run_on("asyncio", main()) == b"other line\n"
    on_loop(other_loop, server.stop)


def test_servers_take_the_current_loop_by_name(loop):
    async def main():
        io_loop = IOLoop.instance()
        async with Port(HTTPServer(hello, xheaders=True, io_loop=io_loop)) as port, Port(Echo(io_loop=None)) as echo:
            assert port.server.xheaders is True
            client = await echo.client()
            client.send(b"line\n")
            return (await port.fetch("/")).code, await client.rest()

    assert run_on(loop, main()) == (200, b"MainThread line\n")


def test_accept_handlers_take_a_loop(loop):
    async def main():
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        accepted = []
        stop = netutil.add_accept_handler(sock, lambda connection, address: accepted.append(connection), io_loop=IOLoop.current())
        with socket.create_connection(sock.getsockname()):
            await until(lambda: accepted)
        stop()
        sock.close()
        accepted.pop().close()

    run_on(loop, main())


@pytest.mark.parametrize("as_keyword", [True, False])
def test_streams_take_a_loop(loop, as_keyword):
    async def main():
        one, other = socket.socketpair()
        io_loop = IOLoop.current()
        stream = IOStream(one, io_loop=io_loop) if as_keyword else IOStream(one, io_loop)
        other.send(b"line\n")
        line = await stream.read_until(b"\n")
        stream.close()
        other.close()
        return line, stream.io_loop is io_loop, stream.max_buffer_size

    assert run_on(loop, main()) == (b"line\n", True, 104857600)


@pytest.mark.parametrize("as_keyword", [True, False])
def test_periodic_callbacks_run_on_the_loop_that_they_are_given(other_loop, as_keyword):
    called = threading.Event()
    threads = []

    def callback():
        threads.append(threading.current_thread().name)
        called.set()

    make = PeriodicCallback(callback, 1, io_loop=other_loop) if as_keyword else PeriodicCallback(callback, 1, other_loop)
    assert (make.io_loop if hasattr(make, "io_loop") else None, make.jitter) == (None, 0)
    on_loop(other_loop, make.start)
    assert called.wait(20) and make.is_running() and make.io_loop is other_loop
    on_loop(other_loop, make.stop)
    assert set(threads) == {"other"} and not make.is_running()


def test_periodic_callbacks_without_a_loop_are_todays(loop):
    async def main():
        called = []
        callback = PeriodicCallback(lambda: called.append(1), 1, jitter=0.1)
        assert isinstance(callback, tornadoc.ioloop._tornado.PeriodicCallback) and callback.jitter == 0.1
        callback.start()
        await until(lambda: len(called) > 2)
        callback.stop()
        return callback.io_loop is IOLoop.current()

    assert run_on(loop, main()) is True


# -- output transforms --


class Loud(OutputTransform):
    """With today's methods."""

    def transform_first_chunk(self, status_code, headers, chunk, finishing):
        headers["X-Loud"] = str(finishing)
        return status_code + 1, headers, chunk.upper()

    def transform_chunk(self, chunk, finishing):
        return chunk.upper()


class Old:
    """With those of Tornado 2."""

    made = []

    def __init__(self, request):
        self.made.append(request)

    def transform_first_chunk(self, headers, chunk, finishing):
        headers["X-Old"] = str(finishing)
        if "Content-Length" in headers:
            headers["Content-Length"] = str(len(chunk) + 2)
        return headers, b"<" + chunk + b">"

    def transform_chunk(self, chunk, finishing):
        return b"(" + chunk + b")"


class Pieces(RequestHandler):
    def get(self):
        self.write("one")
        if self.get_argument("flush", None):
            self.flush()
            assert [type(t) for t in self._transforms] == self.settings["expected"]
            self.write("two")


@pytest.mark.parametrize(
    "transforms, whole, pieces, status",
    [
        ([Old], b"<one>", b"<one>(two)", 200),
        ([Loud], b"ONE", b"ONETWO", 201),
        ([Old, Loud], b"<ONE>", b"<ONE>(TWO)", 201),
        ([Loud, Old], b"<ONE>", b"<ONE>(TWO)", 201),
    ],
)
def test_transforms_of_both_kinds(loop, transforms, whole, pieces, status):
    async def main():
        application = Application([("/", Pieces)], transforms=transforms, expected=transforms)
        async with Port(HTTPServer(application)) as port:
            client = await port.client()
            return await client.get("/"), await client.get("/?flush=1")

    Old.made.clear()
    first, second = run_on(loop, main())
    Old.made.clear()
    assert (first.code, first.body) == (status, whole)
    assert (second.code, second.body) == (status, pieces)
    for transform in transforms:
        name = f"X-{transform.__name__}"
        assert (first[name], second[name]) == ("True", "False")


def test_transforms_that_a_handler_assigns(loop):
    class Assigning(RequestHandler):
        def get(self):
            self._transforms = [Old(self.request)]
            self.write("body")

    async def main():
        async with Port(HTTPServer(Application([("/", Assigning)]))) as port:
            return (await port.fetch("/")).body

    assert run_on(loop, main()) == b"<body>"
    Old.made.clear()


def test_an_old_transform_next_to_compression(loop):
    class Long(RequestHandler):
        def get(self):
            self.write("x" * 5000)

    async def main():
        application = Application([("/", Long)], compress_response=True)
        application.transforms.insert(0, Old)
        async with Port(HTTPServer(application)) as port:
            answer = await port.fetch("/", headers=["Accept-Encoding: gzip"])
            return answer["Content-Encoding"], gzip.decompress(answer.body)

    assert run_on(loop, main()) == ("gzip", b"<" + b"x" * 5000 + b">")
    Old.made.clear()


def test_a_transform_that_fails(loop):
    class Failing(Old):
        def transform_first_chunk(self, headers, chunk, finishing):
            raise ValueError("in a transform")

    async def main():
        application = Application([("/", Pieces)], transforms=[Failing])
        async with Port(HTTPServer(application)) as port:
            client = await port.client()
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await settle(20)

    with log_records("tornado.application") as records:
        run_on(loop, main())
    assert records
    Old.made.clear()


# -- the application --


class Hello(RequestHandler):
    def get(self):
        self.write("hello")


@stream_request_body
class Streaming(RequestHandler):
    def put(self):
        pass


def test_calling_an_application_gives_the_handler(loop):
    seen = []
    application = Application([("/", Hello), ("/stream", Streaming)])

    def callback(request):
        seen.append((application(request), request))

    async def main():
        async with Port(HTTPServer(callback)) as port:
            client = await port.client()
            return (await client.get("/")).body, (await client.get("/none")).code

    with log_records():
        assert run_on(loop, main()) == (b"hello", 404)
    (handler, request), (missing, _) = seen
    assert isinstance(handler, Hello) and handler.request is request
    assert isinstance(missing, tornado.web.ErrorHandler)


def test_a_patch_of_tornados_call_is_seen(monkeypatch):
    called = []
    monkeypatch.setattr(tornadoc.web._tornado.Application, "__call__", lambda self, request: called.append(request))
    assert Application([])("request") is None and called == ["request"]


def test_what_programs_of_old_do_with_their_application_still_works(loop):
    logged = []

    class Program(Application):
        def __init__(self):
            self.handlers = [("/", Page)]
            super().__init__(
                self.handlers,
                ui_modules={"Box": Box},
                ui_methods={"shout": lambda handler, text: text.upper()},
                log_function=lambda handler: logged.append((handler.get_status(), handler._request_summary()[:5])),
            )

    class Box(UIModule):
        def render(self, text):
            return f"[{text}]"

    class Page(RequestHandler):
        def get(self):
            self.write(self.ui["modules"]["Box"]("in a box") + self.ui["shout"]("loud"))

    async def main():
        async with Port(HTTPServer(Program())) as port:
            return (await port.fetch("/")).body

    assert run_on(loop, main()) == b"[in a box]LOUD"
    assert logged == [(200, "GET /")]


def test_a_handler_can_be_executed_by_hand(loop):
    tasks = []

    class Calling(Application):
        def __call__(self, request):
            handler = Hello(self, request)
            tasks.append(asyncio.ensure_future(handler._execute([])))
            return handler

    application = Calling([])

    async def main():
        async with Port(HTTPServer(lambda request: application(request))) as port:
            body = (await port.fetch("/")).body
            await tasks[0]
            return body

    with log_records(level=logging.INFO):
        assert run_on(loop, main()) == b"hello"


# -- install() --

INSTALLED = """
import sys
try:
    import tornado.stack_context
except ImportError:
    pass
else:
    raise SystemExit("Tornado has a stack_context of its own")
import tornado.gen, tornado.web, tornado.httpserver, tornado.ioloop
before = ("tornado.gen", "tornado.web", "tornado.httpserver", "tornado")
plain = tornado.ioloop.PeriodicCallback
import tornadoc
import tornadoc.stack_context, tornadoc.tornado2
assert "tornado.stack_context" not in sys.modules
tornadoc.install()
import tornado.stack_context
from tornado import stack_context
from tornado.stack_context import ExceptionStackContext, NullContext, StackContext, wrap
from tornado.web import asynchronous
from tornado.gen import Callback, Task, Wait, WaitAll, engine
from tornado.httpserver import HTTPConnection, HTTPRequest
assert stack_context is tornado.stack_context is tornadoc.stack_context
assert stack_context.__spec__.name == "tornadoc.stack_context" and stack_context.__name__ == "tornadoc.stack_context"
assert asynchronous is tornadoc.web.asynchronous and engine is tornadoc.tornado2.engine
assert HTTPConnection is tornadoc.httpserver.HTTPConnection and HTTPRequest is tornadoc.httputil.HTTPServerRequest
assert tornado.ioloop.PeriodicCallback is tornadoc.ioloop.PeriodicCallback
assert repr(tornado.ioloop.PeriodicCallback) == repr(plain)
tornadoc.uninstall()
assert "tornado.stack_context" not in sys.modules
try:
    import tornado.stack_context
except ImportError:
    pass
else:
    raise SystemExit("still there")
assert tornado.ioloop.PeriodicCallback is plain
for name in before:
    for earlier in ("asynchronous", "engine", "Task", "Callback", "Wait", "WaitAll", "HTTPConnection", "stack_context"):
        assert not hasattr(sys.modules[name], earlier), (name, earlier)
tornadoc.install()
import tornado.stack_context
assert tornado.web.asynchronous is asynchronous
print("ok")
"""


def test_names_of_earlier_versions_are_there_while_it_is_installed():
    done = run_python("-W", "error", "-c", INSTALLED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_stack_contexts_without_the_extension():
    """Where tornadoc is inactive, contexts work on Tornado's loop."""
    code = """
import asyncio, tornadoc
assert not tornadoc.active
from tornado.ioloop import IOLoop
from tornadoc.stack_context import ExceptionStackContext
seen = []
async def main():
    with ExceptionStackContext(lambda type, value, traceback: seen.append(type) or True):
        IOLoop.current().add_callback(lambda: 1 / 0)
    for _ in range(5):
        await asyncio.sleep(0)
asyncio.run(main())
assert seen == [ZeroDivisionError]
print("ok")
"""
    done = run_python("-c", code, TORNADOC="off")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
