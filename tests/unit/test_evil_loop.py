"""Whatever Python code does while the event loop is calling it: no crash, and the outcome of the standard library's loop."""

import pytest
from evil_judge import Judge

DIFFERENT = {
    "*/release": "asyncio's loop has no such method",
    "*/run_once": "asyncio counts in advance what it will call",
    "*/drop_everything": "the same",
    "io_loop_handler/*_and_again": "how often an event is told that nobody takes any more is a matter of turns",
    "io_loop_handler/forget_io_loop": "the same",
    "*/close_and_reopen": "asyncio does not notice that descriptors were closed",
}
JUDGE = Judge("evil_loop", DIFFERENT, in_order=True)


@pytest.mark.parametrize("hook", JUDGE.hooks)
def test_evil_callback_of_the_loop(hook):
    JUDGE.check(hook)
