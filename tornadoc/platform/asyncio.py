"""`tornado.platform.asyncio` with native IOLoops; the rest is Tornado's."""

from __future__ import annotations

import asyncio
import typing
import warnings
from typing import Any

import tornado.platform.asyncio as _tornado
from tornado.platform.asyncio import *  # noqa: F403

from tornadoc import _native
from tornadoc.ioloop import IOLoop
from tornadoc.loop import EventLoop, has_default_policy

if not typing.TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


class BaseAsyncIOLoop(_native.IOLoop, IOLoop, _tornado.BaseAsyncIOLoop):  # type: ignore[misc, no-redef]
    """An IOLoop over an asyncio loop, tornadoc's or any other: Tornado's, with the methods that programs call often in C.

    It owns the asyncio loop, which `close` closes. ``add_handler`` raises ValueError for a descriptor that has a handler or
    belongs to a server of the loop. Keyword arguments of callbacks, and whatever a subclass or an instance overrides, work as in
    Tornado's.
    """

    def close(self, all_fds: bool = False) -> None:
        """Close the loop; with all_fds, the files of its handlers and streams, too. See Tornado's."""
        loop = self.asyncio_loop  # type: ignore[attr-defined]
        if all_fds and isinstance(loop, EventLoop) and not loop.is_running():
            loop._engine.close()
        super().close(all_fds=all_fds)  # type: ignore[misc]


class AsyncIOMainLoop(BaseAsyncIOLoop, _tornado.AsyncIOMainLoop):  # type: ignore[misc, no-redef]
    """The IOLoop of the current asyncio loop; see Tornado's."""


class AsyncIOLoop(BaseAsyncIOLoop, _tornado.AsyncIOLoop):  # type: ignore[misc, no-redef]
    """An IOLoop with an asyncio loop of its own: a `tornadoc.EventLoop`.

    ``asyncio_loop=`` gives it another one, and so does an event loop policy that the program has set (uvloop's, say).
    """

    def initialize(self, **kwargs: Any) -> None:
        made = None
        if "asyncio_loop" not in kwargs:
            made = EventLoop() if has_default_policy() else asyncio.new_event_loop()
            kwargs["asyncio_loop"] = made
        try:
            super().initialize(**kwargs)  # type: ignore[misc]
        except Exception:
            if made is not None:
                made.close()
            raise


with warnings.catch_warnings():
    # CPython 3.14 deprecates the base class, with a warning to whoever looks at it.
    warnings.simplefilter("ignore", DeprecationWarning)
    _TornadoPolicy: Any = _tornado.AnyThreadEventLoopPolicy


class AnyThreadEventLoopPolicy(_TornadoPolicy):
    """Tornado's policy, which makes a loop for each thread that asks for the current one: a `tornadoc.EventLoop`."""

    _loop_factory = EventLoop
