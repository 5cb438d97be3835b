"""`tornado.web` with a native `RequestHandler` and `Application`.

The native types stand ahead of Tornado's classes and do what every request needs; whatever else a handler or an application can
do is found in Tornado's class behind them.
"""

from __future__ import annotations

import socket
import typing
from typing import Any

import tornado.netutil
import tornado.web as _tornado
from tornado.httputil import HTTPServerRequest
from tornado.web import *  # noqa: F403

from tornadoc import _native
from tornadoc.httpserver import HTTPServer
from tornadoc.routing import accelerated

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class RequestHandler(_native.RequestHandler, _tornado.RequestHandler):  # type: ignore[no-redef]
    """Tornado's `RequestHandler`. Derive handlers from it and define `get`, `post` and so on."""


class ErrorHandler(_tornado.ErrorHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `ErrorHandler`: an error response for every request."""


class RedirectHandler(_tornado.RedirectHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `RedirectHandler`."""


class StaticFileHandler(_tornado.StaticFileHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `StaticFileHandler`."""


class FallbackHandler(_tornado.FallbackHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `FallbackHandler`."""


class Application(_native.Application, _tornado.Application):  # type: ignore[no-redef]
    """Tornado's `Application`, whose rules are walked natively."""

    def get_handler_delegate(
        self,
        request: HTTPServerRequest,
        target_class: type[_tornado.RequestHandler],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """The delegate for a request outside of the fast path, as `Application.get_handler_delegate`."""
        return super().get_handler_delegate(request, accelerated(target_class), *args, **kwargs)

    def listen(
        self,
        port: int,
        address: str | None = None,
        *,
        family: socket.AddressFamily = socket.AF_UNSPEC,
        backlog: int = tornado.netutil._DEFAULT_BACKLOG,
        flags: int | None = None,
        reuse_port: bool = False,
        **kwargs: Any,
    ) -> HTTPServer:
        """Start an `HTTPServer` for this application on a port; returns the server."""
        server = HTTPServer(self, **kwargs)
        server.listen(port, address=address, family=family, backlog=backlog, flags=flags, reuse_port=reuse_port)
        return server
