"""Callbacks of the event loop that misbehave: they are called, logged, and leave the loop as with the standard library's."""

import evil_loop
import evil_matrix
import pytest


@pytest.mark.parametrize("hook", evil_loop.HOOKS)
def test_evil_callback_of_the_loop(hook):
    evil_matrix.check("evil_loop", hook, "tornadoc")
