"""Random handlers: programs for diffapp/program.py, sent in requests that are themselves in order."""

import json
import random

from fuzz_cases import Fuzz

SERVERS = {"main": 60, "gzip": 15, "transforms": 8, "traceback": 8, "no_keep_alive": 6, "https": 3}
PATHS = ["/program"] * 6 + ["/program/overriding", "/program/overriding", "/program/etag", "/program/stream"]
STATUSES = [200, 200, 201, 202, 204, 206, 299, 301, 304, 304, 400, 404, 418, 500, 503, 599, 799, 100, 101, 199, 999, 600]
REASONS = [None, None, "Fine", "caf\u00e9", "", "a\r\nX: 1", "\u4e2d", "<b>", "a\tb", "Unknown"]
NAMES = ["X-A", "X-B", "x-a", "Content-Type", "Content-Length", "Server", "Date", "Etag", "Connection", "Transfer-Encoding",
         "Vary",
         "Location", "Set-Cookie", "Content-Encoding", "Content-Language", "Allow", "X Y", "X:Y", "", "X-\u00e9",
         "Last-Modified"]  # fmt: skip
VALUES = ["1", "a", "", " ", "text/html", "text/plain; charset=UTF-8", "3", "0", "5", "close", "keep-alive", "chunked", "gzip",
          '"fixed"',
          'W/"fixed"', "a\r\nX-Evil: 1", "a\nb", "a\x00b", "caf\u00e9", "\u4e2d", 42, 1.5, True, None, ["l"], {"bytes": "b"},
          "x" * 3000,
          "\x7f", "\t"]  # fmt: skip
CHUNKS = ["a", "abc", "", "\u00e9", {"bytes": "abc"}, {"bytes": "\xff\r\n"}, {}, {"k": [1, None]}, {"k": "</x>"}, [1], 5, None,
          "abc", "x" * 1100,
          True, "\ud800"]  # fmt: skip
COOKIES = [
    ("n", "v", {}), ("n", "w", {"path": "/p"}), ("m", "", {"max_age": 5}), ("n", "v", {"httponly": True, "secure": True}),
    ("a b", "v", {}),
    ("n", "a;b", {}), ("n", "a\r\nb", {}), ("n", "caf\u00e9", {}), ("n", "v", {"domain": "d\r\n"}), ("n", "v",
    {"samesite": "Lax"}),
    ("n", "v", {"expires_days": 2}), ("n", "v", {"odd": 1}), ("n", "v", {"HttpOnly": True}),
]  # fmt: skip
CALLS = [
    "get_status",
    "compute_etag",
    "check_etag_header",
    "get_template_namespace",
    "xsrf_token",
    "decode_argument",
    "current_user",
]
ERRORS = [
    ("other", "odd"), ("other",), ("http", 400), ("http", 404, "why %s", "x"), ("http", 204), ("http", 304), ("http", 799),
    ("http", 100),
    ("reason", 400, "Custom"), ("reason", 400, "a\r\nb"), ("finish",), ("finish", "chunk"), ("missing", "thing"), ("closed",),
    ("http", 401, "100%"), ("http", 500),
]  # fmt: skip

# name -> (how often, maker of arguments). Steps of Program.
STEPS = {
    "status": (8, lambda r: [r.choice(STATUSES), r.choice(REASONS)]),
    "set": (12, lambda r: [r.choice(NAMES), r.choice(VALUES)]),
    "add": (5, lambda r: [r.choice(NAMES), r.choice(VALUES)]),
    "clear_header": (4, lambda r: [r.choice(NAMES)]),
    "clear": (2, lambda r: []),
    "write": (20, lambda r: [r.choice(CHUNKS)]),
    "large": (2, lambda r: [r.choice((1023, 1024, 65536, 200000))]),
    "flush": (12, lambda r: []),
    "finish": (6, lambda r: r.choice([[], [r.choice(CHUNKS)]])),
    "redirect": (3, lambda r: [r.choice(["/x", "//e", "", "/caf\u00e9", "/a b", "http://h/", "/\r\nX: 1"]), r.choice([False,
    True]),
                               r.choice([None, None, 307, 200, 400])]),
    "send_error": (3, lambda r: [r.choice(STATUSES), r.choice(REASONS)]),
    "raise": (4, lambda r: list(r.choice(ERRORS))),
    "cookie": (4, lambda r: list(r.choice(COOKIES))),
    "clear_cookie": (1, lambda r: [r.choice(["n", "m", "a b"])]),
    "etag": (3, lambda r: []),
    "check_etag": (2, lambda r: []),
    "show": (5, lambda r: []),
    "auto_finish": (2, lambda r: [r.choice([False, True])]),
    "return": (1, lambda r: [r.choice([None, None, "text", 1, [], {}])]),
    "later": (2, lambda r: [step(r, 1) for _ in range(r.randint(1, 2))]),
    "render": (2, lambda r: [r.choice(["page.html", "bad.html", "nosuch.html"])]),
    "call": (2, lambda r: [r.choice(CALLS)]),
    "sleep": (4, lambda r: []),
    "moment": (2, lambda r: []),
}  # fmt: skip
# Without those that end in write_error again, until the stack is full.
ERROR_STEPS = ["status", "set", "add", "clear_header", "write", "flush", "finish", "cookie", "show", "etag", "render"]
# Without those that send: where a delegate has failed, Tornado's connection is still open in on_connection_close().
CLOSE_STEPS = ["status", "set", "add", "clear_header", "clear", "write", "cookie", "show", "etag", "raise", "call"]
RACING = ("later", "sleep", "moment", "return")  # with the next request of the connection
HEADER_STEPS = ["set", "add", "clear_header", "cookie", "raise"]  # what there is a state for in set_default_headers
CLASSES = {"step:" + name for name in (*STEPS, "closes", "buffer")} | {
    "hook:" + name for name in ("defaults", "prepare", "method", "error", "finish", "close", "data")
}


def step(r, depth=0, only=tuple(STEPS)):
    """One random step."""
    names = [name for name in only if not (depth and name in RACING)]
    name = r.choices(names, [STEPS[n][0] for n in names])[0]
    made = [name, *STEPS[name][1](r)]
    if r.random() < 0.12:
        made = ["try", made]
    elif name in ("flush", "finish", "render") and r.random() < 0.4:
        made = ["await", made]
    return made


def program(r, tags, depth):
    made = {"method": [step(r, depth) for _ in range(r.choice((1, 2, 3, 4, 6, 10)))]}
    for hook, probability in (
        ("defaults", 0.08),
        ("prepare", 0.2),
        ("error", 0.2),
        ("finish", 0.12),
        ("close", 0.2),
        ("data", 0.1),
    ):
        if r.random() < probability:
            only = {"defaults": HEADER_STEPS, "error": ERROR_STEPS, "close": CLOSE_STEPS}.get(hook, list(STEPS))
            made[hook] = [step(r, 1, only) for _ in range(r.randint(1, 3))]
    waits = [hook for hook in ("prepare", "method") if r.random() < 0.45]
    if r.random() < 0.05:
        made["method"].insert(0, ["buffer", {"bytes": "buffered"}])
    if waits:
        made["async"] = waits
    elif r.random() < 0.05:
        made["method"].append(["closes"])  # the last that it does, or when it hears of its own close is a race
    note(made, tags)
    return made


def note(value, tags):
    """The classes of a program."""
    for hook, steps in value.items():
        tags.add("hook:" + hook)
        for one in steps:
            while isinstance(one, list) and one[0] in ("try", "await"):
                one = one[1]
            if isinstance(one, list):
                tags.add("step:" + one[0])


def request(r, tags, server, count):
    method = r.choice(["GET"] * 6 + ["HEAD", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS"])
    # A streaming handler that fails behind transforms keeps Tornado waiting for it for ever.
    path = r.choice(PATHS[:-1] if server == "transforms" else PATHS)
    lines = ["%s %s HTTP/%s" % (method, path, r.choice(["1.1"] * 7 + ["1.0"])), "Host: h.test"]
    if r.random() < 0.15:
        lines.append("Connection: " + r.choice(["close", "keep-alive"]))
    if r.random() < 0.2:
        lines.append(
            "If-None-Match: " + r.choice(["*", '"fixed"', '"own"', 'W/"fixed"', '"da39a3ee5e6b4b0d3255bfef95601890afd80709"'])
        )
    if r.random() < 0.4:
        lines.append("Accept-Encoding: gzip")
    body = ""
    if method in ("POST", "PUT"):
        body = "a=1" * r.choice((0, 1, 20))
        lines.append("Content-Length: %d" % len(body))
    lines.append("X-Program: " + json.dumps(program(r, tags, count - 1)))  # callbacks race with pipelined requests
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


def generate(seed, number):
    """The connection with that number of that seed."""
    r = random.Random("%s:%s" % (seed, number))
    tags = set()
    server = r.choices(list(SERVERS), SERVERS.values())[0]
    count = r.choice((1, 1, 1, 2, 3))
    data = b"".join(request(r, tags, server, count) for _ in range(count))
    ending = r.choice(["stay"] * 8 + ["eof", "close"])
    return Fuzz("%s:%s" % (seed, number), server, data, (), ending, tags | {"server:" + server, "ending:" + ending}, count)
