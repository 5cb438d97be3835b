"""Runs the application under one implementation and takes cases through it.

``Subject`` is one running server process; ``Subject.run`` sends a case in one of three ways and returns an
``Outcome``: the bytes received, whether the server closed, and the log records that belong to the case.
"""

import contextlib
import json
import os
import pathlib
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
MODES = ("whole", "bytes", "random")
BYTE_STEPS = 160  # inputs longer than this are sent in larger steps in the mode "bytes"
STUCK = 20.0  # seconds without progress after which a server counts as hanging


class Crashed(Exception):
    """The server process died or hangs."""


class Late(Exception):
    """This machine was too slow for what the case is about: a timer of the server may have run out before."""


class Outcome:
    """What a case gave: ``data`` received, ``closed`` by the server or not, ``records`` logged, ``trouble`` or None.

    ``reset``: the server's end came as a reset, which may have eaten the tail of the data.
    """

    def __init__(self, data=b"", closed=False, records=(), trouble=None):
        self.reset = False
        self.data = data
        self.closed = closed
        self.records = list(records)
        self.trouble = trouble


class Subject:
    """One server process. ``command`` is the list of arguments that come before app.py; ``tls``: its listeners speak TLS."""

    def __init__(self, name, command, static, extra=(), tls=False):
        self.tls = client_context() if tls else None
        self.name = name
        self.command = command
        self.static = static
        self.extra = list(extra)
        self.directory = tempfile.TemporaryDirectory(prefix="tornadoc-diff-")
        self.process = None
        self.number = 0
        self.errors = ""
        self.broken = None  # why it cannot be started, once that is known

    def start(self):
        """Starts the process if there is none, and connects to its control port."""
        if self.process is not None:
            return
        if self.broken:
            raise Crashed(self.broken)
        folder = pathlib.Path(self.directory.name)
        self.number += 1
        self.log_path = folder / ("log-%d.jsonl" % self.number)
        self.stderr_path = folder / ("stderr-%d.txt" % self.number)
        arguments = [str(HERE / "app.py"), str(self.log_path), str(self.static), str(folder), *self.extra]
        environment = dict(os.environ, PYTHONHASHSEED="0", TZ="UTC", PYTHONDONTWRITEBYTECODE="1")
        if self.tls:
            environment["TORNADOC_DIFF_TLS"] = "1"
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                self.command + arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            text = self.stderr_path.read_text(errors="replace")
            self.stop()
            self.broken = "%s didn't start:\n%s" % (self.name, text[-4000:])
            raise Crashed(self.broken)
        self.ports = json.loads(line)
        self.log = open(self.log_path, encoding="utf-8")
        self.control = socket.create_connection(("127.0.0.1", self.ports["control"]), timeout=STUCK)
        self.control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.syncs = 0
        self.pending = ""
        self.sync()

    def parse(self, line):
        """A line of the log as a record; the stock formats have the text alone."""
        if not self.extra:
            return json.loads(line)
        found = re.search(r"sync:.*(SYNC \d+)$|\] (SYNC \d+)$", line.rstrip("\n"))
        if found:
            return {"logger": "sync", "message": found[1] or found[2]}
        return {"logger": "", "level": "", "message": line.rstrip("\n"), "error": None}

    def stop(self):
        """Ends the process: first by closing its stdin, then by its id. Returns the exit status, None if there was no process."""
        process, self.process = self.process, None
        if process is None:
            return None
        for name in ("control", "log"):
            if getattr(self, name, None) is not None:
                getattr(self, name).close()
                setattr(self, name, None)
        process.stdin.close()
        try:
            process.wait(STUCK)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        if self.stderr_path.exists():
            self.errors += self.stderr_path.read_text(errors="replace")
        return process.returncode

    def connect(self, server, source=None):
        """A connection to the listener of that name, from the address ``source`` (127.x.y.z) if it is given."""
        address = self.ports[server]
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address)
        else:
            sock = socket.create_connection(("127.0.0.1", address), source_address=(source, 0) if source else None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock.settimeout(STUCK)
            sock = TLSClient(sock, self.tls)
        return sock

    # The control line.

    def ask(self, line):
        try:
            self.control.sendall(line + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                data = self.control.recv(4096)
                if not data:
                    raise Crashed("the process has ended")
                answer += data
        except TimeoutError:
            raise Crashed("the server hangs") from None
        except OSError as e:
            raise Crashed("the process has ended: %s" % e) from None

    def ping(self):
        """Returns after the server's loop has turned, and turned again where one turn only takes the record."""
        for _ in range(2 if self.tls else 1):
            self.ask(b"p")

    def sync(self):
        """Returns the records logged since the last call, once the loop has nothing more at hand."""
        self.syncs += 1
        self.ask(b"s %d" % self.syncs)
        records = []
        deadline = time.monotonic() + STUCK
        while True:
            self.pending += self.log.readline()
            if not self.pending.endswith("\n"):
                if time.monotonic() > deadline:
                    raise Crashed("the log has stopped")
                continue
            record = self.parse(self.pending)
            self.pending = ""
            if record["logger"] == "sync":
                if record["message"] == "SYNC %d" % self.syncs:
                    return records
            else:
                records.append(record)

    # Cases.

    def run(self, case, mode):
        """Takes ``case`` through the server; never raises for what the server does."""
        while True:
            with contextlib.suppress(Late):
                return self.attempt(case, mode)

    def attempt(self, case, mode):
        self.start()
        exchange = Exchange(self, case, mode)
        try:
            exchange.run()
        except Late:
            exchange.do_reset()
            exchange.settle()
            raise
        except Crashed as e:
            status = self.stop()
            text = self.stderr_path.read_text(errors="replace")
            exchange.outcome.trouble = "%s (exit status %s)\n%s" % (e, status, text[-3000:])
        except TimeoutError as e:
            exchange.outcome.trouble = str(e)
            self.sync()
        finally:
            exchange.sock.close()
        return exchange.outcome


class TLSClient:
    """The few methods of a socket that an exchange calls, over TLS.

    Unlike an SSLSocket, it can still read what came before a write failed.
    """

    def __init__(self, sock, context):
        self.sock = sock
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.unsent = b""
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self.incoming.write(sock.recv(65536))
        self.flush()

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def flush(self):
        self.unsent += self.outgoing.read()
        while self.unsent:
            self.unsent = self.unsent[self.sock.send(self.unsent) :]

    def send(self, data):
        """What did not fit into the socket's buffer stays in ``unsent``, for flush()."""
        self.flush()
        count = self.tls.write(data)
        with contextlib.suppress(BlockingIOError):
            self.flush()
        return count

    def recv(self, size):
        while True:
            # Tornado's answers would wait for a late acknowledgement of the session tickets.
            acknowledge(self.sock)
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.incoming.write(data)

    def shutdown(self, how):
        """The goodbye of TLS; the socket stays open in both directions."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.flush()


def acknowledge(sock):
    """Has the kernel tell the server at once what has arrived: small answers wait for that (Nagle's algorithm)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class Exchange:
    """One connection's worth of a case. Reads whatever comes at any time, so that neither side can block the other."""

    def __init__(self, subject, case, mode, source=None):
        self.subject = subject
        self.case = case
        self.mode = mode
        self.random = random.Random(zlib.crc32(case.name.encode()))
        self.outcome = Outcome()
        self.began = time.monotonic()
        self.sock = subject.connect(case.server, source)
        self.sock.setblocking(False)
        self.gone = False  # the client's side has been closed

    def run(self):
        for step in self.case.steps:
            if isinstance(step, bytes):
                self.send(step)
            else:
                getattr(self, "do_" + step[0])(*step[1:])
        self.settle()
        if not self.gone:
            # A port whose connection the client has closed can't be listened at for a minute, and here are more
            # connections a minute than ports: most end with a reset, which leaves nothing.
            if self.mode == "whole":
                self.do_close()
            else:
                self.do_reset()
            self.settle()

    def drain(self):
        """Takes in what has arrived; returns whether anything had."""
        if self.outcome.closed or self.gone:
            return False
        before = len(self.outcome.data)
        while True:
            acknowledge(self.sock)
            try:
                data = self.sock.recv(1 << 20)
            except BlockingIOError:
                return len(self.outcome.data) > before
            except ConnectionError:
                self.outcome.reset = True
                data = b""
            if not data:
                self.outcome.closed = True
                return True
            self.outcome.data += data

    def settle(self):
        """Reads and collects records until two synchronisations in a row have brought nothing."""
        enough = 2
        if self.case.server == "decompress":
            # A turn of the loop may go by for each small piece of the body.
            enough += sum(len(step) for step in self.case.steps if isinstance(step, bytes)) // 256
        quiet = 0
        while quiet < enough:
            records = self.subject.sync()
            self.outcome.records += records
            quiet = 0 if self.drain() or records else quiet + 1

    def send(self, data):
        for piece in self.pieces(data):
            view = memoryview(piece)
            deadline = time.monotonic() + STUCK
            while (view or self.unsent()) and not self.outcome.closed:
                readable, writable, _ = select.select([self.sock], [self.sock], [], STUCK)
                if time.monotonic() > deadline:
                    raise TimeoutError("the server doesn't read")
                if readable:
                    self.drain()
                if writable and not self.outcome.closed:
                    try:
                        if view:
                            view = view[self.sock.send(view) :]
                        else:
                            self.sock.flush()
                        deadline = time.monotonic() + STUCK
                    except BlockingIOError:
                        pass
                    except ConnectionError:
                        self.drain()
                        self.outcome.closed = True
            if self.outcome.closed:
                return
            if self.mode != "whole":
                self.subject.ping()
                self.drain()

    def unsent(self):
        """What TLS has of what was sent."""
        return self.subject.tls and self.sock.unsent

    def pieces(self, data):
        """Cuts the input as the mode says."""
        if self.mode == "whole" or not data:
            return [data]
        if self.mode == "bytes":
            step = -(-len(data) // BYTE_STEPS)
            return [data[i : i + step] for i in range(0, len(data), step)]
        cuts = sorted(self.random.randrange(1, len(data) + 1) for _ in range(self.random.randint(1, 8)))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)]) if b > a]

    # Steps of a case that aren't bytes.

    def do_settle(self):
        self.settle()

    def do_in_time(self, seconds):
        """Settles; and the server must have had all that in so many seconds after the beginning, or the case begins again."""
        self.settle()
        if time.monotonic() - self.began > seconds:
            raise Late

    def do_turn(self):
        """Lets the server's loop turn."""
        self.subject.ping()
        self.drain()

    def do_nap(self, seconds):
        """Lets the server's timers run."""
        time.sleep(seconds)

    def do_freeze(self):
        """Stops the process, so that what is sent until the thaw arrives all at once."""
        pid = self.subject.process.pid
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + STUCK
        while pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[0] != "T":
            if time.monotonic() > deadline:
                raise Crashed("the process doesn't stop")

    def do_thaw(self):
        os.kill(self.subject.process.pid, signal.SIGCONT)

    def do_eof(self):
        """Half-close: nothing more will be sent."""
        if not self.outcome.closed:
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def do_close(self):
        self.drain()
        self.sock.close()
        self.gone = True

    def do_reset(self):
        """Closes with a reset instead of an end of file."""
        self.drain()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()
        self.gone = True

    def do_expect(self, text):
        """Reads until ``text`` (bytes) has come."""
        self.wait(lambda: text in self.outcome.data, "no %r came" % text)

    def do_length(self, size):
        """Reads until ``size`` bytes have come."""
        self.wait(lambda: len(self.outcome.data) >= size, "%d bytes didn't come" % size)

    def do_until_close(self):
        self.wait(lambda: self.outcome.closed, "the server didn't close")

    def wait(self, done, complaint):
        deadline = time.monotonic() + STUCK
        while not done() and not self.outcome.closed:
            if time.monotonic() > deadline:
                raise TimeoutError(complaint)
            select.select([self.sock], [], [], 0.2)
            self.drain()


# What may differ between two runs of the same program.

_BYTES_RULES = [
    (re.compile(rb"(?m)^(Date|Expires): [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r$"), rb"\1: DATE\r"),
    (re.compile(rb"(?i)expires=[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"), b"expires=DATE"),
    (re.compile(rb"2\|1:0\|10:\d{10}\|([^|\s]*\|[^|\s]*)\|[0-9a-f]{64}"), rb"2|1:0|10:TIME|\1|SIGNATURE"),
    (re.compile(rb"\|\d{10}\|[0-9a-f]{40}"), rb"|TIME|SIGNATURE"),
    (re.compile(rb"2\|[0-9a-f]{8}\|[0-9a-f]+\|\d{10}"), b"2|MASK|TOKEN|TIME"),
    (re.compile(rb"0x[0-9a-f]{6,}"), b"0xADDRESS"),
    (re.compile(rb'(?m)^(  File "[^"\n]*", line \d+, in .*\n(?:    .*\n)*)+'), b"  FRAMES\n"),
]
_TEXT_RULES = [
    (re.compile(r"\d+\.\d\dms$"), "TIMEms"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"Task-\d+"), "Task-N"),
    (re.compile(r"running at [^ >]+:\d+"), "running at FILE"),
    (re.compile(r"(?s)(Exception in callback) .*"), r"\1 CALLBACK"),
    (re.compile(r"(?:/[^\s:'\"]+)+\.py:\d+"), "FILE"),
    (re.compile(r"fd=\d+"), "fd=N"),
    (re.compile(r"2\|[0-9a-f]{8}\|[0-9a-f]+\|\d{10}"), "2|MASK|TOKEN|TIME"),
    (re.compile(r"expires=[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"), "expires=DATE"),
    (re.compile(r"\('(127\.\d+\.\d+\.\d+)', \d+\)"), r"('\1', PORT)"),
    (re.compile(r"/[^ ]*/tornadoc-diff-[^/]+/unix-\d+\.sock"), "SOCKET"),
]


def normal_bytes(data):
    """A response with dates, tokens, addresses and traceback frames replaced by words."""
    if b"Traceback (most recent call last)" in data:
        # The length and the ETag of such a page depend on file names.
        data = re.sub(rb"(?m)^(Content-Length|Etag): .*\r$", rb"\1: OF TRACEBACK\r", data)
    for pattern, word in _BYTES_RULES:
        data = pattern.sub(word, data)
    return data


def normal_records(records):
    """Records as tuples of (logger, level, message, error), with times and addresses replaced by words."""

    def text(s):
        for pattern, word in _TEXT_RULES:
            s = pattern.sub(word, s)
        return s

    result = []
    for r in records:
        error = (r["error"][0], text(r["error"][1])) if r["error"] else None
        result.append((r["logger"], r["level"], text(r["message"]), error))
    return result


def inflated(data):
    """A gzip response with its body inflated, for comparison independent of the compressor's choices."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if b"content-encoding: gzip" not in head.lower():
        return data
    if b"transfer-encoding: chunked" in head.lower():
        plain = b""
        while body and not body.startswith(b"0\r\n"):
            size, _, body = body.partition(b"\r\n")
            plain += body[: int(size, 16)]
            body = body[int(size, 16) + 2 :]
        body = plain
    elif not body:  # the answer to HEAD
        return data
    machine = zlib.decompressobj(31)
    text = machine.decompress(body) + machine.flush()
    head = re.sub(rb"(?m)^Content-Length: \d+\r?$", b"Content-Length: COMPRESSED", head)
    return head + separator + b"INFLATED " + text + b" LEFT " + machine.unused_data


# The text of a failure.


def show(data):
    lines = [repr(line)[2:-1] for line in data.split(b"\n")]
    return [line if len(line) < 400 else line[:300] + " ... (%d)" % len(line) for line in lines]


def side_by_side(left, right, titles):
    """Two lists of strings beside each other, unequal lines marked."""
    width = min(100, max([len(s) for s in left] + [len(titles[0])], default=20))
    lines = ["  %-*s | %s" % (width, titles[0], titles[1])]
    for i in range(max(len(left), len(right))):
        a = left[i] if i < len(left) else "(nothing)"
        b = right[i] if i < len(right) else "(nothing)"
        lines.append("%s %-*s | %s" % (" " if a == b else "!", width, a, b))
    return "\n".join(lines)


def difference(case, reference, subject, compare_logs=True):
    """None if the two outcomes agree, else a text that shows where they don't."""
    problems = []
    a, b = normal_bytes(reference.data), normal_bytes(subject.data)
    if case.inflate:
        a, b = inflated(a), inflated(b)
    if subject.trouble or reference.trouble:
        problems.append("trouble: reference %s, subject %s" % (reference.trouble, subject.trouble))
    if a != b:
        problems.append(side_by_side(show(a), show(b), ("reference", "subject")))
    if reference.closed != subject.closed:
        problems.append("closed: reference %s, subject %s" % (reference.closed, subject.closed))
    if compare_logs:
        a, b = normal_records(reference.records), normal_records(subject.records)
        if case.logs == "unordered":
            a, b = sorted(a, key=repr), sorted(b, key=repr)
        if a != b and case.logs != "ignored":
            problems.append(side_by_side([repr(r) for r in a], [repr(r) for r in b], ("reference log", "subject log")))
    if not problems:
        return None
    steps = "\n".join(repr(s)[:2000] for s in case.steps)
    return "case %s on %s\n%s\n%s" % (case.name, case.server, steps, "\n\n".join(problems))


def client_context():
    return ssl.create_default_context(cafile=str(HERE.parent / "certs" / "localhost.crt"))


def reference_command():
    return [sys.executable]


def subject_command():
    """The command of the implementation under test; TORNADOC_DIFF_SUBJECT=tornado compares the reference with itself."""
    if os.environ.get("TORNADOC_DIFF_SUBJECT") == "tornado":
        return [sys.executable]
    return [sys.executable, "-m", "tornadoc"]


def make_static(directory):
    """The files that the application serves, with fixed times."""
    root = pathlib.Path(directory)
    (root / "sub").mkdir()
    files = {
        "robots.txt": b"User-agent: *\n",
        "a.txt": b"0123456789" * 10,
        "empty.bin": b"",
        "index.html": b"<html>index</html>",
        "sub/index.html": b"<html>sub</html>",
        "sub/b.css": b".b {}",
        "big.bin": bytes(range(256)) * 800,
        "data.tar.gz": b"not really",
        "space name.txt": b"space",
        "caf\u00e9.txt": b"accent",
    }
    for name, content in files.items():
        (root / name).write_bytes(content)
        os.utime(root / name, (1600000000, 1600000000))
    (root / "link.txt").symlink_to("a.txt")
    (root / "outside.txt").symlink_to("/etc/hostname")
    return root
