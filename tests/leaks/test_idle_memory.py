"""What idle keep-alive connections cost."""

import resource

import pytest
from leak_child import SANITIZED, Child
from leak_kinds import Client, request

CONNECTIONS = 2000
MOST_BYTES = 2048


@pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory is its own")
def test_idle_connections_are_small(tmp_path):
    """The slope between two crowds, so that what the process needs once does not count."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS * 5 // 4 + 200
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip("too few descriptors")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    child = Child(str(tmp_path))
    clients = []

    def crowd(size):
        while len(clients) < size:
            client = Client(child.ports)
            clients.append(client)
            client.send(request("/write"))
            assert client.answer()[0] == 200
        assert child.ask("connections") == size
        return child.ask("resident")

    try:
        few = crowd(CONNECTIONS // 4)
        many = crowd(CONNECTIONS // 4 + CONNECTIONS)
        for client in clients:
            client.socket.close()
        clients.clear()
        assert child.measure()["objects"].get("tornadoc.http1connection.NativeHTTP1ServerConnection", 0) == 0
        again = crowd(CONNECTIONS // 4 + CONNECTIONS)
    finally:
        for client in clients:
            client.socket.close()
        errors = child.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert errors == ""
    assert (many - few) / CONNECTIONS < MOST_BYTES
    # What the first crowd has freed is used again.
    assert again - many < CONNECTIONS * MOST_BYTES // 4
