"""`tornado.iostream`, with streams whose reading and writing is native.

A stream stays on the fast path as long as it is used through its public methods. Once a hook of it is overridden
(``read_from_fd``, ``_handle_events``, ...), or somebody takes hold of ``_read_buffer``, Tornado's own methods take over for it.

The native HTTP connection does its own input and output. ``connection.stream`` is a stand-in that is made when somebody looks at
it; ``detach()`` turns it into an ordinary `IOStream`.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import typing
from collections.abc import Callable
from typing import Any

import tornado.ioloop
import tornado.iostream as _tornado
import tornado.netutil
from tornado.concurrent import Future
from tornado.iostream import StreamBufferFullError as StreamBufferFullError
from tornado.iostream import StreamClosedError as StreamClosedError
from tornado.iostream import UnsatisfiableReadError as UnsatisfiableReadError
from tornado.log import gen_log

from tornadoc import _native
from tornadoc._engine import current_engine
from tornadoc._stream_callbacks import call_with_callback
from tornadoc.stack_context import capture

if not typing.TYPE_CHECKING:
    from tornado.iostream import *  # noqa: F403

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


# Tornado's own: install() puts the classes below under these names.
_BaseIOStream = _tornado.BaseIOStream
_IOStream = _tornado.IOStream
_SSLIOStream = _tornado.SSLIOStream
_PipeIOStream = _tornado.PipeIOStream

# Functions that make a context since Tornado 6.6, contexts before.
_client_ssl_defaults: Any = tornado.netutil._client_ssl_defaults
_server_ssl_defaults: Any = tornado.netutil._server_ssl_defaults


def _defaults(maker: Any) -> ssl.SSLContext:
    context: ssl.SSLContext = maker() if callable(maker) else maker
    return context


class BaseIOStream(_native.BaseIOStream, _BaseIOStream):
    """`tornado.iostream.BaseIOStream`.

    A class derived from it brings its own ``read_from_fd`` and the like, and runs through Tornado's methods. ``io_loop`` is
    accepted as before Tornado 5; the read and write methods also take callbacks, as before Tornado 6.
    """


class IOStream(BaseIOStream, _IOStream):
    """`tornado.iostream.IOStream`: a stream over a socket, which belongs to the stream from now on."""

    def __init__(self, socket: socket.socket, *args: Any, **kwargs: Any) -> None:
        self.socket = socket
        socket.setblocking(False)
        super().__init__(*args, **kwargs)

    def connect(self, address: Any, *args: Any, **kwargs: Any) -> Any:
        """Connect to an address; see `tornado.iostream.IOStream.connect`.

        A second argument that is a function is the callback of Tornado before 6, which is called without arguments.
        """
        if (args and callable(args[0])) or "callback" in kwargs:
            return call_with_callback(self, "connect", (address, *args), kwargs)
        return _IOStream.connect(self, address, *args, **kwargs)

    def start_tls(
        self,
        server_side: bool,
        ssl_options: dict[str, Any] | ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> Future[Any]:
        """Go on with TLS: a Future of the `SSLIOStream` that takes the socket over; see `tornado.iostream.IOStream.start_tls`.

        Raises ValueError unless the stream is idle, with nothing in its buffers.
        """
        if (
            self._read_future
            or self._connect_future
            or self._closed
            or self._read_buffer_size
            or self._write_futures
            or self._write_buffer
        ):
            raise ValueError("IOStream is not idle; cannot convert to SSL")
        if ssl_options is None:
            ssl_options = _defaults(_server_ssl_defaults if server_side else _client_ssl_defaults)
        plain = self.socket
        self.io_loop.remove_handler(plain)
        self.socket = None
        wrapped = tornado.netutil.ssl_wrap_socket(
            plain, ssl_options, server_hostname=server_hostname, server_side=server_side, do_handshake_on_connect=False
        )
        close_callback = self._close_callback
        self._close_callback = None
        future: Future[Any] = Future()
        stream = SSLIOStream(wrapped, ssl_options=ssl_options)
        stream.set_close_callback(close_callback)
        stream._ssl_connect_future = future
        stream.max_buffer_size = self.max_buffer_size
        stream.read_chunk_size = self.read_chunk_size
        # Nobody else has the stream until the handshake is done.
        future.add_done_callback(lambda f: stream.close() if f.cancelled() else None)
        return future


class SSLIOStream(IOStream, _SSLIOStream):
    """`tornado.iostream.SSLIOStream`: a stream over an `ssl.SSLSocket`, or over a socket that is wrapped once it is connected."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        options = kwargs.pop("ssl_options", None)
        self._ssl_options = _defaults(_client_ssl_defaults) if options is None else options
        super().__init__(*args, **kwargs)
        self._ssl_accepting = True
        try:
            self.socket.getpeername()
        except OSError:
            pass
        else:
            # The handshake starts with the loop's next iteration.
            self._add_io_state(self.io_loop.WRITE)

    def connect(self, address: Any, *args: Any, **kwargs: Any) -> Any:
        """Connect and do the handshake; see `tornado.iostream.SSLIOStream.connect`."""
        if (args and callable(args[0])) or "callback" in kwargs:
            return call_with_callback(self, "connect", (address, *args), kwargs)
        return self._connect(address, *args, **kwargs)

    def _connect(self, address: Any, server_hostname: str | None = None) -> Any:
        self._server_hostname = server_hostname
        future = _IOStream.connect(self, address)
        future.add_done_callback(_silence)
        return self.wait_for_handshake()

    def wait_for_handshake(self, callback: Callable[[], None] | None = None) -> Any:
        """A Future of the stream itself, done when the handshake is; see `tornado.iostream.SSLIOStream.wait_for_handshake`."""
        if callback is not None:
            return call_with_callback(self, "wait_for_handshake", (), {"callback": callback})
        return _SSLIOStream.wait_for_handshake(self)

    def _handle_connect(self) -> None:
        if self._is_general():
            _SSLIOStream._handle_connect(self)
            return
        _IOStream._handle_connect(self)
        if not self.closed():
            # The new object has the descriptor of the old one.
            self._use_socket(
                tornado.netutil.ssl_wrap_socket(
                    self.socket,
                    self._ssl_options,
                    server_hostname=self._server_hostname,
                    do_handshake_on_connect=False,
                    server_side=False,
                )
            )


class PipeIOStream(BaseIOStream, _PipeIOStream):
    """`tornado.iostream.PipeIOStream`: a stream over a descriptor, such as one end of a pipe."""

    def __init__(self, fd: int, *args: Any, **kwargs: Any) -> None:
        self._fio = io.FileIO(fd, "r+")
        os.set_blocking(fd, False)
        self.fd = fd
        super().__init__(*args, **kwargs)


# -- what the native code calls --


def find_engine(io_loop: Any) -> _native.Engine | None:
    """The engine of a stream's loop; None if it has to be served through the loop's own methods."""
    current = tornado.ioloop.IOLoop.current(instance=False)
    if io_loop is not current or not hasattr(io_loop, "asyncio_loop"):
        return None
    return current_engine()


def log_stream(method: str, message: str, args: tuple[Any, ...], exception: BaseException | None) -> None:
    """A record of a stream's, on Tornado's general log."""
    getattr(gen_log, method)(message, *args, exc_info=exception)


def _silence(future: asyncio.Future[Any]) -> None:
    future.exception()


silence = _silence


class ConnectionStream(IOStream):
    """The stream of a connection that HTTP still owns: it can be written to, closed and looked at, but not read."""

    def __init__(self, connection: _native.HTTP1ServerConnection, fd: int) -> None:
        if fd >= 0:
            # A descriptor of its own: whatever is done to this socket object, the native connection's stays what it is.
            super().__init__(socket.socket(fileno=os.dup(fd)))
        else:
            BaseIOStream.__init__(self)
            self.socket = None
            self._closed = True
            self._write_buffer = None
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
        self._close_callback = capture(callback)

    def _start_read(self) -> Future[Any]:
        raise AssertionError("Already reading")

    def _closed_by_connection(self) -> None:
        if self._connection is None:
            return
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
    options = {"max_buffer_size": max_buffer_size, "read_chunk_size": chunk_size}
    stream = take_over(IOStream, stand_in, lambda: socket.socket(fileno=fd), **options)
    go_on(stream, unread, unsent)
    return stream


_Stream = typing.TypeVar("_Stream", bound=IOStream)


def take_over(
    cls: type[_Stream], stand_in: ConnectionStream | None, make_socket: Callable[[], socket.socket], **options: Any
) -> _Stream:
    """The stand-in as a stream of that class; without one, a new stream with the options, over the socket that is made for it."""
    if stand_in is None:
        sock = make_socket()
        try:
            return cls(sock, **options)
        except BaseException:
            sock.detach()  # the connection goes on with it
            raise
    return _become(cls, stand_in)


def _become(cls: type[_Stream], stand_in: ConnectionStream) -> _Stream:
    del stand_in._connection
    stand_in.__class__ = cls  # type: ignore[assignment]
    stream = typing.cast(_Stream, stand_in)
    stream._close_callback = None
    return stream


def let_go(stand_in: ConnectionStream, unread: bytes) -> IOStream:
    """The stream of a connection that was closed before it left HTTP: it is closed, but the unread input can be read."""
    stream = _become(SSLIOStream if isinstance(stand_in, SSLIOStream) else IOStream, stand_in)
    if unread:
        stream._read_buffer += unread
        stream._read_buffer_size += len(unread)
    return stream


def go_on(stream: IOStream, unread: bytes, unsent: bytes) -> None:
    """Gives a stream the input that a connection has not consumed, and the output that it has not sent."""
    stream._renew(unread)
    if unsent:
        stream.write(unsent)
    # Tornado's stream is known to its loop at this point, which keeps it alive for as long as it is open.
    stream._add_io_state(stream.io_loop.READ)
