"""HOOKS of handlers, routing and the application, between the head of a request and its answer; see evil_http.py."""

import asyncio

import evil_http
import tornado.httputil
import tornado.routing
import tornado.web
from evil_http import Bystander
from evil_stage import Registry
from inprocess import request
from tornado.httputil import HTTPHeaders

from tornadoc.web import Application, RequestHandler

STAGE = evil_http
HOOKS = Registry()
hook = HOOKS.add


def simple(**methods):
    """A handler whose get and post write something."""

    def get(self, *args, **kwargs):
        self.write("some text")

    return type("Victim", (RequestHandler,), {"get": get, "post": get, **methods})


def plan(handler, path="/v", send=None, **more):
    return {"rules": [(path, handler)], "send": send or [request("/v")], **more}


# -- overridden methods of the handler: before and after what they override --

FORM = ["Content-Type: application/x-www-form-urlencoded"]
METHODS = """initialize clear set_default_headers prepare on_finish set_status set_header clear_header write flush finish _log
    compute_etag set_etag_header check_etag_header _should_not_send_content _clear_representation_headers _break_cycles
    _convert_header_value check_xsrf_cookie _cross_origin_protection get_status add_header decode_argument _execute
    get_argument get_arguments _get_argument _get_arguments
    write_error send_error log_exception _handle_request_exception""".split()


def override(name, before):
    def make(scene):
        def method(self, *args, **kwargs):
            if before:
                scene.fire(self)
            try:
                return getattr(super(handler, self), name)(*args, **kwargs)
            finally:
                if not before:
                    scene.fire(self)

        def get(self, *args, **kwargs):
            self.set_header("X-One", "1")
            self.add_header("X-Two", "2")
            self.clear_header("X-One")
            self.set_cookie("a", "b") if name == "add_header" else None
            if name == "get_status":
                self.get_status()
            if name.endswith(("get_argument", "get_arguments")):
                self.get_argument("a", None)
                self.get_arguments("a")
            if name == "check_xsrf_cookie":
                self.check_xsrf_cookie()
            if name in ("write_error", "send_error", "log_exception", "_handle_request_exception"):
                raise ValueError("wanted")
            if name in ("_should_not_send_content", "_clear_representation_headers"):
                self.set_status(204)
                return
            self.write("some text")
            if name == "flush":
                self.flush()
            self.set_status(200)

        handler = simple(get=get, **{name: method})
        settings = {}
        if name in ("check_xsrf_cookie", "_cross_origin_protection"):
            handler.post = get
            settings["cross_origin_protection" if hasattr(RequestHandler, "_cross_origin_protection") else "xsrf_cookies"] = "lax"
        headers = ["If-None-Match: *"] if name == "check_etag_header" else []
        data = request("/v/arg", headers=headers)
        if settings:
            data = request("/v/arg", "POST", ["Cookie: a=b", "Sec-Fetch-Site: same-origin", "Origin: http://localhost"], b"x")
        return plan(handler, "/v/(.*)", [data], settings=settings)

    HOOKS[f"{name}_{'before' if before else 'after'}"] = make


for _name in METHODS:
    if not hasattr(RequestHandler, _name):
        continue  # Tornado before 6.6
    override(_name, True)
    override(_name, False)


@hook
def init_before(scene):
    def __init__(self, *args, **kwargs):
        scene.fire(self, request=args[1])
        super(handler, self).__init__(*args, **kwargs)

    handler = simple(__init__=__init__)
    return plan(handler)


@hook
def init_after(scene):
    def __init__(self, *args, **kwargs):
        super(handler, self).__init__(*args, **kwargs)
        scene.fire(self)

    handler = simple(__init__=__init__)
    return plan(handler)


@hook
def init_without_super(scene):
    return plan(simple(__init__=lambda self, application, request: scene.fire(request=request)))


# -- the method --


@hook
def method(scene):
    return plan(simple(get=lambda self: scene.fire(self)))


@hook
def method_after_write(scene):
    def get(self):
        self.write("before")
        scene.fire(self)
        if not self._finished:
            self.write("after")

    return plan(simple(get=get))


@hook
def method_after_flush(scene):
    def get(self):
        self.write("before")
        self.flush()
        scene.fire(self)
        if not self._finished:
            self.write("after")

    return plan(simple(get=get))


@hook
def method_pipelined(scene):
    """The next requests are in the buffer already."""

    def get(self):
        scene.fire(self)
        if not self._finished:
            self.write("x" * 5000)

    return plan(simple(get=get), send=[request("/v") * 5])


@hook
def coroutine_method(scene):
    async def get(self):
        await asyncio.sleep(0)
        scene.fire(self)
        if not self._finished:
            await self.finish("late")

    return plan(simple(get=get), send=[request("/v") * 2])


@hook
def coroutine_prepare(scene):
    async def prepare(self):
        await asyncio.sleep(0)
        scene.fire(self)

    return plan(simple(prepare=prepare))


@hook
def post_of_form(scene):
    def post(self):
        self.get_argument("a")
        scene.fire(self)
        if not self._finished:
            self.write("ok")

    return plan(simple(post=post), send=[request("/v", "POST", FORM, b"a=b&c=d")])


@hook
def post_chunked(scene):
    def post(self):
        scene.fire(self)

    head = request("/v", "POST", ["Transfer-Encoding: chunked"])
    return plan(simple(post=post), send=[head, b"5\r\nhello\r\n", b"0\r\n\r\n" + request("/v")])


@hook
def awaitable_of_get(scene):
    class Awaitable:
        def __await__(self):
            scene.fire(box[0])
            return iter(())

    box = []

    def get(self):
        box.append(self)
        return Awaitable()

    return plan(simple(get=get))


@hook
def argument_decoding(scene):
    def decode_argument(self, value, name=None):
        scene.fire(self)
        return "text"

    return plan(simple(decode_argument=decode_argument), "/v/(?P<one>.*)/(?P<two>.*)", [request("/v/a/b")])


@hook
def supported_methods(scene):
    class Methods:
        def __contains__(self, name):
            scene.fire()
            return True

    return plan(simple(SUPPORTED_METHODS=Methods()))


@hook
def json_items(scene):
    def get(self):
        class Evil(dict):
            def items(inner):
                scene.fire(self)
                return [("a", 1)]

        self.write(Evil(a=1))

    return plan(simple(get=get))


@hook
def finalizer_of_handler(scene):
    """Runs when C drops the last reference."""

    class Finalized:
        def __init__(self, request):
            self.exchange = request.connection

        def __del__(self):
            scene.fire(exchange=self.exchange)

    def get(self):
        self.keep = Finalized(self.request)
        self.write("x")

    return plan(simple(get=get), send=[request("/v") * 3])


@hook
def finalizer_of_header(scene):
    """A header object's values go when the answer is done."""

    class Value(str):
        def __del__(self):
            scene.fire()

    def get(self):
        self._headers["X-Evil"] = Value("v")
        self.write("x")

    return plan(simple(get=get), send=[request("/v") * 3])


@hook
def length_of_buffered(scene):
    class Piece(bytearray):
        def __len__(self):
            handler = box[0]
            handler._write_buffer.clear()
            scene.fire(handler)
            return 3

    box = []

    def get(self):
        box.append(self)
        self.set_status(206)
        self._write_buffer.append(Piece(b"abc"))
        self._write_buffer.append(b"end")

    return plan(simple(get=get))


def headers_hook(name):
    def make(scene):
        class Headers(HTTPHeaders):
            pass

        def method(self, *args, **kwargs):
            scene.fire(box[0] if box else None)
            return getattr(super(Headers, self), name)(*args, **kwargs)

        setattr(Headers, name, method)
        box = []

        def get(self):
            box.append(self)
            self._headers = Headers({"Content-Type": "text/plain"})
            self.write("x")

        return plan(simple(get=get))

    HOOKS["headers_" + name.strip("_")] = make


for _name in ("__setitem__", "__getitem__", "__contains__", "get_all"):
    headers_hook(_name)


def transform_hook(name):
    def make(scene):
        class Transform(tornado.web.OutputTransform):
            def __init__(self, request):
                self.request = request
                super().__init__(request)
                if name == "__init__":
                    scene.fire(request=request)

            def transform_first_chunk(self, *args):
                if name == "first":
                    scene.fire(request=self.request)
                return super().transform_first_chunk(*args)

            def transform_chunk(self, *args):
                if name == "chunk":
                    scene.fire(request=self.request)
                return super().transform_chunk(*args)

        def get(self):
            self.write("x")
            self.flush()
            self.write("y")

        return plan(simple(get=get), settings={"transforms": [Transform]})

    HOOKS["transform_" + name.strip("_")] = make


for _name in ("__init__", "first", "chunk"):
    transform_hook(_name)


# -- the application --


@hook
def log_function(scene):
    return plan(simple(), settings={"log_function": lambda handler: scene.fire(handler)})


@hook
def application_log_request(scene):
    class Logging(Application):
        def log_request(self, handler):
            scene.fire(handler)

    application = Logging([("/unharmed", type("B", (Bystander,), {"scene": scene})), ("/v", simple())])
    return {"application": application, "send": [request("/v")]}


@hook
def custom_matcher(scene):
    class Evil(tornado.routing.Matcher):
        def match(self, request):
            if request.path.startswith("/v"):
                scene.fire(request=request)
                return {}
            return None

    rule = tornado.routing.Rule(Evil(), simple())
    return {"rules": [rule], "send": [request("/v") * 2]}


@hook
def custom_router(scene):
    class Evil(tornado.routing.Router):
        def find_handler(self, request, **kwargs):
            scene.fire(request=request)

    rule = tornado.routing.Rule(tornado.routing.PathMatches("/v"), Evil())
    return {"rules": [rule, ("/v", simple())], "send": [request("/v") * 2]}


@hook
def find_handler(scene):
    class Finding(Application):
        def find_handler(self, request, **kwargs):
            if request.path == "/v":
                scene.fire(request=request)
            return super().find_handler(request, **kwargs)

    application = Finding([("/unharmed", type("B", (Bystander,), {"scene": scene})), ("/v", simple())])
    return {"application": application, "send": [request("/v") * 2]}


@hook
def get_handler_delegate(scene):
    class Delegating(Application):
        def get_handler_delegate(self, request, *args, **kwargs):
            if request.path == "/v":
                scene.fire(request=request)
            return super().get_handler_delegate(request, *args, **kwargs)

    application = Delegating([("/unharmed", type("B", (Bystander,), {"scene": scene})), ("/v", simple())])
    return {"application": application, "send": [request("/v") * 2]}


@hook
def template_loader_reset(scene):
    class Loader:
        def reset(self):
            scene.fire()

    def cleanup():
        del tornado.web.RequestHandler._template_loaders["evil"]

    result = plan(simple(), settings={"compiled_template_cache": False}, cleanup=cleanup)
    tornado.web.RequestHandler._template_loaders["evil"] = Loader()
    return result


@hook
def trusted_downstream(scene):
    class Trusted(list):
        def __iter__(self):
            scene.fire()
            return super().__iter__()

        def __contains__(self, item):
            scene.fire()
            return super().__contains__(item)

    # Tornado makes a set of what it is given: the evil one comes afterwards.
    def arrange():
        scene.server.trusted_downstream = Trusted(["10.0.0.1"])

    data = request("/v", headers=["X-Forwarded-For: 1.2.3.4, 5.6.7.8"])
    return plan(simple(), send=[data * 2], options={"xheaders": True}, arrange=arrange)
