"""System calls per request, counted by strace while a fixed number of requests is answered.

The connections are open before strace attaches, so that neither accepting nor closing is counted, and every connection has
one request under way at a time.  strace slows a server down and so changes how many requests one wake-up finds ready: read
the calls per request, never a rate.

    python benchmarks/syscalls.py
    python -m benchmarks.syscalls --scenario post --servers tornadoc,floor --details
"""

from __future__ import annotations

import argparse
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.client import connect, read_answer
from benchmarks.report import print_table
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import BenchmarkError, Running
from benchmarks.session import Session, add_common_options

ATTACH_SECONDS = 10.0
LOAD_SECONDS = 120.0
SHOWN_CALLS = 6


def load(connections: list[socket.socket], request: bytes, count: int) -> None:
    """Answers to `count` requests, sent on each connection one after the other."""
    poll = select.epoll()
    try:
        by_fd = {connection.fileno(): connection for connection in connections}
        for fd, connection in by_fd.items():
            poll.register(fd, select.EPOLLIN)
            connection.sendall(request)
        sent, answered, deadline = len(by_fd), 0, time.monotonic() + LOAD_SECONDS
        while answered < count:
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{answered} of {count} requests were answered in {LOAD_SECONDS:.0f} s")
            for fd, _ in poll.poll(1.0):
                read_answer(by_fd[fd])
                answered += 1
                if sent < count:
                    by_fd[fd].sendall(request)
                    sent += 1
    finally:
        poll.close()


def parse_summary(text: str) -> dict[str, int]:
    """The calls column of what strace -c writes, by system call."""
    calls = {}
    for line in text.splitlines():
        words = line.split()
        # "% time, seconds, usecs/call, calls, [errors,] syscall"; the headings and rules start otherwise.
        if len(words) in (5, 6) and words[0].replace(".", "").isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    return calls


def count_calls(running: Running, scenario: Scenario, connection_count: int, requests: int) -> dict[str, int]:
    port = running.port_of(scenario)
    request = scenario.raw_request(f"127.0.0.1:{port}")
    connections = [connect(port, scenario.tls) for _ in range(connection_count)]
    try:
        load(connections, request, connection_count * 4)
        with tempfile.NamedTemporaryFile("r") as summary:
            tracer = subprocess.Popen(
                ["strace", "-c", "-f", "-p", str(running.pid), "-o", summary.name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                wait_until_traced(tracer)
                load(connections, request, requests)
                tracer.send_signal(signal.SIGINT)
                tracer.communicate(timeout=ATTACH_SECONDS)
            finally:
                if tracer.poll() is None:
                    tracer.kill()
                    tracer.communicate()
            return parse_summary(summary.read())
    finally:
        for connection in connections:
            connection.close()


def wait_until_traced(tracer: subprocess.Popen[str]) -> None:
    """Until strace says so: the TracerPid in /proc comes before its first system call is traced."""
    assert tracer.stderr is not None
    ready, _, _ = select.select([tracer.stderr], [], [], ATTACH_SECONDS)
    said = tracer.stderr.readline() if ready else ""
    if " attached" not in said:
        raise BenchmarkError(f"strace did not attach: {said.strip()}")


def row_of(name: str, calls: dict[str, int], requests: int, shown: int) -> list[str]:
    ordered = sorted(calls.items(), key=lambda item: -item[1])[:shown]
    each = ", ".join(f"{call} {count / requests:.2f}" for call, count in ordered)
    return [name, each, f"{sum(calls.values()) / requests:.2f}"]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="System calls per request.")
    add_common_options(parser)
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="hello")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--requests", type=int, default=6400)
    parser.add_argument("--details", action="store_true", help="name every system call, not the most frequent only")
    options = parser.parse_args(argv)
    if not 1 <= options.connections <= 1000 or not options.connections <= options.requests <= 1_000_000:
        parser.error("--connections is from 1 to 1000, --requests from that to 1000000")
    if not shutil.which("strace"):
        print("syscalls: strace is missing (apt-get install strace)", file=sys.stderr)
        return 1
    rows = []
    try:
        scenario = SCENARIOS[options.scenario]
        with Session(options, [scenario]) as session:
            for server in session.servers:
                with session.launcher.start(server) as running:
                    calls = count_calls(running, scenario, options.connections, options.requests)
                rows.append(row_of(server.name, calls, options.requests, len(calls) if options.details else SHOWN_CALLS))
    except BenchmarkError as error:
        print(f"syscalls: {error}", file=sys.stderr)
        return 1
    title = f"System calls per request: {scenario.title}, {options.connections} connections, {options.requests} requests"
    print_table(title, ("server", "calls per request", "all"), rows, 2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
