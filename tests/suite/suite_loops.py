"""Puts another event loop in the place of asyncio's, and counts which loops are made."""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.unix_events
import collections
import functools
import inspect
import sys
from typing import Any
from unittest import mock


def substitute(loop_class: type, policy_class: type | None) -> None:
    """Put `loop_class` (and `policy_class`, if any) in the place of asyncio's own."""
    class Selecting(loop_class):  # type: ignore[valid-type, misc]
        """Takes asyncio's argument, a selector, which a loop that waits by itself has no use for."""

        def __init__(self, selector: Any = None) -> None:
            if selector is not None:
                selector.close()
            super().__init__()

    if "selector" not in inspect.signature(loop_class).parameters:
        loop_class = Selecting
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
