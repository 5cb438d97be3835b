"""Runs the tests of real applications with Tornado alone and then with tornadoc, and compares test by test.

    python tests/compat/compat.py [APPLICATION ...] [--json FILE] [--markdown] [--stored] [--fresh]

`make compat` calls it. Each application gets an environment of its own in build/compat, with tornadoc as a wheel of this tree in
it; what is installed comes from the package index, and tests that are not there from Debian's sources. The exit status is 1 if a
test is newly failing or tornadoc was not in use, 2 if an environment could not be made.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import signal
import sys
import tempfile
import time

import compat_applications as apps
import compat_compare
import compat_events
import compat_grid
import compat_process
from compat_applications import Application
from compat_environment import BUILD, HERE, Environment, EnvironmentFailure, build_wheel
from compat_events import Run
from compat_grid import Row

# Beside Tornado's own suite, which they are about.
sys.path.append(str(HERE.parent / "suite"))
import suite_exclusions

RESULTS = BUILD / "results"
ALONE = "alone"
OURS = "tornadoc"


class Progress:
    """A line that tells where a run is: rewritten in a terminal, else one line every half a minute."""

    def __init__(self, title: str, report: pathlib.Path) -> None:
        self._title = title
        self._report = report
        self._started = time.monotonic()
        self._next = self._started + 30

    def __call__(self) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{self._line()}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() >= self._next:
            self._next += 30
            print(self._line(), file=sys.stderr, flush=True)

    def _line(self) -> str:
        done = self._report.read_bytes().count(b'\n{"end"') if self._report.exists() else 0
        return f"{self._title}: {done} tests, {time.monotonic() - self._started:.0f} s"

    def end(self, run: Run) -> None:
        result = f"{run.count('passed')} passed, {len(run.outcomes) - run.count('passed')} other, {run.seconds:.0f} s"
        print(f"{chr(13) + chr(27) + '[K' if sys.stderr.isatty() else ''}{self._title}: {result}", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Side:
    """One way to run a suite: Tornado alone, or with tornadoc at one of its levels."""

    environment: Environment
    #: Of compat_tornado.py; the other suites have one level, "loop".
    level: str

    @property
    def label(self) -> str:
        return f"{OURS}-{self.level}" if self.level != ALONE else ALONE

    def command(self, tests: list[str] | None, listing: pathlib.Path) -> list[str]:
        python = [str(self.environment.python), "-X", "faulthandler"]
        application = self.environment.application
        if not application.tests:
            command = [*python, "-bb", str(HERE / "compat_tornado.py"), self.level]
            if tests is not None:
                listing.write_text("\n".join(tests), encoding="utf-8")
                command += ["--tests", str(listing)]
            return command
        # Not `python -m pytest`, which would import the package from the source tree in place of the installed one.
        command = [*python, str(self.environment.venv / "bin" / "pytest"), "-p", "compat_plugin"]
        if self.level != ALONE:
            command += ["-p", "tornadoc"]
        return [*command, "-p", "no:cacheprovider", *application.options, *(application.tests if tests is None else tests)]

    def run(self, tests: list[str] | None = None, suffix: str = "", hold_collector: bool = False) -> Run:
        """Run the suite, or some of its tests. What it says lies beside the environment, in files named for the side.

        hold_collector: with garbage collections between tests only.
        """
        application = self.environment.application
        name = self.label + suffix
        report = self.environment.folder / f"{name}.jsonl"
        output = self.environment.folder / f"{name}.txt"
        report.unlink(missing_ok=True)
        progress = Progress(f"{application.name}, {name}", report)
        started = time.monotonic()
        # A short path: tests put the names of unix sockets below it.
        with tempfile.TemporaryDirectory(prefix="compat-", ignore_cleanup_errors=True) as scratch:
            # Tornado's own tests leave files in the working folder.
            folder = self.environment.source if application.tests else pathlib.Path(scratch)
            command = self.command(tests, pathlib.Path(scratch, "tests"))
            variables = self._variables(scratch, report)
            if hold_collector:
                variables["COMPAT_HOLD_COLLECTOR"] = "1"
            confined = [sys.executable, str(HERE / "compat_confine.py"), *command]
            broken = compat_process.run(confined, folder, variables, output, application.limit, progress)
        run = compat_events.read(report)
        run.seconds = time.monotonic() - started
        run.broken = f"{name}: {broken}: see {output.relative_to(BUILD.parent.parent)}" if broken else ""
        if not broken and (not run.outcomes or not run.ends):
            run.broken = f"{name}: no test ran to its end: see {output.relative_to(BUILD.parent.parent)}"
        progress.end(run)
        return run

    def _variables(self, scratch: str, report: pathlib.Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "TORNADOC"))}
        mode = {ALONE: "off", "httpserver": ""}.get(self.level, "require")
        return {
            **kept,
            "PATH": f"{self.environment.venv / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(self.environment.venv),
            "HOME": scratch,
            "TMPDIR": scratch,
            "COMPAT_REPORT": str(report),
            "TORNADOC": mode,
            "PYTHONDONTWRITEBYTECODE": "1",
            # A busy machine is no reason to fail.
            "ASYNC_TEST_TIMEOUT": "60",
            **{
                name: value.replace("{source}", str(self.environment.source))
                for name, value in self.environment.application.environment
            },
        }


def excluded(application: Application, tests: list[str]) -> dict[str, str]:
    """Those of `tests` that have to fail with tornadoc, and why."""
    found = {test: reason for test, reason in application.exclusions if test in tests}
    for test in tests if not application.tests else ():
        module, _, name = test.partition(".")
        exclusion = suite_exclusions.find(suite_exclusions.TORNADO, module, name)
        if exclusion is not None and exclusion.kind == suite_exclusions.FAILS:
            found[test] = exclusion.reason
    return found


def judge(environment: Environment, level: str, alone: Run) -> tuple[Row, Run]:
    """Run one of tornadoc's sides and compare it with Tornado's."""
    application = environment.application
    side = Side(environment, level)
    ours = side.run()

    def rerun(tests: list[str], hold_collector: bool) -> tuple[Run, Run]:
        return (
            Side(environment, ALONE).run(tests, f"-for-{level}-again", hold_collector),
            side.run(tests, "-again", hold_collector),
        )

    comparison = compat_compare.compare(alone, ours, rerun)
    excuses = excluded(application, comparison.newly_failing)
    comparison.newly_failing = [name for name in comparison.newly_failing if name not in excuses]
    active = ours.active(application.serves)
    if active == "yes" and not alone.inactive():
        active = "no: it was active with Tornado alone as well"
    row = Row(
        name=apps.TORNADO_LEVELS[level] if not application.tests else application.name,
        version=environment.version_of(application.name),
        tornado=environment.version_of("tornado"),
        python=platform.python_version(),
        date=datetime.date.today().isoformat(),
        active=active,
        comparison=comparison,
        excluded=excuses,
        children=len(ours.children_of_tests()),
        children_active=sum(1 for child in ours.children_of_tests() if child["in_front"]),
        note=application.note,
        broken="; ".join(filter(None, [alone.broken, ours.broken])),
    )
    return row, ours


def run_application(application: Application, wheel: pathlib.Path, fresh: bool) -> list[Row]:
    """All rows of an application. They are stored, with both outcomes of every test, in build/compat/results."""
    environment = Environment(application)
    print(f"{application.name}: preparing", file=sys.stderr, flush=True)
    environment.prepare(wheel, fresh)
    alone = Side(environment, ALONE).run()
    rows = []
    tests = {}
    for level in ["loop"] if application.tests else apps.TORNADO_LEVELS:
        row, ours = judge(environment, level, alone)
        rows.append(row)
        names = compat_compare.names(alone, ours)
        tests[row.name] = {name: [alone.outcome(name), ours.outcome(name)] for name in names}
        print(compat_grid.text([row]), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    stored = {"rows": [row.as_json() for row in rows], "tests": tests}
    (RESULTS / f"{application.name}.json").write_text(json.dumps(stored, indent=1), encoding="utf-8")
    return rows


def stored_rows(application: Application) -> list[Row]:
    """Those of the last run; none if there was none."""
    path = RESULTS / f"{application.name}.json"
    if not path.exists():
        return []
    return [compat_grid.from_json(row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("applications", nargs="*", help=", ".join(application.name for application in apps.APPLICATIONS))
    parser.add_argument("--json", type=pathlib.Path, help="where to write the grid as JSON, besides build/compat/results")
    parser.add_argument("--markdown", action="store_true", help="the grid as Markdown")
    parser.add_argument("--stored", action="store_true", help="run nothing: the grid of the last results")
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    options = parser.parse_args()
    try:
        applications = apps.find(options.applications)
    except KeyError as e:
        parser.error(f"there is no application {e}")
    BUILD.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failed = False
    if options.stored:
        for application in applications:
            rows += stored_rows(application)
    else:
        # What it has started is ended on the way out.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        compat_process.adopt_orphans()
        print("building a wheel of tornadoc", file=sys.stderr, flush=True)
        wheel = build_wheel()
        for application in applications:
            try:
                rows += run_application(application, wheel, options.fresh)
            except EnvironmentFailure as e:
                print(f"{application.name}: {e}", file=sys.stderr)
                failed = True
    if options.json is not None:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=1), encoding="utf-8")
    print(compat_grid.markdown(rows) if options.markdown else compat_grid.text(rows))
    return 2 if failed else 0 if rows and all(row.is_well() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
