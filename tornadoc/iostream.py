"""`tornado.iostream`, with the streams of natively served connections.

The native connection does its own input and output. ``connection.stream`` is a stand-in that is made when somebody looks at it;
``detach()`` turns it into an ordinary `IOStream`.
"""

from __future__ import annotations

import os
import socket
import typing
from collections.abc import Callable
from typing import Any

import tornado.iostream as _tornado
from tornado.concurrent import Future
from tornado.iostream import *  # noqa: F403
from tornado.iostream import BaseIOStream, IOStream, StreamClosedError

if typing.TYPE_CHECKING:
    from tornadoc import _native
else:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class ConnectionStream(IOStream):
    """The stream of a connection that HTTP still owns: it can be written to, closed and looked at, but not read."""

    def __init__(self, connection: _native.HTTP1ServerConnection, fd: int) -> None:
        if fd >= 0:
            # A descriptor of its own: whatever is done to this socket object, the native connection's stays what it is.
            super().__init__(socket.socket(fileno=os.dup(fd)))
        else:
            BaseIOStream.__init__(self)
            self.socket = None  # type: ignore[assignment]
            self._closed = True
            self._write_buffer = None  # type: ignore[assignment]
        # None once the connection is closed: it holds this object, and no cycle may stay behind.
        self._connection = connection if fd >= 0 else None

    def write(self, data: bytes | memoryview) -> Future[None]:
        if self._connection is None:
            raise StreamClosedError(real_error=self.error)
        return self._connection._write(data)

    def close(self, exc_info: Any = False) -> None:
        if self._connection is not None:
            self._connection._close()

    def writing(self) -> bool:
        return self._connection is not None and self._connection._pending() > 0

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        # The connection watches the socket.
        self._close_callback = callback

    def _start_read(self) -> Future[Any]:
        raise AssertionError("Already reading")

    def _closed_by_connection(self) -> None:
        self._closed = True
        self._connection = None
        if self.socket is not None:
            self.close_fd()
        self._signal_closed()


def make_stream(connection: _native.HTTP1ServerConnection, fd: int) -> ConnectionStream:
    """The stand-in for a connection's stream; fd is -1 once the connection is closed."""
    return ConnectionStream(connection, fd)


def adopt(
    fd: int, stand_in: ConnectionStream | None, unread: bytes, unsent: bytes, max_buffer_size: int, chunk_size: int
) -> IOStream:
    """An IOStream for a socket that leaves HTTP: over the descriptor, or over the one that a stand-in has already.

    It holds the input that was not consumed and the output that was not sent.
    """
    stream: IOStream
    if stand_in is None:
        owner = socket.socket(fileno=fd)
        try:
            stream = IOStream(owner, max_buffer_size=max_buffer_size, read_chunk_size=chunk_size)
        except BaseException:
            owner.detach()  # the connection goes on with it
            raise
    else:
        del stand_in._connection
        stand_in.__class__ = IOStream  # type: ignore[assignment]
        stream = stand_in
        stream._close_callback = None
    stream._read_buffer += unread
    stream._read_buffer_size += len(unread)
    if unsent:
        stream.write(unsent)
    # Tornado's stream is known to its loop at this point, which keeps it alive for as long as it is open.
    stream._add_io_state(stream.io_loop.READ)
    return stream
