"""Servers whose system calls are made to fail, and what can be seen of them from outside.

strace injects the faults: it attaches to the running server, so that the test decides what happens before.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PATIENCE = 20.0  # seconds before something that should happen counts as never happening
BIG = 8_000_000  # bytes of a big answer: more than the kernel takes at once
KINDS = ("http", "streams", "transports", "asyncio_streams", "socks")


def implementations(kind):
    """The implementations that there are of a kind of server."""
    import tornadoc

    found = ["reference"]
    if kind == "http" or (kind == "streams" and (ROOT / "tornadoc" / "netutil.py").exists()):
        found.append("engine")
    if hasattr(tornadoc, "EventLoop"):
        found.append("tornadoc")
    return found


class Subject:
    """One server process (see subject.py). Use as a context manager."""

    def __init__(self, kind, implementation):
        self.kind = kind
        self.implementation = implementation

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="tornadoc-faults-")
        self.log_path = pathlib.Path(self.folder.name) / "log"
        self.errors_path = pathlib.Path(self.folder.name) / "errors"
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with open(self.errors_path, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", str(HERE / "subject.py"), self.kind, self.implementation, self.log_path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": path},
            )
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.stop()
            raise AssertionError(f"the server did not start:\n{self.errors}")
        started = json.loads(line)
        self.port = started["port"]
        self.loop = started["loop"]
        self.log = open(self.log_path, encoding="utf-8")
        return self

    def __exit__(self, *exc_info):
        status = self.stop()
        if exc_info[0] is None:
            assert status == 0, f"exit status {status}\n{self.errors[-3000:]}"
            assert self.errors == ""

    def stop(self):
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self.errors = self.errors_path.read_text(errors="replace")
        if hasattr(self, "log"):
            self.log.close()
        self.folder.cleanup()
        return status

    @property
    def pid(self):
        return self.process.pid

    def client(self, small=False):
        """A connection; with a small receive buffer, so that the server's sends soon find no room."""
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @functools.cached_property
    def big_length(self):
        """Bytes of the big answer, with its head."""
        if self.kind != "http":
            return BIG
        with self.client() as sock:
            sock.sendall(get("/big"))
            return len(read_head(sock)) + BIG

    def exchange(self, sock):
        """One request that the server has to answer, on a connection that is open."""
        if self.kind == "http":
            sock.sendall(get("/"))
            answer = read_answer(sock)
            assert answer == b"hello", answer
        else:
            sock.sendall(b"ping")
            answer = sock.recv(4, socket.MSG_WAITALL)
            assert answer == b"ping", answer

    def serves(self):
        """A request on a connection of its own succeeds. The server has closed it, too: it makes no more system calls for it."""
        with self.client() as sock:
            self.exchange(sock)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""

    def records(self):
        """What has been logged since the last call, as (logger, level, message, error)."""
        found = []
        for line in self.log.read().splitlines():
            record = json.loads(line)
            if record["error"] == "OSError: [Errno 38] Function not implemented":
                continue  # strace left in the middle of a call that it was about to fail
            found.append((record["logger"], record["level"], normal(record["message"]), normal(record["error"])))
        return found

    def cpu(self):
        """Seconds of processor time used so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def highest_descriptor(self):
        return max(int(name) for name in os.listdir(f"/proc/{self.pid}/fd"))

    def log_size(self):
        """Bytes logged since the last call of records()."""
        return self.log_path.stat().st_size - self.log.tell()


def normal(text):
    """Without what differs from one connection, or one implementation, to the next."""
    if text is None:
        return None
    text = re.sub(r"\b(fd|proto)=\d+", r"\1=N", text)  # accept() of the socket module leaves proto 0
    text = re.sub(r"\('127\.0\.0\.1', \d+\)", "ADDRESS", text)
    text = re.sub(r"\bTask-\d+", "Task-N", text)
    text = re.sub(r"<[\w.]*Transport [^>]*>", "<Transport>", text)
    return re.sub(r"0x[0-9a-f]+", "0xN", text)


def get(path):
    return b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


def read_answer(sock):
    """The body of one answer with a Content-Length."""
    head = read_head(sock)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    return read_exactly(sock, int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))


def read_head(sock):
    """Not a byte more than the head: another answer may be behind it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += read_exactly(sock, 1)
    return head


def read_exactly(sock, count):
    data = bytearray()
    while len(data) < count:
        piece = sock.recv(min(count - len(data), 1 << 20))
        if not piece:
            raise EOFError(len(data))
        data += piece
    return bytes(data)


def outcome(read):
    """What a client sees: what read() gives, or how the connection ended."""
    try:
        return read()
    except (EOFError, ConnectionError):
        return "closed"


def wait_until(condition, complaint):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.01)


# -- strace --


@functools.lru_cache(None)
def why_not():
    """Why strace can't inject faults here; "" if it can."""
    strace = shutil.which("strace")
    if strace is None:
        return "strace is missing (tools/setup.sh packages test)"
    result = subprocess.run(
        [strace, "-qq", "-o", os.devnull, "-e", "trace=getppid", "-e", "inject=getppid:error=EPERM", "true"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return "" if result.returncode == 0 else f"strace can't trace here: {result.stderr.strip()}"


class Trace:
    """What strace writes, one system call a line."""

    def __init__(self, output):
        self.output = output
        self.lines = []

    def read(self):
        self.lines += self.output.read().splitlines()
        return self.lines

    def count(self, *names):
        """Calls of these system calls so far."""
        return sum(bool(re.match(rf"\d+ +({'|'.join(names)})\(", line)) for line in self.read())

    @property
    def injected(self):
        """Faults injected so far."""
        return sum("(INJECTED)" in line for line in self.read())

    def wait(self, injected=1):
        """Until so many faults were injected."""
        wait_until(lambda: self.injected >= injected, "no fault was injected")


@contextlib.contextmanager
def faults(pid, *injections, also=()):
    """System calls of the process fail within the block: "recvfrom:error=ENOMEM:when=1" and the like; `also` are traced."""
    names = {name for injection in injections for name in injection.partition(":")[0].split(",")} | set(also)
    with tempfile.NamedTemporaryFile("r", prefix="tornadoc-strace-") as output:
        trace = Trace(output)
        command = ["strace", "-f", "-o", output.name, "-e", "trace=" + ",".join(sorted(names)), "-e", "signal=none"]
        for injection in injections:
            command += ["-e", "inject=" + injection]
        tracer = subprocess.Popen([*command, "-p", str(pid)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            attached(tracer)
            yield trace
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGINT)
            try:
                tracer.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                tracer.kill()
                tracer.communicate()
            trace.read()


def attached(tracer):
    """Waits until strace says that it has all threads of the process.

    A TracerPid in /proc comes earlier: system calls between that and the tracer's interruption are not traced.
    """
    ready, _, _ = select.select([tracer.stderr], [], [], PATIENCE)
    said = tracer.stderr.readline() if ready else ""
    assert " attached" in said, f"strace did not attach: {said}"
