"""CPython's own asyncio tests, with tornadoc's event loop wherever they make one of the standard library's.

What does not apply is in suite_exclusions.py. `python tests/suite/suite_runner.py asyncio MODULE` shows more of one module.
"""

from __future__ import annotations

import pytest
import suite_exclusions as excl
import suite_runner

MODULES = suite_runner.asyncio_modules()


@pytest.mark.skipif(not MODULES, reason="this Python comes without its tests")
def test_interpreter_comes_with_tests_of_loops():
    assert {"test_base_events", "test_events", "test_sock_lowlevel", "test_streams", "test_subprocess"} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_asyncio_module_passes(module):
    report = suite_runner.run_asyncio(module)
    assert not suite_runner.judge(report, excl.of_module(excl.ASYNCIO, module))


def test_exclusions_name_modules_that_exist():
    assert {pattern.partition("/")[0] for pattern, found in excl.ASYNCIO.items() if found.applies()} <= set(MODULES or excl.modules())
