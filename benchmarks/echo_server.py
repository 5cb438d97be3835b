"""An echo server on an asyncio loop, in the four ways that asyncio has for it.

    python echo_server.py --loop uvloop --way protocol --size 1024

`raw` is sock_recv and sock_sendall, `streams` start_server with a reader and a writer, `protocol` a Protocol, `buffered` a
BufferedProtocol.  Messages have `--size` bytes; reads ask for that, to 256 KiB.  Once it listens, it prints one JSON line with
its port and with what is really running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
from typing import cast

from loop_child import LOOPS, make_loop

READ_SIZE = 256 * 1024


async def raw_connection(loop: asyncio.AbstractEventLoop, connection: socket.socket, limit: int) -> None:
    with connection:
        while data := await loop.sock_recv(connection, limit):
            await loop.sock_sendall(connection, data)


async def raw(loop: asyncio.AbstractEventLoop, listener: socket.socket, size: int) -> None:
    listener.setblocking(False)
    tasks = set()
    while True:
        connection, _ = await loop.sock_accept(listener)
        # The transports of the other three set it too.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = loop.create_task(raw_connection(loop, connection, min(size, READ_SIZE)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def streams(loop: asyncio.AbstractEventLoop, listener: socket.socket, size: int) -> None:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(await reader.readexactly(size))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    await asyncio.start_server(connection, sock=listener)


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class BufferedEcho(asyncio.BufferedProtocol):
    def __init__(self, size: int) -> None:
        self.buffer = memoryview(bytearray(min(size, READ_SIZE)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, count: int) -> None:
        # A copy: the transport may keep what it could not send, and the buffer is filled again.
        self.transport.write(bytes(self.buffer[:count]))


async def protocol(loop: asyncio.AbstractEventLoop, listener: socket.socket, size: int) -> None:
    await loop.create_server(Echo, sock=listener)


async def buffered(loop: asyncio.AbstractEventLoop, listener: socket.socket, size: int) -> None:
    await loop.create_server(lambda: BufferedEcho(size), sock=listener)


WAYS = {"raw": raw, "streams": streams, "protocol": protocol, "buffered": buffered}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", choices=LOOPS, required=True)
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    loop = make_loop(options.loop)
    asyncio.set_event_loop(loop)
    # Connections wait in the backlog until the server accepts.
    work = loop.create_task(WAYS[options.way](loop, listener, options.size))
    if options.way != "raw":
        loop.run_until_complete(work)
    name = f"{type(loop).__module__}.{type(loop).__qualname__}"
    print(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid(), "identity": name}), flush=True)
    loop.run_forever()


if __name__ == "__main__":
    main()
