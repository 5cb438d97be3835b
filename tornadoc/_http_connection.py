"""`HTTPConnection` as Tornado had it up to version 3: HTTP on a stream that a program has at hand."""

from __future__ import annotations

import functools
import os
import socket
import types
from collections.abc import Awaitable, Callable
from typing import Any

import tornado.httpserver
import tornado.web
from tornado import httputil
from tornado.concurrent import Future
from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters, HTTP1ServerConnection
from tornado.httpserver import _HTTPRequestContext
from tornado.iostream import StreamClosedError

from tornadoc import _native, iostream
from tornadoc.http1connection import call_when_sent
from tornadoc.httpserver import HTTPServer
from tornadoc.httputil import HTTPServerRequest
from tornadoc.stack_context import capture

#: What a subclass may override; then its connections are Tornado's own, which call these methods.
_HOOKS = (
    "write",
    "finish",
    "write_headers",
    "set_close_callback",
    "start_request",
    "_on_headers",
    "_on_request_body",
    "_on_write_complete",
    "_finish_request",
)


class _Server(HTTPServer):
    """The settings of one connection."""


class HTTPConnection(httputil.HTTPConnection, httputil.HTTPServerConnectionDelegate):
    """Serves HTTP/1 on a stream, one request after the other, until the client or the server closes it. From Tornado 2::

        class Server(TCPServer):
            def handle_stream(self, stream, address):
                HTTPConnection(stream, address, application)

    :arg stream: an `IOStream`, or anything like one; nobody else may read from it from now on. One that has read nothing yet
        hands its socket to the native connection, and is the stand-in for it that ``request.connection.stream`` is. Any other
        (TLS streams, subclasses, streams with input in their buffer, ...) is served by Tornado's own connection.
    :arg address: of the client, as ``socket.accept()`` gives it; ``request.remote_ip`` is taken from it.
    :arg request_callback: an `Application`, or a function that is called with each request and answers it, at once or later, with
        ``request.write()`` and ``request.finish()`` or through ``request.connection``.
    :arg no_keep_alive: close the connection after each answer. May be assigned later.
    :arg xheaders: believe X-Real-Ip, X-Forwarded-For and the like.
    :raises StreamClosedError: the stream is closed.
    :raises AssertionError: the stream is being read from.

    The object need not be kept. A subclass may override `_on_headers`, `_on_request_body`, `_on_write_complete` and
    `_finish_request`, and the methods that write; then ``request.connection`` is this object, and otherwise a native
    ``HTTP1Connection``. Requests are judged as everywhere in tornadoc or, on Tornado's own connection, as Tornado does.
    """

    def __init__(
        self,
        stream: Any,
        address: Any,
        request_callback: Any,
        no_keep_alive: bool = False,
        xheaders: bool = False,
    ) -> None:
        if stream.closed():
            raise StreamClosedError()
        if stream.reading():
            raise AssertionError("Already reading")
        self.stream = stream
        self.address = address
        self.request_callback = request_callback
        self.xheaders = xheaders
        self._no_keep_alive = no_keep_alive
        self._request_finished = False
        self._current: Any = None
        self._exchange: HTTP1Connection | None = None
        self._head: tuple[str, httputil.HTTPHeaders] | None = None
        self._write_callback: Callable[[], object] | None = None
        self._writes = 0
        # One of the two.
        self._native: _native.HTTP1ServerConnection | None = None
        self._general: HTTP1ServerConnection | None = None
        self._server: Any = None
        engine = self._find_engine()
        if engine is None:
            self._serve_general()
        else:
            self._serve_native(engine)

    # -- the native connection --

    def _find_engine(self) -> _native.Engine | None:
        stream = self.stream
        if (
            type(stream) is not iostream.IOStream
            or any(getattr(type(self), name) is not getattr(HTTPConnection, name) for name in _HOOKS)
            or stream.writing()
            or stream._read_buffer_size
            or stream._connecting
            or stream._is_general()
        ):
            return None
        address = self.address
        if stream.socket.family in (socket.AF_INET, socket.AF_INET6) and not (
            isinstance(address, tuple) and address and isinstance(address[0], str)
        ):
            return None
        callback = self.request_callback
        if isinstance(callback, tornado.web.Application):
            # Tornado 2 calls it, so a subclass may do what it likes there; a server of today does not.
            if not isinstance(callback, _native.Application):
                return None
            if "__call__" in _native.changed_hooks("application", type(callback)):
                return None
        elif not callable(callback):
            return None
        return iostream.find_engine(stream.io_loop)

    def _serve_native(self, engine: _native.Engine) -> None:
        stream = self.stream
        callback = self.request_callback
        if not isinstance(callback, (tornado.web.Application, types.FunctionType, types.MethodType)):
            # What the native connection knows to be no delegate.
            callback = _function(callback)
        server: Any = _Server(
            callback,
            no_keep_alive=self._no_keep_alive,
            xheaders=self.xheaders,
            max_buffer_size=stream.max_buffer_size,
            chunk_size=stream.read_chunk_size,
        )
        # The loop holds the connections that nobody else has to keep.
        server._connections = vars(stream.io_loop).setdefault("_tornadoc_connections", set())
        fd = os.dup(stream.socket.fileno())
        stream._leave_loop()
        stream.__class__ = iostream.ConnectionStream
        stream._connection = None
        try:
            self._native = server._serve(engine, fd, self.address, stream)
        finally:
            if self._native is None:
                # The socket could not be watched.
                del stream._connection
                stream.__class__ = iostream.IOStream
                stream._renew(b"")
                stream.close()
        self._server = server

    # -- Tornado's own connection --

    def _serve_general(self) -> None:
        stream = self.stream
        params = HTTP1ConnectionParameters(
            no_keep_alive=self._no_keep_alive, chunk_size=stream.read_chunk_size, header_timeout=3600
        )
        context = _HTTPRequestContext(stream, self.address, None)
        self._general = HTTP1ServerConnection(stream, params, context)
        self._general.start_serving(self)

    def start_request(self, server_conn: object, request_conn: Any) -> httputil.HTTPMessageDelegate:
        """`HTTPServerConnectionDelegate.start_request`: the stream waits for a request."""
        self._exchange = request_conn
        request_conn._parse_headers = self._parse_headers
        request_conn._finish_request = self._exchange_finished
        if not callable(self.request_callback):
            delegate: httputil.HTTPMessageDelegate = self.request_callback.start_request(server_conn, self)
            return delegate
        return _Message(self)

    def on_close(self, server_conn: object) -> None:
        """`HTTPServerConnectionDelegate.on_close`: the stream is closed, or was detached."""
        self._exchange = None
        self._current = None
        self._write_callback = None

    def _parse_headers(self, data: bytes) -> tuple[str, httputil.HTTPHeaders]:
        self._on_headers(data)
        head = self._head
        self._head = None
        if head is None:
            raise httputil.HTTPInputError("refused by _on_headers()")
        return head

    def _exchange_finished(self, future: Any) -> None:
        exchange = self._exchange
        self._exchange = None
        self._finish_request()
        if exchange is not None:
            HTTP1Connection._finish_request(exchange, future)

    # -- what a subclass may override --

    def _on_headers(self, data: bytes) -> None:
        """The head of a request has come. The request is refused if it raises HTTPInputError, or if this method of the base class
        is not called; what is passed to it may be another head."""
        assert self._exchange is not None
        self._head = HTTP1Connection._parse_headers(self._exchange, data)

    def _on_request_body(self, data: bytes) -> None:
        """The body of a request has come, if it has one: has the request answered."""
        self._answer(data)

    def _answer(self, data: bytes) -> None:
        request = self._current
        request.body = data
        if not isinstance(self.request_callback, tornado.web.Application):
            # An application's handlers do that, and make an error page of a bad body.
            request._parse_body()
        self.request_callback(request)

    def _on_write_complete(self) -> None:
        """All that was written so far is sent."""
        callback, self._write_callback = self._write_callback, None
        if callback is not None:
            callback()

    def _finish_request(self) -> None:
        """The answer is complete. The connection is closed next, or reads on, as the request's headers say."""
        self._current = None
        self._request_finished = False

    def _written(self, number: int, future: Any) -> None:
        if number == self._writes and not future.cancelled() and future.exception() is None:
            self._on_write_complete()

    # -- for programs --

    @property
    def _request(self) -> Any:
        """The request that is being answered, or None."""
        return self._current if self._native is None else self._native._request

    @property
    def no_keep_alive(self) -> bool:
        """Is the connection closed after each answer?"""
        return self._no_keep_alive

    @no_keep_alive.setter
    def no_keep_alive(self, value: bool) -> None:
        self._no_keep_alive = value
        connection = self._exchange
        if self._server is not None:
            self._server.conn_params.no_keep_alive = value
            self._server._reread()
            request = self._request
            connection = None if request is None else request.connection
        elif self._general is not None:
            self._general.params.no_keep_alive = value
        if value and connection is not None:
            connection._disconnect_on_finish = True

    @property
    def context(self) -> Any:
        """The `_HTTPRequestContext`."""
        return getattr(self._native or self._general, "context", None)

    def _open(self) -> Any:
        """The HTTP1Connection of the request that is being answered; None if the stream is closed. AssertionError: there is no
        such request."""
        if self.stream.closed():
            return None
        request = self._request
        if request is not None:
            return self._exchange if self._native is None else request.connection
        if self._exchange is None or callable(self.request_callback):
            raise AssertionError("Request closed")
        return self._exchange

    def write(self, chunk: bytes, callback: Callable[[], object] | None = None) -> Any:
        """Write bytes of the answer: as they are, or after `write_headers` as a piece of its body.

        callback() is called when they are sent. Returns a Future that is done then; it fails if the stream is closed, which
        nobody has to look at. AssertionError: no request is being answered.
        """
        connection = self._open()
        if connection is None:
            return _closed()
        future = connection.write(chunk)
        self._note_write(connection, future, callback)
        return future

    def write_headers(self, start_line: Any, headers: httputil.HTTPHeaders, chunk: bytes | None = None) -> Any:
        """Write the head of the answer; see `tornado.httputil.HTTPConnection.write_headers`."""
        connection = self._open()
        if connection is None:
            return _closed()
        future = connection.write_headers(start_line, headers, chunk)
        self._note_write(connection, future, None)
        return future

    def _note_write(self, connection: Any, future: Any, callback: Callable[[], object] | None) -> None:
        if self._native is not None:
            if callback is not None:
                call_when_sent(future, callback)
            return
        if callback is not None:
            self._write_callback = capture(callback)
        self._writes += 1
        # Of two writes in a row, Tornado's connection ends the Future of the second with the first.
        pending = connection._pending_write
        self.stream.io_loop.add_future(future if pending is None else pending, functools.partial(self._written, self._writes))

    def finish(self) -> None:
        """End the answer. AssertionError: no request is being answered."""
        connection = self._open()
        if connection is None:
            return
        self._request_finished = True
        try:
            connection.finish()
        finally:
            if self._native is not None:
                self._request_finished = False

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Have callback() called if the client goes away before the answer is complete."""
        connection = self._exchange
        if self._native is not None and self._request is not None:
            connection = self._request.connection
        if connection is not None:
            connection.set_close_callback(callback)

    def __getattr__(self, name: str) -> Any:
        # detach(), set_max_body_size() and the like.
        connection = self.__dict__.get("_exchange")
        if connection is None or name.startswith("__"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(connection, name)


def _function(callback: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda request: callback(request)


def _closed() -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(StreamClosedError())
    future.exception()
    return future


class _Message(httputil.HTTPMessageDelegate):
    """A request on Tornado's own connection."""

    def __init__(self, connection: HTTPConnection) -> None:
        self.connection = connection
        self.chunks: list[bytes] = []

    def headers_received(self, start_line: Any, headers: httputil.HTTPHeaders) -> Awaitable[None] | None:
        connection = self.connection
        if connection.xheaders:
            connection.context._apply_xheaders(headers)
        connection._current = HTTPServerRequest(connection=connection, start_line=start_line, headers=headers)
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self.chunks.append(chunk)
        return None

    def finish(self) -> None:
        connection = self.connection
        headers = connection._current.headers
        has_body = "Content-Length" in headers or "Transfer-Encoding" in headers
        try:
            (connection._on_request_body if has_body else connection._answer)(b"".join(self.chunks))
        finally:
            self._forget_xheaders()

    def on_connection_close(self) -> None:
        self.chunks.clear()
        self._forget_xheaders()

    def _forget_xheaders(self) -> None:
        if self.connection.xheaders:
            self.connection.context._unapply_xheaders()
