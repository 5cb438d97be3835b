"""What makes a module of another project's tests fail here."""

from __future__ import annotations

import pytest
import suite_runner
import suite_variants
from suite_exclusions import FAILS, FLAKY, SKIPPED, UNSTEADY, Exclusion
from suite_runner import Report


def report(**outcomes: str) -> Report:
    return Report(outcomes={"Case." + name: (outcome, "why") for name, outcome in outcomes.items()})


def test_a_passing_module_is_well() -> None:
    assert suite_runner.judge(report(test_a="passed", test_b="skipped"), {}) == []


def test_a_failing_test_is_named() -> None:
    (problem,) = suite_runner.judge(report(test_a="passed", test_b="failed"), {})
    assert problem == "NEWLY FAILING Case.test_b\nwhy"


def test_a_module_without_tests_is_a_failure() -> None:
    (problem,) = suite_runner.judge(Report(output="could not import"), {})
    assert problem == "no test ran:\ncould not import"


@pytest.mark.parametrize("pattern", ["Case.test_a", "Case.*"])
@pytest.mark.parametrize(
    ("kind", "outcome", "expected"),
    [
        (FAILS, "failed", []),
        (FAILS, "passed", ["EXCLUDED, BUT PASSES Case.test_a (reason)"]),
        (FAILS, "skipped", []),
        (FLAKY, "failed", []),
        (FLAKY, "passed", []),
        (UNSTEADY, "failed", ["FAILING EACH TIME Case.test_a\nwhy"]),
        (UNSTEADY, "passed", []),
    ],
)
def test_an_exclusion_has_to_be_needed(pattern: str, kind: str, outcome: str, expected: list[str]) -> None:
    assert suite_runner.judge(report(test_a=outcome), {pattern: Exclusion("reason", kind)}) == expected


def test_an_exclusion_has_to_name_a_test() -> None:
    exclusions = {"Case.test_gone": Exclusion("reason"), "Case.test_not_run": Exclusion("reason", SKIPPED)}
    assert suite_runner.judge(report(test_a="passed"), exclusions) == ["EXCLUDED, BUT THERE IS NO SUCH TEST Case.test_gone"]


UNSTEADY_ONES = {"Case.test_a": Exclusion("reason", UNSTEADY), "Case.test_b": Exclusion("reason", UNSTEADY)}


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([dict(test_a="passed", test_b="passed")], []),
        ([dict(test_a="failed", test_b="passed"), dict(test_a="passed", test_b="failed")], []),
        ([dict(test_a="failed", test_b="passed")] * suite_runner.ATTEMPTS, ["FAILING EACH TIME Case.test_a\nwhy"]),
        (
            [dict(test_a="failed", test_b="passed", test_c="failed")],
            ["FAILING EACH TIME Case.test_a\nwhy", "NEWLY FAILING Case.test_c\nwhy"],
        ),
        ([dict(test_a="failed", test_b="passed"), dict(test_a="passed", test_c="failed")], ["NEWLY FAILING Case.test_c\nwhy"]),
    ],
)
def test_unsteady_tests_have_to_pass_once(runs: list[dict[str, str]], expected: list[str]) -> None:
    left = [report(**{"test_b": "passed", **outcomes}) for outcomes in runs]
    made = suite_runner.run_patiently(lambda: left.pop(0), UNSTEADY_ONES)
    assert suite_runner.judge(made, UNSTEADY_ONES) == expected
    assert left == []


def test_a_crash_of_an_unsteady_test_counts_at_once() -> None:
    crashed = Report(outcomes={"Case.test_a": ("failed", suite_runner.CRASHED), "Case.test_b": ("passed", "")})
    left = [crashed]
    made = suite_runner.run_patiently(lambda: left.pop(0), UNSTEADY_ONES)
    assert suite_runner.judge(made, UNSTEADY_ONES) == [f"FAILING EACH TIME Case.test_a\n{suite_runner.CRASHED}"]


def test_loops_of_the_standard_library_are_a_problem() -> None:
    ends = [{"ours": {"EventLoop": 3}, "others": {"TestLoop": 2}}, {"ours": {}, "others": {"_UnixSelectorEventLoop": 1}}]
    assert suite_runner.standard_loops(Report(ends=ends[:1])) == []
    assert suite_runner.standard_loops(Report(ends=ends)) == ["1 loops of asyncio's own class were made"]


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Runs the tests of a source text in processes, as those of other projects are run."""

    def run(source: str) -> Report:
        (tmp_path / "cases.py").write_text(
            "import faulthandler, os, time, unittest\n\n\nclass Case(unittest.TestCase):\n" + source
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(suite_runner, "LIMIT", 8)
        return suite_runner._run([str(suite_runner.HERE / "plain_child.py"), "cases"], {})

    return run


def test_a_crash_and_a_hang_fail_alone(child) -> None:
    made = child(
        "    def test_a(self): pass\n"
        "    def test_b(self): os.abort()\n"
        "    def test_c(self): time.sleep(100)\n"
        "    def test_d(self): pass\n"
        "    def test_e(self): self.fail('so')\n"
        "    @unittest.expectedFailure\n"
        "    def test_f(self): self.fail('expected')\n"
    )
    assert made.failing() == ["Case.test_b", "Case.test_c", "Case.test_e"]
    assert made.count("passed") == 3
    assert "Aborted" in made.outcomes["Case.test_b"][1]
    assert "time.sleep" in made.outcomes["Case.test_c"][1] or "test_c" in made.outcomes["Case.test_c"][1]
    assert made.problems == []


def test_an_exception_that_python_only_prints_is_a_failure(child) -> None:
    made = child(
        "    def test_a(self):\n"
        "        class Bad:\n"
        "            def __del__(self): raise ValueError('in a destructor')\n"
        "        Bad()\n"
    )
    assert made.failing() == ["(stray exceptions)"]
    assert "in a destructor" in made.outcomes["(stray exceptions)"][1]


def test_tests_that_make_no_use_of_tornadoc_fail() -> None:
    served = {"loops": 1, "streams": 1, "connections": 1, "handled": 1, "delegated": 1}
    for level in ("everything", "install", "loop", "httpserver"):
        assert suite_variants.unused("web_test", level, served) == []
        assert suite_variants.unused("web_test", level, dict.fromkeys(served, 0)) != []
        assert suite_variants.unused("util_test", level, dict.fromkeys(served, 0)) == []
    (problem,) = suite_variants.unused("web_test", "everything", {**served, "connections": 0})
    assert "no connections" in problem


def test_tests_on_tornado_s_own_loop_are_noticed() -> None:
    """A module whose loops are asyncio's own, as if the substitution took no effect."""
    made = Report(outcomes={"Case.test_a": ("passed", "")}, ends=[{"others": {"_UnixSelectorEventLoop": 3}}])
    assert suite_runner.standard_loops(made) == ["3 loops of asyncio's own class were made"]
