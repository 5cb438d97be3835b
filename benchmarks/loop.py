"""Compares event loops where they are alone: callbacks, timers, tasks, threads and readers, without a byte on a socket.

    python benchmarks/loop.py
    python -m benchmarks.loop --quick --loops asyncio,tornadoc --lines call_soon-chain,sleep0

The result goes to results/ as JSON, Markdown and PNG.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import lines
from benchmarks.lines import Bench, Group, Measured, Program
from benchmarks.loop_child import LINES
from benchmarks.servers import HERE, BenchmarkError, Server, prepare_child

GRACE_SECONDS = 60.0

LOOPS = {
    server.name: server
    for server in (
        Server("asyncio", "asyncio's selector loop", identity="asyncio"),
        Server("uvloop", "uvloop", needs=("uvloop",), identity="uvloop"),
        Server("tornadoc", "tornadoc's loop", needs=("tornadoc._native", "tornadoc:EventLoop"), identity="tornadoc"),
    )
}

PROGRAM = Program(
    name="loop",
    description="Compares event loops: CPU for a callback, a timer, a task.",
    groups=(Group("The loop alone", {name: line.title for name, line in LINES.items()}, LOOPS, ("asyncio", "uvloop")),),
    noun="loop",
    operation="op",
    unit="ns",
    rounds=5,
    seconds=(0.5, 0.1),
    loaded=False,
)


def measure(bench: Bench, loop: Server, line: str) -> Measured:
    launcher, seconds = bench.launcher, bench.options.seconds
    command = [launcher.python, "loop_child.py", "--loop", loop.name, "--line", line, "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            command,
            cwd=HERE,
            env=launcher.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds + GRACE_SECONDS,
            preexec_fn=lambda: prepare_child(launcher.server_core),
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"did not end within {seconds + GRACE_SECONDS:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise BenchmarkError(f"status {done.returncode}" + (f", {said[-1]}" if said else ""))
    found = json.loads(done.stdout)
    return Measured(found["operations"], found["wall_ns"] / 1e9, found["cpu_ns"] / 1e9, found["loop"])


def main(argv: list[str] | None = None) -> int:
    return lines.main(PROGRAM, argv, measure)


if __name__ == "__main__":
    sys.exit(main())
