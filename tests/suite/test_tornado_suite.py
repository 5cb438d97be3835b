"""Tornado's own tests, all of them, pass as strictly as Tornado runs them, on tornadoc's classes and loop."""

from __future__ import annotations

import pytest
import suite_exclusions
import suite_runner
import suite_variants


@pytest.mark.timeout(suite_runner.MODULE_LIMIT)
@pytest.mark.parametrize("module", suite_runner.tornado_modules())
def test_module(module: str) -> None:
    exclusions = suite_exclusions.of_tornado(module)
    report = suite_runner.run_patiently(lambda: suite_runner.run_tornado(module), exclusions)
    wrong = suite_runner.judge(report, exclusions)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.skipif(not suite_runner.SLOW, reason="TORNADOC_SLOW=1 runs it")
@pytest.mark.timeout(suite_runner.MODULE_LIMIT)
@pytest.mark.parametrize("variant", suite_variants.VARIANTS)
def test_the_whole_suite_in_one_process(variant: str) -> None:
    if not suite_variants.VARIANTS[variant].is_possible():
        pytest.skip(f"there is no {suite_variants.VARIANTS[variant].needs}")
    exclusions = suite_exclusions.of_tornado("all")
    report = suite_runner.run_patiently(lambda: suite_runner.run_tornado("all", variant=variant), exclusions)
    wrong = suite_runner.judge(report, exclusions)
    assert not wrong, "\n\n".join(wrong)


def test_at_most_two_tests_are_excluded_on_the_newest_tornado() -> None:
    applying = {name: e for name, e in suite_exclusions.TORNADO.items() if e.until >= 11 and not e.old_tornado}
    excluded = [name for name, e in applying.items() if e.kind != suite_exclusions.UNSTEADY]
    assert len(excluded) <= 2


def test_every_module_of_which_something_is_expected_is_run() -> None:
    assert set(suite_variants.USES) - {"all"} <= set(suite_runner.tornado_modules())
