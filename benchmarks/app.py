"""The measured application: written against Tornado alone, so that every Tornado-compatible server runs the same file.

    python app.py                    Tornado
    python app.py --loop uvloop      Tornado on uvloop
    python -m tornadoc app.py        tornadoc

Once it listens, it prints one JSON line with its port and with what is really running.
"""

import argparse
import asyncio
import json
import logging
import os
import ssl
import sys
from typing import Any

import tornado
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.log import LogFormatter, access_log
from tornado.netutil import bind_sockets
from tornado.template import DictLoader
from tornado.web import Application, RequestHandler

PAGE = """<!DOCTYPE html>
<html>
<head><title>{{ title }}</title></head>
<body>
<h1>{{ title }}</h1>
<table>
{% for row in rows %}<tr class="{{ 'odd' if row['id'] % 2 else 'even' }}"><td>{{ row['id'] }}</td><td>{{ row['name'] }}</td>\
<td>{{ "%.2f" % row['price'] }}</td></tr>
{% end %}</table>
</body>
</html>
"""

ROWS = [{"id": i, "name": f"Part <{i}> & sons", "price": 2.5 * i} for i in range(20)]


class HelloHandler(RequestHandler):
    def get(self) -> None:
        self.write("Hello, world")


class ItemHandler(RequestHandler):
    def get(self, item_id: str) -> None:
        number = int(item_id)
        self.write({"id": number, "name": f"item {number}", "query": self.get_query_argument("q"), "tags": ["a", "b", "c"]})


class EchoHandler(RequestHandler):
    def post(self) -> None:
        self.set_header("Content-Type", "application/octet-stream")
        self.write(self.request.body)


class PageHandler(RequestHandler):
    def get(self) -> None:
        self.render("page.html", title="Parts", rows=ROWS)


def make_app() -> Application:
    return Application(
        [
            (r"/", HelloHandler),
            (r"/items/([0-9]+)", ItemHandler),
            (r"/echo", EchoHandler),
            (r"/page", PageHandler),
        ],
        template_loader=DictLoader({"page.html": PAGE}),
    )


def set_access_log(where: str) -> None:
    if where == "off":
        access_log.setLevel(logging.CRITICAL)
        return
    handler = logging.FileHandler(os.devnull)
    handler.setFormatter(LogFormatter(color=False))
    access_log.addHandler(handler)
    access_log.setLevel(logging.INFO)
    access_log.propagate = False


def loop_name() -> str:
    loop = type(asyncio.get_running_loop())
    return f"{loop.__module__}.{loop.__qualname__}"


async def serve(options: argparse.Namespace) -> None:
    sockets = bind_sockets(options.port, "127.0.0.1", backlog=1024)
    server = HTTPServer(make_app())
    server.add_sockets(sockets)
    tls_port = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(options.certificate)
        tls_sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
        tls_server = HTTPServer(make_app(), ssl_options=context)
        tls_server.add_sockets(tls_sockets)
        tls_port = tls_sockets[0].getsockname()[1]
    report: dict[str, Any] = {
        "port": sockets[0].getsockname()[1],
        "tls_port": tls_port,
        "pid": os.getpid(),
        "tornado": tornado.version,
        "loop": loop_name(),
        "native": "tornadoc._native" in sys.modules,
    }
    print(json.dumps(report), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    parser.add_argument(
        "--access-log", choices=["off", "null"], default="off", help="null: formatted, written to the null device"
    )
    parser.add_argument("--certificate", metavar="PEM", help="key and certificate: serve TLS too, on a port of its own")
    options = parser.parse_args()
    set_access_log(options.access_log)
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(serve(options))
    else:
        # Not asyncio.run: IOLoop makes the loop here, so a server that brings its own event loop gets to use it.
        IOLoop.current().run_sync(lambda: serve(options))


if __name__ == "__main__":
    main()
