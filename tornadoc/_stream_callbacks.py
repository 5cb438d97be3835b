"""The callbacks that stream methods took before Tornado 6: ``stream.read_until(delimiter, callback)``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.log import app_log

from tornadoc import stack_context

#: The arguments of Tornado 4, in its order.
_ARGUMENTS = {
    "read_until_regex": ("regex", "callback", "max_bytes"),
    "read_until": ("delimiter", "callback", "max_bytes"),
    "read_bytes": ("num_bytes", "callback", "streaming_callback", "partial"),
    "read_into": ("buf", "callback", "partial"),
    "read_until_close": ("callback", "streaming_callback"),
    "write": ("data", "callback"),
    "connect": ("address", "callback", "server_hostname"),
    "wait_for_handshake": ("callback",),
}
#: Methods whose callback takes no argument.
_WITHOUT_RESULT = ("write", "connect", "wait_for_handshake")
_PIECE = 65536


def call_with_callback(stream: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a stream's method with ``callback`` or ``streaming_callback`` among its arguments.

    Without either it is an ordinary call, which returns a Future. With one it returns None, and the callback is called by the
    loop when the operation is done; if the stream is closed first, it is not called. An exception of a callback closes
    the stream.
    """
    names = _ARGUMENTS[name]
    values = dict(zip(names, args))
    # A second positional argument that is no function has its place of today.
    if len(args) > 1 and not callable(args[1]) and args[1] is not None:
        names = tuple(n for n in names if not n.endswith("callback"))
        values = dict(zip(names, args))
    if len(args) > len(names):
        raise TypeError(f"{name}() takes at most {len(names)} arguments ({len(args)} given)")
    for key, value in kwargs.items():
        if key not in _ARGUMENTS[name]:
            raise TypeError(f"{name}() got an unexpected keyword argument {key!r}")
        if key in values:
            raise TypeError(f"{name}() got multiple values for argument {key!r}")
        values[key] = value
    callback = stack_context.capture(values.pop("callback", None))
    streaming_callback = stack_context.capture(values.pop("streaming_callback", None))
    missing = _ARGUMENTS[name][0]
    if missing not in values and missing != "callback":
        raise TypeError(f"{name}() missing 1 required positional argument: {missing!r}")
    # The callbacks bring their contexts; those of this call are not to be entered a second time around them.
    with stack_context.NullContext():
        return _start(stream, name, values, callback, streaming_callback)


def _start(stream: Any, name: str, values: dict[str, Any], callback: Any, streaming_callback: Any) -> Any:
    if streaming_callback is not None:
        remaining = values["num_bytes"] if name == "read_bytes" else None
        _stream_pieces(stream, remaining, bool(values.get("partial")), callback, streaming_callback)
        return None
    future = getattr(stream, name)(**values)
    if callback is None:
        return future

    def done(finished: Any) -> None:
        if not finished.cancelled() and finished.exception() is None:
            _run(stream, callback, () if name in _WITHOUT_RESULT else (finished.result(),))

    stream.io_loop.add_future(future, done)
    return None


def _run(stream: Any, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        callback(*args)
    except Exception:
        app_log.error("Uncaught exception, closing connection.", exc_info=True)
        stream.close(exc_info=True)
        # The loop logs it, too.
        raise


def _stream_pieces(
    stream: Any,
    remaining: int | None,
    partial: bool,
    callback: Callable[..., Any] | None,
    streaming: Callable[[bytes], Any],
    first: bool = True,
) -> None:
    """Read piece by piece: `remaining` bytes, or (None) until the stream is closed."""
    if remaining == 0:
        if callback is not None:
            stream.io_loop.add_callback(_run, stream, callback, (b"",))
        return
    size = _PIECE if remaining is None else min(remaining, _PIECE)
    try:
        future = stream.read_bytes(size, partial=True)
    except StreamClosedError:
        if remaining is not None:
            raise
        if callback is not None:
            stream.io_loop.add_callback(_run, stream, callback, (b"",))
        return

    def done(finished: Any) -> None:
        if finished.cancelled():
            return
        if finished.exception() is not None:
            if remaining is None and callback is not None:
                _run(stream, callback, (b"",))
            return
        piece = finished.result()
        _run(stream, streaming, (piece,))
        left = None if remaining is None else 0 if partial else remaining - len(piece)
        try:
            _stream_pieces(stream, left, partial, callback, streaming, first=False)
        except StreamClosedError:
            pass  # the close callback tells

    if not first and future.done() and future.exception() is not None:
        # The end was found at once. The callback comes ahead of the close callback, which is scheduled.
        done(future)
    else:
        stream.io_loop.add_future(future, done)
