"""`tornado.http1connection`, with the classes of natively served connections.

`HTTP1Connection` and `HTTP1ServerConnection` of this module are Tornado's: they serve any stream, and clients. The objects that
handlers meet as ``request.connection`` and delegates as ``server_conn`` are the native ones, which derive from them.
"""

from __future__ import annotations

import typing
from typing import Any

import tornado.http1connection as _tornado
from tornado.http1connection import *  # noqa: F403

from tornadoc import _native

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class NativeHTTP1Connection(_native.HTTP1Connection, _tornado.HTTP1Connection):
    """One request and its answer, on a connection that is served natively. Made by the native code."""


class NativeHTTP1ServerConnection(_native.HTTP1ServerConnection, _tornado.HTTP1ServerConnection):
    """A connection that is served natively. Made by the native code when it accepts."""

    async def close(self) -> None:
        """Close the connection, as `HTTP1ServerConnection.close`."""
        self._close()
