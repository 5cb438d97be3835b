"""The application that the leak tests serve: one handler for each way through the native code."""

import asyncio
import select
import ssl
from pathlib import Path

import tornado
from tornado import gen, routing
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, ResponseStartLine
from tornado.ioloop import IOLoop
from tornado.locks import Event
from tornado.template import DictLoader

from tornadoc.httpserver import HTTPServer
from tornadoc.web import Application, Finish, HTTPError, RedirectHandler, RequestHandler, StaticFileHandler, stream_request_body
from tornadoc.websocket import WebSocketHandler

LARGE = b"x" * 3_000_000


class Write(RequestHandler):
    def get(self):
        self.write("plain")

    head = post = get


class Json(RequestHandler):
    def get(self):
        self.set_header("X-Own", "1")
        self.add_header("X-Own", "2")
        self.write({"a": [1, 2, 3]})


class Arguments(RequestHandler):
    def initialize(self, word):
        self.word = word

    def get(self, number, *, name=None):
        self.write(self.word + number + self.get_query_argument("q") + self.request.headers["Host"])


class Named(RequestHandler):
    def get(self, name):
        self.write(name)


class NoWait(RequestHandler):
    async def get(self):
        self.write("no wait")


class Wait(RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        self.write("wait")


class Generator(RequestHandler):
    @gen.coroutine
    def get(self):
        yield gen.moment
        self.write("generator")


class PrepareWaits(RequestHandler):
    async def prepare(self):
        await asyncio.sleep(0)

    async def get(self):
        await asyncio.sleep(0)
        self.write("prepared")


class Fails(RequestHandler):
    def get(self, how):
        if how == "http":
            raise HTTPError(403, "no %s", "entry")
        if how == "finish":
            raise Finish()
        raise ValueError(how)


class FailsLater(RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        raise ValueError("later")


class FailsToInitialize(RequestHandler):
    def initialize(self):
        raise ValueError("initialize")


class FailsInTheMiddle(RequestHandler):
    async def get(self):
        self.write("first")
        await self.flush()
        raise ValueError("middle")


class WrongLength(RequestHandler):
    def get(self):
        self.set_header("Content-Length", 10)
        self.write("short")


class Form(RequestHandler):
    def post(self):
        files = [f["filename"] for group in self.request.files.values() for f in group]
        self.write(self.get_argument("a") + ",".join(files))


class Body(RequestHandler):
    def post(self):
        self.write(str(len(self.request.body)))


@stream_request_body
class Stream(RequestHandler):
    def prepare(self):
        self.size = 0

    async def data_received(self, chunk):
        self.size += len(chunk)
        await asyncio.sleep(0)

    def post(self):
        self.write(str(self.size))


@stream_request_body
class StreamRefused(RequestHandler):
    def prepare(self):
        self.set_status(413)
        self.finish("too much")

    def data_received(self, chunk):
        pass


@stream_request_body
class StreamFails(RequestHandler):
    def data_received(self, chunk):
        raise ValueError("data")


class Pieces(RequestHandler):
    async def get(self):
        for i in range(4):
            self.write(f"piece {i};")
            await self.flush()


class Large(RequestHandler):
    def get(self):
        self.write(LARGE)


class Lingers(RequestHandler):
    """Returns only when the client, which has a part of the finished answer, has reset the connection."""

    def get(self):
        poll = select.poll()
        poll.register(self.request.connection.stream.socket, select.POLLHUP)
        self.finish(LARGE)
        assert poll.poll(60_000)


class LargePieces(RequestHandler):
    async def get(self):
        for _ in range(4):
            self.write(LARGE)
            await self.flush()


class Later(RequestHandler):
    """Finished by a callback of the loop."""

    _auto_finish = False

    def get(self):
        self._auto_finish = False
        IOLoop.current().add_callback(self.finish, "later")


class Waits(RequestHandler):
    """Until its client goes away."""

    def on_connection_close(self):
        self.gone.set()

    async def get(self):
        self.gone = Event()
        self.write("head")
        await self.flush()
        await self.gone.wait()


class Forsaken(RequestHandler):
    """Its client goes away, and it is told by a callback of its own."""

    async def get(self):
        gone = Event()
        self.request.connection.set_close_callback(gone.set)
        await self.flush()
        await gone.wait()


class Template(RequestHandler):
    def get(self):
        self.render("page.html", items=["a", "b"])


class Cookies(RequestHandler):
    def get(self):
        self.set_cookie("seen", self.get_cookie("seen", "no"))
        self.set_signed_cookie("signed", "1")
        self.get_signed_cookie("signed")
        self.write("cookies")


class Xsrf(RequestHandler):
    def get(self):
        self.write(self.xsrf_token)

    def post(self):
        self.write("checked")


class Execute(RequestHandler):
    """Takes the general path."""

    async def _execute(self, transforms, *args, **kwargs):
        return await super()._execute(transforms, *args, **kwargs)

    def get(self):
        self.write("execute")


class Hooks(RequestHandler):
    """What a tracer overrides."""

    def set_header(self, name, value):
        super().set_header(name, value)

    def flush(self, include_footers=False):
        return super().flush(include_footers)

    def compute_etag(self):
        return super().compute_etag()

    def finish(self, chunk=None):
        return super().finish(chunk)

    def get(self):
        self.write("hooks")


class Curious(RequestHandler):
    """Looks at everything, and keeps cycles of its own out of it."""

    def get(self):
        request = self.request
        connection = request.connection
        seen = [
            request.headers, request.arguments, request.query_arguments, request.body_arguments, request.files, request.cookies,
            request.full_url(), request.request_time(), request.remote_ip, request.protocol, request.host_name, request.version,
            request.server_connection, connection.context, connection.stream, connection.params, connection.stream.socket,
            connection.stream.closed(), connection._request_start_line, connection._request_headers, connection.no_keep_alive,
            repr(request), self.ui, self.locale, self.current_user, self._write_buffer, self._headers, self.path_args,
        ]  # fmt: skip
        connection.set_max_body_size(1000)
        connection.set_body_timeout(10)
        self.note = request.note = connection.note = "x"
        self.write(str(len(seen)))


class Detached(RequestHandler):
    async def get(self):
        stream = self.detach()
        await stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ndetached")
        stream.close()


class Closes(RequestHandler):
    def get(self):
        self.request.connection.close()


class Echo(WebSocketHandler):
    def get_compression_options(self):
        return {}

    def on_message(self, message):
        if message == "slow":
            return self.wait()
        self.write_message(message)

    async def wait(self):
        await asyncio.sleep(0.001)
        self.write_message("waited")


class Delegate(HTTPMessageDelegate):
    def __init__(self, connection):
        self.connection = connection
        self.size = 0

    async def data_received(self, chunk):
        self.size += len(chunk)
        await asyncio.sleep(0)

    def finish(self):
        body = b"%d" % self.size
        headers = HTTPHeaders({"Content-Length": str(len(body))})
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, body)
        self.connection.finish()

    def on_connection_close(self):
        self.connection = None


class Router(routing.Router):
    def find_handler(self, request, **kwargs):
        return Delegate(request.connection)


def callback(request):
    request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), HTTPHeaders({"Content-Length": "8"}), b"callback")
    request.connection.finish()


def make_servers(static):
    """By name: the servers that the clients of leak_kinds.py address."""
    routes = [
        (r"/write", Write),
        (r"/json", Json),
        (r"/arguments/(\d+)", Arguments, {"word": "word"}),
        (r"/named/(?P<name>\w+)", Named),
        (r"/no_wait", NoWait),
        (r"/wait", Wait),
        (r"/generator", Generator),
        (r"/prepare_waits", PrepareWaits),
        (r"/fails/(\w+)", Fails),
        (r"/fails_later", FailsLater),
        (r"/fails_to_initialize", FailsToInitialize),
        (r"/fails_in_the_middle", FailsInTheMiddle),
        (r"/wrong_length", WrongLength),
        (r"/form", Form),
        (r"/body", Body),
        (r"/stream", Stream),
        (r"/stream_refused", StreamRefused),
        (r"/stream_fails", StreamFails),
        (r"/pieces", Pieces),
        (r"/large", Large),
        (r"/large_pieces", LargePieces),
        (r"/lingers", Lingers),
        (r"/later", Later),
        (r"/waits", Waits),
        (r"/forsaken", Forsaken),
        (r"/template", Template),
        (r"/cookies", Cookies),
        (r"/execute", Execute),
        (r"/hooks", Hooks),
        (r"/curious", Curious),
        (r"/detached", Detached),
        (r"/closes", Closes),
        (r"/echo", Echo),
        (r"/redirect", RedirectHandler, {"url": "/write"}),
        (r"/static/(.*)", StaticFileHandler, {"path": static}),
        (r"/router", Router()),
    ]
    loader = DictLoader({"page.html": "{% for item in items %}<li>{{ item }}</li>{% end %}{{ locale.code }}"})
    application = Application(routes, cookie_secret="secret", template_loader=loader)
    protected = Application(
        [(r"/xsrf", Xsrf), *routes[:1]], cookie_secret="secret", xsrf_cookies=True, compress_response=True, gzip=True
    )
    certificates = Path(tornado.__file__).parent / "test"
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates / "test.crt", certificates / "test.key")
    return {
        "main": HTTPServer(application, max_header_size=8192, max_body_size=4_000_000),
        "proxied": HTTPServer(application, xheaders=True, decompress_request=True),
        "protected": HTTPServer(protected),
        "callback": HTTPServer(callback),
        "tls": HTTPServer(application, ssl_options=tls),
    }
