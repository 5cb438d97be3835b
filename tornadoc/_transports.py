"""Socket transports of an event loop: native code ahead of asyncio's, which it falls back to."""

from __future__ import annotations

import _socket
import asyncio
import errno
import socket
import sys
from asyncio import base_events, constants, selector_events, sslproto, trsock
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornadoc import _native
from tornadoc._engine import engine_of

if TYPE_CHECKING:
    # What NativeTransports stands ahead of.
    _Loop = asyncio.SelectorEventLoop
    _asyncio: Any
else:
    _Loop = object
_asyncio = selector_events
_AsyncioTransport: Any = _asyncio._SelectorSocketTransport

#: What a socket must do itself for native code to go past it.
_SOCKET_METHODS = {name: getattr(_socket.socket, name) for name in ("recv", "recv_into", "send", "sendmsg", "shutdown")}

#: accept(2) fails so when the system has nothing left, and the listening socket stays readable.
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def _is_plain(sock: object) -> bool:
    """Is it a socket whose methods are the interpreter's own, so that its descriptor says everything?"""
    return type(sock) is socket.socket and all(getattr(socket.socket, name) is it for name, it in _SOCKET_METHODS.items())


class SocketTransport(_native.SocketTransport, _AsyncioTransport):
    """A connected stream socket: asyncio's transport, with its input and output in native code.

    It closes the socket. The loop's engine keeps it alive until it is closed or aborted.
    """

    def __init__(
        self,
        loop: asyncio.SelectorEventLoop,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
    ) -> None:
        extra = {} if extra is None else extra
        extra["socket"] = trsock.TransportSocket(sock)
        extra["sockname"] = _name(sock.getsockname)
        if "peername" not in extra:
            extra["peername"] = _name(sock.getpeername)
        self.set_write_buffer_limits()
        fd = sock.fileno()
        self._open(engine_of(loop), loop, sock, fd, protocol, extra, server)
        if server is not None:
            if sys.version_info >= (3, 13):
                server._attach(self)
            else:
                server._attach()
        loop._transports[fd] = self  # type: ignore[attr-defined]
        base_events._set_nodelay(sock)  # type: ignore[attr-defined]
        loop.call_soon(self._protocol.connection_made, self)
        # Only after connection_made(), and after the first step of whoever awaits the transport: input comes ahead of the
        # callbacks that are ready, where asyncio has it behind them.
        loop.call_soon(loop.call_soon, self._add_reader)
        if waiter is not None:
            loop.call_soon(_wake, waiter)

    def __repr__(self) -> str:
        state = "closed" if self._sock is None else "closing" if self._closing else ""
        info = [type(self).__name__, *([state] if state else []), f"fd={self._sock_fd}"]
        if self._loop is not None and not self._loop.is_closed():
            reading, writing = self._polling()
            info.append(f"read={'polling' if reading else 'idle'}")
            info.append(f"write=<{'polling' if writing else 'idle'}, bufsize={self.get_write_buffer_size()}>")
        return f"<{' '.join(info)}>"

    def __del__(self) -> None:
        # Before the socket is closed, whose descriptor may be somebody else's next.
        self._unwatch()
        super().__del__()


def _name(get: Any) -> Any:
    try:
        return get()
    except OSError:
        return None


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.set_result(None)


def log_transport(transport: SocketTransport, text: str) -> None:
    """A debug message of asyncio's about a transport."""
    _asyncio.logger.debug("%r " + text, transport)


def warn_lost_write() -> None:
    """Somebody goes on writing to a connection that is lost."""
    _asyncio.logger.warning("socket.send() raised exception.")


def poll_socket(loop: Any, fd: int, output: bool, ready: Callable[[], object]) -> Callable[[], None]:
    """Call ``ready`` whenever the descriptor is, by the loop's own watching, until the function returned is called."""
    loop._ensure_fd_no_transport(fd)
    add, remove = (loop._add_writer, loop._remove_writer) if output else (loop._add_reader, loop._remove_reader)
    handle = add(fd, ready)

    def stop() -> None:
        # As asyncio has it: who has taken the place meanwhile keeps it.
        if handle is None or not handle.cancelled():
            remove(fd)

    return stop


class NativeTransports(_native.SocketOperations, _Loop):
    """Makes an event loop's stream transports and socket methods native: stands ahead of asyncio.SelectorEventLoop.

    Sockets of a class of their own, and those with a patched method, get asyncio's transports.
    """

    def _accept_connection(
        self,
        protocol_factory: Any,
        sock: socket.socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        *timeouts: float,
    ) -> None:
        """Accept what waits, up to a backlog of it; without descriptors or memory, pause for a second.

        asyncio goes through the rest of its backlog after such a failure, and reports and schedules as many times.
        """
        for _ in range(max(backlog, 1)):
            try:
                conn, address = sock.accept()
                if self.get_debug():
                    _asyncio.logger.debug("%r got a new connection from %r: %r", server, address, conn)
                conn.setblocking(False)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as e:
                if e.errno not in _NO_RESOURCES:
                    raise
                self._remove_reader(sock.fileno())  # type: ignore[attr-defined]
                self._pause_accepting(e, sock, (protocol_factory, sock, sslcontext, server, backlog, *timeouts))
                return
            self.create_task(
                self._accept_connection2(  # type: ignore[attr-defined]
                    protocol_factory, conn, {"peername": address}, sslcontext, server, *timeouts
                )
            )

    def _pause_accepting(self, exception: OSError, sock: socket.socket, args: tuple[Any, ...]) -> None:
        self.call_later(constants.ACCEPT_RETRY_DELAY, self._accept_again, sock, args)
        self.call_exception_handler(
            {
                "message": "socket.accept() out of system resource",
                "exception": exception,
                "socket": trsock.TransportSocket(sock),
            }
        )

    def _accept_again(self, sock: socket.socket, args: tuple[Any, ...]) -> None:
        if sock.fileno() < 0:
            return  # The server was closed meanwhile.
        try:
            self._start_serving(*args)  # type: ignore[attr-defined]
        except OSError as e:
            # Nor may the epoll set have room.
            self._pause_accepting(e, sock, args)

    def _make_socket_transport(
        self, sock: socket.socket, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> Any:
        # Python 3.12 and later; with one epoll set, two transports of a descriptor can't be had.
        self._ensure_fd_no_transport(sock)  # type: ignore[attr-defined]
        cls: Any = SocketTransport if _is_plain(sock) else _AsyncioTransport
        return cls(self, sock, protocol, waiter, extra, server)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Any = None,
        server: Any = None,
        **timeouts: Any,
    ) -> Any:
        ssl_protocol: Any = sslproto.SSLProtocol(
            self, protocol, sslcontext, waiter, server_side, server_hostname, **timeouts
        )
        NativeTransports._make_socket_transport(self, rawsock, ssl_protocol, extra=extra, server=server)
        return ssl_protocol._app_transport

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        if not isinstance(transp, SocketTransport):
            return await super()._sendfile_native(transp, file, offset, count)  # type: ignore[misc,no-any-return]
        table: Any = self._transports  # type: ignore[attr-defined]
        del table[transp._sock_fd]
        was_reading = transp.is_reading()
        transp.pause_reading()
        try:
            await transp._make_empty_waiter()
            # sock_sendfile() waits for the descriptor itself.
            transp._unwatch()
            return await self.sock_sendfile(transp._sock, file, offset, count, fallback=False)
        finally:
            transp._reset_empty_waiter()
            transp._watch()
            if was_reading:
                transp.resume_reading()
            table[transp._sock_fd] = transp
