"""Loops for programs in the manner of Tornado 2, and connections that speak HTTP to them."""

import asyncio
import gc

from inprocess import Running
from stream_support import new_loops, run
from tornado.ioloop import IOLoop as TornadosIOLoop

import tornadoc.ioloop

#: For a fixture: an asyncio loop of the standard library under Tornado's own IOLoop, and tornadoc's loop under its IOLoop.
LOOPS = new_loops()


def run_on(kind, coroutine):
    """Run a coroutine on one of LOOPS, with the IOLoop that belongs to it."""

    async def main():
        io_loop = (tornadoc.ioloop.IOLoop if kind == "tornadoc" else TornadosIOLoop).current()
        assert (type(io_loop).__module__ == "tornado.platform.asyncio") == (kind != "tornadoc")
        return await coroutine

    return run(main(), kind)


class Port(Running):
    """A server of any kind that listens: `async with Port(server) as port`."""

    def __init__(self, server):
        self.tls = None
        self.server = server
        self.clients = []


async def garbage_of(act):
    """Call act() with the collector off: its result, and the garbage there is then, as pairs of a type's module and a repr."""
    gc.collect()
    gc.disable()
    try:
        result = await act()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return result, [(type(thing).__module__, repr(thing)) for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def soon(future):
    """The result of a Future, within the patience of a test."""
    return await asyncio.wait_for(future, 20)
