"""An application, and requests of all kinds to it, for the checks of tracing agents beside it."""

from __future__ import annotations

import asyncio
import socket

from tornado import gen, web
from tornado.httpserver import HTTPServer

PATIENCE = 20  # seconds for an answer


class Plain(web.RequestHandler):
    def get(self, name):
        self.write("hello " + name)


class Coroutine(web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.001)
        self.write({"a": 1})

    async def post(self):
        self.write(self.request.body)


class Generator(web.RequestHandler):
    @gen.coroutine
    def get(self):
        yield gen.sleep(0.001)
        self.write("generated")


class Failing(web.RequestHandler):
    def get(self):
        raise RuntimeError("a failure")


class Refusing(web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0)
        raise web.HTTPError(403, "a refusal")


class Flushing(web.RequestHandler):
    async def get(self):
        self.write("a")
        await self.flush()
        self.write("b")
        await self.finish()


class Prepared(web.RequestHandler):
    def prepare(self):
        self.set_status(202)
        raise web.Finish("prepared")

    def get(self):
        raise AssertionError("the request was finished before")


@web.stream_request_body
class Streamed(web.RequestHandler):
    def prepare(self):
        self.size = 0

    def data_received(self, chunk):
        self.size += len(chunk)

    def post(self):
        self.write(str(self.size))


HANDLERS = [
    ("/plain/(.*)", Plain),
    ("/coroutine", Coroutine),
    ("/generator", Generator),
    ("/failing", Failing),
    ("/refusing", Refusing),
    ("/flushing", Flushing),
    ("/prepared", Prepared),
    ("/streamed", Streamed),
    ("/redirect", web.RedirectHandler, {"url": "/plain/there"}),
]

#: Name -> (method, path, body, status, body of the answer; None: not looked at).
REQUESTS = {
    "plain": ("GET", "/plain/you?a=b", b"", 200, b"hello you"),
    "coroutine": ("GET", "/coroutine", b"", 200, b'{"a": 1}'),
    "coroutine with a body": ("POST", "/coroutine", b"body", 200, b"body"),
    "generator": ("GET", "/generator", b"", 200, b"generated"),
    "failing": ("GET", "/failing", b"", 500, None),
    "refusing": ("GET", "/refusing", b"", 403, None),
    "flushing": ("GET", "/flushing", b"", 200, b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n"),
    "prepared": ("GET", "/prepared", b"", 202, b"prepared"),
    "streamed": ("POST", "/streamed", b"x" * 100000, 200, b"100000"),
    "redirected": ("GET", "/redirect", b"", 301, b""),
    "no handler": ("GET", "/nowhere", b"", 404, None),
    "no method": ("DELETE", "/coroutine", b"", 405, None),
}


async def _ask(port, method, path, body):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} {path} HTTP/1.1\r\nHost: example\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def record(recorded, application=web.Application):
    """Makes each of the requests; what the agent had put into the list ``recorded`` after it, by name.

    The answers are looked at on the way.
    """

    async def main():
        server = HTTPServer(application(HANDLERS))
        sock = socket.create_server(("127.0.0.1", 0))
        sock.setblocking(False)
        server.add_sockets([sock])
        found = {}
        for name, (method, path, body, status, expected) in REQUESTS.items():
            answer = await _ask(sock.getsockname()[1], method, path, body)
            assert answer[0] == status, (name, answer)
            assert expected is None or answer[1] == expected, (name, answer)
            await asyncio.sleep(0.05)
            found[name] = list(recorded)
            recorded.clear()
        server.stop()
        await server.close_all_connections()
        return found

    return asyncio.run(main())
