"""Runs Tornado's tests, or one module of them, on tornadoc, with Tornado's own strict runner. A process of its own.

    python tornado_child.py --report FILE [--level LEVEL] [--skip PATTERN ...] [--expect-failure PATTERN ...] MODULE | all
                            [-- OPTIONS OF THE RUNNER ...]

The runner is ``tornado.test.runtests``: it fails on log records that a test did not expect, on bytes on standard error, and on
warnings. The levels are those at which tornadoc can stand in (suite_runner.LEVELS); at the default, "everything", all of them do.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import functools
import importlib
import os
import sys
import unittest
from typing import Any

import suite_recording

HTTPSERVER = "tornadoc.httpserver.HTTPServer"

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


def substitute(level: str) -> type:
    """Put tornadoc in Tornado's place, as far as the level says; the class of the loops that are made from now on."""
    import tornadoc

    if level in ("everything", "install"):
        tornadoc.install()
    if level in ("everything", "loop"):
        policy: asyncio.AbstractEventLoopPolicy = tornadoc.EventLoopPolicy()
        loop_class: type = tornadoc.EventLoop
    else:

        class StandardPolicy(asyncio.DefaultEventLoopPolicy):
            """Of a class of its own, or tornadoc would take it for nobody's choice."""

        policy = StandardPolicy()
        loop_class = asyncio.SelectorEventLoop
    asyncio.set_event_loop_policy(policy)
    if level == "loop":
        from tornado.ioloop import IOLoop

        IOLoop.configure("tornadoc.platform.asyncio.AsyncIOLoop")
    return loop_class


def check_names() -> None:
    """Are Tornado's names bound to tornadoc's classes?"""
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


def check_loops(level: str, loop_class: type) -> None:
    """Are the loops that IOLoop and asyncio make those of the level?"""
    from tornado.ioloop import IOLoop

    import tornadoc.platform.asyncio

    io_loop = IOLoop(make_current=False)
    loops: list[Any] = [io_loop.asyncio_loop, asyncio.new_event_loop()]  # type: ignore[attr-defined]
    is_ours = isinstance(io_loop, tornadoc.platform.asyncio.BaseAsyncIOLoop)
    if is_ours != (level != "httpserver"):
        raise AssertionError(f"IOLoop() makes {io_loop!r}")
    io_loop.close()
    for loop in loops:
        loop.close()
        if not isinstance(loop, loop_class) or isinstance(loop, tornadoc.EventLoop) != (loop_class is tornadoc.EventLoop):
            raise AssertionError(f"{loop!r} is the loop of an IOLoop, or what asyncio makes")


def allow_slow_callbacks(loop_class: Any) -> None:
    """Tornado's tests have callbacks that take long, which in debug mode are logged."""
    original = loop_class.__init__

    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.slow_callback_duration = 3600.0

    loop_class.__init__ = __init__


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", required=True)
    parser.add_argument("--level", default="everything")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--tests", default="*")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--expect-failure", action="append", default=[])
    parser.add_argument("module")
    parser.add_argument("options", nargs="*")
    options = parser.parse_args()
    suite_recording.search_here_last()

    loop_class = substitute(options.level)
    if options.level in ("everything", "install"):
        check_names()
    check_loops(options.level, loop_class)

    from tornado.test import runtests

    from tornadoc import _native

    whole = options.module == "all"
    name = options.module if whole else next(name for name in runtests.TEST_MODULES if name.endswith(options.module))
    prefix = "tornado.test." if whole else name + "."
    recorder = suite_recording.Recorder(options.report, prefix, options.limit)
    ours, others = suite_recording.count_loops(loop_class)
    if os.environ.get("PYTHONASYNCIODEBUG"):
        allow_slow_callbacks(loop_class)
    before = _native.tally()
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
    if whole:
        # Where the runner looks for what it is asked for without a name.
        sys.modules["__main__"].all = runtests.all  # type: ignore[attr-defined]
    if options.level in ("everything", "httpserver"):
        options.options.append("--httpserver=" + HTTPSERVER)
    sys.argv = ["runtests", *options.options, *([] if whole else [name])]
    try:
        runtests.main()
    finally:
        tally = {what: number - before[what] for what, number in _native.tally().items()}
        recorder.done(ours=dict(ours), others=dict(others), tally=tally)


if __name__ == "__main__":
    main()
