"""Under agents in the manner of New Relic, Datadog, OpenTelemetry, Sentry and Elastic, what they record, what is logged and the
bytes on the wire are Tornado's, whether they patch before tornadoc is installed or afterwards."""

import functools
import json

import pytest
from agents import AGENTS
from inprocess import HERE, run_python

ALL = "+".join(AGENTS)


@functools.cache
def outcome(names, moment):
    result = run_python(str(HERE / "agent_program.py"), names, moment, TORNADOC="")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def differences(expected, actual, place=""):
    """Where two results differ, in words."""
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for i, pair in enumerate(zip(expected, actual)):
            name = expected[i][0] if not place and isinstance(expected[i], list) else i
            yield from differences(*pair, f"{place}/{name}")
    elif expected != actual:
        yield f"{place}\n tornado  {expected!r}\n tornadoc {actual!r}"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", [*AGENTS, ALL])
def test_an_agent_s_records_are_the_same(name, moment):
    found = list(differences(outcome(name, "none"), outcome(name, moment)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", AGENTS)
def test_each_agent_records_something_until_it_is_unpatched(name):
    results = outcome(name, "none")
    rounds = [entry for entry in results if len(entry) == 3 and entry[0] != "unpatched"]
    assert any(any(of_one for of_one in records) for _, _, records in rounds)
    (unpatched,) = (entry for entry in results if entry[0] == "unpatched")
    assert unpatched[2] == [[]]


def test_transactions_of_requests_at_the_same_time_do_not_meet():
    for moment in ("none", "after"):
        (waits,) = (entry for entry in outcome("transactions", moment) if entry[0].startswith("GET /waits"))
        transactions = [record for record in waits[2][0] if "'transaction'" in record]
        assert len(transactions) == 3 and all("('nested', False)" in record for record in transactions)
