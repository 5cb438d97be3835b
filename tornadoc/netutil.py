"""`tornado.netutil` with a native `add_accept_handler`; the rest is Tornado's."""

from __future__ import annotations

import socket
import typing
from collections.abc import Callable
from typing import Any

import tornado.netutil as _tornado
from tornado.netutil import *  # noqa: F403

from tornadoc import _native
from tornadoc._engine import engine_for

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


def add_accept_handler(  # type: ignore[no-redef]
    sock: socket.socket, callback: Callable[[socket.socket, Any], None], io_loop: Any = None
) -> Callable[[], None]:
    """Accept connections on a listening, non-blocking socket from the current loop on, as `tornado.netutil.add_accept_handler`.

    :arg sock: is kept, but stays the caller's to close, after the handler is removed.
    :arg callback: ``callback(connection, address)`` is called for each connection, whose socket it then owns. What it raises goes
        to the loop's exception handler. At most 128 connections are accepted before other work of the loop has its turn. Without
        descriptors or memory for another one, accepting pauses, and the error goes to the exception handler once a second.
    :arg io_loop: the IOLoop to accept on, as before Tornado 5; None: the current one.
    :returns: a function that stops accepting. It may be called again.
    :raises ValueError: the socket is being accepted from already.
    """
    return _native.Listener(engine_for(io_loop), sock, callback)
