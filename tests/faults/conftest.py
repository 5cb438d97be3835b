import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tracing


@pytest.fixture(autouse=True)
def traceable():
    reason = tracing.why_not()
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def subject():
    """subject(kind, implementation): a running server, one of each for the tests of a module."""
    running = {}

    def find(kind, implementation):
        if (kind, implementation) not in running:
            if implementation not in tracing.implementations(kind):
                pytest.skip(f"there is no {kind} server of {implementation} yet")
            running[kind, implementation] = tracing.Subject(kind, implementation).__enter__()
        found = running[kind, implementation]
        found.records()
        return found

    yield find
    problems = []
    for server in running.values():
        try:
            server.__exit__(None, None, None)
        except AssertionError as e:
            problems.append(f"{server.kind} {server.implementation}: {e}")
    assert not problems, "\n".join(problems)
