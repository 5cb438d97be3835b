"""The application of the differential tests started through tornadoc alone, and clients to abuse it with."""

import os
import pathlib
import socket
import sys
import threading
import time

DIFFERENTIAL = pathlib.Path(__file__).resolve().parent.parent / "differential"
sys.path.insert(0, str(DIFFERENTIAL))

import harness  # noqa: E402
from casebook.case import get  # noqa: E402

PLAIN = get("/write/str")
PATIENCE = 20  # seconds after which a server that has not done something counts as one that doesn't
REFERENCE = harness.subject_command() == harness.reference_command()  # a run of these tests against Tornado itself


class Server(harness.Subject):
    """The process under test, with what the operating system knows of it."""

    def __init__(self, static):
        super().__init__("server", harness.subject_command(), static)

    @property
    def pid(self):
        return self.process.pid

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def resident(self):
        """Resident memory in bytes."""
        for line in pathlib.Path("/proc/%d/status" % self.pid).read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu(self):
        """Seconds of processor time used so far."""
        fields = pathlib.Path("/proc/%d/stat" % self.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self, server="main", timeout=PATIENCE):
        sock = self.connect(server)
        sock.settimeout(timeout)
        return sock

    def records(self):
        """What has been logged since the last call, normalised."""
        return harness.normal_records(self.sync())

    def healthy(self):
        """One request on a new connection; fails unless the answer is right, and comes."""
        with self.client() as sock:
            sock.sendall(PLAIN)
            answer = read_answer(sock)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\nplain"), answer


def read_answer(sock, rest=b""):
    """One answer with a Content-Length, as far as its end."""
    data = rest
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        assert piece, "closed after %r" % data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        piece = sock.recv(65536)
        assert piece, "closed after %r" % data[:200]
        body += piece
    return head + b"\r\n\r\n" + body


def read_all(sock):
    """Everything until the server closes. A reset is an error here."""
    data = b""
    while True:
        piece = sock.recv(65536)
        if not piece:
            return data
        data += piece


def wait_until(condition, seconds, complaint):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    sock.close()


class Crowd:
    """Threads that each run ``work(number)``; leaving the block waits for them and raises the first error."""

    def __init__(self, count, work):
        self.errors = []
        self.threads = [threading.Thread(target=self.guard, args=(work, i), daemon=True) for i in range(count)]

    def guard(self, work, number):
        try:
            work(number)
        except BaseException as e:
            self.errors.append(e)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"
        if self.errors and exc[0] is None:
            raise self.errors[0]
