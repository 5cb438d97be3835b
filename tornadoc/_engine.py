"""The engine of an event loop: one epoll set for all servers of the loop. tornadoc's own loop waits in it; any other loop watches
it through its descriptor."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from tornado.ioloop import IOLoop

from tornadoc import _native

# Weak both ways: the loop's table of readers keeps an engine, and what an engine serves refers to its loop.
_engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_native.Engine]] = weakref.WeakKeyDictionary()


def engine_of(loop: asyncio.AbstractEventLoop) -> _native.Engine:
    """The engine of a loop: its own, if the loop is tornadoc's, or else one that is made and registered on the first call.

    Any asyncio loop with ``add_reader`` serves below it: the standard library's, uvloop's, one that already runs. If the loop has
    an IOLoop, that calls the engine's ``close`` when it is closed with ``all_fds=True``.
    """
    native: Any = loop
    if isinstance(native, _native.EventLoop):
        return native._engine
    known = _engines.get(loop)
    engine = known() if known is not None else None
    if engine is None:
        engine = _native.Engine()
        io_loop = IOLoop._ioloop_for_asyncio.get(loop)
        if io_loop is not None:
            io_loop.add_handler(engine, engine.run, io_loop.READ)
        else:
            loop.add_reader(engine, engine.run)
        _engines[loop] = weakref.ref(engine)
    return engine


def current_engine() -> _native.Engine:
    """The engine of `IOLoop.current()`."""
    return engine_of(IOLoop.current().asyncio_loop)  # type: ignore[attr-defined]


def engine_for(io_loop: Any) -> _native.Engine:
    """The engine of an IOLoop that was named, or else of the current one."""
    return current_engine() if io_loop is None else engine_of(io_loop.asyncio_loop)
