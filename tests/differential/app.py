"""A Tornado application with many listeners, for comparing two implementations of its request path.

``python app.py LOGFILE STATICDIR SOCKETDIR [stock|pretty]`` logs to LOGFILE, serves STATICDIR, makes its unix socket in
SOCKETDIR, prints one JSON line {listener name: port or path} to stdout and serves until its stdin is closed.
With TORNADOC_DIFF_TLS in the environment, all listeners speak TLS.
With ``stock`` the log goes through the logging module's own handler and formatter, with ``pretty`` through Tornado's formatter.
"""

import asyncio
import gc
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from diffapp import control, logs, routes, streaming
from tornado import httpserver, netutil


def servers(static):
    """All the servers by name."""
    main = routes.main(static)
    ssl_options = None
    if os.environ.get("TORNADOC_DIFF_TLS"):
        certs = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "certs")
        ssl_options = {"certfile": os.path.join(certs, "localhost.crt"), "keyfile": os.path.join(certs, "localhost.key")}

    def serve(callback=main, **kwargs):
        return httpserver.HTTPServer(callback, ssl_options=ssl_options, **kwargs)

    return {
        "main": serve(),
        "unix": serve(),
        "xsrf": serve(routes.xsrf()),
        "cross_origin": serve(routes.cross_origin()),
        "gzip": serve(routes.compressed(static)),
        "transforms": serve(routes.transformed()),
        "traceback": serve(routes.traceback()),
        "logged": serve(routes.logged()),
        "overriding": serve(routes.overriding()),
        "default_host": serve(routes.default_host()),
        "router": serve(routes.bare_router(main)),
        "raw": serve(streaming.raw_callback),
        "echo": serve(streaming.EchoServer()),
        "xheaders": serve(xheaders=True, trusted_downstream=["10.0.0.1", "10.0.0.2"]),
        "xheaders_https": serve(xheaders=True, protocol="https"),
        "https": serve(protocol="https"),
        "no_keep_alive": serve(no_keep_alive=True),
        "small_header": serve(max_header_size=512),
        "small_body": serve(max_body_size=64),
        "small_buffer": serve(max_buffer_size=4096),
        "small_chunk": serve(chunk_size=16),
        "idle": serve(idle_connection_timeout=0.3),
        "body_timeout": serve(body_timeout=0.3),
        "long_body_timeout": serve(body_timeout=60),
        "decompress": serve(decompress_request=True, max_body_size=2000, chunk_size=256),
        "stream_decompress": serve(decompress_request=True),
    }


def listen(name, server, socket_dir):
    """Puts the server on a port of its own (the unix one on a path) and returns it."""
    if name == "unix":
        path = os.path.join(socket_dir, "unix-%d.sock" % os.getpid())
        server.add_socket(netutil.bind_unix_socket(path))
        return path
    sockets = netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


async def main(static, socket_dir):
    loop = asyncio.get_running_loop()
    ports = {name: listen(name, server, socket_dir) for name, server in servers(static).items()}
    control_server = await loop.create_server(control.Control, "127.0.0.1", 0)
    ports["control"] = control_server.sockets[0].getsockname()[1]

    ended = asyncio.Event()

    def stdin_closed():
        if not os.read(0, 1024):
            loop.remove_reader(0)
            ended.set()

    loop.add_reader(0, stdin_closed)
    gc.collect()
    gc.freeze()
    print(json.dumps(ports), flush=True)
    await ended.wait()


if __name__ == "__main__":
    if sys.argv[4:]:
        logs.capture_stock(sys.argv[1], sys.argv[4])
    else:
        logs.capture(sys.argv[1])
    asyncio.run(main(sys.argv[2], sys.argv[3]))
