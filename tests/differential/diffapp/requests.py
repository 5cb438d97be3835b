"""Handlers that show what the request looked like: attributes, arguments, cookies, bodies, context."""

import asyncio
import contextvars

from tornado import web
from tornado.http1connection import HTTP1ServerConnection

request_number = contextvars.ContextVar("request_number", default=0)


def listing(pairs):
    return "\n".join("%s=%r" % pair for pair in pairs) + "\n"


def dump(request):
    """All the public state of a request, as text."""
    return listing(
        [
            ("method", request.method),
            ("uri", request.uri),
            ("path", request.path),
            ("query", request.query),
            ("version", request.version),
            ("headers", list(request.headers.get_all())),
            ("keys", list(request.headers)),
            ("remote_ip", request.remote_ip),
            ("protocol", request.protocol),
            ("host", request.host),
            ("host_name", request.host_name),
            ("body", request.body),
            ("arguments", request.arguments),
            ("query_arguments", request.query_arguments),
            ("body_arguments", request.body_arguments),
            ("files", {name: [dict(f) for f in files] for name, files in request.files.items()}),
            ("cookies", [(k, m.value) for k, m in request.cookies.items()]),
            ("full_url", request.full_url()),
            ("repr", request),
            ("time", 0 <= request.request_time() < 60),
            ("certificate", request.get_ssl_certificate() if request.protocol == "ssl" else None),
        ]
    )


class Dump(web.RequestHandler):
    """Answers every standard method with the dump of its request."""

    def answer(self, *args, **kwargs):
        self.set_header("Content-Type", "text/plain")
        self.write(dump(self.request))
        self.write(listing([("path_args", self.path_args), ("path_kwargs", self.path_kwargs), ("args", (args, kwargs))]))

    get = post = put = delete = patch = options = answer

    def head(self, *args, **kwargs):
        self.answer(*args, **kwargs)


class AnyMethod(Dump):
    SUPPORTED_METHODS = web.RequestHandler.SUPPORTED_METHODS + ("PROPFIND", "QUERY", "CONNECT", "get", "X-Odd!")

    def propfind(self):
        self.write("propfind")

    def query(self):
        self.write("query " + repr(self.request.body))

    def connect(self):
        self.write("connect")

    def get(self):
        self.write("get as " + self.request.method)


class OnlyGet(web.RequestHandler):
    SUPPORTED_METHODS = ("GET",)

    def get(self):
        self.write("only get")

    post = get


class Arguments(web.RequestHandler):
    """The accessors; what each raises is part of the answer."""

    def get(self):
        self.write(listing(self.results()))

    post = get

    def results(self):
        calls = [
            ("get_argument", ("a",)),
            ("get_argument", ("a", "dflt")),
            ("get_argument", ("missing", None)),
            ("get_arguments", ("a",)),
            ("get_query_argument", ("a", "dflt")),
            ("get_query_arguments", ("a",)),
            ("get_body_argument", ("a", "dflt")),
            ("get_body_arguments", ("a",)),
        ]
        for name, args in calls:
            for strip in (True, False):
                try:
                    value = getattr(self, name)(*args, strip=strip)
                except web.HTTPError as e:
                    value = (type(e).__name__, str(e))
                yield "%s%r strip=%s" % (name, args, strip), value


class Missing(web.RequestHandler):
    def get(self):
        which = self.get_query_argument("which", "argument")
        self.write(getattr(self, "get_" + which)("needed"))

    post = get


class BadStrip(web.RequestHandler):
    def get(self):
        self.get_arguments("a", "default by mistake")


class DecodeLatin1(web.RequestHandler):
    """decode_argument overridden: arguments are latin-1, and the name it got is shown."""

    def decode_argument(self, value, name=None):
        return "%s:%s" % (name, value.decode("latin-1"))

    def get(self, *args, **kwargs):
        self.write(listing([("args", args), ("kwargs", sorted(kwargs.items())), ("a", self.get_arguments("a"))]))


class Cookies(web.RequestHandler):
    def get(self):
        for action in self.get_arguments("do"):
            self.act(*action.split(","))
        self.write(listing((name, self.get_cookie(name)) for name in sorted(self.cookies)))
        self.write(listing([("absent", self.get_cookie("absent")), ("absent2", self.get_cookie("absent", "d"))]))

    def act(self, action, name="", value="", extra=""):
        if action == "set":
            self.set_cookie(name, value)
        elif action == "attrs":
            self.set_cookie(name, value, domain="h.test", path="/p", max_age=60, httponly=True, secure=True, samesite="Lax")
        elif action == "expires":
            self.set_cookie(name, value, expires=1700000000)
        elif action == "days":
            self.set_cookie(name, value, expires_days=2)
        elif action == "path":
            self.set_cookie(name, value, path=extra or None)
        elif action == "domain":
            self.set_cookie(name, value, domain=extra)
        elif action == "kwargs":
            self.set_cookie(name, value, HttpOnly=True)
        elif action == "clear":
            self.clear_cookie(name)
        elif action == "clear_all":
            self.clear_all_cookies()
        elif action == "clear_bad":
            self.clear_cookie(name, max_age=1)
        elif action == "signed":
            self.set_signed_cookie(name, value)
        elif action == "signed1":
            self.set_signed_cookie(name, value, version=1)
        elif action == "roundtrip":
            self.write("roundtrip %r\n" % self.get_signed_cookie(name, self.create_signed_value(name, value)))
        elif action == "read":
            self.write("signed %r key %r\n" % (self.get_signed_cookie(name), self.get_signed_cookie_key_version(name)))
        elif action == "bytes":
            self.set_cookie(name, value.encode("utf-8"))
        elif action == "header":
            self.add_header("Set-Cookie", "%s=%s" % (name, value))
        elif action == "error":
            raise web.HTTPError(418)


class Context(web.RequestHandler):
    """A value set while one request runs must not be seen by the next one of the connection."""

    def prepare(self):
        self.before = request_number.get()
        request_number.set(int(self.get_argument("n")))

    async def get(self):
        await asyncio.sleep(0)
        self.write("before=%d now=%d" % (self.before, request_number.get()))

    def post(self):
        self.write("before=%d now=%d" % (self.before, request_number.get()))

    def on_finish(self):
        request_number.set(1000)


class Connection(web.RequestHandler):
    """Reaches down to the connection, its stream and its socket."""

    def get(self):
        connection = self.request.connection
        peer = connection.stream.socket.getpeername()
        self.write(
            listing(
                [
                    ("peer", peer[0] if isinstance(peer, tuple) else peer),
                    ("context", str(connection.context)),
                    ("context_ip", connection.context.remote_ip),
                    ("orig_ip", connection.context._orig_remote_ip),
                    ("protocol", connection.context.protocol),
                    ("closed", connection.stream.closed()),
                    ("reading", connection.stream.reading()),
                    ("writing", connection.stream.writing()),
                    ("is_client", connection.is_client),
                    ("no_keep_alive", connection.no_keep_alive),
                    ("server_connection", isinstance(self.request.server_connection, HTTP1ServerConnection)),
                    ("start_line", tuple(connection._request_start_line)),
                ]
            )
        )


class MutateRequest(web.RequestHandler):
    """Changes the request before it is logged and answered."""

    def prepare(self):
        self.request.method = "GET"
        self.request.uri = "/changed"
        self.request.remote_ip = "9.9.9.9"
        self.request.headers["If-None-Match"] = "*"
        self.request.headers.add("X-Added", "1")
        del self.request.headers["Host"]

    def get(self):
        self.write(repr(list(self.request.headers.get_all())) + self.request.host)

    post = get
