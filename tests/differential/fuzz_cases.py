"""Random connections: the server, 1 to 5 requests, mutations of their bytes, how they are cut into packets, how the client ends.

``Fuzz(seed, number)`` is always the same connection. Its bytes, cuts and ending are plain values, so that a failure can be
shrunk and replayed without the generator.
"""

import random
import re

import fuzz_grammar as grammar
import fuzz_sockets
from casebook.case import Case

# Listeners of app.py and how often they are drawn.
SERVERS = {
    "main": 34, "https": 2, "xheaders": 6, "xheaders_https": 3, "no_keep_alive": 4, "small_header": 5, "small_body": 5,
    "small_chunk": 5,
    "decompress": 6, "stream_decompress": 5, "xsrf": 3, "cross_origin": 2, "gzip": 6, "transforms": 3, "traceback": 2,
    "logged": 2,
    "overriding": 2, "default_host": 2, "router": 3, "raw": 3, "echo": 4,
}  # fmt: skip
ENDINGS = ["stay"] * 12 + ["eof"] * 3 + ["eof_at_once", "close", "close", "reset"]
TRUNCATED_ENDINGS = ["stay", "eof", "eof", "close", "reset"]

_TIMERS = re.compile(rb"/ws|[/-]slow|[/-]wait|-async|/coroutine|-coroutine|\.n\.")

# Every class of input that the generator can make; test_fuzz.py wants to see each of them.
CLASSES = {
    *("server:" + name for name in SERVERS),
    *("ending:" + name for name in ENDINGS),
    *("cuts:" + name for name in ("whole", "bytes", "random", "settled")),
    *("requests:%d" % n for n in range(1, 6)),
    *("mutation:" + name for name in ("flip", "insert", "delete", "duplicate", "swap", "line", "truncate")),
    *("blank:" + name for name in ("one", "several", "many", "cr")),
    *("method:odd", "method:bad", "version:1.0", "version:odd", "host:other", "host:bad", "host:none", "host:twice"),
    *("target:" + name for name in ("stream", "percent", "high", "query", "many_arguments", "absolute", "asterisk", "authority",
                                    "double_slash", "fragment", "relative", "bad", "long", "random")),
    *("header:" + name for name in ("plain", "connection", "connection_list", "connection_twice", "cookie", "none_match", "range",
                                    "modified", "latin", "bad", "fold", "repeated", "upgrade", "websocket", "large", "many")),
    *("body:" + name for name in ("form", "multipart", "json", "odd_type", "gzip", "large", "limit", "extension", "bad_chunk",
    "trailer",
                                  "bad_trailer", "bad_last")),
    *("framing:" + name for name in ("length", "chunked", "length_form", "length_twice", "length_unequal", "length_bad",
    "coding_bad",
                                     "coding_twice", "both", "space", "wrong", "none")),
    *("socket:" + name for name in ("good", "bad", "frames", "bad_frames")),
    *("expect:" + name for name in ("plain", "case", "other")),
    *("ends:" + name for name in ("lf", "mixed")),
}  # fmt: skip


class Fuzz:
    """A connection as plain values.

    name: tells where it came from.
    server: the listener in app.py.
    data: all bytes that the client sends.
    cuts: offsets in data, ascending; the server's loop turns at each. A negative one: all settles there.
    ending: "stay" (the client waits), "eof" (half-close once all has settled), "eof_at_once", "close", "reset".
    tags: the classes of input that it belongs to.
    count: the number of requests that it was made of.
    """

    def __init__(self, name, server, data, cuts=(), ending="stay", tags=(), count=1):
        self.name = name
        self.server = server
        self.data = data
        self.cuts = tuple(cuts)
        self.ending = ending
        self.tags = frozenset(tags)
        self.count = count

    def __repr__(self):
        return "Fuzz(%r, %r, %r, %r, %r)" % (self.name, self.server, self.data, self.cuts, self.ending)

    def replace(self, **kwargs):
        values = {name: getattr(self, name) for name in ("name", "server", "data", "cuts", "ending", "tags", "count")}
        return Fuzz(**{**values, **kwargs})

    def case(self):
        """It as a case of the harness."""
        timers = _TIMERS.search(self.data)  # how much input comes while one runs would be chance
        steps = []
        start = 0
        for cut in self.cuts:
            end = min(abs(cut), len(self.data))
            if start < end < len(self.data):
                steps += [self.data[start:end], ("settle",) if cut < 0 or timers else ("turn",)]
                start = end
        steps.append(self.data[start:])
        if self.ending == "eof_at_once":
            # A stopped server hears of the request and of the end at once.
            steps = [("settle",), ("freeze",), *[s for s in steps if isinstance(s, bytes)], ("eof",), ("thaw",)]
        elif self.ending != "stay":
            steps += [("settle",), (self.ending,)]
        return Case(self.name, *steps, server=self.server, modes="w")


def request(r, tags, server):
    """The bytes of one request, most often a good one."""
    method = grammar.method(r, tags)
    lines = [b" ".join([method, grammar.target(r, tags, server), grammar.version(r, tags)])]
    lines += grammar.headers(r, tags, server)
    body = b""
    if method in (b"POST", b"PUT", b"PATCH") or r.random() < 0.1:
        typed, body = grammar.content(r, tags)
        announced, body = grammar.framed(r, tags, body)
        for line in typed + announced:
            lines.insert(r.randint(min(2, len(lines)), len(lines)), line)
        if r.random() < 0.1:
            kind, value = r.choice(
                [("plain", b"100-continue"), ("case", b"100-Continue"), ("other", b"x"), ("other", b"100-continue, x")]
            )
            tags.add("expect:" + kind)
            lines.insert(r.randint(1, len(lines)), b"Expect: " + value)
    end = b"\r\n"
    roll = r.random()
    if roll < 0.03:
        tags.add("ends:lf")
        end = b"\n"
    head = end.join(lines) + end + end
    if 0.03 < roll < 0.05:
        tags.add("ends:mixed")
        head = b"".join(line + r.choice([b"\r\n", b"\n"]) for line in lines) + r.choice([b"\r\n", b"\n"])
    return head + body


def blank(r, tags):
    """Empty lines in front of a request."""
    kind, data = r.choice(
        [
            ("one", b"\r\n"),
            ("one", b"\n"),
            ("several", r.choice([b"\r\n", b"\n"]) * r.randint(2, 8)),
            ("many", b"\r\n" * 9),
            ("cr", b"\r"),
        ]
    )
    tags.add("blank:" + kind)
    return data


def mutated(r, tags, data):
    """``data`` with something small broken, in the head more often than in the body."""
    kind = r.choice(["flip", "insert", "delete", "duplicate", "swap", "line", "truncate"])
    tags.add("mutation:" + kind)
    limit = data.find(b"\r\n\r\n") if r.random() < 0.7 and b"\r\n\r\n" in data else len(data)
    at = r.randrange(max(1, limit))
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << r.randrange(8))]) + data[at + 1 :] if data else data
    if kind == "insert":
        odd = r.choice(
            [
                b"\r",
                b"\n",
                b"\r\n",
                b" ",
                b"\t",
                b"\x00",
                b":",
                b",",
                b";",
                b"\x0b",
                b"\x7f",
                b"\xff",
                b"\xa0",
                b"\x85",
                b"%",
                b"?",
            ]
        )
        return data[:at] + odd + data[at:]
    if kind == "delete":
        return data[:at] + data[at + r.randint(1, 4) :]
    if kind == "duplicate":
        size = r.randint(1, 30)
        return data[: at + size] + data[at : at + size] + data[at + size :]
    if kind == "truncate":
        return data[:at]
    lines = data.split(b"\r\n")
    i = r.randrange(len(lines))
    if kind == "swap":
        j = r.randrange(len(lines))
        lines[i], lines[j] = lines[j], lines[i]
    elif r.random() < 0.5:
        lines.insert(r.randrange(len(lines)), lines[i])
    else:
        del lines[i]
    return b"\r\n".join(lines)


def cut(r, tags, data):
    kind = r.choice(["whole"] * 5 + ["bytes", "random", "random", "settled"])
    tags.add("cuts:" + kind)
    if kind == "whole" or not data:
        return ()
    if kind == "bytes":
        step = -(-len(data) // 120)
        return range(step, len(data), step)
    cuts = sorted({r.randrange(1, len(data) + 1) for _ in range(r.randint(1, 6))})
    if kind == "settled":
        return [-c if r.random() < 0.6 else c for c in cuts]
    return cuts


def generate(seed, number):
    """The connection with that number of that seed."""
    r = random.Random("%s:%s" % (seed, number))
    tags = set()
    server = r.choices(list(SERVERS), SERVERS.values())[0]
    count = r.choices((1, 2, 3, 4, 5), (45, 20, 15, 10, 10))[0]
    tags |= {"server:" + server, "requests:%d" % count}
    data = b""
    for _ in range(count):
        if r.random() < 0.03:
            data += blank(r, tags)
        if r.random() < 0.04 and server not in (*grammar.SERVER_PATHS, "no_keep_alive"):
            one = fuzz_sockets.handshake(r, tags)
        else:
            one = request(r, tags, server)
        if r.random() < 0.12:
            one = mutated(r, tags, one)
        data += one
    ending = r.choice(ENDINGS)
    if r.random() < 0.04:
        tags.add("mutation:truncate")
        data = data[: r.randrange(len(data) + 1)]
        ending = r.choice(TRUNCATED_ENDINGS)
    tags.add("ending:" + ending)
    cuts = cut(r, tags, data)
    return Fuzz("%s:%s" % (seed, number), server, data, cuts, ending, tags, count)
