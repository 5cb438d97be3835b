"""Runs a suite in processes of its own, and leaves none of them behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds between SIGTERM and SIGKILL.
_GRACE = 5.0


def adopt_orphans() -> None:
    """Make this process the parent of processes whose parents end before them, so that `end_children` finds them: tests start
    daemons in sessions of their own, which no process group reaches."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children() -> set[int]:
    """The processes whose parent is this one."""
    found: set[int] = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name of a program may have spaces and parentheses in it.
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.add(int(entry.name))
    return found


def _reap(pids: set[int]) -> set[int]:
    """Those of `pids` that still run."""
    running = set()
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                running.add(pid)
    return running


def end_children(before: set[int]) -> int:
    """End every child that is not in `before`, and whoever becomes one by that. Returns how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + _GRACE
    while running := _reap(children() - before):
        late = time.monotonic() > deadline
        for pid in running if late else running - ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        ended |= running
        time.sleep(0.05)
    return len(ended)


@contextlib.contextmanager
def _group(process: subprocess.Popen[bytes], before: set[int]) -> Iterator[None]:
    """Ends the process, its group and what they leave behind, whatever happens meanwhile."""
    try:
        yield
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        end_children(before)


def run(
    command: list[str],
    folder: pathlib.Path,
    environment: dict[str, str],
    output: pathlib.Path,
    limit: float,
    progress: Callable[[], None],
) -> str:
    """Run a command with its output in a file. `progress` is called twice a second.

    Returns "" if it came to its end by itself, with whatever status, else what became of it.
    """
    before = children()
    with open(output, "wb") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        with _group(process, before):
            deadline = time.monotonic() + limit
            while time.monotonic() < deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(0.5)
                    return f"ended by signal {-status}" if status < 0 else ""
                progress()
            return f"did not end in {limit:.0f} s"
