"""What an idle keep-alive connection costs the server: its resident memory with thousands of them, each having served one
request, beside its memory before they came.

    python benchmarks/idle.py
    python -m benchmarks.idle --connections 5000 --servers tornado,tornadoc
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import procfs
from benchmarks.client import connect, read_answer
from benchmarks.report import print_table
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import BenchmarkError, Launcher, Server, raise_descriptor_limit
from benchmarks.session import Session, add_common_options

# Connections that come and go before the first reading: modules, caches and the allocator's first arenas are paid by then.
WARMUP_CONNECTIONS = 100
SETTLE_SECONDS = 1.0
SPARE_DESCRIPTORS = 64
COLUMNS = ("server", "before MB", "open MB", "bytes per connection", "closed MB", "kept after closing MB")


def open_connections(port: int, count: int) -> list[socket.socket]:
    """Connections that have each had one answer and stay open."""
    request = SCENARIOS["hello"].raw_request(f"127.0.0.1:{port}")
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = connect(port)
            opened.append(connection)
            connection.sendall(request)
            read_answer(connection)
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(connections: list[socket.socket]) -> None:
    for connection in connections:
        connection.close()


def settled_rss(pid: int) -> int:
    """Resident memory in KiB, once the server has had time to finish what the last event started."""
    time.sleep(SETTLE_SECONDS)
    return procfs.memory_kib(pid)[1]


def measure(launcher: Launcher, server: Server, count: int) -> tuple[int, int, int]:
    """Resident KiB before, with and after `count` idle connections."""
    with launcher.start(server) as running:
        close_all(open_connections(running.port, WARMUP_CONNECTIONS))
        before = settled_rss(running.pid)
        opened = open_connections(running.port, count)
        try:
            during = settled_rss(running.pid)
        finally:
            close_all(opened)
        return before, during, settled_rss(running.pid)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Memory of idle keep-alive connections.")
    add_common_options(parser)
    parser.add_argument("--connections", type=int, default=10_000)
    options = parser.parse_args(argv)
    limit = raise_descriptor_limit() - SPARE_DESCRIPTORS
    if not 1 <= options.connections <= limit:
        parser.error(f"--connections is from 1 to {limit} here, by the hard limit of open files")
    rows = []
    try:
        with Session(options, [SCENARIOS["hello"]]) as session:
            for server in session.servers:
                print(f"{server.name}: opening {options.connections} connections", file=sys.stderr, flush=True)
                before, during, after = measure(session.launcher, server, options.connections)
                each = (during - before) * 1024 / options.connections
                megabytes = [f"{kib / 1024:.1f}" for kib in (before, during, after, after - before)]
                rows.append([server.name, *megabytes[:2], f"{each:,.0f}", *megabytes[2:]])
    except (BenchmarkError, OSError) as error:
        print(f"idle: {error}", file=sys.stderr)
        return 1
    print_table(f"{options.connections} idle keep-alive connections", COLUMNS, rows, 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
