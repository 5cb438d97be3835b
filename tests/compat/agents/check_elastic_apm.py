"""What Elastic's agent records of each request. It sends nothing: what it would queue is taken."""

import agent_requests
import elasticapm
import pytest
from elasticapm.contrib.tornado import ElasticAPM
from tornado import web

SUMMARIES = {
    "transaction": lambda data: (data["name"], data["result"], data["outcome"]),
    "error": lambda data: (data["exception"]["type"], data["exception"]["message"]),
}
#: Transactions and errors: the kind, the name, the result and outcome, or the exception.
EXPECTED = {
    "plain": [("transaction", "GET Plain", "HTTP 2xx", "success")],
    "coroutine": [("transaction", "GET Coroutine", "HTTP 2xx", "success")],
    "coroutine with a body": [("transaction", "POST Coroutine", "HTTP 2xx", "success")],
    "generator": [("transaction", "GET Generator", "HTTP 2xx", "success")],
    "failing": [("error", "RuntimeError", "RuntimeError: a failure"), ("transaction", "GET Failing", "HTTP 5xx", "failure")],
    "refusing": [
        ("error", "HTTPError", "HTTPError: HTTP 403: Forbidden (a refusal)"),
        ("transaction", "GET Refusing", "HTTP 4xx", "success"),
    ],
    "flushing": [("transaction", "GET Flushing", "HTTP 2xx", "success")],
    "prepared": [("transaction", "GET Prepared", "HTTP 2xx", "success")],
    "streamed": [("transaction", "POST Streamed", "HTTP 2xx", "success")],
    "redirected": [("transaction", "GET RedirectHandler", "HTTP 3xx", "success")],
    "no handler": [
        ("error", "HTTPError", "HTTPError: HTTP 404: Not Found"),
        ("transaction", "GET ErrorHandler", "HTTP 4xx", "success"),
    ],
    "no method": [
        ("error", "HTTPError", "HTTPError: HTTP 405: Method Not Allowed"),
        ("transaction", "DELETE Coroutine", "HTTP 4xx", "success"),
    ],
}


@pytest.fixture(scope="module")
def recorded():
    events = []
    client = elasticapm.Client(service_name="checks", central_config=False, cloud_provider=False)

    def queue(kind, data, flush=False):
        if kind in SUMMARIES:
            events.append((kind, *SUMMARIES[kind](data)))

    client.queue = client.tracer.queue_func = queue
    elasticapm.instrument()

    class Application(web.Application):
        def __init__(self, *args, **settings):
            super().__init__(*args, **settings)
            ElasticAPM(self, client)

    yield agent_requests.record(events, Application)
    elasticapm.uninstrument()
    client.close()


@pytest.mark.parametrize("name", agent_requests.REQUESTS)
def test_one_transaction_for_a_request(recorded, name):
    assert recorded[name] == EXPECTED[name]
