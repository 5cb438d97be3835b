"""Runs wrk, and returns what it counted."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import procfs
from benchmarks.scenarios import Scenario
from benchmarks.servers import BenchmarkError

SCRIPT = Path(__file__).resolve().parent / "request.lua"
GRACE_SECONDS = 15.0
#: A run without a request is made again, four times as long, while it was shorter than this.
LONG_SECONDS = 4.0
TIMEOUT_SECONDS = 10  # of a request; wrk's own are 2, for which a busy machine may stall


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    p50_us: float | None
    p99_us: float | None
    """Latencies; None when pipelined, where wrk's percentiles are wrong."""
    errors: int
    """Connect, read, write and time-out errors, and answers above 399."""


def require() -> None:
    if not shutil.which("wrk"):
        raise BenchmarkError("wrk is missing (apt-get install wrk)")


class NoRequest(BenchmarkError):
    """Not one was completed in the time."""


def run(port: int, scenario: Scenario, connections: int, seconds: float, core: int | None) -> Load:
    """Loads a server for about `seconds`.  wrk looks at its clock every 0.1 s and takes whole seconds only: a run of another
    length is a longer one that is interrupted, which it answers with its usual summary.

    A busy machine may need more time for the first request than there is."""
    while True:
        try:
            return run_once(port, scenario, connections, seconds, core)
        except NoRequest:
            if seconds >= LONG_SECONDS:
                raise
            seconds *= 4


def run_once(port: int, scenario: Scenario, connections: int, seconds: float, core: int | None) -> Load:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{math.ceil(seconds) + 1}s", "--timeout", f"{TIMEOUT_SECONDS}s"]
    command += ["-s", str(SCRIPT)]
    command += [f"{'https' if scenario.tls else 'http'}://127.0.0.1:{port}", "--", *scenario.script_arguments()]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}) if core is not None else None,
    )
    try:
        wait_until_loading(process)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        raise BenchmarkError("wrk did not end") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return parse(output, errors, scenario.depth == 1)


def wait_until_loading(process: subprocess.Popen[str]) -> None:
    """Returns when wrk has its threads running and its handler for the interrupt."""
    deadline = time.monotonic() + GRACE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if procfs.catches_signal(process.pid, signal.SIGINT):
            return
        time.sleep(0.001)


def parse(output: str, errors: str, timed: bool) -> Load:
    lines = [line for line in output.splitlines() if line.startswith("JSON ")]
    if not lines:
        raise BenchmarkError(f"wrk gave no summary: {(errors or output).strip()}")
    said: dict[str, Any] = json.loads(lines[-1][5:])
    if not said["requests"]:
        raise NoRequest(f"wrk completed no request: {said['errors']}")
    return Load(
        requests=said["requests"],
        seconds=said["duration_us"] / 1e6,
        p50_us=said["p50_us"] if timed else None,
        p99_us=said["p99_us"] if timed else None,
        errors=sum(said["errors"].values()),
    )
