"""`tornado.web` with a native `RequestHandler` and `Application`.

The native types stand ahead of Tornado's classes and do what every request needs; whatever else a handler or an application can
do is found in Tornado's class behind them.
"""

from __future__ import annotations

import copyreg
import socket
import types
import typing
from typing import Any

import tornado.netutil
import tornado.web as _tornado
from tornado.httputil import HTTPServerRequest
from tornado.web import *  # noqa: F403

from tornadoc import _native
from tornadoc._accelerate import family, object_class, program_class
from tornadoc._originals import originals
from tornadoc.httpserver import HTTPServer
from tornadoc.routing import accelerated
from tornadoc.tornado2 import asynchronous as asynchronous
from tornadoc.tornado2 import handle_exception

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class RequestHandler(_native.RequestHandler, _tornado.RequestHandler):  # type: ignore[no-redef]
    """Tornado's `RequestHandler`. Derive handlers from it and define `get`, `post` and so on."""

    if not typing.TYPE_CHECKING:
        # A class that is assigned may be one that was derived from Tornado's before tornadoc came.
        __class__ = object_class

    def _stack_context_handle_exception(
        self, type: type[BaseException], value: BaseException, traceback: types.TracebackType | None
    ) -> bool:
        """What `asynchronous` does with an exception of a callback."""
        return handle_exception(self, value, traceback)

    # copy.copy and pickle: the attributes live in the native part, and the class has to be found under its name. The state is
    # Tornado's, so that it can be loaded without tornadoc.

    def __reduce_ex__(self, protocol: typing.SupportsIndex) -> str | tuple[Any, ...]:
        reduced = object.__reduce_ex__(self, max(protocol.__index__(), 2))
        if isinstance(reduced, tuple) and reduced[0] is copyreg.__newobj__:  # type: ignore[attr-defined]
            cls, *arguments = reduced[1]
            return (reduced[0], (program_class(cls), *arguments), *reduced[2:])
        return reduced

    def __getstate__(self) -> dict[str, Any]:
        kinds = (types.GetSetDescriptorType, types.MemberDescriptorType)
        native = (name for name, kind in vars(_native.RequestHandler).items() if isinstance(kind, kinds))
        return {name: getattr(self, name) for name in native if not name.startswith("__") and hasattr(self, name)} | self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


def _get_arguments_natively() -> None:
    """Put native methods in the place of those that give arguments, where nobody else has."""
    functions = originals(_tornado.RequestHandler)
    for kind in ("", "query_", "body_"):
        for name in (f"get_{kind}argument", f"get_{kind}arguments"):
            if name in functions:
                setattr(RequestHandler, name, _native.ArgumentMethod(functions[name]))


_get_arguments_natively()


class ErrorHandler(_tornado.ErrorHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `ErrorHandler`: an error response for every request."""


class RedirectHandler(_tornado.RedirectHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `RedirectHandler`."""


class StaticFileHandler(_tornado.StaticFileHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `StaticFileHandler`."""


class FallbackHandler(_tornado.FallbackHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `FallbackHandler`."""


_tornado_call = _tornado.Application.__call__


class Application(_native.Application, _tornado.Application):  # type: ignore[no-redef]
    """Tornado's `Application`, whose rules are walked natively."""

    def __call__(self, request: HTTPServerRequest) -> Any:
        """Have a handler answer a request, as `Application.__call__`. Returns, as before Tornado 4, the handler, unless that
        streams the body: then a Future that is done when it is prepared."""
        if _tornado.Application.__call__ is not _tornado_call:
            # Somebody has wrapped it.
            return super().__call__(request)
        delegate = self.find_handler(request)
        prepared = delegate.execute()
        return getattr(delegate, "handler", None) if prepared is None else prepared

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


family(_tornado.RequestHandler, _native.RequestHandler, RequestHandler)
family(_tornado.Application, _native.Application, Application)
