"""`tornado.httputil` with a native `HTTPHeaders`.

Everything else is Tornado's: its public names are re-exported, and any other attribute of this module is looked up there.
"""

from __future__ import annotations

import time
import types
import typing
from collections.abc import Callable
from typing import Any

import tornado.httputil as _tornado
from tornado.httputil import *  # noqa: F403
from tornado.httputil import HTTPHeaders as _TornadoHTTPHeaders

from tornadoc import _native
from tornadoc.http1connection import HTTP1Connection, call_when_sent

if not typing.TYPE_CHECKING:  # a type checker would take any name for defined

    def __getattr__(name: str) -> Any:
        # Private names are not copied, so a program that wraps one in Tornado's module is seen here as well.
        return getattr(_tornado, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *dir(_tornado)})


class HTTPHeaders(_native.HTTPHeaders, _TornadoHTTPHeaders):  # type: ignore[no-redef]
    """Tornado's `HTTPHeaders`; the native type does the work."""

    # What is left to Python is what only pickle and copy.deepcopy need. The state has the shape of Tornado's, so either class
    # can load what the other wrote.

    def __reduce_ex__(self, protocol: typing.SupportsIndex) -> str | tuple[Any, ...]:
        # Protocols 0 and 1 would make the object without its native part.
        return super().__reduce_ex__(max(protocol.__index__(), 2))

    def __getstate__(self) -> dict[str, Any]:
        return {"_as_list": self._as_list, "_combined_cache": self._combined_cache, **self.__dict__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class HTTPServerRequest(_native.HTTPServerRequest, _tornado.HTTPServerRequest):  # type: ignore[no-redef, misc]
    """Tornado's `HTTPServerRequest`. Of a natively served request, each attribute is made when it is looked at."""

    # What Tornado had up to version 5.

    def supports_http_1_1(self) -> bool:
        """Does the client speak HTTP/1.1?"""
        return self.version == "HTTP/1.1"

    def write(self, chunk: bytes, callback: Callable[[], object] | None = None) -> None:
        """Write bytes of the answer as they are, its head included: ``request.write(b"HTTP/1.1 200 OK\\r\\n...")``.

        callback() is called when they are sent. After ``request.connection.write_headers()`` they are a piece of the body. If the
        client has gone away nothing happens. AssertionError: chunk is no bytes object, or the request was finished.
        """
        if not isinstance(chunk, bytes):
            raise AssertionError(f"bytes are required, not {type(chunk).__name__}")
        self._check_open()
        connection: Any = self.connection
        if callback is None:
            connection.write(chunk)
        elif isinstance(connection, HTTP1Connection):
            call_when_sent(connection.write(chunk), callback)
        else:
            # One in the manner of Tornado 2.
            connection.write(chunk, callback)

    def finish(self) -> None:
        """End the answer, which lets the connection go on to the next request or closes it. AssertionError: the request was
        finished."""
        self._check_open()
        assert self.connection is not None
        self.connection.finish()
        self._finish_time = time.time()

    def _check_open(self) -> None:
        if self._finish_time is not None:
            raise AssertionError("Request closed")

    # copy.copy and pickle: the attributes live in the native part.

    def __reduce_ex__(self, protocol: typing.SupportsIndex) -> str | tuple[Any, ...]:
        return super().__reduce_ex__(max(protocol.__index__(), 2))

    def __getstate__(self) -> dict[str, Any]:
        native = (name for name, kind in vars(_native.HTTPServerRequest).items() if isinstance(kind, types.GetSetDescriptorType))
        return {name: getattr(self, name) for name in native if not name.startswith("__") and hasattr(self, name)} | self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
