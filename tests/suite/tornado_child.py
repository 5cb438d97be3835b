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

#: Tornado's classes that have native ones behind them: (module, class).
NATIVE = [
    ("web", "Application"),
    ("web", "RequestHandler"),
    ("httpserver", "HTTPServer"),
    ("httputil", "HTTPHeaders"),
    ("httputil", "HTTPServerRequest"),
    ("iostream", "BaseIOStream"),
    ("iostream", "IOStream"),
    ("iostream", "SSLIOStream"),
    ("iostream", "PipeIOStream"),
    ("tcpserver", "TCPServer"),
    ("platform.asyncio", "AsyncIOLoop"),
    ("platform.asyncio", "AsyncIOMainLoop"),
]


def check_substitution() -> None:
    """Are Tornado's names bound to tornadoc's classes, and is the IOLoop's loop ours?"""
    import asyncio

    import tornado
    from tornado.ioloop import IOLoop

    import tornadoc
    from tornadoc import _native

    # install() leaves the headers of earlier versions alone: they accept folded lines.
    untouched = {("httputil", "HTTPHeaders")} if tornado.version_info < (6, 6) else set()
    for module, name in NATIVE:
        theirs = getattr(importlib.import_module("tornado." + module), name)
        native = _native.IOLoop if module == "platform.asyncio" else getattr(_native, name, None)
        if native is not None and (module, name) not in untouched and not issubclass(theirs, native):
            raise AssertionError(f"tornado.{module}.{name} is {theirs!r}, without {native!r} behind it")
    loop = IOLoop(make_current=False)
    try:
        made: Any = loop.asyncio_loop  # type: ignore[attr-defined]
        if not isinstance(made, tornadoc.EventLoop):
            raise AssertionError(f"the IOLoop's loop is {made!r}")
    finally:
        loop.close()
    runner_loop = asyncio.new_event_loop()
    runner_loop.close()
    if not isinstance(runner_loop, tornadoc.EventLoop):
        raise AssertionError(f"asyncio.new_event_loop() makes {runner_loop!r}")


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
