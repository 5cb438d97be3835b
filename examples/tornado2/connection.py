"""A server that does by hand what Tornado 2's HTTPServer did for each socket: a stream, an HTTPConnection over it, and the
application as its callback. On the way it writes down which of the connection's methods are called.

    python -m tornadoc examples/tornado2/connection.py --port=8888 [--trace]
"""

import tornado.ioloop
import tornado.netutil
import tornado.options
import tornado.tcpserver
import tornado.web
from tornado.httpserver import HTTPConnection
from tornado.options import define, options

define("port", default=8888, type=int)
define("trace", default=False, type=bool)


class TracedConnection(HTTPConnection):
    def _on_headers(self, data):
        print("_on_headers", data.split(b"\r\n")[0].decode("latin-1"), flush=True)
        super()._on_headers(data)

    def _on_request_body(self, data):
        print("_on_request_body", len(data), flush=True)
        super()._on_request_body(data)

    def _on_write_complete(self):
        print("_on_write_complete", flush=True)
        super()._on_write_complete()

    def _finish_request(self):
        print("_finish_request", flush=True)
        super()._finish_request()


class MyHandler(tornado.web.RequestHandler):
    def get(self):
        self.write("Hello, world")

    def post(self):
        self.write("Hello, " + self.get_argument("name"))


class Server(tornado.tcpserver.TCPServer):
    def __init__(self, request_callback, no_keep_alive=False, xheaders=False, io_loop=None):
        super().__init__(io_loop=io_loop)
        self.request_callback = request_callback
        self.no_keep_alive = no_keep_alive
        self.xheaders = xheaders

    def handle_stream(self, stream, address):
        connection_class = TracedConnection if options.trace else HTTPConnection
        connection_class(stream, address, self.request_callback, self.no_keep_alive, self.xheaders)


if __name__ == "__main__":
    tornado.options.parse_command_line()
    server = Server(tornado.web.Application([(r"/", MyHandler)]), xheaders=True)
    sockets = tornado.netutil.bind_sockets(options.port, "127.0.0.1")
    server.add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    tornado.ioloop.IOLoop.instance().start()
