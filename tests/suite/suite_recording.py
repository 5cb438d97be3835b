"""What a child process tells of its tests: a line of JSON for each event, so that nothing is lost when it crashes or hangs.

``{"start": id}`` and ``{"end": id, "outcome": "passed" | "failed" | "skipped", "detail": text}`` for each test, in this order,
and one ``{"done": true, ...}`` at the end. Failures of the set-up of a module or a class are tests of their own name.
"""

from __future__ import annotations

import asyncio
import collections
import faulthandler
import fnmatch
import functools
import gc
import json
import os
import sys
import threading
import traceback
import unittest
from types import TracebackType
from typing import Any, TextIO

#: The outcomes of a test, from the least to the most important: a test with a failed and a skipped subtest has failed.
OUTCOMES = ("passed", "skipped", "failed")


class Recorder:
    """Writes the events. One for each child."""

    def __init__(self, path: str, prefix: str, limit: float) -> None:
        """`path`: the file; `prefix`: what to cut from the tests' names; `limit`: the seconds that a test may take.

        A test that takes longer ends the process, after the traceback of all its threads has gone to standard error.
        """
        self._file: TextIO = open(path, "a", encoding="utf-8")
        self._prefix = prefix
        self._limit = limit
        self._outcome = "passed"
        self._detail: list[str] = []
        self._current: str | None = None
        self._stray: list[str] = []

    def name(self, test: unittest.TestCase) -> str:
        return test.id().removeprefix(self._prefix)

    def write(self, **event: Any) -> None:
        self._file.write(json.dumps(event) + "\n")
        self._file.flush()

    def select(self, tests: list[unittest.TestCase], wanted: str, skipped: list[str]) -> list[unittest.TestCase]:
        """Those of `tests` whose names match the pattern `wanted` and none of `skipped`."""

        def matches(test: unittest.TestCase, pattern: str) -> bool:
            return fnmatch.fnmatchcase(self.name(test), pattern)

        selected = [test for test in tests if matches(test, wanted) and not any(matches(test, pattern) for pattern in skipped)]
        # asyncio's tests collect garbage after each: what is there before the first of them need not be gone through.
        gc.collect()
        gc.freeze()
        return selected

    def start(self, test: unittest.TestCase) -> None:
        self._current = self.name(test)
        self._outcome = "passed"
        self._detail = []
        self.write(start=self._current)
        faulthandler.dump_traceback_later(self._limit, exit=True, file=sys.__stderr__)

    def add(self, test: unittest.TestCase, outcome: str, detail: str) -> None:
        if self._current is None:
            # setUpClass, setUpModule and their like have no start and no end.
            self.write(start=self.name(test))
            self.write(end=self.name(test), outcome=outcome, detail=detail)
            return
        if OUTCOMES.index(outcome) >= OUTCOMES.index(self._outcome):
            self._outcome = outcome
        self._detail.append(detail)

    def end(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        self.write(end=self.name(test), outcome=self._outcome, detail="\n".join(self._detail))
        self._current = None

    def watch_stray_exceptions(self) -> None:
        """Collect the exceptions that Python would only print: of destructors, of callbacks from C, of threads."""

        def unraisable(info: sys.UnraisableHookArgs) -> None:
            self._add_stray(info.err_msg or "Exception ignored", info.object, info.exc_value, info.exc_traceback)

        def in_thread(info: threading.ExceptHookArgs) -> None:
            if info.exc_type is not SystemExit:
                self._add_stray("Exception in thread", info.thread, info.exc_value, info.exc_traceback)

        sys.unraisablehook = unraisable
        threading.excepthook = in_thread

    def _add_stray(self, what: str, where: object, exc: BaseException | None, tb: TracebackType | None) -> None:
        lines = traceback.format_exception(type(exc), exc, tb) if exc is not None else []
        self._stray.append(f"{what} in {where!r}, during {self._current}:\n" + "".join(lines))

    def done(self, **event: Any) -> None:
        """The last event. Stray exceptions make a failure of the name "(stray exceptions)"."""
        if self._stray:
            self.write(start="(stray exceptions)")
            self.write(end="(stray exceptions)", outcome="failed", detail="\n".join(self._stray))
        self.write(done=True, **event)
        self._file.close()


def result_class(base: type[unittest.TestResult], recorder: Recorder) -> type[unittest.TestResult]:
    """A class derived from `base` whose instances tell `recorder` what they are told."""

    class Recording(base):  # type: ignore[valid-type, misc]
        def startTest(self, test: unittest.TestCase) -> None:
            recorder.start(test)
            super().startTest(test)

        def stopTest(self, test: unittest.TestCase) -> None:
            super().stopTest(test)
            recorder.end(test)

        def addError(self, test: unittest.TestCase, err: Any) -> None:
            recorder.add(test, "failed", "".join(traceback.format_exception(*err)))
            super().addError(test, err)

        def addFailure(self, test: unittest.TestCase, err: Any) -> None:
            recorder.add(test, "failed", "".join(traceback.format_exception(*err)))
            super().addFailure(test, err)

        def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
            if err is not None:
                recorder.add(test, "failed", f"{subtest}:\n" + "".join(traceback.format_exception(*err)))
            super().addSubTest(test, subtest, err)

        def addSkip(self, test: unittest.TestCase, reason: str) -> None:
            recorder.add(test, "skipped", reason)
            super().addSkip(test, reason)

        def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
            recorder.add(test, expected_failure(test), "".join(traceback.format_exception(*err)))
            super().addExpectedFailure(test, err)

        def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
            recorder.add(test, "passed" if marked_by_us(test) else "failed", "unexpected success")
            super().addUnexpectedSuccess(test)

    return Recording


_MARK = "_tornadoc_expects_failure"


def expect_failure(test: unittest.TestCase) -> None:
    """Make unittest take the failure of `test` for a success, and its success for a failure."""
    test.__unittest_expecting_failure__ = True
    setattr(test, _MARK, True)


def marked_by_us(test: unittest.TestCase) -> bool:
    return getattr(test, _MARK, False)


def expected_failure(test: unittest.TestCase) -> str:
    # The authors' own expectedFailure is a success; one of expect_failure's is recorded as what it is.
    return "failed" if marked_by_us(test) else "passed"


def flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    tests: list[unittest.TestCase] = []
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            tests.extend(flatten(item))
        else:
            tests.append(item)
    return tests


def search_here_last() -> None:
    """Let tests find their own modules before those beside this file, which processes that they start import as well."""
    sys.path.append(sys.path.pop(sys.path.index(os.path.dirname(os.path.abspath(__file__)))))


def count_loops(loop_class: type) -> tuple[collections.Counter[str], collections.Counter[str]]:
    """Count the loops that are made from now on: those of `loop_class` and the others, by the names of their classes."""
    ours: collections.Counter[str] = collections.Counter()
    others: collections.Counter[str] = collections.Counter()

    def wrap(cls: Any) -> None:
        original = cls.__init__

        @functools.wraps(original)
        def counting(self: Any, *args: Any, **kwargs: Any) -> None:
            if not hasattr(self, "_counted_by_suite"):
                self._counted_by_suite = True
                (ours if isinstance(self, loop_class) else others)[type(self).__qualname__] += 1
            original(self, *args, **kwargs)

        cls.__init__ = counting

    for cls in {loop_class, asyncio.BaseEventLoop}:
        wrap(cls)
    return ours, others
