"""What a case is, and short ways to write requests."""

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n"


class Case:
    """Bytes for one connection.

    name: unique; -k finds it.
    steps: bytes to send, or tuples naming a step of harness.Exchange: ("settle",), ("eof",), ("close",), ("reset",),
        ("expect", bytes), ("length", n), ("until_close",), ("in_time", seconds).
    server: the listener's name in app.py.
    modes: which of the harness's modes make sense ("whole", "bytes", "random").
    logs: "ordered", "unordered" or "ignored".
    inflate: compare gzip bodies inflated.
    row, expect: where tornadoc differs from Tornado, the row of the rules (or a word) and what tornadoc must give: a bytes
        object (exactly that, then close) or a function of the Outcome that returns a complaint or None.
    """

    def __init__(self, name, *steps, server="main", modes="wbr", logs="ordered", inflate=False, row=None, expect=None):
        self.name = name
        self.steps = steps
        self.server = server
        self.modes = tuple({"w": "whole", "b": "bytes", "r": "random"}[m] for m in modes)
        self.logs = logs
        self.inflate = inflate
        self.row = row
        self.expect = expect

    def complaint(self, outcome):
        """What is wrong with tornadoc's outcome of a case that has ``expect``; None if nothing is."""
        if outcome.trouble:
            return outcome.trouble
        if isinstance(self.expect, bytes):
            if outcome.data != self.expect:
                return "expected %r, got %r" % (self.expect, outcome.data)
            return None if outcome.closed else "the connection stayed open"
        return self.expect(outcome)


class Book(list):
    """A list of cases with a short way to add one."""

    def add(self, name, *steps, **kwargs):
        self.append(Case(name, *steps, **kwargs))


def raw(start, *headers, body=b"", host="h.test"):
    """A request from its start line and header lines (str or bytes). host=None leaves the Host out."""
    lines = [start]
    if host is not None:
        lines.append("Host: " + host)
    lines.extend(headers)
    lines = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def get(path, *headers, method="GET", version="1.1", **kwargs):
    return raw("%s %s HTTP/%s" % (method, path, version), *headers, **kwargs)


def head(path, *headers, **kwargs):
    return get(path, *headers, method="HEAD", **kwargs)


def post(path, body, *headers, method="POST", **kwargs):
    """A request with a Content-Length."""
    return get(path, *headers, "Content-Length: %d" % len(body), method=method, body=body, **kwargs)


def form(path, body, *headers, **kwargs):
    return post(path, body, "Content-Type: application/x-www-form-urlencoded", *headers, **kwargs)


def chunked(path, *chunks, headers=(), method="POST", tail=b"0\r\n\r\n", **kwargs):
    body = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks) + tail
    return get(path, "Transfer-Encoding: chunked", *headers, method=method, body=body, **kwargs)


def multipart(*parts, boundary=b"XX", end=b"--XX--\r\n"):
    """A multipart body; each part is (header lines, content)."""
    return b"".join(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, lines, content) for lines, content in parts) + end


# Predicates for ``expect``.


def status(code, count=1, closed=None, contains=b"", lacks=None, served=None):
    """The outcome holds ``count`` answers with this status, is closed or open as said, and ``served`` handlers have run."""

    def check(outcome):
        line = b"HTTP/1.1 %d " % code
        if outcome.data.count(line) != count or outcome.data.count(b"HTTP/1.1 ") != count:
            return "expected %d x %d, got %r" % (count, code, outcome.data[:2000])
        if closed is not None and outcome.closed != closed:
            return "closed is %s; %r" % (outcome.closed, outcome.data[:500])
        if contains not in outcome.data:
            return "%r isn't in %r" % (contains, outcome.data[:2000])
        if lacks is not None and lacks in outcome.data:
            return "%r is in %r" % (lacks, outcome.data[:2000])
        names = [r["logger"] for r in outcome.records]
        if served is not None and (names.count("tornado.access") != served or "tornado.general" in names):
            return "expected %d requests in the log, got %r" % (served, outcome.records)
        return None

    return check
