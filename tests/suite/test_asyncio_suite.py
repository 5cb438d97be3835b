"""CPython's own asyncio tests, with tornadoc's event loop wherever they make one of the standard library's.

What does not apply is in suite_exclusions.py. `python tests/suite/suite_runner.py asyncio MODULE` tells more of one module.
"""

from __future__ import annotations

import pytest
import suite_exclusions as excl
import suite_runner

MODULES = suite_runner.asyncio_modules()

needs_tests = pytest.mark.skipif(not MODULES, reason="this Python comes without its tests")


@needs_tests
def test_no_module_is_missing():
    assert {"test_base_events", "test_events", "test_sock_lowlevel", "test_streams", "test_subprocess"} <= set(MODULES)
    assert {pattern.partition("/")[0] for pattern, found in excl.ASYNCIO.items() if found.applies()} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_module_passes(module):
    report = suite_runner.run_asyncio(module)
    if wrong := suite_runner.judge(report, excl.of_module(excl.ASYNCIO, module)):
        pytest.fail("\n".join(wrong), pytrace=False)
