"""The event loop: `_native.EventLoop` (src/native/loop.c) ahead of asyncio's own.

The native class has the ready queue, the timers, the epoll set, handles, readers and writers; NativeTransports has stream
transports and the socket methods. asyncio's TLS, subprocesses, name resolution and executors run over it as they are.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.format_helpers
import asyncio.log
import asyncio.unix_events
import selectors
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tornado.ioloop import IOLoop

from tornadoc import _native
from tornadoc._transports import NativeTransports

__all__ = ["EventLoop", "EventLoopPolicy", "new_event_loop"]


def extract_stack() -> Any:
    """Where a handle is made, for debug mode: from the caller of the native method on."""
    return asyncio.format_helpers.extract_stack(sys._getframe(1))


_FORMAT_DEBUG = sys.version_info >= (3, 13)


def report_callback(handle: Any, exception: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised, as `asyncio.Handle._run` does."""
    loop = handle._loop
    options = {"debug": loop.get_debug()} if _FORMAT_DEBUG else {}
    source = asyncio.format_helpers._format_callback_source(handle._callback, handle._args, **options)
    context = {"message": f"Exception in callback {source}", "exception": exception, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    loop.call_exception_handler(context)


def report_slow(handle: Any, took: float) -> None:
    """Log a callback that blocked the loop, in debug mode."""
    described = asyncio.base_events._format_handle(handle)  # type: ignore[attr-defined]
    asyncio.base_events.logger.warning("Executing %s took %.3f seconds", described, took)  # type: ignore[attr-defined]


class _Queue:
    """What asyncio's code does with `_ready` and `_scheduled`, over the native queue."""

    def __init__(self, items: Any, append: Any, clear: Any) -> None:
        self._items = items
        self.append = append
        self.clear = clear

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __contains__(self, handle: object) -> bool:
        return handle in self._items()

    def __getitem__(self, index: int) -> Any:
        return self._items()[index]

    def __repr__(self) -> str:
        return repr(self._items())


def _refuse_timer(handle: object) -> None:
    raise TypeError("timers can't be put into the loop: use call_at()")


class _Selector(selectors.BaseSelector):
    """Stands where asyncio keeps its selector; the loop closes its descriptors with it."""

    def __init__(self, loop: EventLoop, given: selectors.BaseSelector | None) -> None:
        self._loop: EventLoop | None = loop
        self._given = given

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's add_reader() and add_writer()")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise NotImplementedError("use the loop's remove_reader() and remove_writer()")

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise NotImplementedError("the loop waits by itself")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """The descriptors with readers and writers, as asyncio's selector has them: the data of a key are the two handles."""
        found: dict[Any, selectors.SelectorKey] = {}
        for fd, file, reader, writer in self._loop._watched() if self._loop is not None else ():
            events = (selectors.EVENT_READ if reader else 0) | (selectors.EVENT_WRITE if writer else 0)
            found[fd] = selectors.SelectorKey(fd if file is None else file, fd, events, (reader, writer))
        return found

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        if self._loop is None:
            raise RuntimeError("Selector is closed")
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        try:
            return self.get_map()[fd]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop._release()
        given, self._given = self._given, None
        if given is not None:
            given.close()


#: Selectors without a behaviour of their own.
_PLAIN_SELECTORS = tuple(
    getattr(selectors, name)
    for name in ("DefaultSelector", "EpollSelector", "PollSelector", "SelectSelector", "DevpollSelector", "KqueueSelector")
    if hasattr(selectors, name)
)


class EventLoop(NativeTransports, _native.EventLoop, asyncio.SelectorEventLoop):  # type: ignore[misc]
    """An asyncio event loop, run in C, for `asyncio.Runner(loop_factory=tornadoc.EventLoop)`.

    It is an `asyncio.SelectorEventLoop` in all that asyncio documents. HTTP servers of tornadoc are served from the same epoll
    set, without a way through Python.

    :arg selector: is for programs that make an ``asyncio.SelectorEventLoop(selector)``. The loop has an epoll set of its own and
        does not use it, but closes it with itself, as asyncio's does. One that is not of the standard library's classes is a
        TypeError: what it does in its own ``select()`` would not be done.
    """

    _signal_sockets: tuple[socket.socket, socket.socket] | None
    _internal_fds: int

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        if selector is not None and type(selector) not in _PLAIN_SELECTORS:
            raise TypeError(f"a selector of one's own needs asyncio.SelectorEventLoop: {selector!r}")
        self._signal_sockets = None
        super().__init__(_Selector(self, selector))

    @property
    def _ready(self) -> Any:
        return _Queue(self._ready_handles, self._add_callback, self._clear_ready)

    @_ready.setter
    def _ready(self, handles: Iterable[Any]) -> None:
        kept = list(handles)  # which may be a view of the queue
        self._clear_ready()
        for handle in kept:
            self._add_callback(handle)

    @property
    def _scheduled(self) -> Any:
        return _Queue(self._timer_handles, _refuse_timer, self._clear_timers)

    @_scheduled.setter
    def _scheduled(self, handles: Iterable[Any]) -> None:
        if list(handles):
            _refuse_timer(handles)
        self._clear_timers()

    # The wake-up of other threads is native; this pair is for signal.set_wakeup_fd(), so it is made when it is asked for.

    def _make_self_pipe(self) -> None:
        self._internal_fds += 1

    def _make_signal_sockets(self) -> tuple[socket.socket, socket.socket]:
        if self._signal_sockets is None:
            self._signal_sockets = ssock, csock = socket.socketpair()
            ssock.setblocking(False)
            csock.setblocking(False)
            self._add_reader(ssock.fileno(), self._read_from_self)  # type: ignore[attr-defined]
        return self._signal_sockets

    @property
    def _ssock(self) -> socket.socket | None:
        return None if self.is_closed() else self._make_signal_sockets()[0]

    @property
    def _csock(self) -> socket.socket | None:
        return None if self.is_closed() else self._make_signal_sockets()[1]

    def _close_self_pipe(self) -> None:
        self._internal_fds -= 1
        if self._signal_sockets is not None:
            # The reader goes with the epoll set, which after a fork is the parent's as well.
            ssock, csock = self._signal_sockets
            self._signal_sockets = None
            ssock.close()
            csock.close()

    def close(self) -> None:
        """Close the loop and what its HTTP servers still serve; see asyncio's `loop.close()`."""
        if not self.is_running() and not self.is_closed():
            # While its callbacks may still schedule something.
            left = self._engine.close(False)
            # As IOLoop.handlers keeps Tornado's: their sockets are not dropped before the IOLoop is.
            io_loop = IOLoop._ioloop_for_asyncio.get(self)
            if io_loop is not None:
                io_loop._left_open = left  # type: ignore[attr-defined]
        super().close()


def new_event_loop() -> EventLoop:
    """A new `EventLoop`."""
    return EventLoop()


# CPython 3.14 deprecates the public name, with a warning to whoever looks at it.
_DefaultPolicy: Any = getattr(asyncio.unix_events, "_DefaultEventLoopPolicy", None) or asyncio.DefaultEventLoopPolicy


class EventLoopPolicy(_DefaultPolicy):
    """asyncio's policy with tornadoc's loop; `tornadoc.install()` sets it."""

    _loop_factory = EventLoop


def has_default_policy() -> bool:
    """Has nobody but tornadoc set an event loop policy?"""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return type(asyncio.get_event_loop_policy()) in (_DefaultPolicy, EventLoopPolicy)


_replaced_policy: Any = None


def install_policy() -> None:
    """Have asyncio make tornadoc's loops, in `asyncio.run` and wherever it makes one by itself."""
    global _replaced_policy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.get_event_loop_policy()
        if not isinstance(policy, EventLoopPolicy):
            _replaced_policy = policy
            asyncio.set_event_loop_policy(EventLoopPolicy())


def uninstall_policy() -> None:
    """Give asyncio the policy back that it had before, unless somebody has set another one since."""
    global _replaced_policy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if isinstance(asyncio.get_event_loop_policy(), EventLoopPolicy):
            asyncio.set_event_loop_policy(_replaced_policy)
    _replaced_policy = None
