"""Whatever Python code does while C is calling it: no crash, other connections are served on, and the loop survives.

A subprocess for each place that calls Python, so that a crash names its scenario.
"""

import json

import evil_hooks_io  # noqa: F401
import evil_hooks_tls
import pytest
from evil_hooks import HOOKS
from evil_scenarios import EXITS
from inprocess import HERE, run_python

#: Python reports what a finalizer or a callback of the ssl module raises, whatever it is, and nobody can catch it.
REPORTED = {"finalizer_of_handler", "finalizer_of_header", "tls_server_name", "tls_server_name_late"}


@pytest.mark.parametrize("hook", HOOKS)
def test_evil_callback_harms_nobody_else(hook):
    check(hook)


@pytest.mark.parametrize("hook", evil_hooks_tls.OVER_TLS)
def test_evil_callback_harms_nobody_else_over_tls(hook):
    check(hook, EVIL_TLS="1")


def check(hook, **environment):
    result = run_python(str(HERE / "evil_scenarios.py"), hook, **environment)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    begun = [line["begin"] for line in lines[::2]]
    outcomes = lines[1::2]
    if result.returncode != 0:
        pytest.fail(f"crashed ({result.returncode}) in {hook}/{begun[-1] if begun else '?'}\n{result.stderr[-6000:]}")
    assert len(begun) == len(outcomes)
    problems = []
    acted = 0
    for name, outcome in zip(begun, outcomes):
        acted += not outcome["skipped"]
        if outcome["problem"]:
            problems.append(f"{name}: {outcome['problem']}")
        if hook in REPORTED:
            continue
        if name in EXITS and not outcome["skipped"] and not outcome["left"]:
            problems.append(f"{name}: the exception did not leave the loop; {outcome['unraisable']}")
        elif outcome["unraisable"] and not hook.startswith("logging_"):
            problems.append(f"{name}: {outcome['unraisable']}")
    assert acted
    assert not problems, "\n" + "\n".join(problems)
