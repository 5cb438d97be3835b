"""Tornado's own tests with tornadoc's classes in the place of Tornado's, run as strictly as Tornado's own runner does it.

What does not apply is in suite_exclusions.py. `python tests/suite/suite_runner.py tornado MODULE` tells more of one module.
"""

from __future__ import annotations

import pytest
import suite_exclusions as excl
import suite_runner


def test_exclusions_name_modules_that_run():
    assert {pattern.partition("/")[0] for pattern in excl.TORNADO} <= set(suite_runner.TORNADO_MODULES)


@pytest.mark.parametrize("module", suite_runner.TORNADO_MODULES)
def test_module_passes(module):
    report = suite_runner.run_tornado(module)
    if wrong := suite_runner.judge(report, excl.of_module(excl.TORNADO, module)):
        pytest.fail("\n".join(wrong), pytrace=False)
