"""Loops for programs in the manner of Tornado 2, and connections that speak HTTP to them."""

import asyncio
import socket

from inprocess import Client, settle
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


class Port:
    """A server of any kind that listens: `async with Port(server) as port`."""

    def __init__(self, server):
        self.server = server
        self.clients = []

    async def __aenter__(self):
        sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        sock.setblocking(False)
        self.number = sock.getsockname()[1]
        self.server.add_sockets([sock])
        return self

    async def __aexit__(self, *exc_info):
        for client in self.clients:
            client.close()
        self.server.stop()
        if hasattr(self.server, "close_all_connections"):
            await self.server.close_all_connections()
        await settle()

    async def client(self):
        client = await Client.connect(self.number)
        self.clients.append(client)
        return client

    async def fetch(self, *args, **options):
        client = await self.client()
        try:
            return await client.get(*args, **options)
        finally:
            client.close()


async def soon(future):
    """The result of a Future, within the patience of a test."""
    return await asyncio.wait_for(future, 20)
