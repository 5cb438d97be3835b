"""A program for Tornado 2 as its documentation began with: an application, a server, and the one IOLoop.

    python -m tornadoc examples/tornado2/hello.py --port=8888
"""

import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.options
import tornado.web
from tornado.options import define, options

define("port", default=8888, type=int)


class MainHandler(tornado.web.RequestHandler):
    def get(self):
        self.write("Hello, world")


class StoryHandler(tornado.web.RequestHandler):
    def get(self, story_id):
        self.write({"story": story_id, "handler": type(self).__name__, "http_1_1": self.request.supports_http_1_1()})


def log(handler):
    print(handler.get_status(), handler.request.method, handler.request.uri, flush=True)


application = tornado.web.Application(
    [(r"/", MainHandler), (r"/story/([0-9]+)", StoryHandler)],
    log_function=log,
)

if __name__ == "__main__":
    tornado.options.parse_command_line()
    http_server = tornado.httpserver.HTTPServer(application, io_loop=tornado.ioloop.IOLoop.instance())
    sockets = tornado.netutil.bind_sockets(options.port, "127.0.0.1")
    http_server.add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    tornado.ioloop.IOLoop.instance().start()
