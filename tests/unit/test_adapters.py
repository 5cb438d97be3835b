"""What stands in for an application or takes a connection over, in the manner of sockjs-tornado, jupyter_server and OctoPrint."""

import asyncio
import re

import pytest
import tornado
import tornado.httputil
import tornado.ioloop
import tornado.websocket
import tornado.wsgi
from sidebyside import compare, get

import tornadoc.ioloop
import tornadoc.websocket

UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
PATIENCE = 20


def message(text):
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text.encode()


async def talk(side, data, path="/"):
    """What a WebSocket client gets until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
    writer.write(get(path, *UPGRADE, close=False) + data)
    answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    writer.close()
    return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


@pytest.mark.parametrize("way", ["abort", "close", "client_terminated", "stream closed", "nodelay"])
def test_private_names_of_a_websocket_connection(way):
    async def scenario(side):
        websocket = tornadoc.websocket if side.native else tornado.websocket
        closed = asyncio.Event()

        class Socket(websocket.WebSocketHandler):
            def _execute(self, transforms, *args, **kwargs):
                # As SockJS transports, which look at the request first and answer what is wrong with it themselves.
                self._transforms = transforms
                side.note("execute", self.request.headers.get("Upgrade"))
                return super()._execute(transforms, *args, **kwargs)

            def open(self):
                side.note(self.ws_connection.client_terminated, self.ws_connection.server_terminated)
                side.note(type(self.ws_connection).__name__, type(self.ws_connection.stream).__name__)
                self.set_nodelay(True)

            def on_message(self, text):
                self.write_message("echo " + text)
                if way == "abort":
                    self.ws_connection._abort()
                elif way == "client_terminated":
                    self.ws_connection.client_terminated = True
                    self.close()
                elif way == "stream closed":
                    self.ws_connection.stream.close()
                else:
                    self.ws_connection.stream.set_nodelay(False)
                    self.close(1001, "bye")

            def on_close(self):
                side.note("closed", self.close_code, self.ws_connection is None)
                closed.set()

        side.serve(side.Application([("/", Socket)]))
        answer = await talk(side, message("hi") + b"\x88\x80" + bytes(4))
        await asyncio.wait_for(closed.wait(), PATIENCE)
        return answer, await side.get(), await side.get(method="POST", body=b"x")

    compare(scenario)


def test_a_handler_that_detaches_its_connection():
    async def scenario(side):
        class Detaching(side.RequestHandler):
            async def get(self):
                stream = self.request.connection.detach()
                self._finished = True
                await stream.write(b"raw ")
                line = await stream.read_until(b"\n")
                await stream.write(line)
                stream.close()

        side.serve(side.Application([("/", Detaching)]))
        return await side.fetch(get(close=False) + b"line\n")

    assert compare(scenario).result == b"raw line\n"


def wsgi(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("201 Made", [("X-Method", environ["REQUEST_METHOD"]), ("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode(), b" ", body]


def requests(side):
    return [
        side.get("/a?b=c"),
        side.get("/a", method="POST", body=b"posted"),
        side.fetch(get("/a", close=False) + get("/b")),
        side.get("/a", method="HEAD"),
        side.get("/none"),
        side.get("/a", version="1.0", close=False),
    ]


def test_a_wsgi_container_behind_a_fallback_handler():
    async def scenario(side):
        container = tornado.wsgi.WSGIContainer(wsgi)
        side.serve(side.Application([("/none", side.RequestHandler), (".*", side.web.FallbackHandler, {"fallback": container})]))
        return [await request for request in requests(side)]

    assert b"X-Method: POST" in compare(scenario).result[1]


def answer(connection, text):
    headers = tornado.httputil.HTTPHeaders({"Content-Length": str(len(text))})
    connection.write_headers(tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK"), headers, text)
    connection.finish()


class Delegate(tornado.httputil.HTTPMessageDelegate):
    def __init__(self, side, connection):
        self.side, self.connection, self.body = side, connection, b""

    def headers_received(self, start_line, headers):
        self.side.note(tuple(start_line), headers.get("Content-Length"))
        self.path = start_line.path

    async def data_received(self, chunk):
        await asyncio.sleep(0)
        self.body += chunk

    def finish(self):
        answer(self.connection, self.path.encode() + self.body)

    def on_connection_close(self):
        if tornado.version_info >= (6, 6):  # which tells a delegate that failed as well
            self.side.note("closed")


def container(side):
    return tornado.wsgi.WSGIContainer(wsgi)


def function(side):
    def callback(request):
        side.note(request.method, request.uri, request.version, sorted(request.arguments), request.body)
        answer(request.connection, request.path.encode())

    return callback


def delegate(side):
    class Connections(tornado.httputil.HTTPServerConnectionDelegate):
        def start_request(self, server_connection, request_connection):
            return Delegate(side, request_connection)

        def on_close(self, server_connection):
            pass

    return Connections()


def router(side):
    class ByPath(side.routing.Router):
        def find_handler(self, request, **kwargs):
            if request.path == "/none":
                return None
            return Delegate(side, request.connection)

    return ByPath()


def rule_router(side):
    class Hello(side.RequestHandler):
        def get(self):
            self.write("hello")

        post = get

    application = side.Application([("/a", Hello)])
    return side.routing.RuleRouter([side.routing.Rule(side.routing.PathMatches("/[ab]"), application)])


@pytest.mark.parametrize("make", [container, function, delegate, router, rule_router])
def test_what_a_server_takes_in_an_application_s_place(make):
    async def scenario(side):
        side.serve(make(side))
        return [await request for request in requests(side)]

    assert compare(scenario).result[0].startswith(b"HTTP/1.1 20")


def test_ioloops_and_the_loops_below():
    """distributed and pyzmq look one up by the other."""

    async def scenario(side):
        io_loop = tornado.ioloop.IOLoop.current()
        loop = asyncio.get_running_loop()
        side.note(io_loop.asyncio_loop is loop, tornado.ioloop.IOLoop._ioloop_for_asyncio[loop] is io_loop)
        side.note(tornadoc.ioloop.IOLoop.current() is io_loop, tornadoc.ioloop.IOLoop._ioloop_for_asyncio[loop] is io_loop)

    compare(scenario)
