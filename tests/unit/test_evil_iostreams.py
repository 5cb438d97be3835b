"""Callbacks of streams and servers that misbehave: what they do ends, is logged and is answered as with Tornado's streams."""

import re

import evil_iostreams
import evil_matrix
import pytest

#: Where the outcome may be another one, and why.
DIFFERS = {
    # Tornado's read_into() takes no more from the socket than its buffer holds: nothing is left that could be read afterwards.
    "read_into/close_and_again",
    "read_into/close_descriptor",
    "read_into/smaller_limits",
    # Tornado's stream remembers the limit of the read that failed.
    "read_too_much/write_read_close",
    # Tornado's queue is iterated while it is dropped, and says so when a finalizer writes.
    *(f"finalizer_of_dropped_data/{name}" for name in evil_matrix.actions("evil_iostreams")),
}
# An exception of a handler for accepted connections is reported with a message of our own.
ACCEPTING = ("accept_handler", "handle_stream")


@pytest.mark.parametrize("hook", evil_iostreams.HOOKS)
@pytest.mark.parametrize("implementation", ["tornadoc", "engine"])
def test_evil_callback_of_streams(hook, implementation):
    reference = None if hook in evil_iostreams.ONLY_OURS else "reference"
    evil_matrix.check("evil_iostreams", hook, implementation, reference, DIFFERS, same=same_report if hook in ACCEPTING else None)


def same_report(note):
    return re.sub(r"Exception in callback (BaseAsyncIOLoop._handle_events\(N, N\)|None\(\))", "Exception in accept handler", note)
