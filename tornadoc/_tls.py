"""TLS of natively served connections: the context of a server, the sockets and streams that Python sees.

The native connection (src/native/tls.h) has OpenSSL work on two memory BIOs and does the system calls itself. Python meets an
`ssl.SSLSocket` on the same connection all the same: its ``_sslobj`` is the connection's, so certificates, ciphers and so on are
those that are in use. When the connection is detached, `Adopted` takes the place of ``_sslobj`` and moves the bytes between
the BIOs and the socket, and an ordinary `SSLIOStream` works on top of it.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import typing
import weakref
from typing import Any

from tornado.netutil import ssl_options_to_context

from tornadoc.iostream import ConnectionStream, SSLIOStream, go_on, take_over

if typing.TYPE_CHECKING:
    from tornadoc import _native

    #: What a connection gives away: see `_native.HTTP1ServerConnection._tls`.
    _Parts = tuple[ssl.SSLObject, Any, ssl.MemoryBIO, ssl.MemoryBIO, bytes, int, bool]

_RECEIVE = 65536  # bytes in one call
_RECORD = 16384  # plaintext of a record
_GATHER = 4 * _RECORD  # plaintext whose records leave in one call
_FILES = ("certfile", "keyfile", "ca_certs")


# -- the context of a server --


def context(options: dict[str, Any] | ssl.SSLContext, known: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """The context that a server's ``ssl_options`` stand for, first in a tuple; None there if only Tornado can serve it.

    ``known`` is the result of the call before, which is given again while it holds. A dict gives one context for many
    connections, until its values or the files that it names change: Tornado would read those for each connection.

    :raises OSError: a file is not there; `ssl.SSLError`: or is not what it should be.
    """
    if isinstance(options, ssl.SSLContext):
        if known is not None and known[0] is options and _is_stock(options):
            return known
        return (options if _is_stock(options) else None,)
    key = (dict(options), _signature(options))
    if known is not None and known[1:] == key:
        return known
    made = ssl_options_to_context(options, server_side=True)
    return (made if _is_stock(made) else None, *key)


def _is_stock(context: ssl.SSLContext) -> bool:
    """Does the context make sockets as the standard library does?"""
    cls = type(context)
    return (
        cls.wrap_socket is ssl.SSLContext.wrap_socket
        and "wrap_socket" not in vars(context)
        and context.sslsocket_class is ssl.SSLSocket
    )


def _signature(options: dict[str, Any]) -> list[tuple[int, ...]]:
    """Tells whether one of the files was replaced or written to."""
    found: list[tuple[int, ...]] = []
    for name in _FILES:
        path = options.get(name)
        if path is not None:
            status = os.stat(path)
            found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return found


def wrap(context: ssl.SSLContext) -> tuple[ssl.SSLObject, Any, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A connection's TLS: the `ssl.SSLObject`, its ``_sslobj``, and the BIOs for what comes in and what goes out."""
    if context.check_hostname:
        raise ValueError("check_hostname requires server_hostname")
    incoming = ssl.MemoryBIO()
    outgoing = ssl.MemoryBIO()
    ssl_object = context.wrap_bio(incoming, outgoing, server_side=True)
    return ssl_object, ssl_object._sslobj, incoming, outgoing  # type: ignore[attr-defined]


# -- what Python sees --


def make_socket(fd: int, ssl_object: ssl.SSLObject) -> ssl.SSLSocket:
    """An `ssl.SSLSocket` on a descriptor, which it then owns, with TLS that exists. Its constructor could only start anew."""
    sock: Any = ssl.SSLSocket.__new__(ssl.SSLSocket)
    socket.socket.__init__(sock, fileno=fd)
    sock._context = ssl_object.context
    sock._session = None
    sock._closed = False
    sock._sslobj = ssl_object._sslobj  # type: ignore[attr-defined]
    sock._connected = True
    sock.server_side = True
    sock.server_hostname = None
    sock.do_handshake_on_connect = False
    sock.suppress_ragged_eofs = True
    # Callbacks of the context are given the owner.
    sock._sslobj.owner = sock
    sock.setblocking(False)
    return typing.cast(ssl.SSLSocket, sock)


class ConnectionSSLStream(ConnectionStream, SSLIOStream):
    """`ConnectionStream`, for a connection over TLS."""

    def __init__(self, connection: _native.HTTP1ServerConnection, fd: int) -> None:
        parts = connection._tls() if fd >= 0 else None
        if parts is None:
            super().__init__(connection, -1)
            self._ssl_accepting = False
            return
        # The stream's own constructor would register it with the loop, to shake hands.
        self._connection = connection
        copy = os.dup(fd)
        try:
            sock = make_socket(copy, parts[0])
        except BaseException:
            os.close(copy)
            raise
        SSLIOStream.__init__(self, sock, ssl_options=parts[0].context)
        self._ssl_accepting = not parts[6]

    def _add_io_state(self, state: int) -> None:
        """The connection watches the socket."""

    def _handshake_done(self) -> None:
        self._ssl_accepting = False
        self._finish_ssl_connect()


def make_stream(connection: _native.HTTP1ServerConnection, fd: int) -> ConnectionSSLStream:
    """The stand-in for a connection's stream; fd is -1 once the connection is closed."""
    return ConnectionSSLStream(connection, fd)


# -- after detach() --


class Adopted:
    """Stands for the ``_sslobj`` of a socket whose TLS works on memory BIOs: the same calls, and the same exceptions.

    As with OpenSSL on a socket, `write` says that it took bytes when their records are all with the kernel; until then it
    raises `ssl.SSLWantWriteError` and has to be called with the same bytes again.
    """

    def __init__(self, sock: ssl.SSLSocket, parts: _Parts) -> None:
        # The object that owns the TLS state has to live as long.
        self._object, self._ssl, self._incoming, self._outgoing, self._records, self._accepted, _ = parts
        self._socket = weakref.ref(sock)

    def __getattr__(self, name: str) -> Any:
        if name == "_ssl":
            raise AttributeError(name)
        return getattr(self._ssl, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("context", "owner", "session"):
            setattr(self._ssl, name, value)
        else:
            super().__setattr__(name, value)

    def _open_socket(self) -> ssl.SSLSocket:
        sock = self._socket()
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return sock

    def _push(self) -> bool:
        """Send the records there are. Have all been sent?"""
        if self._outgoing.pending:
            self._records += self._outgoing.read()
        while self._records:
            try:
                sent = socket.socket.send(self._open_socket(), self._records)
            except BlockingIOError:
                return False
            self._records = self._records[sent:]
        return True

    def _fetch(self) -> bool:
        """Receive once. Was there something, be it the end?"""
        try:
            data = socket.socket.recv(self._open_socket(), _RECEIVE)
        except BlockingIOError:
            return False
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return True

    def read(self, size: int = 1024, buffer: Any = None) -> Any:
        if not self._incoming.pending and not self._ssl.pending():
            self._fetch()
        while True:
            try:
                return self._ssl.read(size) if buffer is None else self._ssl.read(size, buffer)
            except ssl.SSLWantReadError:
                if not self._fetch():
                    raise
            finally:
                self._push()

    def write(self, data: Any) -> int:
        if not self._push():
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")
        with memoryview(data) as view, view.cast("B") as octets:
            if self._accepted:
                count = min(self._accepted, len(octets))
                self._accepted -= count
                return count
            count = self._ssl.write(octets[:_RECORD])
            while count < min(len(octets), _GATHER):
                try:
                    count += self._ssl.write(octets[count : count + _RECORD])
                except ssl.SSLWantReadError:
                    break
        if self._push():
            return int(count)
        self._accepted = count
        raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")

    def do_handshake(self) -> None:
        self._complete(self._ssl.do_handshake)

    def shutdown(self) -> ssl.SSLSocket:
        self._complete(self._ssl.shutdown)
        return self._open_socket()

    def _complete(self, call: Any) -> None:
        while True:
            try:
                call()
                return
            except ssl.SSLWantReadError:
                self._push()
                if not self._fetch():
                    raise
            finally:
                self._push()


def adopt(
    fd: int,
    stand_in: ConnectionSSLStream | None,
    unread: bytes,
    unsent: bytes,
    max_buffer_size: int,
    chunk_size: int,
    parts: _Parts,
) -> SSLIOStream:
    """An SSLIOStream for a connection that leaves HTTP, as `tornadoc.iostream.adopt`: the TLS goes on where it is."""
    # Without ssl_options, the constructor would load the certificates that clients trust.
    options = {"ssl_options": parts[0].context, "max_buffer_size": max_buffer_size, "read_chunk_size": chunk_size}
    stream = take_over(SSLIOStream, stand_in, lambda: make_socket(fd, parts[0]), **options)
    stream.socket._sslobj = Adopted(stream.socket, parts)
    stream._ssl_accepting = not parts[6]
    go_on(stream, unread, unsent)
    return stream
