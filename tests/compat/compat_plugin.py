"""A pytest plugin for the tests of applications: the outcome of each test, and in the end what is known of tornadoc, as events.

The events are those of tests/suite/suite_recording.py, in the file that COMPAT_REPORT names. With xdist the process that
distributes tests tells the outcomes, and every process what it knows of itself.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import compat_witness
import pytest

REPORT = os.environ["COMPAT_REPORT"]

#: An outcome is one of these, the worst of a test's phases.
WORST_LAST = ("passed", "skipped", "xfailed", "xpassed", "failed")


def outcome_of(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.outcome == "passed" else "xfailed"
    return str(report.outcome)


class Reporter:
    """Tells the outcomes of tests."""

    def __init__(self) -> None:
        self._outcomes: dict[str, str] = {}
        self._details: dict[str, str] = {}

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        compat_witness.append(REPORT, {"start": nodeid})

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid
        if report.outcome == "rerun":
            # By pytest-rerunfailures, which an application has asked for: the test begins again.
            self._outcomes.pop(name, None)
            self._details.pop(name, None)
            return
        self._outcomes[name] = max(self._outcomes.get(name, "passed"), outcome_of(report), key=WORST_LAST.index)
        if report.outcome != "passed":
            self._details[name] = self._details.get(name, "") + report.longreprtext

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        outcome, detail = self._outcomes.pop(nodeid, "failed"), self._details.pop(nodeid, "")
        compat_witness.append(REPORT, {"end": nodeid, "outcome": outcome, "detail": detail})

    def pytest_collectreport(self, report: Any) -> None:
        # A module that can't be imported, or is left out as a whole, is a test of its own name.
        if report.outcome != "passed":
            compat_witness.append(REPORT, {"start": report.nodeid})
            compat_witness.append(REPORT, {"end": report.nodeid, "outcome": report.outcome, "detail": report.longreprtext})


class HeldCollector:
    """Garbage is collected between tests, and never within one."""

    def pytest_sessionstart(self) -> None:
        gc.disable()

    def pytest_runtest_logfinish(self) -> None:
        gc.collect()


class Measure:
    """Tells what is known of tornadoc in a process that runs tests."""

    def __init__(self) -> None:
        self._counts: compat_witness.Counts | None = None

    def pytest_sessionstart(self) -> None:
        if compat_witness.measure()["in_front"]:
            self._counts = compat_witness.Counts()

    def pytest_sessionfinish(self) -> None:
        counted = self._counts.as_event() if self._counts is not None else {}
        compat_witness.append(REPORT, {"done": True, **compat_witness.measure(), **counted})


def pytest_configure(config: pytest.Config) -> None:
    worker = hasattr(config, "workerinput")
    if not worker:
        config.pluginmanager.register(Reporter(), "compat-reporter")
    if worker or not getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(Measure(), "compat-measure")
        if os.environ.get("COMPAT_HOLD_COLLECTOR"):
            config.pluginmanager.register(HeldCollector(), "compat-collector")
