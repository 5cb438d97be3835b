"""Runs Tornado's own tests with its strict runner, alone or at one of tornadoc's levels. A process of its own.

    python compat_tornado.py LEVEL [--tests FILE]

LEVEL is alone, httpserver (Tornado's own option --httpserver), install (tornadoc.install(), on asyncio's loop) or loop
(tornadoc.install(), on tornadoc's). FILE names the tests to run, one a line; else all run. Events go to COMPAT_REPORT.
"""

from __future__ import annotations

import argparse
import gc
import os
import pathlib
import sys
import unittest
from typing import Any

import compat_witness
import suite_recording

#: Seconds for a test.
LIMIT = 120.0


def collecting(test: unittest.TestCase) -> unittest.TestCase:
    """Have garbage collected after a test."""
    test.addCleanup(gc.collect)
    return test


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("level", choices=["alone", "httpserver", "install", "loop"])
    parser.add_argument("--tests")
    options = parser.parse_args()
    suite_recording.search_here_last()
    sys.argv = ["runtests"]
    if options.level in ("install", "loop"):
        import tornadoc

        tornadoc.install()
        if options.level == "install":
            from tornadoc import loop

            loop.uninstall_policy()
    elif options.level == "httpserver":
        sys.argv.append("--httpserver=tornadoc.httpserver.HTTPServer")

    # What the runner finds by itself only as the main module.
    sys.argv.append("tornado.test.runtests.all")

    from tornado.test import runtests

    recorder = suite_recording.Recorder(os.environ["COMPAT_REPORT"], "tornado.test.", LIMIT)
    counts = compat_witness.Counts() if options.level != "alone" else None
    unittest.TextTestResult = suite_recording.result_class(unittest.TextTestResult, recorder)  # type: ignore[misc, assignment]
    only = set(pathlib.Path(options.tests).read_text(encoding="utf-8").splitlines()) if options.tests else None
    make_runner = runtests.test_runner_factory

    def runner_factory(stderr: Any) -> type:
        class Runner(make_runner(stderr)):  # type: ignore[misc]
            def run(self, suite: unittest.TestSuite) -> unittest.TestResult:
                tests = [test for test in suite_recording.flatten(suite) if only is None or recorder.name(test) in only]
                if os.environ.get("COMPAT_HOLD_COLLECTOR"):
                    gc.disable()
                    tests = [collecting(test) for test in tests]
                return super().run(unittest.TestSuite(tests))  # type: ignore[no-any-return]

        return Runner

    runtests.test_runner_factory = runner_factory
    try:
        runtests.main()  # type: ignore[no-untyped-call]
    finally:
        recorder.done(**compat_witness.measure(), **(counts.as_event() if counts is not None else {}))


if __name__ == "__main__":
    main()
