"""`tornado.http1connection`, with the classes of natively served connections.

`HTTP1Connection` and `HTTP1ServerConnection` of this module are Tornado's: they serve any stream, and clients. The objects that
handlers meet as ``request.connection`` and delegates as ``server_conn`` are the native ones, which derive from them.
"""

from __future__ import annotations

import asyncio
import logging
import typing
from collections.abc import Callable
from typing import Any

import tornado.http1connection as _tornado
from tornado.http1connection import *  # noqa: F403
from tornado.ioloop import IOLoop
from tornado.log import app_log

from tornadoc import _native

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


# The ignored errors: attributes that Tornado's class assigns are read-only here.
class NativeHTTP1Connection(_native.HTTP1Connection, _tornado.HTTP1Connection):  # type: ignore[misc, override]
    """One request and its answer, on a connection that is served natively. Made by the native code."""

    @property
    def address(self) -> Any:
        """The client's, as ``socket.accept()`` gives it: an attribute of Tornado's connections up to version 3."""
        return self.context.address


class NativeHTTP1ServerConnection(  # type: ignore[misc, override]
    _native.HTTP1ServerConnection, _tornado.HTTP1ServerConnection
):
    """A connection that is served natively. Made by the native code when it accepts."""

    async def close(self) -> None:
        """Close the connection, and wait until its serving has ended, as `HTTP1ServerConnection.close`."""
        self._close()
        while not self._ended():
            await asyncio.sleep(0)


def write_with_callback(connection: Any, chunk: bytes, callback: Callable[[], object] | None) -> Any:
    """``connection.write(chunk)``, after which the callback is called, as before Tornado 6: when all is sent that was written
    so far, unless the connection is closed first. Returns write()'s Future."""
    future = connection.write(chunk)
    if callback is not None:
        call_when_sent(future, callback)
    return future


def call_when_sent(future: asyncio.Future[Any], callback: Callable[[], object]) -> None:
    """Have the loop call callback() when the Future of a write is done, unless that has failed."""

    def done(sent: asyncio.Future[Any]) -> Any:
        return None if sent.cancelled() or sent.exception() else callback()

    IOLoop.current().add_future(future, done)


# The native code logs through these. They stand in a module of this name because Tornado's formatter prints the module that logs.


def log_message(method: Callable[..., None], message: str, args: tuple[Any, ...]) -> None:
    """A record without an exception; method is one of a logger's."""
    method(message, *args)


def log_exception(logger: logging.Logger, message: str, exception: BaseException | None) -> None:
    """An exception that a delegate or a handler let out."""
    logger.error(message, exc_info=exception)


def log_callback(callback: Callable[..., object], exception: BaseException | None) -> None:
    """An exception of a close callback, as IOLoop logs it."""
    app_log.error("Exception in callback %r", callback, exc_info=exception)
