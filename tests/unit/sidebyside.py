"""Runs the same scenario over Tornado's classes and over tornadoc's, in this process, and compares what happened.

A scenario is an async function of a ``Side``. What it returns, what it noted with ``side.note`` and what was logged must be the
same on both sides.
"""

import asyncio
import contextlib
import gc
import logging
import re
import sys

import tornado.httpserver
import tornado.routing
import tornado.web

import tornadoc.httpserver
import tornadoc.routing
import tornadoc.web

PATIENCE = 20  # seconds before a request counts as hanging

#: Functions of tornado/web.py that serve a request, none of which runs on the fast path.
_SERVING = {
    "_execute",
    "__init__",
    "clear",
    "write",
    "flush",
    "finish",
    "headers_received",
    "execute",
    "_handle_request_exception",
}


def get(path="/", *headers, method="GET", body=None, version="1.1", close=True):
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: example", *headers]
    if close:
        lines.append("Connection: close")
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


@contextlib.contextmanager
def functions_called(wanted):
    """The names of the Python functions that run, in order, of those whose code object is ``wanted``."""
    called = []

    def profile(frame, event, argument):
        if event == "call" and wanted(frame.f_code):
            called.append(frame.f_code.co_name)

    previous = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield called
    finally:
        sys.setprofile(previous)


def _normal(text):
    text = re.sub(r" at 0x[0-9a-f]+", " at 0x0", re.sub(r"\bTask-\d+", "Task-0", text))
    return re.sub(r"\d+\.\d\dms", "0.00ms", text)


class _Records(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        self.records.append(
            (record.name, record.levelname, _normal(record.getMessage()), error and f"{type(error).__name__}: {error}")
        )


class Side:
    """One implementation: its classes, a server, a client, and what a scenario noted."""

    def __init__(self, name):
        self.name = name
        self.native = name == "tornadoc"
        self.web = tornadoc.web if self.native else tornado.web
        self.routing = tornadoc.routing if self.native else tornado.routing
        self.RequestHandler = self.web.RequestHandler
        self.Application = self.web.Application
        self.HTTPServer = (tornadoc if self.native else tornado).httpserver.HTTPServer
        self.noted = []
        self.servers = []
        self.port = None

    def __repr__(self):
        return self.name

    def note(self, *what):
        self.noted.append(what)

    def serve(self, application):
        """Listens for an application (or any request callback); the last one is whom ``fetch`` asks."""
        server = self.HTTPServer(application)
        server.listen(0, address="127.0.0.1")
        self.servers.append(server)
        (listening,) = server._sockets.values()
        self.port = listening.getsockname()[1]
        return server

    async def fetch(self, data, port=None):
        """What a new connection answers, until it closes. The Date is normalised."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
        try:
            writer.write(data)
            answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
        finally:
            writer.close()
            # The server may have reset the connection: that is in the answer.
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return re.sub(rb"(\r\n(?i:Date)): [^\r]*", rb"\1: now", answer)

    async def get(self, path="/", *headers, **options):
        return await self.fetch(get(path, *headers, **options))

    async def body(self, path="/", *headers, **options):
        """The answer's status code and body."""
        head, _, body = (await self.get(path, *headers, **options)).partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else None, body

    async def is_fast(self, path="/", *headers, **options):
        """Does a request run without any of Tornado's code for it? Tornado itself is granted a yes."""
        with functions_called(lambda code: code.co_filename == tornado.web.__file__ and code.co_name in _SERVING) as called:
            await self.get(path, *headers, **options)
        return not self.native or not called

    async def close(self):
        for server in self.servers:
            server.stop()
            await server.close_all_connections()


class Outcome:
    def __init__(self, result, noted, records, uncaught):
        self.result = result
        self.noted = noted
        self.records = records
        self.uncaught = uncaught


def run(scenario, name):
    """The outcome of a scenario on one side, given by its name."""
    side = Side(name)
    handler = _Records()
    logger = logging.getLogger("tornado")
    level, propagate = logger.level, logger.propagate
    uncaught = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: uncaught.append(_normal(repr(context.get("exception")))))
        try:
            return await asyncio.wait_for(scenario(side), 3 * PATIENCE)
        finally:
            await side.close()

    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        result = asyncio.run(main())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
    return Outcome(result, side.noted, handler.records, uncaught)


def _difference(expected, actual, place=""):
    """Where two values differ first, in words; None if they are equal."""
    if expected == actual:
        return None
    if isinstance(expected, (tuple, list)) and type(expected) is type(actual):
        for i, (one, other) in enumerate(zip(expected, actual)):
            if one != other:
                return _difference(one, other, f"{place}[{i}]")
        longer = expected if len(expected) > len(actual) else actual
        who = "tornado" if longer is expected else "tornadoc"
        return f"only {who} has {place}[{min(len(expected), len(actual))}]: {longer[min(len(expected), len(actual))]!r}"
    return f"{place}:\n tornado  {expected!r}\n tornadoc {actual!r}"


def compare(scenario):
    """Runs a scenario on both sides, asserts that they agree, and returns the outcome."""
    expected = run(scenario, "tornado")
    actual = run(scenario, "tornadoc")
    found = [_difference(getattr(expected, name), getattr(actual, name), name) for name in vars(expected)]
    assert not any(found), "\n".join(filter(None, found))
    return expected


@contextlib.contextmanager
def patched(target, name, value):
    """``setattr``, undone so that the object is as it was: an inherited attribute is inherited again."""
    missing = object()
    previous = vars(target).get(name, missing)
    setattr(target, name, value)
    try:
        yield
    finally:
        if previous is missing:
            delattr(target, name)
        else:
            setattr(target, name, previous)


@contextlib.contextmanager
def at_every_collection(function):
    """Calls it, as a finalizer might be called, whenever something is made that the collector tracks; in Python 3.12 and later
    only between bytecodes."""
    before = gc.get_threshold()

    def call(phase, info):
        if phase == "start":
            function()

    gc.callbacks.append(call)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(call)
