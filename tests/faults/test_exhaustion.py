"""No descriptors, or no memory for sockets, for a while: the server waits instead of spinning, tells of it at most once a second,
serves whom it has, and accepts again once it can."""

import resource
import time

import pytest
import scenarios
from tracing import faults, wait_until

WATCHED = 1.0  # seconds
SERVERS = [
    ("http", "engine"),
    ("http", "tornadoc"),
    ("streams", "engine"),
    ("streams", "tornadoc"),
    ("transports", "tornadoc"),
]
POLL = ("epoll_wait", "epoll_pwait", "epoll_pwait2")


@pytest.mark.parametrize("kind, implementation", SERVERS)
@pytest.mark.parametrize("error", ["EMFILE", "ENOMEM"])
def test_accept_fails_for_a_while(kind, implementation, error, subject):
    server = subject(kind, implementation)
    with server.client() as known:
        server.exchange(known)
        began = time.monotonic()
        with faults(server.pid, f"{scenarios.ACCEPTING}:error={error}", also=POLL) as trace:
            new = server.client()
            trace.wait()
            # Not at once, where the last test's line is younger than a second.
            wait_until(lambda: server.log_size() > 0, "nothing was logged")
            time.sleep(WATCHED)  # what is counted is what happens meanwhile
            server.exchange(known)
            accepts, polls = trace.count("accept4", "accept"), trace.count(*POLL)
        seconds = time.monotonic() - began
        with new:
            server.exchange(new)
        server.exchange(known)
    server.serves()
    records = server.records()
    # On a busy machine the time in which all that happens is longer than what was slept.
    assert accepts <= 6 + 4 * seconds, f"{accepts} calls of accept in {seconds} s"
    assert polls <= 30 + 20 * seconds, f"{polls} waits for events in {seconds} s"
    assert 1 <= len(records) <= 2 + seconds, f"{records} in {seconds} s"
    assert all(level == "ERROR" and f"[Errno {scenarios.number(error)}]" in text for _, level, _, text in records), records


@pytest.mark.parametrize("kind, implementation", SERVERS)
@pytest.mark.parametrize("error", ["ECONNABORTED", "EAGAIN"])
def test_connections_that_are_gone_do_not_keep_the_loop(kind, implementation, error, subject):
    """As long as accept fails so, it is called again, but others get their turns."""
    server = subject(kind, implementation)
    with server.client() as known:
        server.exchange(known)
        with faults(server.pid, f"{scenarios.ACCEPTING}:error={error}") as trace:
            new = server.client()
            trace.wait(injected=3)
            server.exchange(known)
            server.exchange(known)
        with new:
            server.exchange(new)
    server.serves()
    assert server.records() == []


@pytest.mark.parametrize("kind, implementation", SERVERS)
@pytest.mark.parametrize("when", [1, 2])
def test_resuming_fails(kind, implementation, when, subject):
    """Whatever the server does with its epoll set to wait, and to accept again, may fail once."""
    server = subject(kind, implementation)
    injections = [f"{scenarios.ACCEPTING}:error=EMFILE:when=1", f"epoll_ctl:error=ENOMEM:when={when}"]
    with faults(server.pid, *injections) as trace, server.client():
        # The next calls of epoll_ctl are the server's attempt to accept again, or a new connection's.
        trace.wait(injected=2)
    server.serves()
    assert all(level == "ERROR" for _, level, _, _ in server.records())


@pytest.mark.parametrize("kind, implementation", SERVERS)
def test_out_of_descriptors(kind, implementation, subject):
    server = subject(kind, implementation)
    server.serves()
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    clients = []
    began = time.monotonic()
    try:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.highest_descriptor() + 4, limits[1]))
        for _ in range(10):
            clients.append(server.client())
        wait_until(lambda: server.log_size() > 0, "nothing was logged")
        cpu, since = server.cpu(), time.monotonic()
        time.sleep(WATCHED)
        cpu, watched = server.cpu() - cpu, time.monotonic() - since
        records = server.records()
        seconds = time.monotonic() - began
        for sock in clients:
            sock.close()
        server.serves()  # still under the limit
    finally:
        for sock in clients:
            sock.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    # A server that spins has a quarter of a processor even beside seven others on two.
    assert cpu < 0.1 * watched, f"{cpu} s of processor time in {watched} s"
    assert 1 <= len(records) <= 2 + seconds, f"{records} in {seconds} s"
    assert all(text == "OSError: [Errno 24] Too many open files" for *_, text in records), records
    server.serves()
