"""Tornado's own tests pass, as strictly as Tornado runs them, on tornadoc's classes and loop."""

from __future__ import annotations

import pytest
import suite_exclusions
import suite_runner


@pytest.mark.timeout(suite_runner.MODULE_LIMIT)
@pytest.mark.parametrize("module", suite_runner.TORNADO_MODULES)
def test_module(module: str) -> None:
    report = suite_runner.run_tornado(module)
    wrong = suite_runner.judge(report, suite_exclusions.of_module(suite_exclusions.TORNADO, module))
    assert not wrong, "\n\n".join(wrong)
