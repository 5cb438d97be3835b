"""A pytest plugin for other projects' tests: asyncio makes the loops of SUITE_LOOP ("module:class"), results go to SUITE_REPORT.

The report has a line of JSON for each phase of each test, and at last one from each process with the number of loops made of that
class and of others. A test that was in progress when the process ended has no "teardown" line.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
from typing import Any

import pytest
import suite_recording

MODULE, _, NAME = os.environ["SUITE_LOOP"].partition(":")
#: Appended to with single writes, as workers of xdist share it.
REPORT = os.open(os.environ["SUITE_REPORT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

loop_class: type = getattr(importlib.import_module(MODULE), NAME)
ours, others = suite_recording.count_loops(loop_class)


class Policy(asyncio.DefaultEventLoopPolicy):
    # A static method, because a function in this place would be bound.
    _loop_factory = staticmethod(loop_class)


def write(**event: Any) -> None:
    os.write(REPORT, (json.dumps(event) + "\n").encode())


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    asyncio.set_event_loop_policy(Policy())


class Reporter:
    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xpassed" if outcome == "passed" else "xfailed"
        write(test=report.nodeid, when=report.when, outcome=outcome, detail=report.longreprtext if outcome == "failed" else "")

    def pytest_sessionfinish(self) -> None:
        write(done=True, ours=sum(ours.values()), others=dict(others))


def pytest_configure(config: pytest.Config) -> None:
    # The process that distributes tests hears of each a second time, and makes no loops.
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        config.pluginmanager.register(Reporter())
