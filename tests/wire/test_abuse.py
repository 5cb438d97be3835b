"""Clients that don't play by the rules: nobody else notices, and nothing is left behind."""

import os
import random
import resource
import socket
import threading
import time

import pytest
import support
from casebook.case import BAD_REQUEST, chunked, get, head, post
from support import PLAIN, Crowd

own = pytest.mark.skipif(support.REFERENCE, reason="tornadoc's own promise")


@pytest.fixture(autouse=True)
def nothing_left(server, quiet):
    """No descriptor stays open after a test."""
    before = server.descriptors()
    yield
    support.wait_until(lambda: server.descriptors() <= before, support.PATIENCE, "descriptors are left open")


def garbage(rng):
    """Bytes that are nearly, hardly or not at all HTTP."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 3000))
    requests = [get("/dump/x?a=b"), post("/dump", b"abc" * 30), chunked("/dump", b"abc", b"d"), head("/dump")]
    good = rng.choice(requests) * rng.randrange(1, 4)
    if kind == 1:
        return good[: rng.randrange(1, len(good))]
    data = bytearray(good)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data))
        if kind == 2:
            data[at] = rng.randrange(256)
        elif kind == 3:
            del data[at]
        else:
            data[at:at] = rng.choice([b"\r\n", b"\0", b"\r", b"\n", b":", b" ", b"\xff", b"%", b"\r\n\r\n"])
    return bytes(data)


def annoy(server, seed, connections, enough=lambda: True):
    """So many connections, and more until it is enough."""
    rng = random.Random(seed)
    made = 0
    while made < connections or not enough():
        made += 1
        sock = server.client(timeout=5)
        try:
            data = garbage(rng)
            cut = rng.randrange(len(data) + 1)
            sock.sendall(data[:cut])
            if rng.random() < 0.3:
                time.sleep(0.002)
            sock.sendall(data[cut:])
            end = rng.randrange(4)
            if end == 0:
                support.reset(sock)
                continue
            if end == 1:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            elif end == 2:
                sock.settimeout(0.01)
                sock.recv(100)
        except OSError:  # closed, reset or silent: all are fine answers to garbage
            pass
        finally:
            sock.close()


def errors(records):
    return [r for r in records if r[1] not in ("INFO", "WARNING", "DEBUG")]


def serve_beside(server, crowd, served):
    """A client that is always served beside a crowd, which goes on until it was served 20 times and `served` says so."""
    try:
        for _ in range(20):
            server.healthy()
    finally:
        served.set()
    while any(t.is_alive() for t in crowd.threads):
        server.healthy()


def test_garbage(server):
    annoy(server, 1, 300)
    assert errors(server.records()) == []


def test_stress(server):
    """Twenty clients of garbage, and one that is always served."""
    served = threading.Event()
    with Crowd(20, lambda number: annoy(server, 100 + number, 60, served.is_set)) as crowd:
        serve_beside(server, crowd, served)
    assert errors(server.records()) == []


def test_half_request_then_reset(server):
    for i in range(50):
        sock = server.client()
        sock.sendall(post("/dump", b"x" * 100)[: 10 + 3 * i])
        if i % 2:
            server.ping()
        support.reset(sock)
    assert errors(server.records()) == []


def test_slow_clients(server):
    """Ten clients that send a byte at a time; a healthy one beside them doesn't wait for them."""
    request = post("/dump/slow", b"abcdef")
    served = threading.Event()

    def slow(number):
        with server.client(timeout=30) as sock:
            for i in range(len(request)):
                if i == len(request) - 1:
                    served.wait()
                sock.sendall(request[i : i + 1])
                time.sleep(0.005)
            answer = support.read_answer(sock)
            assert b"body=b'abcdef'" in answer

    with Crowd(10, slow) as crowd:
        serve_beside(server, crowd, served)


def test_client_that_never_reads(server):
    """What is written for it stays bounded; everyone else is served."""
    before = server.resident()
    stubborn = server.client()
    stubborn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stubborn.sendall(get("/big?n=1000"))
    pipelined = server.client()
    pipelined.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    pipelined.sendall(get("/write/large") * 300)
    for _ in range(30):
        server.healthy()
    grown = server.resident() - before
    support.reset(stubborn)
    pipelined.close()
    assert grown < 24 << 20, grown
    assert errors(server.records()) == []


def test_never_read_requests_are_not_hoarded(server):
    """A client that sends requests without reading answers is not read from without end."""
    before = server.resident()
    sock = server.client()
    sock.setblocking(False)
    sent = 0
    deadline = time.monotonic() + 2
    data = get("/write/large") * 200
    while time.monotonic() < deadline and sent < 64 << 20:
        try:
            sent += sock.send(data)
        except BlockingIOError:
            time.sleep(0.01)
    server.healthy()
    grown = server.resident() - before
    sock.close()
    assert grown < 48 << 20, (sent, grown)


@own
@pytest.mark.parametrize("amount", [500000, 8 << 20])
@pytest.mark.parametrize(
    "path,answer", [("/dump", BAD_REQUEST), ("/stream?mode=finish", b"early"), ("/stream?mode=error", b"401")]
)
def test_lingering(server, path, answer, amount):
    """A body that nobody reads doesn't cost the client its answer.

    A moderate one is taken in to its end; a client that sends more may be stopped, and still finds the answer.
    """
    size = 1 << 30 if path == "/dump" else amount
    began = time.monotonic()

    def may_be_stopped():
        """A client that takes longer than the server lingers may be stopped, too."""
        return amount > 1 << 20 or time.monotonic() - began > 2

    with server.client() as sock:
        sock.sendall(get(path, "Content-Length: %d" % size, method="POST"))
        try:
            for _ in range(amount // 10000):
                sock.sendall(b"x" * 10000)
            sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            assert may_be_stopped(), "the server resets: %r" % e
        data = b""
        try:
            while piece := sock.recv(65536):
                data += piece
        except ConnectionError:
            assert may_be_stopped()
    assert answer in data
    assert errors(server.records()) == []


@own
def test_lingering_ends(server):
    """A client that neither reads to the end nor closes is let go of."""
    before = server.descriptors()
    sock = server.client()
    sock.sendall(get("/dump", "Content-Length: %d" % (1 << 30), method="POST", body=b"x" * 1000))
    assert sock.recv(1000) == BAD_REQUEST
    support.wait_until(lambda: server.descriptors() <= before, 40, "the connection is kept open")
    sock.close()


@own
def test_lingering_is_bounded(server):
    """A client that goes on sending for ever is cut off."""
    sock = server.client(timeout=2)
    sock.sendall(get("/dump", "Content-Length: %d" % (1 << 40), method="POST"))
    deadline = time.monotonic() + 40
    with pytest.raises(OSError):
        while True:
            sock.sendall(b"x" * 1000)
            time.sleep(0.02)
            assert time.monotonic() < deadline, "the server reads for ever"
    sock.close()


def test_one_byte_chunks(server):
    """A body of many tiny chunks stalls nobody and is not stored at a multiple of its size."""
    count = 200000
    body = b"1\r\nx\r\n" * count + b"0\r\n\r\n"
    before = server.resident()
    answers = []

    def send(number):
        with server.client(timeout=60) as sock:
            sock.sendall(get("/limit-in-prepare", "Transfer-Encoding: chunked", method="POST", body=body))
            answers.append(support.read_answer(sock))

    with Crowd(1, send) as crowd:
        server.healthy()
        while any(t.is_alive() for t in crowd.threads):
            server.healthy()
    assert answers[0].endswith(b"%d" % count)
    assert server.resident() - before < 16 << 20


@own
def test_out_of_descriptors(server):
    """With no descriptor left the server neither spins nor floods the log, and recovers at once."""
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    clients = []
    try:
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.descriptors() + 5, limits[1]))
        for _ in range(20):
            clients.append(server.client())
        since = time.monotonic()
        server.records()
        cpu = server.cpu()
        time.sleep(1)
        cpu = server.cpu() - cpu
        records = server.records()
        seconds = time.monotonic() - since
    finally:
        for sock in clients:
            sock.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
    assert cpu < 0.2 * seconds, (cpu, seconds)
    assert len(records) <= 2 + seconds, (records, seconds)
    server.healthy()


def test_many_connections(server):
    """Connections come and go by the hundred."""
    for _ in range(5):
        socks = [server.client() for _ in range(100)]
        for sock in socks:
            sock.sendall(PLAIN)
        for sock in socks:
            assert support.read_answer(sock).endswith(b"plain")
        for i, sock in enumerate(socks):
            support.reset(sock) if i % 2 else sock.close()
    assert errors(server.records()) == []


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="freed memory is kept under AddressSanitizer")
def test_idle_connections_cost_little(server):
    """Memory of idle keep-alive connections: below what Tornado takes."""
    socks = [server.client() for _ in range(20)]
    server.sync()
    before = server.resident()
    for _ in range(400):
        sock = server.client()
        sock.sendall(PLAIN)
        support.read_answer(sock)
        socks.append(sock)
    each = (server.resident() - before) / 400
    for sock in socks:
        sock.close()
    assert each < 12000, each
