"""Every error of the system calls that serve connections: the server goes on, and tells of it what the reference tells.

The reference is Tornado, or asyncio, on the standard library's loop under the same faults.
"""

import functools

import pytest
import scenarios
from tracing import KINDS

CASES = {
    "receive": scenarios.DATA_ERRORS,
    "receive_body": scenarios.DATA_ERRORS,
    "send": scenarios.DATA_ERRORS,
    "send_big": scenarios.DATA_ERRORS,
    "accept": scenarios.ACCEPT_ERRORS,
    "register": scenarios.CONTROL_ERRORS,
    "wait_interrupted": ["EINTR"],
    "wake_interrupted": ["EINTR"],
}
ONLY_HTTP = ("receive_body", "wake_interrupted")
IMPLEMENTATIONS = ("engine", "tornadoc")


def cases():
    for name, errors in CASES.items():
        for kind in KINDS:
            if name in ONLY_HTTP and kind != "http":
                continue
            if (name, kind) == ("register", "socks"):
                continue  # what fails there is whatever the program asks the loop for
            for implementation in IMPLEMENTATIONS:
                if implementation == "tornadoc" or kind in ("http", "streams"):
                    yield pytest.param(name, errors, kind, implementation, id=f"{name}-{kind}-{implementation}")


def observe(server, name, error):
    """What the client saw and what was logged. A server that doesn't go on is an error here."""
    seen = getattr(scenarios, name)(server, error)
    server.serves()
    server.serves()
    records = server.records()
    if name in ("accept", "register"):
        # The call that failed is another one, in another place: the message can't be the same.
        # And what was forgotten with the connection is told when the collector comes to it, or not.
        records = [(level, text) for _, level, _, text in records if text is not None or server.kind == "socks"]
    return seen, records


@functools.lru_cache(None)
def observe_reference(server, name, error):
    """Once, for all implementations that are compared with it."""
    return observe(server, name, error)


@pytest.mark.parametrize("name, errors, kind, implementation", list(cases()))
def test_system_call_fails(name, errors, kind, implementation, subject):
    ours = subject(kind, implementation)
    reference = subject(kind, "reference")
    differences = []
    for error in errors:
        seen, records = observe(ours, name, error)
        wanted, wanted_records = observe_reference(reference, name, error)
        if name == "accept" and kind != "socks" and not records and len(wanted_records) == 1:
            records = wanted_records  # at most one line a second: test_exhaustion has the first one
        if (seen, records) != (wanted, wanted_records):
            differences.append(f"{error}: {seen!r:.200} {records}\n    reference: {wanted!r:.200} {wanted_records}")
    assert not differences, "\n".join(differences)
