"""`tornado.httpserver` with a native `HTTPServer`."""

from __future__ import annotations

import functools
import socket
import typing
from collections.abc import Awaitable, Iterable
from typing import Any

import tornado.httpserver as _tornado
from tornado.httpserver import *  # noqa: F403
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate
from tornado.ioloop import IOLoop

from tornadoc import _native
from tornadoc._accelerate import family
from tornadoc._engine import engine_for
from tornadoc.httputil import HTTPServerRequest
from tornadoc.tcpserver import TCPServer

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class HTTPServer(_native.HTTPServer, _tornado.HTTPServer, TCPServer):  # type: ignore[no-redef]
    """Tornado's `HTTPServer`, whose connections, plain ones and TLS, are accepted and served natively.

    Subclasses or objects that override ``handle_stream`` or ``_handle_connection``, and TLS contexts with a
    ``wrap_socket`` of their own, are served by Tornado's own code.
    """

    @functools.wraps(_tornado.HTTPServer.initialize, assigned=())
    def initialize(self, *args: Any, io_loop: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """The arguments of `tornado.httpserver.HTTPServer`, and ``io_loop`` as before Tornado 5: the loop that it is to accept
        on."""
        if len(args) > 2 and isinstance(args[2], IOLoop):
            # Its place in Tornado 2.
            io_loop, args = args[2], (*args[:2], *args[3:])
        super().initialize(*args, **kwargs)
        self._io_loop = io_loop

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:
        """The delegate for a connection's next request outside of the fast path, as `HTTPServer.start_request`."""
        delegate = super().start_request(server_conn, request_conn)
        adapter = delegate.delegate if type(delegate) is _tornado._ProxyAdapter else delegate
        if type(adapter) is _tornado._CallableAdapter:
            adapter.__class__ = _CallableAdapter
        return delegate

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Start accepting on listening sockets, as `TCPServer.add_sockets`."""
        engine = engine_for(self._io_loop)
        for sock in sockets:
            self._sockets[sock.fileno()] = sock
            self._handlers[sock.fileno()] = self._listen(engine, sock)


class _CallableAdapter(_tornado._CallableAdapter):
    """What gives a function its requests: tornadoc's, which it may write() to."""

    def headers_received(self, start_line: Any, headers: HTTPHeaders) -> Awaitable[None] | None:
        self.request = HTTPServerRequest(connection=self.connection, start_line=start_line, headers=headers)
        return None


#: The name of Tornado 3 and earlier.
HTTPRequest = HTTPServerRequest  # type: ignore[misc]

family(_tornado.HTTPServer, _native.HTTPServer, HTTPServer)

# It needs the class above.
from tornadoc._http_connection import HTTPConnection as HTTPConnection  # noqa: E402
