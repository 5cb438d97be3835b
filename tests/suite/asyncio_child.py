"""Runs one module of CPython's asyncio tests with another event loop in the standard one's place. A process of its own.

    python asyncio_child.py --report FILE --loop tornadoc:EventLoop [--skip ID ...] MODULE

Every name in asyncio's modules under which tests find the selector event loop of Unix gets the other class, and the default
policy makes it, before the tests are imported. In the modules that test ``BaseEventLoop`` itself, it is replaced as well, but
only after the tests' utilities were imported: their ``TestLoop``, whose clock a test moves, is a double for testing other classes.
Without ``--resources`` the tests that CPython's own runner leaves out by default are skipped here too.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
import unittest
from typing import Any

import suite_loops
import suite_recording

#: The modules that test the iteration, the runner and coroutines on a ``BaseEventLoop`` which they complete themselves.
COMPLETED = ("test_base_events", "test_pep492", "test_runners")


def load(spec: str) -> Any:
    module, _, attribute = spec.partition(":")
    return getattr(importlib.import_module(module), attribute)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", required=True)
    parser.add_argument("--loop", required=True)
    parser.add_argument("--policy")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--resources", default="")
    parser.add_argument("--tests", default="*")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("module")
    options = parser.parse_args()

    # The tests are to find their own modules first; a process that a test starts imports this one again.
    sys.path.append(sys.path.pop(0))

    loop_class = load(options.loop)
    ours, others = suite_loops.count_loops(loop_class)
    suite_loops.substitute(loop_class, load(options.policy) if options.policy else None)

    from test import support

    support.use_resources = [name for name in options.resources.split(",") if name]  # type: ignore[attr-defined]
    support.record_original_stdout(sys.stdout)
    importlib.import_module("test.test_asyncio.utils")
    if options.module in COMPLETED:
        suite_loops.substitute_base(loop_class)

    recorder = suite_recording.Recorder(options.report, f"test.test_asyncio.{options.module}.", options.limit)
    recorder.watch_stray_exceptions()
    name = f"test.test_asyncio.{options.module}"
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    # Fixtures of classes and modules work in a flat suite as well.
    suite = unittest.TestSuite(recorder.select(suite_recording.flatten(suite), options.tests, options.skip))
    runner = unittest.TextTestRunner(resultclass=suite_recording.result_class(unittest.TextTestResult, recorder), verbosity=0)
    runner.run(suite)
    del suite
    gc.collect()
    recorder.done(ours=dict(ours), others=dict(others))


if __name__ == "__main__":
    main()
