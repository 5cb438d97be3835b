"""Handlers that take the body as it arrives, and delegates below the level of Application."""

import asyncio
import logging

from tornado import httputil, iostream, web

from diffapp.control import nap

log = logging.getLogger("app")


@web.stream_request_body
class Stream(web.RequestHandler):
    """Counts the body. The query's mode chooses what goes wrong, and where."""

    body = b""

    def prepare(self):
        self.body = b""
        self.pieces = 0
        self.mode = self.get_query_argument("mode", "")
        log.info("prepare %s body=%r", self.mode, self.request.body)
        limit = self.get_query_argument("limit", "")
        if limit:
            self.request.connection.set_max_body_size(int(limit))
        timeout = self.get_query_argument("timeout", "")
        if timeout:
            self.request.connection.set_body_timeout(float(timeout))
        if self.mode == "finish":
            self.finish("early")
        elif self.mode == "error":
            raise web.HTTPError(401)
        elif self.mode == "raise":
            raise ValueError("in prepare")
        elif self.mode == "flush":
            self.write("started ")
            self.flush()

    def data_received(self, chunk):
        self.body += chunk
        self.pieces += 1
        if self.mode == "data_raise":
            raise ValueError("in data_received")
        if self.mode == "data_http":
            raise web.HTTPError(413)
        if self.mode == "data_finish" and not self._finished:
            self.finish("enough")
        if self.mode == "data_input_error":
            raise httputil.HTTPInputError("refused by the handler")

    def post(self):
        self.write("%d %r" % (len(self.body), self.body[:200]))
        self.write(" args %r" % self.get_arguments("a"))

    put = get = post

    def on_finish(self):
        log.info("on_finish %d", self.get_status())

    def on_connection_close(self):
        super().on_connection_close()
        log.info("on_connection_close %s %d", self.request.connection.stream.closed(), len(self.body))


@web.stream_request_body
class StreamAsync(Stream):
    """The same with coroutines; each piece is waited for."""

    async def prepare(self):
        await nap(0.002)
        super().prepare()

    async def data_received(self, chunk):
        await asyncio.sleep(0)
        super().data_received(chunk)

    async def post(self):
        await asyncio.sleep(0)
        super().post()

    put = post


@web.stream_request_body
class StreamPieces(web.RequestHandler):
    """Shows that no piece is larger than the argument ``most``, and the whole size."""

    def prepare(self):
        self.sizes = []

    def data_received(self, chunk):
        self.sizes.append(len(chunk))

    def post(self):
        self.write("%s %d" % (max(self.sizes) <= int(self.get_query_argument("most")), sum(self.sizes)))


@web.stream_request_body
class StreamNoMethod(web.RequestHandler):
    """No data_received of its own."""

    def post(self):
        self.write("posted")


class LimitInPrepare(web.RequestHandler):
    """set_max_body_size in a handler that doesn't stream: too late to matter."""

    def prepare(self):
        self.request.connection.set_max_body_size(1)

    def post(self):
        self.write("%d" % len(self.request.body))


class EchoDelegate(httputil.HTTPMessageDelegate):
    """Streams the body back through the connection, logging each step."""

    def __init__(self, connection):
        self.connection = connection

    def headers_received(self, start_line, headers):
        self.start_line = start_line
        self.body = b""
        log.info("headers_received %r %r", tuple(start_line), list(headers.get_all()))
        if start_line.path.endswith("raise"):
            raise ValueError("in headers_received")
        if start_line.path.endswith("input"):
            raise httputil.HTTPInputError("refused")
        if start_line.path.endswith("wait"):
            return nap(0.002)
        if start_line.path.endswith("early"):
            self.answer()

    def data_received(self, chunk):
        self.body += chunk
        if self.start_line.path.endswith("data"):
            raise ValueError("in data_received")
        if self.start_line.path.endswith("slow"):
            return nap(0.001)

    def finish(self):
        log.info("finish %r", self.body)
        if self.start_line.path.endswith("finish"):
            raise ValueError("in finish")
        self.answer()

    def answer(self):
        body = ("%s %s " % self.start_line[:2]).encode() + self.body
        headers = httputil.HTTPHeaders({"Content-Length": str(len(body))})
        self.connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), headers, body)
        self.connection.finish()

    def on_connection_close(self):
        log.info("on_connection_close")


class EchoServer(httputil.HTTPServerConnectionDelegate):
    def start_request(self, server_conn, request_conn):
        return EchoDelegate(request_conn)

    def on_close(self, server_conn):
        log.info("on_close")


def raw_callback(request):
    """The oldest interface: one function that answers with bytes of its own."""
    connection = request.connection
    if request.path == "/raise":
        raise ValueError("in the callback")
    body = ("%s %s %r" % (request.method, request.uri, request.body)).encode()
    if request.path == "/headers":
        headers = httputil.HTTPHeaders({"X-A": "1", "Content-Length": str(len(body))})
        connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), headers, body)
    elif request.path == "/chunked":
        connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), httputil.HTTPHeaders())
        connection.write(body)
        connection.write(b"more")
    elif request.path == "/never":
        return
    else:
        connection.write(b"HTTP/1.1 200 Raw\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    connection.finish()


def bare_target(request, **kwargs):
    """A plain function as the target of a rule."""
    body = ("bare %s %r" % (request.path, sorted(kwargs.items()))).encode()
    headers = httputil.HTTPHeaders({"Content-Length": str(len(body))})
    request.connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), headers, body)
    request.connection.finish()


class BigUnread(web.RequestHandler):
    """More than the socket takes, in steps that wait for the client."""

    async def get(self):
        try:
            for _ in range(int(self.get_argument("n", "64"))):
                self.write(b"z" * 65536)
                await self.flush()
        except iostream.StreamClosedError:
            log.info("closed under the flush")
