"""The engine of an event loop: one epoll set for all servers of the loop, watched through its own descriptor."""

from __future__ import annotations

import asyncio
import weakref

from tornado.ioloop import IOLoop

from tornadoc import _native

# Weak both ways: the loop's table of handlers keeps an engine, and what an engine serves refers to its loop.
_engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_native.Engine]] = weakref.WeakKeyDictionary()


def current_engine() -> _native.Engine:
    """The engine of `IOLoop.current()`, made and registered with it on the first call.

    Any asyncio loop with ``add_reader`` serves below it: the standard library's, uvloop's, one that already runs. The IOLoop
    calls the engine's ``close`` if it is closed with ``all_fds=True``.
    """
    io_loop = IOLoop.current()
    loop: asyncio.AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[attr-defined]
    known = _engines.get(loop)
    engine = known() if known is not None else None
    if engine is None:
        engine = _native.Engine()
        io_loop.add_handler(engine, engine.run, io_loop.READ)
        _engines[loop] = weakref.ref(engine)
    return engine


def engine_of(loop: asyncio.AbstractEventLoop) -> _native.Engine:
    """The engine of an asyncio loop, made and registered with it on the first call."""
    known = _engines.get(loop)
    engine = known() if known is not None else None
    if engine is None:
        engine = _native.Engine()
        loop.add_reader(engine, engine.run)
        _engines[loop] = weakref.ref(engine)
    return engine
