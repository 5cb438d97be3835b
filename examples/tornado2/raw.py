"""HTTPServer with a function for a callback, which writes the answer's bytes itself: what Tornado 2 was below its web framework.

    python -m tornadoc examples/tornado2/raw.py --port=8888
"""

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.options
from tornado.options import define, options

define("port", default=8888, type=int)


def handle_request(request):
    message = f"You requested {request.uri}\n".encode()
    request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message))
    request.finish()


if __name__ == "__main__":
    tornado.options.parse_command_line()
    http_server = tornado.httpserver.HTTPServer(handle_request)
    sockets = tornado.netutil.bind_sockets(options.port, "127.0.0.1")
    http_server.add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    tornado.ioloop.IOLoop.instance().start()
