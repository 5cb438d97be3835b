"""A server that echoes WebSocket messages: written against Tornado alone, so that tornadoc runs the same file.

    python websocket_server.py                     Tornado
    python websocket_server.py --loop uvloop       Tornado on uvloop
    python -m tornadoc websocket_server.py         tornadoc

Once it listens, it prints one JSON line with its port and with what is really running.
"""

import argparse
import asyncio
import json
import os

from stream_server import origin
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler


class Echo(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


async def serve() -> None:
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    HTTPServer(Application([("/", Echo)])).add_sockets(sockets)
    report = {
        "port": sockets[0].getsockname()[1],
        "pid": os.getpid(),
        "identity": " ".join(map(origin, (WebSocketHandler, type(asyncio.get_running_loop())))),
    }
    print(json.dumps(report), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    options = parser.parse_args()
    if options.loop == "uvloop":
        import uvloop

        uvloop.run(serve())
    else:
        # Not asyncio.run: IOLoop makes the loop here, so a server that brings its own event loop gets to use it.
        IOLoop.current().run_sync(serve)


if __name__ == "__main__":
    main()
