"""Whatever Python code does while a transport or a sock_* method is calling it: no crash, and the outcome of asyncio's."""

import sys

import pytest
from evil_judge import Judge

DIFFERENT = {
    "*/close_the_socket_itself": "who closes a socket under its transport has what comes",
    "truth_of_eof_received/*": "asyncio takes what bool() raises for its own failure, and asks again at once; here it ends the "
    "connection like any exception of the protocol",
    "resume_writing/peer_closes_and_write": "asyncio forgets the error when the output that it tells of is empty",
    "two_operations/close*": "without another event, the sender of a socket that was closed waits for ever on either loop",
}
if sys.version_info >= (3, 12):
    DIFFERENT["finalizer_of_output/*"] = DIFFERENT["release_of_output/*"] = "in which turn output is released is not promised"
    DIFFERENT["pause_writing_of_writelines/*"] = "asyncio's writelines() pauses nobody in some versions"
JUDGE = Judge("evil_transports", DIFFERENT)


@pytest.mark.parametrize("hook", JUDGE.hooks)
def test_evil_callback_of_transports(hook):
    JUDGE.check(hook)
