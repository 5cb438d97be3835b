"""Requests of every kind leave nothing behind: no object, no reference, no allocation, no descriptor.

A warm-up phase fills the caches; what then grows in two equal phases alike is a leak. TORNADOC_LEAK_REQUESTS sets how many
requests are made in all.
"""

import itertools

import leak_kinds
import pytest
from leak_child import SANITIZED, Child
from leak_kinds import KINDS, share

#: The smallest block of malloc is 24 bytes: less than this for each request is no leak for each.
BYTES_A_REQUEST = 16
#: Resident memory comes in pages and moves with fragmentation.
RESIDENT_SLACK = 256 * 1024


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("0123456789" * 10)
    return str(folder)


@pytest.fixture(scope="module")
def child(static):
    child = Child(static, exact=True)
    yield child
    assert child.stop() == ""


def grown(before, between, after, count, key):
    """What grew in both phases by something like one for each request."""
    least = max(4, count // 4)
    growth = {
        name: (between[key].get(name, 0) - before[key].get(name, 0), number - between[key].get(name, 0))
        for name, number in after[key].items()
    }
    return {name: pair for name, pair in growth.items() if min(pair) >= least}


def leaks(marks, count):
    """What the process has more of after each of the phases between three measurements."""
    before, between, after = marks
    found = {key: grown(before, between, after, count, key) for key in ("objects", "references")}
    if before["descriptors"] < between["descriptors"] < after["descriptors"]:
        found["descriptors"] = [m["descriptors"] for m in marks]
    if after["allocated"] is not None and not SANITIZED:
        pair = between["allocated"] - before["allocated"], after["allocated"] - between["allocated"]
        # A look at the process leaves some things of its own.
        if min(pair) > BYTES_A_REQUEST * count + 2048:
            found["bytes for each request"] = [n / count for n in pair]
    return {key: value for key, value in found.items() if value}


def phases(child, make, count):
    marks = [child.measure()]
    for _ in range(2):
        make(child.ports, count)
        marks.append(child.measure())
    return marks


@pytest.mark.parametrize("name", KINDS)
def test_nothing_is_left_behind(child, name):
    make = KINDS[name]
    count = share(name, 0.7)
    make(child.ports, max(2, count // 2))
    child.measure()
    found = leaks(phases(child, make, count), count)
    count = min(50 * count, 5000)
    for _ in range(3):
        # A cache that was still filling, or buffers kept for as many connections as there were at once: a leak grows with
        # the requests each time, and those do not.
        if found:
            found = leaks(phases(child, make, count), count)
    assert found == {}


def test_resident_memory_stays(static):
    child = Child(static)
    try:
        marks = []
        growth = []
        for part in (0.5, 1, 1, 1, 1):
            for name in KINDS:
                KINDS[name](child.ports, max(2, round(share(name, 0.4) * part)))
            marks.append(child.measure())
            growth = [after["resident"] - before["resident"] for before, after in itertools.pairwise(marks)]
            # A leak grows each time; the most connections or answers that there were at once do not.
            if len(growth) >= 2 and min(growth) < RESIDENT_SLACK:
                break
        assert marks[-1]["descriptors"] <= marks[0]["descriptors"]
        assert SANITIZED or min(growth) < RESIDENT_SLACK, growth
    finally:
        errors = child.stop()
    assert errors == ""


def test_the_measurement_sees_a_leak(child):
    """It is not blind: what the process keeps on purpose is found."""
    key = "tornadoc.http1connection.NativeHTTP1ServerConnection"
    KINDS["one_request_a_connection"](child.ports, 10)
    before = child.measure()
    clients = [leak_kinds.Client(child.ports) for _ in range(10)]
    for client in clients:
        client.send(leak_kinds.request("/write"))
        client.answer()
    child.ask("keep")
    for client in clients:
        client.socket.close()
    between = child.measure()
    child.ask("let_go")
    after = child.measure()
    assert between["objects"][key] == before["objects"].get(key, 0) + 10
    assert SANITIZED or before["allocated"] is None or between["allocated"] - after["allocated"] > 10 * 200
    assert after["objects"].get(key, 0) == before["objects"].get(key, 0)
