"""Tests of other projects that don't pass on tornadoc, each with the reason.

The key is "module/Class.test"; a class of tests with a reason in common may be written "module/Class.*".
"""

from __future__ import annotations

import dataclasses
import fnmatch
import sys

import tornado

#: The test runs and must fail: when it passes, the exclusion is out of date and is reported.
FAILS = "fails"
#: The test is not run: it would hang, or end the process, or nothing is learned from it.
SKIPPED = "skipped"
#: The test runs, and may pass or fail.
FLAKY = "flaky"
#: The test fails now and then whatever it tests: on a busy machine, or where another process takes the port that it has found.
#: It runs, and has to pass once in several runs.
UNSTEADY = "unsteady"


@dataclasses.dataclass(frozen=True)
class Exclusion:
    reason: str
    kind: str = FAILS
    #: The minor versions of Python 3 to which it applies.
    since: int = 0
    until: int = 99
    #: Does it apply to Tornado 6.5 alone?
    old_tornado: bool = False

    def applies(self) -> bool:
        return self.since <= sys.version_info.minor <= self.until and (not self.old_tornado or tornado.version_info < (6, 6))

    def may_be_missing(self) -> bool:
        """May it name no test that has run?"""
        return self.kind == SKIPPED or (self.kind == UNSTEADY and tornado.version_info < (6, 6))


_ABSTRACT = "tests that the abstract BaseEventLoop lacks what a whole loop has"
_ITERATION = "counts calls of a method of the Python iteration, which the native one has no use for"
_HEAP = "puts timers into the list behind the Python iteration, or counts the cancelled ones in it"
_SELECTOR = "a loop over another selector than epoll, which tornadoc's can't be"

ASYNCIO: dict[str, Exclusion] = {
    "test_base_events/BaseEventLoopTests.test_not_implemented": Exclusion(_ABSTRACT),
    "test_base_events/BaseEventLoopTests.test_run_forever_pre_stopped": Exclusion(_ITERATION),
    "test_base_events/BaseEventLoopTests.test_single_selecter_event_callback_after_stopping": Exclusion(_ITERATION),
    "test_base_events/BaseEventLoopTests.test__run_once": Exclusion(_HEAP),
    "test_base_events/BaseEventLoopTests.test__run_once_cancelled_event_cleanup": Exclusion(_HEAP),
    "test_base_events/BaseEventLoopTests.test__run_once_schedule_handle": Exclusion(_HEAP),
    "test_base_events/BaseEventLoopTests.test_custom_run_forever_integration": Exclusion(
        "turns the Python iteration by hand over a double of the selector that never waits", SKIPPED, since=13
    ),
    "test_base_events/BaseEventLoopWithSelectorTests.test_accept_connection_exception": Exclusion(
        "expects the private call with which asyncio accepts again after a lack of descriptors, once for each attempt"
    ),
    "test_events/PollEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_events/SelectEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_sendfile/PollEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_sendfile/SelectEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_sock_lowlevel/PollEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_sock_lowlevel/SelectEventLoopTests.*": Exclusion(_SELECTOR, SKIPPED),
    "test_events/EPollEventLoopTests.test_create_connection_local_addr*": Exclusion(
        "counts on a port that was free a moment ago", UNSTEADY
    ),
    "test_subprocess/*.test_kill_issue43884": Exclusion(
        "kills after 1 s a shell that ends after 2: fails with asyncio alone where the process has to wait for its processor",
        UNSTEADY,
    ),
}

_SNAPSHOT = (
    "lists the Python functions in each class's own dict: those of the native classes are methods in C and of classes behind "
    "them, which only a metaclass could hide, and that would clash with programs' own; and routing's classes have a __setattr__. "
    "tests/unit/test_api.py compares what a program finds by looking up"
)
_TIMES = "compares short times of functions that tornadoc does not replace on Python 3.10; a busy machine fails it"
_HURRIED = "fails with Tornado alone where the process has to wait for its processor: it has "
_COALESCED = "small chunks come together, as in Tornado 6.6, and not one by one, as in Tornado 6.5"

TORNADO: dict[str, Exclusion] = {
    "api_test/APISnapshotTest.test_api_snapshot": Exclusion(_SNAPSHOT, since=11),
    "autoreload_test/AutoreloadTest.*": Exclusion(_HURRIED + "4 s for a program that waits for 1 s and starts again", UNSTEADY),
    "gen_test/RunnerGCTest.test_gc": Exclusion(_HURRIED + "0.2 s for a full garbage collection", UNSTEADY),
    "gen_test/GenBasicTest.test_multi_performance": Exclusion(_HURRIED + "1 s for 2000 futures", UNSTEADY),
    "gen_test/WaitIteratorTest.test_no_ref": Exclusion(_HURRIED + "0.1 s for some iterations of the loop", UNSTEADY),
    "httpserver_test/IdleTimeoutTest.test_idle_after_use": Exclusion(_HURRIED + "0.1 s for a request", UNSTEADY),
    "httpserver_test/HTTPServerRawTest.test_malformed_first_line_log": Exclusion(_HURRIED + "0.05 s for a request", UNSTEADY),
    "httpserver_test/HTTPServerRawTest.test_malformed_headers": Exclusion(_HURRIED + "0.05 s for a request", UNSTEADY),
    "ioloop_test/TestIOLoop.test_add_callback_wakeup*": Exclusion(_HURRIED + "5 ms, or 0.2 s, for a callback", UNSTEADY),
    "iostream_test/TestIOStreamSSL*.test_read_until_with_close_after_second_packet": Exclusion(
        "closes a TLS connection right behind the data: where the process has to wait for its processor, they are lost in "
        "one of six runs, with Tornado alone as with tornadoc",
        UNSTEADY,
    ),
    "locks_test/EventTest.test_event_timeout": Exclusion(_HURRIED + "1 s for some iterations of the loop", UNSTEADY),
    "simple_httpclient_test/*.test_response_times": Exclusion(_HURRIED + "1 s for a request", UNSTEADY),
    "simple_httpclient_test/SimpleHTTPClientTestCase.test_request_timeout": Exclusion(
        _HURRIED + "0.1 s for a request to arrive", UNSTEADY
    ),
    "simple_httpclient_test/TLSHandshakeTimeoutTestCase.*": Exclusion(_HURRIED + "0.5 s for a connection", UNSTEADY),
    "simple_httpclient_test/*.test_queue_timeout": Exclusion(_HURRIED + "0.1 s for a client and its queue", UNSTEADY),
    "tcpclient_test/TCPClientTest.test_connect_tls_timeout_closes_stream": Exclusion(_HURRIED + "0.5 s to connect", UNSTEADY),
    "tcpclient_test/TCPClientTest.test_connect_timeout_during_tcp_connect": Exclusion(_HURRIED + "0.2 s to connect", UNSTEADY),
    "testing_test/AsyncTestCaseTest.test_subsequent_wait_calls": Exclusion(_HURRIED + "0.1 s and 0.2 s for a callback", UNSTEADY),
    "testing_test/GenTest.test_no_timeout": Exclusion(_HURRIED + "0.9 s for a callback", UNSTEADY),
    "testing_test/GenTest.test_timeout_environment_variable": Exclusion(_HURRIED + "0.25 s for a callback", UNSTEADY),
    "web_test/ErrorResponseTest.test_cancelled_error": Exclusion(_HURRIED + "1 s for a request", UNSTEADY),
    "web_test/CancellationTest.*": Exclusion(_HURRIED + "1 s for a request", UNSTEADY),
    "websocket_test/ServerPingTimeoutTest.*": Exclusion(_HURRIED + "0.05 s for a ping and a pong", UNSTEADY),
    "wsgi_test/WSGIContainerThreadPoolTest.test_concurrent*": Exclusion(
        _HURRIED + "0.3 s for two requests to come to two threads", UNSTEADY
    ),
    "simple_httpclient_test/SimpleHTTPSClientTestCase.test_request_timeout": Exclusion(
        "gives certificates, a TLS handshake and a request 0.1 s; beside eight busy processes on two cores, "
        "9 of 10 runs fail with Tornado alone",
        FLAKY,
    ),
    "httputil_test/*.test_*linear_performance": Exclusion(_TIMES, FLAKY, until=10),
    "httputil_test/ParseCookieTest.test_unquote_large": Exclusion(_TIMES, FLAKY, until=10),
    "httpserver_test/StreamingChunkSizeTest.test_chunked_body": Exclusion(_COALESCED, old_tornado=True),
    "web_test/DecoratedStreamingRequestFlowControlTest.test_flow_control_chunked_body": Exclusion(_COALESCED, old_tornado=True),
    "web_test/NativeStreamingRequestFlowControlTest.test_flow_control_chunked_body": Exclusion(_COALESCED, old_tornado=True),
}


def find(exclusions: dict[str, Exclusion], module: str, test: str) -> Exclusion | None:
    """The exclusion that applies to a test on this Python."""
    for pattern, exclusion in exclusions.items():
        if exclusion.applies() and fnmatch.fnmatchcase(f"{module}/{test}", pattern):
            return exclusion
    return None


def of_module(exclusions: dict[str, Exclusion], module: str) -> dict[str, Exclusion]:
    """The patterns and exclusions that apply to a module's tests on this Python, without the module's name."""
    prefix = module + "/"
    return {
        pattern.removeprefix(prefix): exclusion
        for pattern, exclusion in exclusions.items()
        if exclusion.applies() and pattern.startswith(prefix)
    }


def of_tornado(module: str) -> dict[str, Exclusion]:
    """The same for a module of Tornado's tests; for "all", those of all modules, with the modules' names."""
    if module != "all":
        return of_module(TORNADO, module)
    return {name.replace("/", ".", 1): exclusion for name, exclusion in TORNADO.items() if exclusion.applies()}
