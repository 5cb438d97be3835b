"""`tornado.tcpserver` with a `TCPServer` that accepts natively."""

from __future__ import annotations

import errno
import functools
import socket
import ssl
import typing
from collections.abc import Iterable
from typing import Any

import tornado.tcpserver as _tornado
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.log import app_log
from tornado.netutil import ssl_wrap_socket
from tornado.tcpserver import *  # noqa: F403
from tornado.util import errno_from_exception

from tornadoc._originals import originals
from tornadoc.iostream import IOStream, SSLIOStream
from tornadoc.netutil import add_accept_handler

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


_tornado_handle_connection = originals(_tornado.TCPServer).get("_handle_connection")


class TCPServer(_tornado.TCPServer):  # type: ignore[no-redef]
    """Tornado's `TCPServer`, with native accept and tornadoc's streams. To be subclassed with a ``handle_stream``."""

    _io_loop: IOLoop | None = None

    @functools.wraps(_tornado.TCPServer.__init__, assigned=())  # type: ignore[misc]
    def __init__(self, *args: Any, io_loop: IOLoop | None = None, **kwargs: Any) -> None:
        """The arguments of `tornado.tcpserver.TCPServer`, and ``io_loop`` as before Tornado 5, by name or as the first one: the
        loop that it is to accept on."""
        if args and isinstance(args[0], IOLoop):
            io_loop, *args = args  # type: ignore[assignment]
        super().__init__(*args, **kwargs)
        if io_loop is not None:
            self._io_loop = io_loop

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Start accepting on listening sockets, which then belong to the server, as Tornado's."""
        loop = {} if self._io_loop is None else {"io_loop": self._io_loop}
        for sock in sockets:
            self._sockets[sock.fileno()] = sock
            self._handlers[sock.fileno()] = add_accept_handler(sock, self._handle_connection, **loop)

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        if _tornado.TCPServer._handle_connection is not _tornado_handle_connection:
            # Somebody has wrapped it.
            super()._handle_connection(connection, address)
            return
        if self.ssl_options is not None:
            try:
                connection = ssl_wrap_socket(
                    connection, self.ssl_options, server_side=True, do_handshake_on_connect=False
                )
            except ssl.SSLError as e:
                if e.args[0] == ssl.SSL_ERROR_EOF:
                    connection.close()
                    return
                raise
            except OSError as e:
                # A connection that is gone again, as after a port scan.
                if errno_from_exception(e) in (errno.ECONNABORTED, errno.EINVAL):
                    connection.close()
                    return
                raise
        try:
            stream: IOStream
            if self.ssl_options is not None:
                stream = SSLIOStream(
                    connection,
                    # Not used after accepting; but without any, the certificates that clients trust would be loaded.
                    ssl_options=self.ssl_options,
                    max_buffer_size=self.max_buffer_size,
                    read_chunk_size=self.read_chunk_size,
                )
            else:
                stream = IOStream(
                    connection, max_buffer_size=self.max_buffer_size, read_chunk_size=self.read_chunk_size
                )
            future = self.handle_stream(stream, address)
            if future is not None:
                IOLoop.current().add_future(gen.convert_yielded(future), lambda f: f.result())
        except Exception:
            app_log.error("Error in connection callback", exc_info=True)
