"""Requests leave no cycles: reference counting alone frees all of them, at once."""

import pytest
from leak_child import Child
from leak_kinds import KINDS, ORDINARY


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("0123456789" * 10)
    child = Child(str(folder))
    yield child
    assert child.stop() == ""


@pytest.mark.parametrize("name", ORDINARY)
def test_no_garbage(child, name):
    KINDS[name](child.ports, 2)
    child.ask("before_garbage")
    try:
        KINDS[name](child.ports, ORDINARY[name])
    finally:
        found = child.ask("garbage")
    assert found == []
