"""Runs the tests of asyncio libraries on the standard library's loop and on another one, and compares test by test.

    python tests/suite/libraries.py [--loop tornadoc:EventLoop] [LIBRARY ...]

`make loop-libraries` calls it. The libraries are source distributions of fixed versions from the package index; with what
their tests need they are installed into an environment of their own, build/libraries/python3.X.

Some tests of both depend on timing or on the order of garbage collection. Where results differ, the test runs again by itself,
some times on each loop: it is newly failing where it fails again on the other loop and never on the standard one. The exit status
is 1 if there is one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tarfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "libraries"
VENV = BUILD / f"python{sysconfig.get_python_version()}"

#: Seconds for the tests of a library on a loop.
LIMIT = 2400
#: How often tests with different results run again on each loop.
AGAIN = 3
#: A result is one of these, the worst of a test's phases.
WORST_LAST = ["passed", "skipped", "xfailed", "xpassed", "failed", "not run"]


@dataclasses.dataclass(frozen=True)
class Library:
    name: str
    version: str
    #: What its tests need, besides its own dependencies.
    requirements: tuple[str, ...]
    #: For its pytest.
    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


LIBRARIES = [
    Library(
        "aiohttp",
        "3.14.5",
        (
            "blockbuster",
            "brotli",
            "freezegun",
            "gunicorn",
            "isal",
            "proxy.py",
            "pytest-codspeed",
            "pytest-cov",
            "pytest-mock",
            "pytest-timeout",
            "pytest-xdist",
            "python-on-whales",
            "trustme",
            "zlib_ng",
        ),
        # Benchmarks and the type checker's tests are not about loops; what is marked internal inspects aiohttp's own files.
        (
            "--numprocesses=2",
            "--no-cov",
            "-m",
            "not dev_mode and not internal and not autobahn",
            "--ignore-glob=*/test_benchmarks_*",
        ),
        # Without its C parser, which changes nothing about the loop.
        environment=(("AIOHTTP_NO_EXTENSIONS", "1"),),
    ),
    Library(
        "anyio",
        "4.16.0",
        ("blockbuster", "hypothesis", "psutil", "pytest-mock", "pytest-timeout", "pytest-xdist", "trustme", "truststore"),
        ("--numprocesses=2", "-m", "not network", "-k", "not trio and not uvloop"),
    ),
]


def pip(*arguments: str, **environment: str) -> None:
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q", *arguments]
    subprocess.run(command, check=True, env={**os.environ, **environment}, stdout=sys.stderr)


def prepare(library: Library) -> pathlib.Path:
    """Install a library and what its tests need. Returns the folder of its sources."""
    folder = BUILD / f"{library.name}-{library.version}"
    stamp = VENV / f"{library.name}-{library.version}.installed"
    wanted = repr(library)
    if folder.is_dir() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        # Of the version that this environment has.
        import tornado

        pip("install", "pytest>=9", f"tornado=={tornado.version}")
    environment = dict(library.environment)
    requirement = f"{library.name}=={library.version}"
    pip("download", "--no-deps", "--no-binary", library.name, "-d", str(BUILD), requirement, **environment)
    with tarfile.open(BUILD / f"{library.name}-{library.version}.tar.gz") as archive:
        archive.extractall(BUILD, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    pip("install", str(folder), *library.requirements, **environment)
    stamp.write_text(wanted, encoding="utf-8")
    return folder


@dataclasses.dataclass
class Run:
    results: dict[str, str]
    details: dict[str, str]
    #: Loops made of the class in question; None: the process did not come to its end.
    loops: int | None


def run(library: Library, folder: pathlib.Path, loop: str, label: str, tests: list[str] | None = None) -> Run:
    """Run a library's tests, or some of them, on a loop. `label` names the files with what they say, in build/libraries."""
    path = BUILD / f"{library.name}-{label}.jsonl"
    output = BUILD / f"{library.name}-{label}.txt"
    path.unlink(missing_ok=True)
    environment = {
        **os.environ,
        **dict(library.environment),
        "SUITE_LOOP": loop,
        "SUITE_REPORT": str(path),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])),
    }
    command = [
        str(VENV / "bin" / "python"),
        "-X",
        "faulthandler",
        "-m",
        "pytest",
        "-p",
        "loop_plugin",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    with open(output, "wb") as file:
        try:
            subprocess.run(
                [*command, *library.arguments, *(tests or [])],
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=file,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired:
            print(f"    did not end in {LIMIT} s", file=sys.stderr)
    made = Run({}, {}, None)
    phases: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        event = json.loads(line)
        if "done" in event:
            made.loops = (made.loops or 0) + event["ours"]
            continue
        test = event["test"]
        phases.setdefault(test, set()).add(event["when"])
        before = made.results.get(test, "passed")
        made.results[test] = max(before, event["outcome"], key=WORST_LAST.index)
        made.details[test] = made.details.get(test, "") + event["detail"]
    for test, seen in phases.items():
        if "teardown" not in seen:
            made.results[test] = "not run"
            made.details[test] = f"the process ended in it: see {output}"
    return made


def worse(standard: Run, other: Run) -> list[str]:
    """The names of the tests that are worse on the other loop than on the standard one."""
    bad = ("failed", "not run", "xpassed")
    return [test for test, result in standard.results.items() if result not in bad and other.results.get(test, "not run") in bad]


def confirm(library: Library, folder: pathlib.Path, loop: str, tests: list[str]) -> list[str]:
    """Those of `tests` that fail again on `loop`, and never on the standard one."""
    confirmed: set[str] = set()
    unsteady: set[str] = set()
    for _ in range(AGAIN if tests else 0):
        standard = run(library, folder, "asyncio:SelectorEventLoop", "standard-again", tests)
        other = run(library, folder, loop, "again", tests)
        confirmed.update(worse(standard, other))
        unsteady.update(test for test in tests if standard.results.get(test, "not run") in ("failed", "not run"))
    return sorted(confirmed - unsteady)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop", default="tornadoc:EventLoop")
    parser.add_argument("-v", "--verbose", action="store_true", help="the tracebacks of the tests that newly fail")
    parser.add_argument("libraries", nargs="*", help=", ".join(library.name for library in LIBRARIES))
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    bad = False
    for library in LIBRARIES:
        if options.libraries and library.name not in options.libraries:
            continue
        folder = prepare(library)
        standard = run(library, folder, "asyncio:SelectorEventLoop", "standard")
        other = run(library, folder, options.loop, options.loop.partition(":")[0])
        differing = worse(standard, other)
        failed = confirm(library, folder, options.loop, differing)
        same = sum(1 for test, result in standard.results.items() if other.results.get(test) == result)
        failing = sum(1 for result in standard.results.values() if result == "failed")
        print(
            f"{library.name} {library.version}: {len(standard.results)} tests, {same} with the same result on {options.loop} "
            f"({other.loops} loops), {failing} fail on the standard loop, {len(failed)} newly failing",
            flush=True,
        )
        for test in differing:
            kind = "NEWLY FAILING" if test in failed else "failed once, and not again"
            print(f"    {kind}: {test}")
            if options.verbose:
                print(other.details.get(test, ""))
        if not standard.results or standard.loops is None:
            print(f"    the tests did not run through on the standard loop: see {BUILD}/{library.name}-standard.txt")
            bad = True
        if not other.loops:
            print(f"    no loop was made by {options.loop}, or the process did not come to its end")
            bad = True
        bad = bad or bool(failed)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
