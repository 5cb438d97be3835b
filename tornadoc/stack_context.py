"""Stack contexts, which Tornado had up to version 5: context managers that are entered again around callbacks.

A `StackContext` surrounds what runs in its ``with`` block, and every callback that is given to an `IOLoop` or a stream there,
and the callbacks that those give, and so on. The exceptions of such callbacks go to the functions of the
`ExceptionStackContext` objects around them, from the inner to the outer, until one returns true::

    with ExceptionStackContext(handle):
        IOLoop.current().add_callback(fails)      # handle(type, value, traceback) is called

Which contexts are around is held in a `contextvars.ContextVar`, so tasks and asyncio's callbacks know it as well; but they are
entered again by IOLoop (``add_callback``, ``add_timeout``, ``call_later``, ``call_at``, ``add_future``, ``add_handler``), by
the callbacks of streams, and by `wrap`. Where Tornado raised `StackContextInconsistentError` for a ``yield`` in a ``with
StackContext`` block of a coroutine, the block stays in force for the coroutine alone.

While tornadoc is installed this is ``tornado.stack_context``, too.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

from tornado.ioloop import IOLoop

__all__ = [
    "ExceptionStackContext",
    "NullContext",
    "StackContext",
    "StackContextInconsistentError",
    "run_with_stack_context",
    "wrap",
]

_ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]


class StackContextInconsistentError(Exception):
    """A ``with`` block of a stack context was not left in the order in which the blocks were entered."""


class _Frame:
    """A context that is around: what `StackContext` and `ExceptionStackContext` share."""

    def __init__(self) -> None:
        self.active = True
        #: The contexts before and after each entered ``with`` statement of this object.
        self._entered: list[tuple[tuple[_Frame, ...], tuple[_Frame, ...]]] = []

    def enter(self) -> None:
        """Called for the ``with`` block, and again around each callback."""

    def exit(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """The counterpart of `enter`. True: the exception is handled."""
        raise NotImplementedError

    def _deactivate(self) -> None:
        self.active = False

    def __enter__(self) -> Callable[[], None]:
        _join()
        before = _frames.get()
        after = (*before, self)
        _frames.set(after)
        try:
            self.enter()
        except BaseException:
            _frames.set(before)
            raise
        self._entered.append((before, after))
        return self._deactivate

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        before, after = self._entered.pop()
        try:
            return self.exit(type, value, traceback)
        finally:
            found = _frames.get()
            _frames.set(before)
            if found is not after:
                raise StackContextInconsistentError(
                    "stack contexts were left in another order than they were entered in, or in another task"
                )


#: The contexts around what runs, the outermost first.
_frames: contextvars.ContextVar[tuple[_Frame, ...]] = contextvars.ContextVar("tornadoc.stack_context", default=())


class StackContext(_Frame):
    """Enters a context manager for the ``with`` block, and a new one around each callback that the block leads to.

    :arg context_factory: a function without arguments that makes a context manager, such as one under
        `contextlib.contextmanager`. What it raises counts as raised in the block. An exception that it suppresses is handled.

    The ``with`` statement gives a function that takes the context off those callbacks that have not run yet.
    """

    def __init__(self, context_factory: Callable[[], Any]) -> None:
        super().__init__()
        self.context_factory = context_factory
        self.contexts: list[Any] = []

    def enter(self) -> None:
        context = self.context_factory()
        context.__enter__()
        self.contexts.append(context)

    def exit(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        handled: bool | None = self.contexts.pop().__exit__(type, value, traceback)
        return handled


class ExceptionStackContext(_Frame):
    """Has a function called with each exception of the ``with`` block and of the callbacks that it leads to.

    :arg exception_handler: ``exception_handler(type, value, traceback)``; true if it has handled the exception, which is
        otherwise raised on, to the next context, and in the end to whoever runs the callback: IOLoop logs it. An exception of
        its own takes the place of the one that it was given.

    The ``with`` statement gives a function that takes the context off those callbacks that have not run yet.
    """

    def __init__(self, exception_handler: Callable[[Any, Any, Any], Any]) -> None:
        super().__init__()
        self.exception_handler = exception_handler

    def exit(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return None if type is None else bool(self.exception_handler(type, value, traceback))


class NullContext:
    """Leaves all contexts behind for the ``with`` block: callbacks that are given there have none around them. They are not
    exited for the block itself."""

    def __init__(self) -> None:
        self._before: list[tuple[_Frame, ...]] = []

    def __enter__(self) -> None:
        self._before.append(_frames.get())
        _frames.set(())

    def __exit__(self, *exc_info: object) -> None:
        _frames.set(self._before.pop())


def wrap(fn: Any) -> Any:
    """A function that calls fn with the contexts around it that are around this call of `wrap`, wherever it is called.

    None, and what was wrapped before, are returned as they are. For callbacks that are stored and called by code that knows
    nothing of contexts; IOLoop and streams do this themselves. If a context has handled an exception, the result is None.
    """
    if fn is None or hasattr(fn, "_wrapped"):
        return fn
    frames = _frames.get()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        around = _frames.get()
        _frames.set(frames)
        try:
            return _call(frames, fn, args, kwargs)
        finally:
            _frames.set(around)

    wrapped._wrapped = True  # type: ignore[attr-defined]
    return wrapped


def run_with_stack_context(context: StackContext, func: Callable[[], Any]) -> Any:
    """Call func() with a context around it, and return what it returns; for a coroutine:
    ``yield run_with_stack_context(StackContext(ctx), lambda: my_coroutine())``."""
    with context:
        return func()


def _call(frames: tuple[_Frame, ...], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """fn(*args, **kwargs) in contexts that are entered for it. They are those that `_frames` has."""
    active = tuple(frame for frame in frames if frame.active)
    if len(active) < len(frames):
        _frames.set(active)
    entered: list[_Frame] = []
    # Not an ExitStack, which leaves cycles behind on Python 3.10, and no recursion: there may be many.
    try:
        for frame in active:
            frame.enter()
            entered.append(frame)
        result = fn(*args, **kwargs)
        while entered:
            entered.pop().exit(None, None, None)
        return result
    except BaseException as e:
        error: BaseException | None = e
        try:
            while entered:
                error = _exit(entered.pop(), error)
            if error is e:
                raise
            if error is not None:
                raise error
        finally:
            # The traceback refers to this frame.
            del error
        return None
    finally:
        if len(active) < len(frames):
            _frames.set(frames)


def _exit(frame: _Frame, error: BaseException | None) -> BaseException | None:
    """The exception that is left for the next context."""
    try:
        if error is None:
            frame.exit(None, None, None)
        elif frame.exit(type(error), error, error.__traceback__):
            return None
        return error
    except BaseException as another:
        return another
    finally:
        del error


# -- what the loop and the streams call, once a program has entered a context --


def capture(callback: Any) -> Any:
    """`wrap`, if anybody has ever entered a context: for what a program gives to be called later."""
    return wrap(callback) if _joined else callback


def _is_wrapped(callback: Any) -> bool:
    while isinstance(callback, functools.partial):
        callback = callback.func
    return hasattr(callback, "_wrapped")


def _run(callback: Callable[..., Any], /, *args: Any) -> Any:
    """callback(*args), which IOLoop calls in the contextvars.Context of whoever gave it the callback."""
    frames = _frames.get()
    if not frames or _is_wrapped(callback):
        return callback(*args)
    return _call(frames, callback, args, {})


def _spawn(io_loop: Any, callback: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """IOLoop.spawn_callback(): nobody's contexts are around the callback."""
    with NullContext():
        io_loop.add_callback(callback, *args, **kwargs)


def _capture_handler(handler: Any) -> Any:
    """For IOLoop.add_handler() and set_close_callback(). What a stream does with its own events is nobody's callback."""
    return handler if hasattr(getattr(handler, "__self__", None), "_maybe_add_error_listener") else capture(handler)


def _capture_for(future: Any, callback: Callable[..., Any]) -> Callable[..., Any]:
    """For IOLoop.add_future(): a future of the concurrent package calls back in a thread that knows nothing of contexts."""
    captured: Callable[..., Any] = callback if asyncio.isfuture(future) else capture(callback)
    return captured


def _join_foreign(io_loop: Any) -> None:
    """An IOLoop of Tornado's own: a program that names tornadoc's classes may have one."""
    plain = type(io_loop)

    def run_callback(callback: Callable[[], Any]) -> None:
        plain._run_callback(io_loop, functools.partial(_run, callback) if _frames.get() else callback)

    def add_handler(fd: Any, handler: Callable[..., Any], events: int) -> None:
        plain.add_handler(io_loop, fd, _capture_handler(handler), events)

    def add_future(future: Any, callback: Callable[..., Any]) -> None:
        plain.add_future(io_loop, future, _capture_for(future, callback))

    io_loop._run_callback = run_callback
    io_loop.add_handler = add_handler
    io_loop.add_future = add_future
    io_loop.spawn_callback = functools.partial(_spawn, io_loop)


_joined = False


def _join() -> None:
    """Have IOLoop and streams look for contexts: from the first one that is entered on, so that nobody else pays for it."""
    global _joined
    # Within a running loop, callbacks will come by its IOLoop even if nobody has asked for that yet.
    io_loop: Any = IOLoop.current(instance=asyncio._get_running_loop() is not None)
    if io_loop is not None and not hasattr(io_loop, "_run_call") and "_run_callback" not in vars(io_loop):
        _join_foreign(io_loop)
    if _joined:
        return
    _joined = True
    import tornadoc

    if not tornadoc.active:
        return
    from tornadoc import _native
    from tornadoc.platform.asyncio import BaseAsyncIOLoop

    tornado_add_future = BaseAsyncIOLoop.add_future

    def add_future(self: Any, future: Any, callback: Callable[..., Any]) -> None:
        tornado_add_future(self, future, _capture_for(future, callback))

    add_future.__doc__ = tornado_add_future.__doc__
    BaseAsyncIOLoop.add_future = add_future  # type: ignore[method-assign]
    _native.use_stack_contexts(_run, _spawn, _capture_handler)
