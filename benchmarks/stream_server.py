"""A server over Tornado's IOStream: written against Tornado alone, so that tornadoc runs the same file.

    python stream_server.py --way bytes --size 1024                     Tornado
    python stream_server.py --way bytes --size 1024 --loop uvloop       Tornado on uvloop
    python -m tornadoc stream_server.py --way bytes --size 1024         tornadoc

`bytes` echoes messages of `--size` bytes with read_bytes, `line` with read_until a line feed; `lines` reads the lines of a
message one by one and writes them back together; `push` writes messages of that size as long as the client takes them.  Once
it listens, it prints one JSON line with its port and with what is really running.
"""

import argparse
import asyncio
import json
import os
from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer


async def echo_bytes(stream: IOStream, size: int) -> None:
    while True:
        await stream.write(await stream.read_bytes(size))


async def echo_line(stream: IOStream, size: int) -> None:
    while True:
        await stream.write(await stream.read_until(b"\n"))


async def echo_lines(stream: IOStream, size: int) -> None:
    while True:
        lines, left = [], size
        while left > 0:
            line = await stream.read_until(b"\n")
            lines.append(line)
            left -= len(line)
        await stream.write(b"".join(lines))


async def push(stream: IOStream, size: int) -> None:
    message = bytes(size)
    while True:
        await stream.write(message)


WAYS = {"bytes": echo_bytes, "line": echo_line, "lines": echo_lines, "push": push}


def origin(kind: type) -> str:
    """Where a class really comes from: tornadoc's bear Tornado's labels, and have native bases."""
    native = any(base.__module__ == "tornadoc._native" for base in kind.__mro__)
    return f"{'tornadoc' if native else kind.__module__}.{kind.__qualname__}"


class Server(TCPServer):
    def __init__(self, way: str, size: int) -> None:
        super().__init__()
        self.way, self.size = WAYS[way], size

    async def handle_stream(self, stream: IOStream, address: Any) -> None:
        stream.set_nodelay(True)
        try:
            await self.way(stream, self.size)
        except StreamClosedError:
            pass


async def serve(options: argparse.Namespace) -> None:
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server = Server(options.way, options.size)
    server.add_sockets(sockets)
    loop = type(asyncio.get_running_loop())
    report = {
        "port": sockets[0].getsockname()[1],
        "pid": os.getpid(),
        "identity": " ".join(map(origin, (IOStream, loop))),
    }
    print(json.dumps(report), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument("--way", choices=list(WAYS), required=True)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(serve(options))
    else:
        # Not asyncio.run: IOLoop makes the loop here, so a server that brings its own event loop gets to use it.
        IOLoop.current().run_sync(lambda: serve(options))


if __name__ == "__main__":
    main()
