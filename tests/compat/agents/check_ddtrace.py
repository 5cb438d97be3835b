"""What Datadog's tracer records of each request. It sends nothing: a filter takes the traces."""

import os

import pytest

os.environ.update(DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false")

import ddtrace
from ddtrace.trace import TraceFilter, tracer

ddtrace.patch(tornado=True)

import agent_requests  # noqa: E402

#: The span's name, its resource, whether it is an error, the status, the route.
EXPECTED = {
    "plain": ("tornado.request", "agent_requests.Plain", 0, "200", "/plain/%s"),
    "coroutine": ("tornado.request", "agent_requests.Coroutine", 0, "200", "/coroutine"),
    "coroutine with a body": ("tornado.request", "agent_requests.Coroutine", 0, "200", "/coroutine"),
    "generator": ("tornado.request", "agent_requests.Generator", 0, "200", "/generator"),
    "failing": ("tornado.request", "agent_requests.Failing", 1, "500", "/failing"),
    "refusing": ("tornado.request", "agent_requests.Refusing", 0, "403", "/refusing"),
    "flushing": ("tornado.request", "agent_requests.Flushing", 0, "200", "/flushing"),
    "prepared": ("tornado.request", "agent_requests.Prepared", 0, "202", "/prepared"),
    "streamed": ("tornado.request", "agent_requests.Streamed", 0, "200", "/streamed"),
    "redirected": ("tornado.request", "tornado.web.RedirectHandler", 0, "301", "/redirect"),
    "no handler": ("tornado.request", "tornado.web.ErrorHandler", 0, "404", "^$"),
    "no method": ("tornado.request", "agent_requests.Coroutine", 0, "405", "/coroutine"),
}


class Taking(TraceFilter):
    def __init__(self, spans):
        self.spans = spans

    def process_trace(self, trace):
        for span in trace:
            self.spans.append(
                (span.name, span.resource, span.error, span.get_tag("http.status_code"), span.get_tag("http.route"))
            )


@pytest.fixture(scope="module")
def recorded():
    spans = []
    tracer.configure(trace_processors=[Taking(spans)])
    return agent_requests.record(spans)


@pytest.mark.parametrize("name", agent_requests.REQUESTS)
def test_one_span_for_a_request(recorded, name):
    assert recorded[name] == [EXPECTED[name]]
