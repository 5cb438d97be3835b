"""`tornado.websocket`, whose handler has the native `RequestHandler` behind it for the handshake."""

from __future__ import annotations

import typing
from typing import Any

import tornado.websocket as _tornado
from tornado.websocket import *  # noqa: F403

from tornadoc.web import RequestHandler

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class WebSocketHandler(_tornado.WebSocketHandler, RequestHandler):  # type: ignore[no-redef]
    """Tornado's `WebSocketHandler`."""
