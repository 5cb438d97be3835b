"""Runs modules of other projects' tests on tornadoc's loop, in processes of their own, and judges what they report.

As a program it prints what the tests under it would say, for any loop:

    python tests/suite/suite_runner.py asyncio [--loop asyncio:SelectorEventLoop] [MODULE ...]
    python tests/suite/suite_runner.py tornado [--variant NAME] [MODULE ... | all]

The exclusions (suite_exclusions.py) are about tornadoc's loop; with another one they count for nothing.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import suite_exclusions as excl
import suite_variants

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

#: Everything that CPython's and Tornado's own runners leave out by default runs too.
SLOW = os.environ.get("TORNADOC_SLOW") == "1"
#: Seconds for a test; AddressSanitizer makes all of it slower.
LIMIT = 120 if "libasan" not in os.environ.get("LD_PRELOAD", "") else 400
#: Seconds for a module, with some hanging tests. The slowest takes 20.
MODULE_LIMIT = 8 * LIMIT
#: A process ends with a test that hangs or crashes, and another one goes on after it, so often at most.
RESTARTS = 20
#: A module runs so often, if the unsteady ones of its tests (suite_exclusions.py) fail, and only they.
ATTEMPTS = 6

CRASHED = "the process hung or crashed in it"

OUR_LOOP = "tornadoc:EventLoop"
OUR_POLICY = "tornadoc:EventLoopPolicy"

ASYNCIO_SLOWEST_FIRST = [
    "test_tasks",
    "test_events",
    "test_subprocess",
    "test_taskgroups",
    "test_sock_lowlevel",
    "test_ssl",
    "test_sendfile",
    "test_base_events",
    "test_streams",
]
#: No loop of ours is made in these: they are about other classes, or about Windows.
ASYNCIO_LEFT_OUT = {
    "test_proactor_events": "the loop of Windows",
    "test_windows_events": "Windows",
    "test_windows_utils": "Windows",
}
#: The tests' own double of a loop, which counts for no loop.
DOUBLE = "TestLoop"
#: Modules that test asyncio's selector loop itself, and derive from it.
ASYNCIO_OWN_LOOP = {"test_selector_events"}

TORNADO_SLOWEST_FIRST = [
    "httpserver_test",
    "simple_httpclient_test",
    "web_test",
    "process_test",
    "autoreload_test",
    "iostream_test",
    "websocket_test",
    "gen_test",
]
#: They run with "all", but alone they make a run without a test.
TORNADO_EMPTY = {"tornado.iostream.doctests"}


@dataclasses.dataclass
class Report:
    """What the processes of one module reported."""

    #: The outcome and its detail, for each test that ended, hung or crashed.
    outcomes: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    #: The last event of each process that reached its end.
    ends: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    #: What the processes printed.
    output: str = ""
    #: What is wrong besides the tests that failed.
    problems: list[str] = dataclasses.field(default_factory=list)

    def failing(self) -> list[str]:
        return [name for name, (outcome, _) in self.outcomes.items() if outcome == "failed"]

    def count(self, outcome: str) -> int:
        return sum(1 for found, _ in self.outcomes.values() if found == outcome)

    def tally(self) -> collections.Counter[str]:
        return sum((collections.Counter(end.get("tally", {})) for end in self.ends), collections.Counter())

    def loops(self, which: str) -> int:
        return sum(sum(end.get(which, {}).values()) for end in self.ends)


def asyncio_modules() -> list[str]:
    """The modules of this Python's own asyncio tests, without those of other systems. Empty where they are not installed."""
    try:
        import test.test_asyncio as package
    except ImportError:
        return []
    found = {path.stem for path in pathlib.Path(package.__path__[0]).glob("test_*.py")} - set(ASYNCIO_LEFT_OUT)
    return [name for name in ASYNCIO_SLOWEST_FIRST if name in found] + sorted(found - set(ASYNCIO_SLOWEST_FIRST))


def run_patiently(run: Callable[[], Report], exclusions: Mapping[str, excl.Exclusion]) -> Report:
    """The report of the first run in which nothing is wrong but unsteady tests that have passed before, or something else is."""
    passed: set[str] = set()
    for _ in range(ATTEMPTS):
        report = run()
        passed |= {name for name, (outcome, _) in report.outcomes.items() if outcome == "passed"}
        unsteady = {name for name in report.failing() if _is_unsteady(name, report, exclusions)}
        for name in unsteady & passed:
            report.outcomes[name] = ("passed", "in another run")
        left = len(unsteady - passed)
        if left == 0 or len(judge(report, exclusions)) > left:
            break
    return report


def _is_unsteady(test: str, report: Report, exclusions: Mapping[str, excl.Exclusion]) -> bool:
    pattern = _pattern(test, exclusions)
    is_unsteady = pattern is not None and exclusions[pattern].kind == excl.UNSTEADY
    return is_unsteady and CRASHED not in report.outcomes[test][1]  # which luck does not explain


def _pattern(test: str, exclusions: Mapping[str, excl.Exclusion]) -> str | None:
    return next((pattern for pattern in exclusions if fnmatch.fnmatchcase(test, pattern)), None)


def run_asyncio(module: str, loop: str = OUR_LOOP, tests: str = "*") -> Report:
    """One module of CPython's asyncio tests, with `loop` ("module:class") in the place of the standard loops."""
    arguments = [str(HERE / "asyncio_child.py"), "--loop", loop, "--tests", tests]
    if loop == OUR_LOOP:
        arguments += ["--policy", OUR_POLICY, "--own-selector"]
    if SLOW:
        arguments += ["--resources", "cpu,walltime"]
    exclusions = excl.of_module(excl.ASYNCIO, module) if loop == OUR_LOOP else {}
    report = _run([*arguments, module], exclusions)
    foreign = {name for end in report.ends for name in end["others"]}
    if module not in ASYNCIO_OWN_LOOP and foreign - {DOUBLE} and report.loops("ours") == 0:
        report.problems.append(f"no loop was made by {loop}: the substitution takes no effect")
    if loop == OUR_LOOP:
        report.problems += standard_loops(report)
    return report


def standard_loops(report: Report) -> list[str]:
    """A problem, if loops of the standard library were made where all should be of tornadoc's class."""
    made = sum(end["others"].get("_UnixSelectorEventLoop", 0) for end in report.ends)
    return [f"{made} loops of asyncio's own class were made"] if made else []


def tornado_modules() -> list[str]:
    """The modules that Tornado's own runner runs, by the last part of their names where that is enough."""
    from tornado.test import runtests

    names = [name.removeprefix("tornado.test.") for name in runtests.TEST_MODULES if name not in TORNADO_EMPTY]
    return [name for name in TORNADO_SLOWEST_FIRST if name in names] + [
        name for name in names if name not in TORNADO_SLOWEST_FIRST
    ]


def run_tornado(module: str, tests: str = "*", *, variant: str = "everything") -> Report:
    """One module of Tornado's tests, or "all", in a variant (suite_variants.py), as strictly as Tornado's own runner does it."""
    how = suite_variants.VARIANTS[variant]
    exclusions = excl.of_tornado(module)
    arguments = [str(HERE / "tornado_child.py"), "--tests", tests, "--level", how.level]
    for pattern, exclusion in exclusions.items():
        if exclusion.kind == excl.FAILS:
            arguments += ["--expect-failure", pattern]
    environment = how.environment
    if how.level in ("everything", "install"):
        # For the processes that tests start.
        environment = {"TORNADOC": "require", **environment}
    report = _run([*arguments, module, "--", *how.options], exclusions, python=how.python, environment=environment)
    if how.level == "everything":
        report.problems += standard_loops(report)
    if tests == "*" and report.ends:
        report.problems += suite_variants.unused(module, how.level, report.tally())
    return report


def _run(
    arguments: list[str],
    exclusions: dict[str, excl.Exclusion],
    *,
    python: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Report:
    report = Report()
    skip = [pattern for pattern, exclusion in exclusions.items() if exclusion.kind == excl.SKIPPED]
    folders = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    variables = dict(os.environ, PYTHONPATH=os.pathsep.join(folders))
    # A busy machine is no reason to fail.
    variables["ASYNC_TEST_TIMEOUT"] = str(LIMIT / 2)
    # Debug mode and its like would reach loops that count on being without.
    for name in ("PYTHONASYNCIODEBUG", "PYTHONOPTIMIZE", "TORNADOC"):
        variables.pop(name, None)
    variables.update(environment or {})
    for _ in range(RESTARTS):
        # In a folder of its own, because the tests leave files in the working folder.
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.jsonl")
            path.touch()
            command = [sys.executable, "-X", "faulthandler", "-bb", *python, arguments[0]]
            command += ["--report", str(path), "--limit", str(LIMIT)]
            for pattern in skip:
                command += ["--skip", pattern]
            command += arguments[1:]
            with open(pathlib.Path(folder, "output"), "w+b") as output:
                status = subprocess.call(
                    command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
                output.seek(0)
                text = output.read().decode("utf-8", "backslashreplace")
            events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        report.output += text
        unfinished = None
        for event in events:
            if "start" in event:
                unfinished = event["start"]
            elif "end" in event:
                report.outcomes[event["end"]] = (event["outcome"], event["detail"])
                unfinished = None
            else:
                report.ends.append(event)
        if events and "done" in events[-1]:
            # From CPython 3.12 on, unittest ends with 5 where each test was skipped.
            good = status == 0 or (status == 5 and "NO TESTS RAN (skipped=" in text)
            if not good and not report.failing():
                report.problems.append(f"exit status {status}:\n{text[-4000:]}")
            return report
        if unfinished is None:
            report.problems.append(f"the process ended between tests, with status {status}:\n{text[-4000:]}")
            return report
        report.outcomes[unfinished] = ("failed", f"{CRASHED} (status {status}):\n{text[-8000:]}")
        skip += [name for name in report.outcomes if not name.startswith("(")]
    report.problems.append(f"more than {RESTARTS} tests hung or crashed")
    return report


def judge(report: Report, exclusions: Mapping[str, excl.Exclusion]) -> list[str]:
    """What is wrong with a report, given what is expected to fail. Empty: all is well."""
    wrong = list(report.problems)
    matched: set[str] = set()
    for test, (outcome, detail) in report.outcomes.items():
        pattern = _pattern(test, exclusions)
        if pattern is None:
            if outcome == "failed":
                wrong.append(f"NEWLY FAILING {test}\n{detail}")
            continue
        matched.add(pattern)
        if exclusions[pattern].kind == excl.FAILS and outcome == "passed":
            wrong.append(f"EXCLUDED, BUT PASSES {test} ({exclusions[pattern].reason})")
        if exclusions[pattern].kind == excl.UNSTEADY and outcome == "failed":
            wrong.append(f"FAILING EACH TIME {test}\n{detail}")
    if not report.outcomes:
        wrong.append(f"no test ran:\n{report.output[-4000:]}")
        return wrong
    for pattern, exclusion in exclusions.items():
        if not exclusion.may_be_missing() and pattern not in matched:
            wrong.append(f"EXCLUDED, BUT THERE IS NO SUCH TEST {pattern}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=["asyncio", "tornado"])
    parser.add_argument("--loop", default=OUR_LOOP, help="module:class (asyncio's tests only)")
    parser.add_argument("--variant", default="everything", choices=suite_variants.VARIANTS, help="how (Tornado's tests only)")
    parser.add_argument("--tests", default="*", help="a pattern of names, Class.test")
    parser.add_argument("-v", "--verbose", action="store_true", help="tracebacks too")
    parser.add_argument("modules", nargs="*")
    options = parser.parse_intermixed_args()
    bad = 0
    modules = options.modules or (asyncio_modules() if options.suite == "asyncio" else tornado_modules())
    for module in modules:
        if options.suite == "asyncio":
            report = run_asyncio(module, options.loop, options.tests)
            exclusions = excl.of_module(excl.ASYNCIO, module) if options.loop == OUR_LOOP else {}
        else:
            report = run_tornado(module, options.tests, variant=options.variant)
            exclusions = excl.of_tornado(module)
        wrong = judge(report, exclusions if options.tests == "*" else {})
        print(
            f"{module}: {report.count('passed')} passed, {report.count('failed')} failed, {report.count('skipped')} skipped; "
            f"loops made: {report.loops('ours')} of the class under test, {report.loops('others')} others"
            + "".join(f", {number} {what}" for what, number in report.tally().items() if what != "loops"),
            flush=True,
        )
        for problem in wrong:
            print("    " + (problem if options.verbose else problem.split("\n")[0]), flush=True)
        bad += bool(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
