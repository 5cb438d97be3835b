"""Runs the tests of asyncio libraries on asyncio's event loop and on tornadoc's, and tells where they differ.

    python tests/suite/libraries.py [--workers N] [-v] [LIBRARY ...]

The libraries' source distributions, with their tests, and what these need go into build/libraries, in a virtual environment of
their own. A test that fails on tornadoc's loop alone is tried again, by itself, on both: what fails only sometimes is listed, what
fails again is a difference. With differences that suite_exclusions.py has no reason for, the exit status is 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import time

import suite_exclusions as excl

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
#: Each version of CPython has an environment of its own.
PLACE = ROOT / "build" / "libraries" / f"{sys.version_info.major}.{sys.version_info.minor}"

#: How often a test that differs is tried again.
ATTEMPTS = 3
#: Seconds for all the tests of a library on one loop.
LIMIT = 1800


@dataclasses.dataclass(frozen=True)
class Library:
    name: str
    version: str
    #: What the tests import besides the library and its own requirements.
    needs: tuple[str, ...]
    #: pytest's arguments instead of those in the library's own configuration.
    arguments: tuple[str, ...]
    #: For the build and for the tests.
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def folder(self) -> pathlib.Path:
        return PLACE / f"{self.name}-{self.version}"


LIBRARIES = [
    Library(
        "aiohttp",
        "3.14.5",
        (
            "aiodns",
            "blockbuster",
            "brotli",
            "freezegun",
            "gunicorn",
            "isal",
            "pkgconfig",
            "proxy.py",
            "pytest-codspeed",
            "pytest-cov",
            "pytest-mock",
            "python-on-whales",
            "trustme",
            "zlib_ng",
        ),
        ("-m", "not dev_mode and not autobahn and not internal", "--ignore-glob=*/test_benchmarks_*", "tests"),
        {"AIOHTTP_NO_EXTENSIONS": "1"},
    ),
    Library(
        "anyio",
        "4.16.0",
        ("blockbuster", "exceptiongroup", "hypothesis", "psutil", "pytest-mock", "trustme", "truststore"),
        ("-m", "not network", "tests"),
    ),
]


def prepare(libraries: list[Library]) -> pathlib.Path:
    """Make the environment, unless it is there. Returns its Python."""
    python = PLACE / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.check_call([sys.executable, "-m", "venv", str(PLACE / "venv")])
    pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check"]
    for library in libraries:
        done = PLACE / f"{library.name}-{library.version}.installed"
        if done.exists():
            continue
        print(f"{library.name} {library.version}: fetching and installing", flush=True)
        environment = dict(os.environ, **library.environment)
        source = [f"--no-binary={library.name}", f"{library.name}=={library.version}"]
        subprocess.check_call([*pip, "download", "--no-deps", "--dest", str(PLACE), *source], env=environment)
        with tarfile.open(PLACE / f"{library.name}-{library.version}.tar.gz") as archive:
            if hasattr(tarfile, "data_filter"):
                archive.extraction_filter = tarfile.data_filter
            archive.extractall(PLACE)
        common = ["tornado", "pytest", "pytest-timeout", "pytest-xdist"]
        subprocess.check_call([*pip, "install", str(library.folder), *common, *library.needs], env=environment)
        done.touch()
    return python


@dataclasses.dataclass
class Run:
    outcomes: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    #: Loops of tornadoc's class, and of others, that all the processes made.
    ours: int = 0
    others: int = 0
    seconds: float = 0.0
    output: str = ""

    def failed(self) -> set[str]:
        return {test for test, (outcome, _) in self.outcomes.items() if outcome == "failed"}

    def count(self, outcome: str) -> int:
        return sum(1 for found, _ in self.outcomes.values() if found == outcome)


def run(python: pathlib.Path, library: Library, loop: str, workers: int, tests: list[str] | None = None) -> Run:
    """The library's tests, or some of them, on the loop of "asyncio" or "tornadoc"."""
    path = PLACE / "report.jsonl"
    path.write_bytes(b"")
    environment = dict(
        os.environ,
        **library.environment,
        PYTHONPATH=os.pathsep.join([str(ROOT), str(HERE)]),
        TORNADOC_SUITE_LOOP=loop,
        TORNADOC_SUITE_REPORT=str(path),
    )
    environment.pop("PYTHONASYNCIODEBUG", None)
    # As the library's own configuration has it, but for coverage and the number of processes.
    command = [str(python), "-m", "pytest", "-o", "addopts=", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "loop_plugin"]
    command += ["--timeout=120", f"--numprocesses={workers}"]
    command += [*library.arguments[:-1], *tests] if tests else library.arguments
    began = time.monotonic()
    done = subprocess.run(
        command,
        cwd=library.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT,
        check=False,
    )
    found = Run(seconds=time.monotonic() - began, output=done.stdout.decode("utf-8", "backslashreplace"))
    for line in path.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if "test" in event:
            found.outcomes[event["test"]] = (event["outcome"], event["detail"])
        else:
            found.ours += event["ours"]
            found.others += sum(event["others"].values())
    return found


def compare(python: pathlib.Path, library: Library, workers: int, verbose: bool) -> bool:
    """Run, tell, and judge: is all as on asyncio's loop?"""
    runs = {loop: run(python, library, loop, workers) for loop in ("asyncio", "tornadoc")}
    stock, ours = runs["asyncio"], runs["tornadoc"]
    for loop, found in runs.items():
        print(
            f"{library.name} {library.version} on {loop}: {found.count('passed')} passed, {found.count('failed')} failed, "
            f"{found.count('skipped')} skipped in {found.seconds:.0f} s; loops made: {found.ours} of tornadoc, {found.others} others",
            flush=True,
        )
    good = True
    if not stock.count("passed") or not ours.count("passed") or not ours.ours or stock.ours:
        print(f"    the tests did not run as they should:\n{stock.output[-3000:]}\n{ours.output[-3000:]}")
        good = False
    same = sum(1 for test, (outcome, _) in ours.outcomes.items() if stock.outcomes.get(test, ("",))[0] == outcome)
    print(f"    {same} of {len(ours.outcomes)} tests with the same result")
    for test in sorted(stock.outcomes.keys() - ours.outcomes.keys()):
        print(f"    NOT RUN on tornadoc: {test}")
        good = False
    for test in sorted(stock.failed() - ours.failed()):
        print(f"    fails on asyncio alone: {test}")
    for test in sorted(ours.failed() - stock.failed()):
        again = [run(python, library, "tornadoc", 0, [test]) for _ in range(ATTEMPTS)]
        failures = sum(1 for found in again if test in found.failed())
        reason = excl.find(excl.LIBRARIES, library.name, test)
        if failures == 0:
            print(f"    failed once, and passed {ATTEMPTS} times by itself: {test}")
        elif reason is not None:
            print(f"    excluded: {test} ({reason.reason})")
        else:
            print(f"    NEWLY FAILING: {test} ({failures} of {ATTEMPTS} times by itself)")
            good = False
        if verbose or (failures and reason is None):
            print("        " + ours.outcomes[test][1].replace("\n", "\n        "))
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4))
    parser.add_argument("-v", "--verbose", action="store_true", help="every traceback")
    parser.add_argument("names", nargs="*", metavar="LIBRARY")
    options = parser.parse_args()
    chosen = [library for library in LIBRARIES if not options.names or library.name in options.names]
    python = prepare(chosen)
    return 0 if all([compare(python, library, options.workers, options.verbose) for library in chosen]) else 1


if __name__ == "__main__":
    sys.exit(main())
