"""Handlers of Tornado 2 that answer later: from callbacks, from generators, and when another request comes.

    python -m tornadoc examples/tornado2/asynchronous.py --port=8888
"""

import contextlib
import datetime

import tornado.gen
import tornado.httpserver
import tornado.ioloop
import tornado.netutil
import tornado.options
import tornado.web
from tornado.options import define, options
from tornado.stack_context import StackContext

define("port", default=8888, type=int)


def add(a, b, callback):
    """A function that gives its result to a callback, as those of that time did."""
    tornado.ioloop.IOLoop.instance().add_timeout(datetime.timedelta(milliseconds=10), lambda: callback(a + b))


class CallbackHandler(tornado.web.RequestHandler):
    @tornado.web.asynchronous
    def get(self):
        add(int(self.get_argument("a")), int(self.get_argument("b")), self.on_sum)

    def on_sum(self, total):
        self.write(f"sum {total}, inverse {1 / total}")
        self.finish()


class GeneratorHandler(tornado.web.RequestHandler):
    @tornado.web.asynchronous
    @tornado.gen.engine
    def get(self):
        three = yield tornado.gen.Task(add, 1, 2)
        add(three, 4, callback=(yield tornado.gen.Callback("seven")))
        add(three, 5, callback=(yield tornado.gen.Callback("eight")))
        seven, eight = yield tornado.gen.WaitAll(["seven", "eight"])
        self.write(f"{three} {seven} {eight}")
        self.finish()


class LongPollHandler(tornado.web.RequestHandler):
    waiters = []

    @tornado.web.asynchronous
    def get(self):
        self.waiters.append(self)

    def post(self):
        waiters, LongPollHandler.waiters[:] = LongPollHandler.waiters[:], []
        for waiter in waiters:
            waiter.finish("news: " + self.get_argument("text"))
        self.write(str(len(waiters)))

    def on_connection_close(self):
        self.waiters.remove(self)


class TransactionHandler(tornado.web.RequestHandler):
    """A context manager around the handler and its callbacks."""

    @contextlib.contextmanager
    def transaction(self):
        self.depth = getattr(self, "depth", 0) + 1
        try:
            yield
        finally:
            self.depth -= 1

    @tornado.web.asynchronous
    def get(self):
        with StackContext(self.transaction):
            add(1, 1, self.on_sum)
        assert self.depth == 0

    def on_sum(self, total):
        self.finish(f"depth {self.depth}")


application = tornado.web.Application(
    [
        (r"/callback", CallbackHandler),
        (r"/generator", GeneratorHandler),
        (r"/poll", LongPollHandler),
        (r"/transaction", TransactionHandler),
    ]
)

if __name__ == "__main__":
    tornado.options.parse_command_line()
    http_server = tornado.httpserver.HTTPServer(application)
    sockets = tornado.netutil.bind_sockets(options.port, "127.0.0.1")
    http_server.add_sockets(sockets)
    print(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/", flush=True)
    tornado.ioloop.IOLoop.instance().start()
