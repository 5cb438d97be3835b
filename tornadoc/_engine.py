"""The engine of an event loop: one epoll set for all servers of the loop, watched through its own descriptor."""

from __future__ import annotations

import asyncio
import weakref

from tornado.ioloop import IOLoop

from tornadoc import _native

_engines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _native.Engine] = weakref.WeakKeyDictionary()


def current_engine() -> _native.Engine:
    """The engine of `IOLoop.current()`, made and registered with its asyncio loop on the first call.

    Any loop with ``add_reader`` serves: the standard library's, uvloop's, one that already runs.
    """
    loop: asyncio.AbstractEventLoop = IOLoop.current().asyncio_loop  # type: ignore[attr-defined]
    engine = _engines.get(loop)
    if engine is None:
        engine = _native.Engine()
        loop.add_reader(engine.fileno(), engine.run)
        _engines[loop] = engine
    return engine
