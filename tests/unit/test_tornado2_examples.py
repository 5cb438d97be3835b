"""The programs of examples/tornado2, as processes: started through `python -m tornadoc`, asked over sockets."""

import contextlib
import os
import re
import socket
import subprocess
import sys

import pytest
from inprocess import PATIENCE, ROOT, fetch_blocking

PROGRAMS = ROOT / "examples" / "tornado2"
CLOSE = "Connection: close\r\n"


@contextlib.contextmanager
def running(name, *arguments):
    """(port, the process), whose standard output can be read on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", "tornadoc", str(PROGRAMS / name), "--port=0", "--logging=error", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line + process.stderr.read()
        yield int(found[1]), process
        assert process.poll() is None
    finally:
        process.terminate()
        output = process.communicate(timeout=PATIENCE)
        process.output = output


def ask(port, path="/", method="GET", body="", headers="", version="1.1", close=CLOSE):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    form = "Content-Type: application/x-www-form-urlencoded\r\n" if body else ""
    return fetch_blocking(
        port, f"{method} {path} HTTP/{version}\r\nHost: x\r\n{headers}{form}{length}{close}\r\n{body}".encode()
    )


def body_of(answer):
    return answer.partition(b"\r\n\r\n")[2]


def test_hello():
    with running("hello.py") as (port, process):
        answer = ask(port)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\nServer: TornadoServer/")
        assert body_of(answer) == b"Hello, world"
        assert body_of(ask(port, "/story/42")) == b'{"story": "42", "handler": "StoryHandler", "http_1_1": true}'
        assert b'"http_1_1": false' in ask(port, "/story/1", version="1.0", close="")
        assert ask(port, "/none").startswith(b"HTTP/1.1 404 Not Found\r\n")
        lines = [process.stdout.readline().rstrip() for _ in range(4)]
    assert lines == ["200 GET /", "200 GET /story/42", "200 GET /story/1", "404 GET /none"]


def test_raw():
    expected = b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nYou requested /a\n"
    with running("raw.py") as (port, process):
        assert ask(port, "/a") == expected
        assert ask(port, "/a", version="1.0", close="") == expected
        # Pipelined, and kept alive until the last.
        one = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
        assert fetch_blocking(port, 2 * one + one[:-2] + CLOSE.encode() + b"\r\n") == 3 * expected
    assert process.output[1] == ""


@pytest.mark.parametrize("trace", [False, True])
def test_connection(trace):
    with running("connection.py", *["--trace"] * trace) as (port, process):
        assert body_of(ask(port)) == b"Hello, world"
        assert body_of(ask(port, method="POST", body="name=you")) == b"Hello, you"
        two = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert fetch_blocking(port, two).count(b"Hello, world") == 2
        # The last of them may come after the answer.
        lines = [process.stdout.readline().rstrip() for _ in range(13)] if trace else []
    assert process.output == ("", "")
    if trace:
        once = ["_on_headers GET / HTTP/1.1", "_on_write_complete", "_finish_request"]
        posted = ["_on_headers POST / HTTP/1.1", "_on_request_body 8", "_on_write_complete", "_finish_request"]
        assert sorted(lines) == sorted([*once, *posted, *once, *once])
        assert [line for line in lines if line.startswith("_on_headers")] == [once[0], posted[0], once[0], once[0]]


def test_asynchronous():
    with running("asynchronous.py") as (port, process):
        assert body_of(ask(port, "/callback?a=1&b=3")) == b"sum 4, inverse 0.25"
        failed = ask(port, "/callback?a=1&b=-1")
        assert failed.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert ask(port, "/callback?a=1").startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert body_of(ask(port, "/generator")) == b"3 7 8"
        assert body_of(ask(port, "/transaction")) == b"depth 1"
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as waiter:
            waiter.sendall(b"GET /poll HTTP/1.1\r\nHost: x\r\n\r\n")
            # The news are for those who have come: ask until somebody has.
            while body_of(ask(port, "/poll", method="POST", body="text=yes")) == b"0":
                pass
            received = b""
            while not received.endswith(b"news: yes"):
                piece = waiter.recv(65536)
                assert piece
                received += piece
    assert process.output[1].count("ZeroDivisionError") == 1


def test_fetch():
    with running("hello.py") as (port, _):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        done = subprocess.run(
            [sys.executable, "-m", "tornadoc", str(PROGRAMS / "fetch.py"), "127.0.0.1", str(port), "/"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello, world\n", "")
