"""What every benchmark program here does before it measures: options, cores, available servers, reference answers."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.client import Answer, ask, differences
from benchmarks.scenarios import Scenario
from benchmarks.servers import SERVERS, BenchmarkError, Launcher, Server


def names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """An argparse type: a comma-separated choice among known names, in the order given, each once."""
    allowed = list(known)

    def choose(text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        unknown = [name for name in names if name not in allowed]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown) or 'nothing'}; known: {', '.join(allowed)}")
        return names

    return choose


def between(least: float, most: float) -> Callable[[str], float]:
    """An argparse type: a number in a range, an int where the range is one of ints."""
    kind = type(least)

    def number(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a number: {text}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"from {least:g} to {most:g}")
        return value

    return number


def add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--servers",
        type=names_of(SERVERS),
        default=list(SERVERS),
        metavar="A,B",
        help=f"among {', '.join(SERVERS)} (default: all that can run)",
    )
    parser.add_argument("--python", default=sys.executable, metavar="PROGRAM", help="the interpreter of the servers")
    parser.add_argument(
        "--access-log", choices=["off", "null"], default="off", help="null: formatted and written to the null device"
    )


def choose_cores() -> tuple[int, int, list[str]]:
    """The servers' core, the clients', and what there is to say about them."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        return cores[0], cores[1], []
    return cores[0], cores[0], ["one core only: the client and the server share it, and the times mean little"]


def find_python(name: str) -> str:
    python = shutil.which(name)
    if not python:
        raise BenchmarkError(f"no such interpreter: {name}")
    # Absolute, because the servers start in another folder; not resolved, because a venv's interpreter is a link.
    return os.path.abspath(python)


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one PEM file."""
    pem = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        done = subprocess.run([*command, "-keyout", pem, "-out", pem], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise BenchmarkError("openssl is missing") from None
    if done.returncode:
        raise BenchmarkError(f"openssl made no certificate: {done.stderr.strip()}")
    return pem


def answers(server: Server, scenario: Scenario) -> bool:
    """Whether this server can be asked this: the floor speaks no TLS."""
    return not (scenario.tls and server.name == "floor")


class Session:
    """One run of a benchmark program.  A context manager: it owns the folder that the floor is built in."""

    def __init__(self, options: argparse.Namespace, scenarios: Iterable[Scenario]) -> None:
        self.server_core, self.client_core, self.notes = choose_cores()
        self.launcher = Launcher(find_python(options.python), self.server_core, options.access_log)
        self.wanted: list[str] = options.servers
        self.scenarios = list(scenarios)
        self.servers: list[Server] = []
        self.skipped: dict[str, str] = {}
        self.reference: dict[str, Answer] = {}

    def __enter__(self) -> Session:
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        try:
            self._choose_servers()
            self._prepare_tls()
            self._take_reference()
            self._prepare_floor()
            self._check_answers()
            for name, why in self.skipped.items():
                print(f"skipped {name}: {why}", file=sys.stderr)
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._folder.cleanup()

    def _choose_servers(self) -> None:
        for name in self.wanted:
            reason = self.launcher.unavailable(SERVERS[name])
            if reason:
                self.skipped[name] = reason
            else:
                self.servers.append(SERVERS[name])
        if not self.servers:
            raise BenchmarkError("no server can run: " + "; ".join(f"{name}: {why}" for name, why in self.skipped.items()))

    def _prepare_tls(self) -> None:
        if not any(scenario.tls for scenario in self.scenarios):
            return
        try:
            self.launcher.certificate = make_certificate(Path(self._folder.name))
        except BenchmarkError as error:
            self.skipped |= {scenario.name: str(error) for scenario in self.scenarios if scenario.tls}
            self.scenarios = [scenario for scenario in self.scenarios if not scenario.tls]
            if not self.scenarios:
                raise

    def _take_reference(self) -> None:
        reason = self.launcher.unavailable(SERVERS["tornado"])
        if reason:
            raise BenchmarkError(f"Tornado gives the reference answers, and {reason}")
        with self.launcher.start(SERVERS["tornado"]) as running:
            for scenario in self.scenarios:
                answer = ask(running, scenario)
                if b" 200 " not in answer.status_line:
                    raise BenchmarkError(f"Tornado answers {scenario.name} with {answer.status_line!r}")
                self.reference[scenario.name] = answer

    def _prepare_floor(self) -> None:
        """The floor sends what Tornado sent, so both move the same number of bytes."""
        floor = SERVERS["floor"]
        if floor not in self.servers:
            return
        asked = filter(partial(answers, floor), self.scenarios)
        pages = {scenario.path.partition("?")[0]: self.reference[scenario.name].raw for scenario in asked}
        try:
            if not pages:
                raise BenchmarkError("it speaks no TLS")
            self.launcher.compile_floor(Path(self._folder.name), pages)
        except BenchmarkError as error:
            self.servers.remove(floor)
            self.skipped[floor.name] = str(error)

    def _check_answers(self) -> None:
        """A server that answers something else is still measured, but the result says so."""
        for server in self.servers:
            with self.launcher.start(server) as running:
                for scenario in filter(partial(answers, server), self.scenarios):
                    expected, answer = self.reference[scenario.name], ask(running, scenario)
                    if server.name != "floor":
                        found = differences(expected, answer)
                    else:  # it may order a header otherwise, and its Date stands still
                        same = len(answer.raw) == len(expected.raw)
                        found = [] if same else [f"{len(answer.raw)} bytes, expected {len(expected.raw)}"]
                    self.notes += [f"{server.name}: {scenario.name}: {what}" for what in found]
                if server.name != "floor" and running.report["native"] != server.name.startswith("tornadoc"):
                    state = "loaded" if running.report["native"] else "not loaded"
                    self.notes.append(f"{server.name}: tornadoc's native module was {state}: this row is not what its name says")
