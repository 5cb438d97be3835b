"""Runs one module of CPython's asyncio tests with another event loop in the standard one's place. A process of its own.

    python asyncio_child.py --report FILE --loop tornadoc:EventLoop [--skip ID ...] MODULE

Every name in asyncio's modules under which tests find the selector event loop of Unix gets the other class, and the default
policy makes it, before the tests are imported. In the modules that test ``BaseEventLoop`` itself, it is replaced as well,
but only after the tests' utilities were imported: their ``TestLoop``, whose clock a test moves, is a double for other tests.
Without ``--resources`` the tests that CPython's own runner leaves out by default are skipped here too.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import sys
import unittest
from typing import Any

import suite_recording

#: The modules that test the iteration, the runner and coroutines on a ``BaseEventLoop`` which they complete themselves.
COMPLETED = ("test_base_events", "test_pep492", "test_runners")


def substitute(loop_class: type, policy_class: type | None) -> None:
    """Put `loop_class` (and `policy_class`, if any) in the place of asyncio's own."""
    import asyncio
    import asyncio.unix_events

    replacements: dict[type, type] = {asyncio.unix_events._UnixSelectorEventLoop: loop_class}
    if policy_class is not None:
        replacements[asyncio.unix_events._UnixDefaultEventLoopPolicy] = policy_class
    else:
        asyncio.unix_events._UnixDefaultEventLoopPolicy._loop_factory = loop_class
    for name, module in list(sys.modules.items()):
        if name != "asyncio" and not name.startswith("asyncio."):
            continue
        for attribute, value in list(vars(module).items()):
            if isinstance(value, type) and value in replacements:
                setattr(module, attribute, replacements[value])
    asyncio.set_event_loop_policy(None)


def substitute_base(loop_class: type) -> None:
    """Put `loop_class` in the place of ``BaseEventLoop``.

    Tests complete an abstract loop with doubles of its selector; a whole one gets its own back before it runs or closes.
    """
    import asyncio
    import asyncio.base_events
    from unittest import mock

    class Complete(loop_class):  # type: ignore[valid-type, misc]
        def __setattr__(self, name: str, value: object) -> None:
            if name in ("_selector", "_process_events", "_write_to_self") and isinstance(value, mock.NonCallableMock):
                vars(self).setdefault("_replaced_by_doubles", {})[name] = getattr(self, name)
            super().__setattr__(name, value)

        def _drop_doubles(self) -> None:
            for name, value in vars(self).pop("_replaced_by_doubles", {}).items():
                super().__setattr__(name, value)

        def run_forever(self) -> None:
            self._drop_doubles()
            super().run_forever()

        def close(self) -> None:
            self._drop_doubles()
            super().close()

    asyncio.BaseEventLoop = asyncio.base_events.BaseEventLoop = Complete  # type: ignore[misc]


def accept_selectors(loop_class: Any) -> None:
    """Let `loop_class` be made as the class that it stands for, with a selector: a loop that brings its own epoll closes it."""
    import selectors

    original = loop_class.__init__

    @functools.wraps(original)
    def accepting(self: Any, *args: Any) -> None:
        if args and args[0] is not None:
            args[0].close()
            if not isinstance(args[0], selectors.EpollSelector):
                raise TypeError("a loop of another selector than epoll")
        original(self)

    loop_class.__init__ = accepting


def load(spec: str) -> Any:
    module, _, attribute = spec.partition(":")
    return getattr(importlib.import_module(module), attribute)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--report", required=True)
    parser.add_argument("--loop", required=True)
    parser.add_argument("--policy")
    parser.add_argument("--own-selector", action="store_true", help="the loop's class takes no selector")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--resources", default="")
    parser.add_argument("--tests", default="*")
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("module")
    options = parser.parse_args()

    suite_recording.search_here_last()

    loop_class = load(options.loop)
    if options.own_selector:
        accept_selectors(loop_class)
    ours, others = suite_recording.count_loops(loop_class)
    substitute(loop_class, load(options.policy) if options.policy else None)

    from test import support

    support.use_resources = [name for name in options.resources.split(",") if name]  # type: ignore[attr-defined]
    support.record_original_stdout(sys.stdout)
    importlib.import_module("test.test_asyncio.utils")
    if options.module in COMPLETED:
        substitute_base(loop_class)

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
