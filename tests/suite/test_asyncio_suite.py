"""CPython's own asyncio tests pass on tornadoc's loop, but for the exclusions in suite_exclusions.py."""

from __future__ import annotations

import pytest
import suite_exclusions
import suite_runner

MODULES = suite_runner.asyncio_modules()


@pytest.mark.timeout(suite_runner.MODULE_LIMIT)
@pytest.mark.parametrize(
    "module", MODULES or [pytest.param("test_events", marks=pytest.mark.skip("CPython's tests are not installed"))]
)
def test_module(module: str) -> None:
    exclusions = suite_exclusions.of_module(suite_exclusions.ASYNCIO, module)
    report = suite_runner.run_patiently(lambda: suite_runner.run_asyncio(module), exclusions)
    wrong = suite_runner.judge(report, exclusions)
    assert not wrong, "\n\n".join(wrong)
