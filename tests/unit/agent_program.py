"""A program under one of the agents of agents.py: serves, asks itself, and prints answers, records and logs as JSON.

    agent_program.py AGENTS [none | before | after]

AGENTS: names joined with "+". `before`: the agents patch, and tornadoc is installed then; `after`: the other way round; `none`:
Tornado alone.
"""

import asyncio
import json
import logging
import os
import re
import sys
import tempfile
from pathlib import Path

PATIENCE = 20
BOUNDARY = b"--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\ndata\r\n--b--\r\n"


def define():
    """The handlers, made of whatever stands under Tornado's names."""
    import tornado.gen
    import tornado.web
    import tornado.websocket

    class Plain(tornado.web.RequestHandler):
        def get(self, what=None):
            self.write(f"plain {what}")

        def head(self, what=None):
            self.set_header("X-Head", "1")

        def post(self, what=None):
            self.write(f"{self.get_body_argument('a', 'none')} {sorted(self.request.files)} {len(self.request.body)}")

    class Json(tornado.web.RequestHandler):
        def prepare(self):
            self.set_header("X-Prepared", "1")

        async def get(self):
            await asyncio.sleep(0)
            self.set_cookie("c", "d")
            self.write({"a": [1, 2]})

    class Chunks(tornado.web.RequestHandler):
        async def get(self):
            for i in range(3):
                self.write(f"chunk {i}")
                await self.flush()

    class Fails(tornado.web.RequestHandler):
        def get(self):
            raise ValueError("wanted")

        async def post(self):
            await asyncio.sleep(0)
            raise tornado.web.HTTPError(503, "late")

    class Status(tornado.web.RequestHandler):
        def get(self, code):
            raise tornado.web.HTTPError(int(code), "said %s", code, reason="Odd")

    class Redirects(tornado.web.RequestHandler):
        def get(self):
            self.redirect("/plain")

    class Early(tornado.web.RequestHandler):
        def prepare(self):
            self.set_status(202)
            self.finish("early")

    class Finishes(tornado.web.RequestHandler):
        def get(self):
            self.write("finished")
            raise tornado.web.Finish()

    class Yields(tornado.web.RequestHandler):
        @tornado.gen.coroutine
        def get(self):
            yield tornado.gen.sleep(0)
            self.write("yielded")

    class Page(tornado.web.RequestHandler):
        def get(self):
            self.render("page.html", x=5)

    @tornado.web.stream_request_body
    class Upload(tornado.web.RequestHandler):
        def prepare(self):
            self.size = 0

        def data_received(self, chunk):
            self.size += len(chunk)

        def post(self):
            self.write(str(self.size))

    class Own(tornado.web.RequestHandler):
        def write_error(self, status_code, **kwargs):
            self.finish(f"own {status_code} {sorted(kwargs)}")

        def get(self):
            raise KeyError("k")

    class Starts(tornado.web.RequestHandler):
        async def get(self):
            async def child():
                await asyncio.sleep(0)
                return "child"

            self.write(await asyncio.get_running_loop().create_task(child()))

    class Waits(tornado.web.RequestHandler):
        """Answers all when as many as `of` wait."""

        waiting = []

        async def get(self, name, of):
            self.waiting.append(asyncio.get_running_loop().create_future())
            mine = self.waiting[-1]
            if len(self.waiting) == int(of):
                for future in self.waiting:
                    future.set_result(None)
                self.waiting.clear()
            await mine
            self.write(name)

    class Socket(tornado.websocket.WebSocketHandler):
        def open(self):
            self.write_message("open")

        def on_message(self, message):
            self.write_message("echo " + message)
            self.close(1000, "bye")

    return {
        r"/plain/(.*)": Plain,
        r"/plain": Plain,
        "/json": Json,
        "/chunks": Chunks,
        "/fails": Fails,
        r"/status/(?P<code>\d+)": Status,
        "/redirects": Redirects,
        "/early": Early,
        "/finishes": Finishes,
        "/yields": Yields,
        "/page": Page,
        "/upload": Upload,
        "/own": Own,
        "/starts": Starts,
        r"/waits/(\w+)/(\d+)": Waits,
        "/socket": Socket,
    }


def request(path, *headers, method="GET", body=b"", close=True, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: example.com:80", *headers]
    if close:
        lines.append("Connection: close")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
#: Each item is what several connections send at the same time.
ROUNDS = [
    [request("/plain")],
    [request("/plain/a%20b?q=1&r=2", "X-Agent-Id: abc", "traceparent: 00-0af7-b7ad-01", "Cookie: a=b")],
    [request("/json", "X-Forwarded-For: 1.2.3.4")],
    [request("/chunks")],
    [request("/fails")],
    [request("/fails", method="POST", body=b"abc")],
    [request("/status/404")],
    [request("/status/500")],
    [request("/redirects")],
    [request("/early")],
    [request("/finishes")],
    [request("/yields")],
    [request("/page")],
    [request("/upload", method="POST", body=b"z" * 100_000)],
    [request("/nothing")],
    [request("/plain", method="HEAD")],
    [request("/plain", method="PUT", body=b"1")],
    [request("/plain", method="BREW")],
    [request("/plain", "Content-Type: application/x-www-form-urlencoded", method="POST", body=b"a=5&b=")],
    [request("/plain", "Content-Type: multipart/form-data; boundary=b", method="POST", body=BOUNDARY)],
    [request("/static/page.html")],
    [request("/static/none")],
    [request("/own")],
    [request("/starts")],
    [b"".join(request(path, close=False) for path in ("/plain/1", "/json", "/fails")) + request("/plain/2")],
    [request("/plain", version="1.0", close=False)],
    [b"BAD\r\n\r\n"],
    [request("/socket", *UPGRADE, close=False) + b"\x81\x82\0\0\0\0ab"],
    [request("/socket")],
    [request(f"/waits/{name}/3") for name in ("one", "two", "three")],
]


class Keep(logging.Handler):
    def __init__(self):
        super().__init__(logging.INFO)
        self.records = []

    def emit(self, record):
        text = re.sub(r"\d+\.\d\dms| at 0x[0-9a-f]+|127\.0\.0\.1:\d+", "-", record.getMessage())
        self.records.append((record.name, record.levelname, text, record.exc_info and repr(record.exc_info[1])))


async def fetch(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if b"Upgrade" in data:
        answer = await asyncio.wait_for(reader.readuntil(b"bye"), PATIENCE)
    else:
        answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    writer.close()
    answer = re.sub(rb"(Date|Last-Modified): [^\r]*", rb"\1: -", answer)
    return answer.decode("latin-1")


async def converse(handlers, agents, folder):
    import tornado.httpserver
    import tornado.web

    rules = [*handlers.items(), (r"/static/(.*)", tornado.web.StaticFileHandler, {"path": folder})]
    application = tornado.web.Application(rules, template_path=folder)
    for agent in agents:
        agent.application(application)
    server = tornado.httpserver.HTTPServer(application)
    server.listen(0, address="127.0.0.1")
    (listening,) = server._sockets.values()
    port = listening.getsockname()[1]
    keep = Keep()
    logging.getLogger().addHandler(keep)
    logging.getLogger().setLevel(logging.INFO)
    results = [("made", [agent.taken() for agent in agents])]
    for requests in ROUNDS:
        answers = await asyncio.gather(*(fetch(port, data) for data in requests))
        for _ in range(10):  # what is done after an answer
            await asyncio.sleep(0)
        records = [agent.taken() for agent in agents]
        if len(requests) > 1:
            # Clients that come at the same time come in any order.
            records = [sorted(map(repr, of_one)) for of_one in records]
        name = requests[0].split(b"\r\n")[0].decode()
        results.append((name, answers, records))
    for agent in reversed(agents):
        agent.unpatch()
    results.append(("unpatched", await fetch(port, request("/plain/x")), [agent.taken() for agent in agents]))
    server.stop()
    await server.close_all_connections()
    results.append(("logs", sorted(record for record in keep.records if record[0] != "asyncio" or record[1] != "DEBUG")))
    return results


def main(names, moment):
    def install():
        import tornadoc

        tornadoc.install(require=True)

    if moment == "after":
        install()
    from agents import AGENTS

    agents = [AGENTS[name]() for name in names.split("+")]
    for agent in agents:
        agent.patch()
    if moment == "before":
        install()
    handlers = define()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        page.write_text("<p>{{ x }}</p>")
        os.utime(page, (0, 0))
        results = asyncio.run(converse(handlers, agents, folder))
    text = json.dumps(results, default=repr)
    print(text.replace(folder, "FOLDER"))


if __name__ == "__main__":
    main(*sys.argv[1:])
