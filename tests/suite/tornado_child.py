"""Runs one module of Tornado's tests on tornadoc's classes, with Tornado's own strict runner. A process of its own.

    python tornado_child.py --report FILE [--skip PATTERN ...] [--expect-failure PATTERN ...] MODULE

The runner is ``tornado.test.runtests``: it fails on log records that a test did not expect, on bytes on standard error, and on
warnings. tornadoc comes before anything of Tornado is imported.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import sys
import unittest
from typing import Any

import suite_recording

#: What is behind these classes of Tornado's names: (module, class, native class).
NATIVE = [
    ("web", "Application", "Application"),
    ("web", "RequestHandler", "RequestHandler"),
    ("httpserver", "HTTPServer", "HTTPServer"),
    ("httputil", "HTTPServerRequest", "HTTPServerRequest"),
    ("iostream", "BaseIOStream", "BaseIOStream"),
    ("iostream", "IOStream", "BaseIOStream"),
    ("iostream", "SSLIOStream", "BaseIOStream"),
    ("iostream", "PipeIOStream", "BaseIOStream"),
]


def check_substitution() -> None:
    """Are Tornado's names bound to tornadoc's classes, and are the loops ours?"""
    import asyncio

    from tornado.ioloop import IOLoop

    import tornadoc.platform.asyncio
    from tornadoc import _native, _overlay

    for module, names in _overlay.table().items():
        for name, (_, replacement) in names.items():
            found = getattr(importlib.import_module(module), name)
            if found is not replacement:
                raise AssertionError(f"{module}.{name} is {found!r}")
    for module, name, native in NATIVE:
        found = getattr(importlib.import_module("tornado." + module), name)
        if not issubclass(found, getattr(_native, native)):
            raise AssertionError(f"tornado.{module}.{name} is {found!r}, without _native.{native} behind it")
    io_loop = IOLoop(make_current=False)
    loops: list[Any] = [io_loop.asyncio_loop, asyncio.new_event_loop()]  # type: ignore[attr-defined]
    if not isinstance(io_loop, tornadoc.platform.asyncio.BaseAsyncIOLoop):
        raise AssertionError(f"IOLoop() makes {io_loop!r}")
    io_loop.close()
    for loop in loops:
        loop.close()
        if not isinstance(loop, tornadoc.EventLoop):
            raise AssertionError(f"{loop!r} is the loop of an IOLoop, or what asyncio makes")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", required=True)
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--tests", default="*")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--expect-failure", action="append", default=[])
    parser.add_argument("module")
    options = parser.parse_args()
    suite_recording.search_here_last()

    import tornadoc

    tornadoc.install()
    check_substitution()

    from tornado.test import runtests

    recorder = suite_recording.Recorder(options.report, f"tornado.test.{options.module}.", options.limit)
    ours, others = suite_recording.count_loops(tornadoc.EventLoop)
    # The runner derives its own class of results from this name.
    unittest.TextTestResult = suite_recording.result_class(unittest.TextTestResult, recorder)  # type: ignore[misc, assignment]
    make_runner = runtests.test_runner_factory

    def runner_factory(stderr: Any) -> type:
        class Runner(make_runner(stderr)):  # type: ignore[misc]
            def run(self, suite: unittest.TestSuite) -> unittest.TestResult:
                tests = recorder.select(suite_recording.flatten(suite), options.tests, options.skip)
                for test in tests:
                    if any(fnmatch.fnmatchcase(recorder.name(test), pattern) for pattern in options.expect_failure):
                        suite_recording.expect_failure(test)
                return super().run(unittest.TestSuite(tests))

        return Runner

    runtests.test_runner_factory = runner_factory
    sys.argv = ["runtests", f"tornado.test.{options.module}"]
    try:
        runtests.main()
    finally:
        recorder.done(ours=dict(ours), others=dict(others))


if __name__ == "__main__":
    main()
