"""Whatever Python code does while a stream or a server is calling it: no crash, and the outcome of Tornado's classes."""

import sys

import pytest
from evil_judge import Judge

DIFFERENT = {
    "*/close_the_socket_itself": "who closes a socket under its stream has what comes",
    "*/close_descriptor": "Tornado's stream goes on reading from the socket that it has no more",
    "finalizer_of_dropped_output/*": "Tornado's queue says that it is changed while it is dropped",
    "finalizer_of_written_object/write*close": "Tornado looks into the buffer that close() has taken away",
    "overridden__signal_closed/private_names": "a closed stream shows no buffer a moment earlier than Tornado's",
    "both_directions/*": "how much is sent before the read is told is a matter of turns",
    "stale_event_of_an_http_connection/*raise*": "what an exception of a handler leads to is tested elsewhere",
    "stale_event_of_an_http_connection/*_exit": "the same",
    "release_of_much_output/*": "Tornado looks into the buffer that close() has taken away",
    "overridden_*/forget_and_raise": "a traceback keeps the stream alive for a while, or there is none",
}
if sys.version_info >= (3, 12):
    DIFFERENT["finalizer_of_output/*"] = DIFFERENT["release_of_output/*"] = "in which turn output is released is not promised"
    DIFFERENT["stale_event_of_an_http_connection/run_loop"] = "where a second run of the loop is refused differs between versions"
MODULES = ("evil_streams", "evil_stream_overrides", "evil_stream_servers")
JUDGES = {module: Judge(module, DIFFERENT) for module in MODULES}


@pytest.mark.parametrize("module, hook", [(module, hook) for module, judge in JUDGES.items() for hook in judge.hooks])
def test_evil_callback_of_streams(module, hook):
    JUDGES[module].check(hook)
