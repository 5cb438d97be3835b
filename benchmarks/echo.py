"""Compares loops and streams with bytes on sockets: echo servers on asyncio's interfaces, Tornado's IOStream and WebSockets.

    python benchmarks/echo.py
    python -m benchmarks.echo --quick --lines protocol-1k,read_until-128 --servers uvloop,tornado,tornadoc

The result goes to results/ as JSON, Markdown and PNG.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import select
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tornado.websocket import websocket_connect

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import lines, procfs
from benchmarks.client import connect
from benchmarks.lines import Bench, Group, Measured, Program
from benchmarks.loop import LOOPS
from benchmarks.servers import HERE, BenchmarkError, Server, compile_program, prepare_child
from benchmarks.session import between

GRACE_SECONDS = 30.0
# After the client has gone the server still has its connections to close: that belongs to this sample, and takes a moment.
SETTLE_SECONDS = 0.05
SIZES = {"128": 128, "1k": 1024, "64k": 64 * 1024, "1m": 1024 * 1024}
LINE_SIZE = 32


@dataclass(frozen=True)
class Line:
    way: str
    size: int
    title: str

    @property
    def pushes(self) -> bool:
        return self.way == "push"

    @property
    def mode(self) -> list[str]:
        """What load.c is to do."""
        return {"push": ["pull"], "websocket": ["websocket"]}.get(self.way, ["echo", str(self.line_size)])

    @property
    def line_size(self) -> int:
        """A message consists of lines as long as this."""
        return LINE_SIZE if self.way == "lines" else self.size


def echo_lines() -> dict[str, Line]:
    ways = {
        "raw": "loop.sock_recv, loop.sock_sendall",
        "streams": "asyncio.start_server, reader.readexactly, writer.write and drain",
        "protocol": "Protocol.data_received, transport.write",
        "buffered": "BufferedProtocol.buffer_updated, transport.write",
    }
    found = {}
    for way, title in ways.items():
        found |= {f"{way}-{size}": Line(way, SIZES[size], f"{title}; {SIZES[size]:,} bytes") for size in ("1k", "64k", "1m")}
    return found


def stream_lines() -> dict[str, Line]:
    ways = {
        "read_bytes": ("bytes", "read_bytes, write", ("1k", "64k", "1m")),
        "read_until": ("line", "read_until a line feed, write", ("128", "1k")),
        "read_lines": ("lines", f"read_until for each line of {LINE_SIZE} bytes, one write", ("1k",)),
        "write": ("push", "write alone, to a client that reads", ("1k", "64k", "1m")),
    }
    found = {}
    for name, (way, title, sizes) in ways.items():
        found |= {f"{name}-{size}": Line(way, SIZES[size], f"IOStream.{title}; {SIZES[size]:,} bytes") for size in sizes}
    return found


def websocket_lines() -> dict[str, Line]:
    title = "WebSocketHandler.on_message, write_message; {:,} bytes of text"
    return {f"websocket-{size}": Line("websocket", SIZES[size], title.format(SIZES[size])) for size in ("128", "1k", "64k")}


ECHO_LINES = echo_lines()
STREAM_LINES = stream_lines()
WEBSOCKET_LINES = websocket_lines()
LINES = {**ECHO_LINES, **STREAM_LINES, **WEBSOCKET_LINES}

SOCKETS = Server("sockets", "Python sockets and epoll, no loop", ("socket_server.py",), identity="sockets")


def servers(script: str) -> dict[str, Server]:
    """The implementations of Tornado's interfaces that run the same file."""
    return {
        server.name: server
        for server in (
            Server("tornado", "Tornado", (script,), ("tornado",), "tornado asyncio"),
            Server("tornado-uvloop", "Tornado on uvloop", (script, "--loop", "uvloop"), ("tornado", "uvloop"), "tornado uvloop"),
            Server(
                "tornadoc",
                "tornadoc",
                ("-m", "tornadoc", script),
                ("tornadoc._native", "tornadoc:EventLoop"),
                "tornadoc tornadoc",
            ),
        )
    }


STREAMS = {**servers("stream_server.py"), "sockets": SOCKETS}
WEBSOCKETS = servers("websocket_server.py")


def titles(known: dict[str, Line]) -> dict[str, str]:
    return {name: line.title for name, line in known.items()}


PROGRAM = Program(
    name="echo",
    description="Compares loops and streams: CPU for a message that is echoed.",
    groups=(
        Group(
            "Echo on asyncio's interfaces", titles(ECHO_LINES), {**LOOPS, "sockets": SOCKETS}, ("asyncio", "uvloop", "sockets")
        ),
        Group("Tornado's IOStream", titles(STREAM_LINES), STREAMS, ("tornado", "tornado-uvloop", "sockets")),
        Group("Tornado's WebSocketHandler", titles(WEBSOCKET_LINES), WEBSOCKETS, ("tornado", "tornado-uvloop")),
    ),
    noun="server",
    operation="message",
    unit="us",
    rounds=3,
    seconds=(0.8, 0.15),
    loaded=True,
)


def command(python: str, server: Server, line: Line) -> list[str]:
    size = ("--size", str(line.size))
    if server is SOCKETS:
        return [python, *server.arguments, "--way", "push" if line.pushes else "echo", *size]
    if server in WEBSOCKETS.values():
        return [python, *server.arguments]
    if server in STREAMS.values():
        return [python, *server.arguments, "--way", line.way, *size]
    return [python, "echo_server.py", "--loop", server.name, "--way", line.way, *size]


def check(port: int, line: Line) -> None:
    """The client that measures looks at no byte: this one does."""
    if line.way == "websocket":
        asyncio.run(check_websocket(port, line.size))
        return
    text = (b"0123456789abcdef" * (line.line_size // 16 + 1))[: line.line_size - 1] + b"\n"
    message = text * (line.size // line.line_size)
    expected = bytes(line.size) if line.pushes else message
    with connect(port) as connection:
        received = exchange(connection, b"" if line.pushes else message, line.size)
    if received != expected:
        raise BenchmarkError(f"{len(received)} of {line.size} bytes came back, or other bytes")


async def check_websocket(port: int, size: int) -> None:
    connection = await websocket_connect(f"ws://127.0.0.1:{port}/")
    text = "0123456789abcdef" * (size // 16)
    await connection.write_message(text)
    received = await asyncio.wait_for(connection.read_message(), GRACE_SECONDS)
    connection.close()
    if received != text:
        raise BenchmarkError(f"{received!r:.80} came back")


def exchange(connection: socket.socket, message: bytes, size: int) -> bytes:
    """Sends and receives at the same time: no buffer on the way need hold a whole message."""
    connection.setblocking(False)
    received, unsent = bytearray(), memoryview(message)
    while len(received) < size:
        ready = select.select([connection], [connection] if unsent else [], [], GRACE_SECONDS)
        if not any(ready):
            break
        try:
            if ready[1]:
                unsent = unsent[connection.send(unsent) :]
            if ready[0]:
                piece = connection.recv(size - len(received))
                if not piece:
                    break
                received += piece
        except OSError as error:
            raise BenchmarkError(f"after {len(received)} of {size} bytes: {error}") from None
    return bytes(received)


def load(bench: Bench, program: Path, port: int, line: Line, seconds: float) -> dict[str, Any]:
    options = bench.options
    numbers = (port, options.connections, line.size, seconds)
    arguments = [*map(str, numbers), *line.mode]
    try:
        done = subprocess.run(
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_SECONDS,
            preexec_fn=lambda: prepare_child(bench.client_core),
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError("the client did not end") from None
    if done.returncode:
        raise BenchmarkError(done.stderr.strip() or f"the client ended with status {done.returncode}")
    said: dict[str, Any] = json.loads(done.stdout)
    if not said["messages"]:
        raise BenchmarkError("no message was answered")
    return said


def measure(bench: Bench, server: Server, name: str, program: Path) -> Measured:
    line, options, launcher = LINES[name], bench.options, bench.launcher
    with launcher.run(server.name, command(launcher.python, server, line)) as running:
        check(running.port, line)
        if options.warmup:
            load(bench, program, running.port, line, options.warmup)
            time.sleep(SETTLE_SECONDS)
        before, started = procfs.cpu_time(running.pid), time.monotonic()
        said = load(bench, program, running.port, line, options.seconds)
        time.sleep(SETTLE_SECONDS)
        used, took = procfs.cpu_time(running.pid) - before, time.monotonic() - started
    busy = min(used.total / min(said["seconds"], took), 1.0)
    return Measured(said["messages"], said["seconds"], used.total, running.report["identity"], busy)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connections", type=between(1, 1000), default=8, help="default 8")
    parser.add_argument(
        "--warmup", type=between(0.0, 10.0), help="unmeasured load before a sample, default 0.2, with --quick 0.05"
    )


def main(argv: list[str] | None = None) -> int:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        program = Path(folder) / "load"

        def prepare(bench: Bench) -> None:
            if bench.options.warmup is None:
                bench.options.warmup = 0.05 if bench.options.quick else 0.2
            compile_program(HERE / "load" / "load.c", Path(folder))

        return lines.main(
            PROGRAM,
            argv,
            lambda bench, server, name: measure(bench, server, name, program),
            add=add_options,
            prepare=prepare,
        )


if __name__ == "__main__":
    sys.exit(main())
