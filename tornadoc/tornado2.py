"""What programs for Tornado 2 and 3 use of it and later versions dropped: `asynchronous`, and the generators of `gen.engine`.

While tornadoc is installed, `asynchronous` is ``tornado.web.asynchronous`` as well, and the rest is found in ``tornado.gen``.
"""

from __future__ import annotations

import collections
import contextvars
import functools
import sys
from collections.abc import Callable, Hashable, Iterable
from types import TracebackType
from typing import Any

from tornado import gen
from tornado.concurrent import Future, future_set_result_unless_cancelled
from tornado.ioloop import IOLoop

from tornadoc.stack_context import ExceptionStackContext

__all__ = [
    "Arguments",
    "Callback",
    "Task",
    "Wait",
    "WaitAll",
    "YieldPoint",
    "asynchronous",
    "engine",
]


# -- handlers that go on in callbacks --


def handle_exception(handler: Any, value: BaseException, traceback: TracebackType | None) -> bool:
    """An exception of a callback of a handler's becomes the request's: an error page, or if that is too late a line in the log.

    Returns True, unless it is none that a handler deals with: that one is raised on.
    """
    if sys.exc_info()[1] is value and isinstance(value, Exception):
        handler._handle_request_exception(value)
        return True
    # The handler looks at sys.exc_info(). Not always by raising it: the traceback would refer to this frame, and thereby to
    # itself.
    try:
        raise value.with_traceback(traceback)
    except Exception as e:
        handler._handle_request_exception(e)
    finally:
        del value, traceback
    return True


def asynchronous(method: Callable[..., Any]) -> Callable[..., Any]:
    """For methods of handlers such as ``get``: the request is not over when the method returns, but when ``self.finish()`` is
    called.

    ::

        @asynchronous
        def get(self):
            IOLoop.current().call_later(1, self.on_time)

        def on_time(self):
            self.finish("a second later")

    What the method raises, and what the callbacks raise that it gives to IOLoop and to streams, goes to
    ``_handle_request_exception`` and makes an error page. A method that returns an awaitable, as a coroutine does, ends the
    request with that; under `engine`, ``finish()`` does.
    """

    @functools.wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._auto_finish = False
        handle = getattr(self, "_stack_context_handle_exception", None)
        result = None
        with ExceptionStackContext(handle or (lambda type, value, traceback: handle_exception(self, value, traceback))):
            result = method(self, *args, **kwargs)
            if result is not None:
                self._auto_finish = True
        return result

    return wrapper


# -- generators that wait for callbacks --

_Results = dict[Hashable, "Future[Any]"]

#: The keys of the `engine` that runs: what was called for each, or will be.
_results: contextvars.ContextVar[_Results | None] = contextvars.ContextVar("tornadoc.tornado2", default=None)

#: What a callback was called with, if that was not a single argument.
Arguments = collections.namedtuple("Arguments", ["args", "kwargs"])


def engine(func: Callable[..., Any]) -> Callable[..., None]:
    """For generators that wait with ``yield``: for Futures, `Task`, `Callback` and `Wait`, and lists and dicts of them.

    Calling one returns None. What it raises at once goes to the caller; what it raises later, to the stack context of the call,
    which for a handler's method is that of `asynchronous`.
    """
    coroutine: Callable[..., Future[Any]] = gen.coroutine(func)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        results: _Results = {}
        token = _results.set(results)
        try:
            # It runs in a copy of the context.
            future = coroutine(*args, **kwargs)
        finally:
            _results.reset(token)

        def check(future: Future[Any]) -> None:
            try:
                value = future.result()
            finally:
                # The exception's traceback refers to this frame.
                del future
            if results:
                raise gen.LeakedCallbackError(f"finished without waiting for callbacks {list(results)!r}")
            if value is not None:
                raise gen.ReturnValueIgnoredError(f"@gen.engine functions cannot return values: {value!r}")

        try:
            if future.done():
                check(future)
            else:
                IOLoop.current().add_future(future, check)
        finally:
            del future

    return wrapper


def _deliver(future: Future[Any], /, *args: Any, **kwargs: Any) -> None:
    if not future.done():
        result = Arguments(args, kwargs) if kwargs or len(args) > 1 else args[0] if args else None
        future_set_result_unless_cancelled(future, result)


def Task(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call ``func(*args, callback=..., **kwargs)``; a Future of what it calls the callback with: its argument, or `Arguments`.

    What func raises, and the callbacks that it leads to, the Future raises.
    """
    future: Future[Any] = Future()

    def handle(type: Any, value: Any, traceback: Any) -> bool:
        if future.done() or not isinstance(value, Exception):
            return False
        future.set_exception(value)
        return True

    with ExceptionStackContext(handle):
        func(*args, callback=functools.partial(_deliver, future), **kwargs)
    return future


class YieldPoint:
    """What `engine` waits for besides Futures."""

    def __init__(self) -> None:
        results = _results.get()
        if results is None:
            raise RuntimeError(f"{type(self).__name__} belongs in a generator under @gen.engine")
        self._results = results

    def start(self) -> Future[Any]:
        """The Future of the value that ``yield`` gives."""
        raise NotImplementedError


class Callback(YieldPoint):
    """``yield Callback(key)`` gives a function to pass on; ``yield Wait(key)`` then waits until it is called."""

    def __init__(self, key: Hashable) -> None:
        super().__init__()
        self.key = key

    def start(self) -> Future[Any]:
        if self.key in self._results:
            raise gen.KeyReuseError(f"key {self.key!r} is already pending")
        pending: Future[Any] = Future()
        self._results[self.key] = pending
        made: Future[Any] = Future()
        made.set_result(functools.partial(_deliver, pending))
        return made


class Wait(YieldPoint):
    """``yield Wait(key)`` gives the argument that the function of ``Callback(key)`` was called with, or `Arguments`."""

    def __init__(self, key: Hashable) -> None:
        super().__init__()
        self.key = key

    def start(self) -> Future[Any]:
        return self._take(self.key)

    def _take(self, key: Hashable) -> Future[Any]:
        if key not in self._results:
            raise gen.UnknownKeyError(f"key {key!r} is not pending")
        return self._results.pop(key)


class WaitAll(Wait):
    """``yield WaitAll(keys)`` gives a list of what ``Wait`` gives for each key."""

    def __init__(self, keys: Iterable[Hashable]) -> None:
        super().__init__(None)
        self.keys = list(keys)

    def start(self) -> Future[Any]:
        result: Future[Any] = gen.multi([self._take(key) for key in self.keys])
        return result


@gen.convert_yielded.register(YieldPoint)  # type: ignore[attr-defined, untyped-decorator]
def _start(point: YieldPoint) -> Future[Any]:
    try:
        return point.start()
    except Exception as e:
        # For the generator; the coroutine that runs it would not pass on what this function raises.
        failed: Future[Any] = Future()
        failed.set_exception(e)
        return failed
