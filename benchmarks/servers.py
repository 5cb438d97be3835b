"""The servers that are compared: how each is started, and how it is ended."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenarios import Scenario

HERE = Path(__file__).resolve().parent
START_SECONDS = 20.0
STOP_SECONDS = 20.0
PR_SET_PDEATHSIG = 1

# These change what the interpreter costs: a benchmark must not inherit them from a developer's shell.
DISTORTING_VARIABLES = (
    "LD_PRELOAD",
    "PYTHONASYNCIODEBUG",
    "PYTHONDEVMODE",
    "PYTHONFAULTHANDLER",
    "PYTHONMALLOC",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONWARNINGS",
)


class BenchmarkError(Exception):
    """A measurement that could not be made; the message is for the person who runs it."""


@dataclass(frozen=True)
class Server:
    name: str
    title: str
    arguments: tuple[str, ...] = ()
    """What follows the interpreter on its command line; the floor has none."""
    needs: tuple[str, ...] = ()
    """Modules, or names in modules (`module:name`), without which this server is skipped."""
    identity: str = ""
    """The packages whose classes do the work, where a process reports that: a loop's, or a stream's and a loop's."""


SERVERS = {
    server.name: server
    for server in (
        Server("tornado", "Tornado", ("app.py",), ("tornado",)),
        Server("tornado-uvloop", "Tornado on uvloop", ("app.py", "--loop", "uvloop"), ("tornado", "uvloop")),
        Server("tornadoc", "tornadoc", ("-m", "tornadoc", "app.py"), ("tornadoc._native",)),
        Server(
            "tornadoc-uvloop",
            "tornadoc on uvloop",
            ("-m", "tornadoc", "app.py", "--loop", "uvloop"),
            ("uvloop", "tornadoc._native"),
        ),
        Server("floor", "C floor"),
    )
}


@dataclass
class Running:
    """A started server, listening on 127.0.0.1."""

    pid: int
    port: int
    report: dict[str, Any]
    """What it said of itself in its first line."""

    def port_of(self, scenario: Scenario) -> int:
        port: int = self.report["tls_port"] if scenario.tls else self.port
        return port


class Launcher:
    """Knows the interpreter, its environment and the programs that were compiled; starts servers from them."""

    def __init__(self, python: str, server_core: int | None, access_log: str = "off") -> None:
        self.python = python
        self.access_log = access_log
        self.server_core = server_core
        # tornadoc hands itself on to child processes through variables: the Tornado it is compared with must not get them.
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in DISTORTING_VARIABLES and not name.startswith("TORNADOC")
        }
        self.floor_command: list[str] = []
        self.certificate: Path | None = None

    def unavailable(self, server: Server) -> str:
        """Why this server can't run here, or an empty string."""
        if server.name == "floor":
            return "" if shutil.which("gcc") else "gcc is missing"
        for module in server.needs:
            error = self._import_error(module)
            if error and module.startswith("tornadoc"):
                # An extension built in place is importable from the source tree only.
                usual = self.environment
                path = os.pathsep.join(filter(None, (str(HERE.parent), usual.get("PYTHONPATH"))))
                self.environment = {**usual, "PYTHONPATH": path}
                if not self._import_error(module):
                    continue
                self.environment = usual
            if error:
                return f"{module} can't be imported: {error}"
        return ""

    def _import_error(self, module: str) -> str:
        module, _, name = module.partition(":")
        done = self.run_python(f"from {module} import {name}" if name else f"import {module}")
        lines = done.stderr.strip().splitlines()
        if done.returncode == 0:
            return ""
        # Without the file's path, which is this machine's.
        return lines[-1].partition(" (/")[0] if lines else f"exit status {done.returncode}"

    def run_python(self, code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-c", code], cwd=HERE, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def compile_floor(self, folder: Path, answers: Mapping[str, bytes]) -> None:
        """Builds the floor; `answers` maps a path to the whole response that it is to send there."""
        self.floor_command = [str(compile_program(HERE / "floor" / "floor.c", folder, "-lhttp_parser"))]
        for number, (path, answer) in enumerate(answers.items()):
            canned = folder / f"answer-{number}"
            canned.write_bytes(answer)
            self.floor_command += [path, str(canned)]

    def command(self, server: Server, tls: bool) -> list[str]:
        if server.name == "floor":
            return self.floor_command
        certificate = ["--certificate", str(self.certificate)] if tls and self.certificate else []
        return [self.python, *server.arguments, "--access-log", self.access_log, *certificate]

    def start(self, server: Server, tls: bool = True) -> contextlib.AbstractContextManager[Running]:
        """This server for the length of a `with` block; with TLS too, unless it is told not to, where there is a certificate."""
        return self.run(server.name, self.command(server, tls))

    @contextlib.contextmanager
    def run(self, name: str, command: Sequence[str]) -> Iterator[Running]:
        """A server process for the length of a `with` block; afterwards it has ended, whatever happened inside."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                cwd=HERE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                preexec_fn=lambda: prepare_child(self.server_core),
            )
            try:
                report = read_report(name, process, errors)
                running = Running(process.pid, report["port"], report)
                yield running
                if process.poll() is not None:
                    raise BenchmarkError(f"{name} ended with status {process.returncode}: {tail(errors)}")
            finally:
                end(process)
                if process.stdout:
                    process.stdout.close()


def compile_program(source: Path, folder: Path, *libraries: str) -> Path:
    """Builds a C program of the benchmarks in `folder` and returns its path."""
    program = folder / source.stem
    command = ["gcc", "-O2", "-std=gnu11", "-o", str(program), str(source), *libraries]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise BenchmarkError("gcc is missing") from None
    if done.returncode:
        raise BenchmarkError(f"{source.name} does not compile{' (libhttp-parser-dev?)' if libraries else ''}:\n{done.stderr}")
    return program


def prepare_child(core: int | None) -> None:
    """Runs in a child before its program: its core, its limit of descriptors, and its end when the runner ends."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    raise_descriptor_limit()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def raise_descriptor_limit() -> int:
    """Sets the soft limit to the hard one and returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def read_report(name: str, process: subprocess.Popen[bytes], errors: Any) -> dict[str, Any]:
    assert process.stdout
    deadline = time.monotonic() + START_SECONDS
    line = b""
    # Unbuffered reads: select knows nothing of what a buffered reader already holds.
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 4096) if ready else b""
        if not piece:
            raise BenchmarkError(f"{name} did not start: {tail(errors) or 'no port within the time'}")
        line += piece
    report: dict[str, Any] = json.loads(line.splitlines()[0])
    return report


def tail(errors: Any) -> str:
    errors.seek(0)
    return "\n".join(errors.read().decode("utf-8", "replace").splitlines()[-8:])


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)
