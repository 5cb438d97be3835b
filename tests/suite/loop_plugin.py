"""A plugin of pytest, for other projects' tests: chooses asyncio's event loop and writes the outcomes to a file.

``TORNADOC_SUITE_LOOP`` is "tornadoc" or "asyncio", ``TORNADOC_SUITE_REPORT`` the file: a line of JSON for each event, either
``{"test": id, "outcome": "passed" | "failed" | "skipped", "detail": text}`` or, for each process, ``{"ours": n, "others": {name: n}}``.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import suite_loops
import tornadoc

if os.environ["TORNADOC_SUITE_LOOP"] == "tornadoc":
    suite_loops.substitute(tornadoc.EventLoop, tornadoc.EventLoopPolicy)
_ours, _others = suite_loops.count_loops(tornadoc.EventLoop)

#: What the phases of a test have said so far.
_outcomes: dict[str, tuple[str, str]] = {}


def _write(event: dict[str, Any]) -> None:
    with open(os.environ["TORNADOC_SUITE_REPORT"], "ab", buffering=0) as file:
        file.write(json.dumps(event).encode() + b"\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return  # the controller hears of it too
    if report.failed or (report.skipped and report.nodeid not in _outcomes):
        _outcomes[report.nodeid] = (report.outcome, report.longreprtext)
    if report.when == "teardown":
        outcome, detail = _outcomes.pop(report.nodeid, ("passed", ""))
        _write({"test": report.nodeid, "outcome": outcome, "detail": detail})


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write({"test": report.nodeid, "outcome": "failed", "detail": report.longreprtext})


def pytest_sessionfinish() -> None:
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        # Tests whose process ended in the middle of them have no teardown.
        for test, (outcome, detail) in _outcomes.items():
            _write({"test": test, "outcome": outcome, "detail": detail})
    _write({"ours": sum(_ours.values()), "others": dict(_others)})
