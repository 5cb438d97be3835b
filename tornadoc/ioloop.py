"""`tornado.ioloop` with an `IOLoop` that runs on tornadoc's event loop; the rest is Tornado's."""

from __future__ import annotations

import asyncio
import contextlib
import typing
import warnings
from collections.abc import Callable
from typing import Any

import tornado.ioloop as _tornado
from tornado import gen
from tornado.ioloop import *  # noqa: F403
from tornado.log import app_log
from tornado.util import Configurable

from tornadoc.loop import EventLoop

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


def log_callback(callback: Any, exception: BaseException) -> None:
    """Log what a callback raised."""
    app_log.error("Exception in callback %r", callback, exc_info=exception)


def watch_result(io_loop: Any, result: Any) -> None:
    """Wait for what a callback has returned, if that can be waited for, so that its exception gets logged."""
    with contextlib.suppress(gen.BadYieldError):
        future = gen.convert_yielded(result)
        io_loop.add_future(future, io_loop._discard_future_result)


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    """The asyncio loop of this thread, running or set; None if asyncio would have to make one, or may not."""
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.get_event_loop_policy()
        local = getattr(policy, "_local", None)
        if local is not None:
            return getattr(local, "_loop", None)
        with contextlib.suppress(RuntimeError):
            return policy.get_event_loop()
    return None


class IOLoop(_tornado.IOLoop):  # type: ignore[no-redef]
    """Tornado's `IOLoop`. ``IOLoop.current()`` and ``IOLoop()`` make `tornadoc.platform.asyncio.AsyncIOLoop` and its kin, which
    run on `tornadoc.EventLoop`, or on whatever asyncio loop there is already."""

    @staticmethod
    def current(instance: bool = True) -> Any:
        """The IOLoop of this thread's asyncio loop; see `tornado.ioloop.IOLoop.current`.

        If there is no asyncio loop, a `tornadoc.EventLoop` is made and set; with ``instance=False`` the answer is None instead.
        """
        loop = _asyncio_loop()
        if loop is None:
            if not instance:
                return None
            loop = EventLoop()
            asyncio.set_event_loop(loop)
        known = _tornado.IOLoop._ioloop_for_asyncio.get(loop)
        if known is None and instance:
            from tornadoc.platform.asyncio import AsyncIOMainLoop

            known = AsyncIOMainLoop()
        return known

    @staticmethod
    def instance() -> Any:
        """An alias of `current`."""
        return IOLoop.current()

    @classmethod
    def configurable_base(cls) -> type[Configurable]:
        return IOLoop

    @classmethod
    def configurable_default(cls) -> type[Configurable]:
        from tornadoc.platform.asyncio import AsyncIOLoop

        return AsyncIOLoop


class PeriodicCallback(_tornado.PeriodicCallback):  # type: ignore[no-redef]
    """Tornado's `PeriodicCallback`, which takes the ``io_loop`` of Tornado before 5 as well: the loop that it is to run on,
    given by name or as the third argument, where later versions have ``jitter``."""

    def __init__(
        self, callback: Callable[[], Any], callback_time: Any, jitter: Any = 0, io_loop: _tornado.IOLoop | None = None
    ) -> None:
        if isinstance(jitter, _tornado.IOLoop):
            jitter, io_loop = 0, jitter
        super().__init__(callback, callback_time, 0 if jitter is None else jitter)
        self._given_loop = io_loop

    def start(self) -> None:
        """Start the timer, on the loop that was given or on the current one."""
        if self._given_loop is None:
            super().start()
            return
        self.io_loop = self._given_loop
        self._running = True
        self._next_timeout = self.io_loop.time()
        self._schedule_next()
