"""`tornado.httpserver` with a native `HTTPServer`."""

from __future__ import annotations

import socket
import typing
from collections.abc import Iterable
from typing import Any

import tornado.httpserver as _tornado
from tornado.httpserver import *  # noqa: F403

from tornadoc import _native
from tornadoc._accelerate import family
from tornadoc._engine import current_engine
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

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Start accepting on listening sockets, as `TCPServer.add_sockets`."""
        engine = current_engine()
        for sock in sockets:
            self._sockets[sock.fileno()] = sock
            self._handlers[sock.fileno()] = self._listen(engine, sock)


#: The name of Tornado 3 and earlier.
HTTPRequest = HTTPServerRequest  # type: ignore[misc]

family(_tornado.HTTPServer, _native.HTTPServer, HTTPServer)
