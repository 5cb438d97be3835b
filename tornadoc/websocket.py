"""`tornado.websocket`, whose handler has the native `RequestHandler` behind it for the handshake, and native frames after it."""

from __future__ import annotations

import typing
from typing import Any

import tornado.websocket as _tornado
from tornado.websocket import *  # noqa: F403

from tornadoc import _native
from tornadoc._accelerate import family
from tornadoc._websocket import take_charge
from tornadoc.web import RequestHandler

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class WebSocketHandler(_tornado.WebSocketHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `WebSocketHandler`."""

    def get_websocket_protocol(self) -> _tornado.WebSocketProtocol | None:
        """The protocol of the connection, as `WebSocketHandler.get_websocket_protocol`."""
        return typing.cast("_tornado.WebSocketProtocol | None", take_charge(super().get_websocket_protocol()))


family(_tornado.WebSocketHandler, _native.RequestHandler, WebSocketHandler)
