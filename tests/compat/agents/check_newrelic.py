"""What New Relic's agent records of each request. It sends nothing: its developer mode only pretends to."""

import os

import pytest

os.environ.update(NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_LICENSE_KEY="0" * 40, NEW_RELIC_LOG="stderr")

import newrelic.agent

newrelic.agent.initialize()

import agent_requests  # noqa: E402
from newrelic.core.application import Application  # noqa: E402

#: The transaction's name, the status, functions that were traced in it, errors.
EXPECTED = {
    "plain": ("Function/agent_requests:Plain.get", "200", ["agent_requests:Plain.get"], []),
    "coroutine": ("Function/agent_requests:Coroutine.get", "200", ["agent_requests:Coroutine.get"], []),
    "coroutine with a body": ("Function/agent_requests:Coroutine.post", "200", ["agent_requests:Coroutine.post"], []),
    "generator": ("Function/agent_requests:Generator.get", "200", [], []),
    "failing": ("Function/agent_requests:Failing.get", "500", ["agent_requests:Failing.get"], ["builtins:RuntimeError"]),
    "refusing": ("Function/agent_requests:Refusing.get", "403", ["agent_requests:Refusing.get"], ["tornado.web:HTTPError"]),
    "flushing": ("Function/agent_requests:Flushing.get", "200", ["agent_requests:Flushing.get"], []),
    "prepared": ("Function/agent_requests:Prepared", "202", [], ["tornado.web:Finish"]),
    "streamed": ("Function/agent_requests:Streamed.post", "200", ["agent_requests:Streamed.post"], []),
    "redirected": ("Function/tornado.web:RedirectHandler.get", "301", ["tornado.web:RedirectHandler.get"], []),
    "no handler": ("Function/tornado.web:ErrorHandler", "404", [], []),
    "no method": (
        "Function/agent_requests:Coroutine._unimplemented_method",
        "405",
        ["agent_requests:Coroutine._unimplemented_method"],
        ["tornado.web:HTTPError"],
    ),
}


@pytest.fixture(scope="module")
def recorded():
    newrelic.agent.register_application(timeout=10)
    transactions = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Application, "record_transaction", lambda self, data: transactions.append(summary(data)))
        return agent_requests.record(transactions)


def summary(data):
    attributes = {attribute.name: attribute.value for attribute in data.agent_attributes}
    return (
        data.name,
        attributes.get("response.status"),
        [child.name for child in data.root.children if hasattr(child, "name")],
        [error.type for error in data.errors],
    )


@pytest.mark.parametrize("name", agent_requests.REQUESTS)
def test_one_transaction_for_a_request(recorded, name):
    assert recorded[name] == [EXPECTED[name]]
