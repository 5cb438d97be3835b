"""What a program overrides, wraps, patches or replaces on a handler takes effect as in Tornado, with the same bytes and logs."""

import asyncio
import re
import warnings
from pathlib import Path
from unittest import mock

import pytest
import tornado.web
from sidebyside import compare, get, patched
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine, ResponseStartLine

GUARD = Path(__file__).resolve().parents[2] / "src" / "native" / "guard.h"
HOOKS = re.findall(r"X\((\w+)\)", re.search(r"#define HANDLER_HOOKS\(X\)(.*?)\n/\*", GUARD.read_text("utf-8"), re.DOTALL)[1])

FORM = "Content-Type: application/x-www-form-urlencoded"
REQUESTS = [
    get("/text"),
    get("/text", "If-None-Match: *"),
    get("/text", method="HEAD"),
    get("/json"),
    get("/chunks"),
    get("/nothing"),
    get("/early"),
    get("/later"),
    get("/headers"),
    get("/cleared"),
    get("/forbidden"),
    get("/crash"),
    get("/elsewhere"),
    get("/b%C3%A9"),
    get("/b%FF"),
    get("/post", FORM, method="POST", body=b"a=1&b=2"),
    get("/brew", method="BREW"),
    get("/text", version="1.0", close=False),
]


def make_handler(side, base=None, **extra):
    """A handler class that does something different for each of REQUESTS."""

    class Handler(base or side.RequestHandler):
        async def later(self):
            await asyncio.sleep(0)
            self.write("later")

        def get(self, what):
            if what == "json":
                self.write({"a": 1})
            elif what == "chunks":
                self.write("one")
                self.flush()
                self.write(b"two")
            elif what == "nothing":
                self.set_status(204)
            elif what == "early":
                self.finish("early")
            elif what == "later":
                return self.later()
            elif what == "headers":
                self.set_header("X-One", 1)
                self.add_header("X-Two", "2")
                self.add_header("X-Two", b"3")
                self.clear_header("X-One")
                self.set_cookie("c", "v")
                self.set_status(201, "Well Made")
                self.write(str(self.get_status()))
            elif what == "cleared":
                self.write("lost")
                self.set_status(500)
                self.clear()
                self.write("kept")
            elif what == "forbidden":
                raise tornado.web.HTTPError(403, "no entry")
            elif what == "crash":
                raise KeyError("crash")
            elif what == "elsewhere":
                self.redirect("/text")
            else:
                self.write("text " + what)

        head = get

        def post(self, what):
            self.write(self.get_argument("a") + self.get_body_argument("b"))

        def brew(self, what):
            self.write("brewed")

    return type("Handler", (Handler,), extra) if extra else Handler


def brief(value):
    """A value as far as both sides must agree on it."""
    if isinstance(value, (tuple, list)):
        return [brief(item) for item in value]
    if isinstance(value, dict):
        return {name: brief(item) for name, item in value.items()}
    if isinstance(value, BaseException):
        return repr(value)
    return value if value is None or isinstance(value, (str, bytes, int)) else type(value).__name__


def wrapper(side, name, call):
    """A function in the place of a hook that notes its calls; ``call(self, ...)`` goes on to what was there."""

    def hook(self, *args, **kwargs):
        side.note(name, brief(args), brief(kwargs))
        result = call(self, *args, **kwargs)
        if name != "_execute":  # a coroutine, or a future where a decorator made one
            side.note(name, "gave", type(result).__name__ if name in ("flush", "finish") else brief(result))
        return result

    hook.__name__ = name
    return hook


# Replacements that don't call what they replace. Each is a function of the side that gives the new attribute.


def fixed(value):
    def make(side, name):
        def hook(self, *args, **kwargs):
            side.note(name, brief(args), brief(kwargs))
            return value

        return hook

    return make


def body(function):
    def make(side, name):
        def hook(self, *args, **kwargs):
            side.note(name, brief(args), brief(kwargs))
            return function(self, *args, **kwargs)

        return hook

    return make


def clear(self):
    self._headers = HTTPHeaders({"Content-Type": "text/plain", "X-Cleared": "yes"})
    self._write_buffer = []
    self._status_code = 200
    self._reason = "Fine"


def set_status(self, status_code, reason=None):
    self._status_code = status_code
    self._reason = reason or "Whatever"


def set_header(self, name, value):
    self._headers[name] = str(value).upper()


def add_header(self, name, value):
    self._headers.add(name, "added")


def write(self, chunk):
    self._write_buffer.append(repr(chunk).upper().encode())


def flush(self, include_footers=False):
    chunk = b"".join(self._write_buffer)
    self._write_buffer = []
    if self._headers_written:
        return self.request.connection.write(chunk)
    self._headers_written = True
    start = ResponseStartLine("", self._status_code, self._reason)
    return self.request.connection.write_headers(start, self._headers, chunk)


def finish(self, chunk=None):
    data = b"".join(self._write_buffer) + repr(chunk).encode()
    headers = HTTPHeaders({"Content-Length": str(len(data)), "X-Mine": "1"})
    self.request.connection.write_headers(ResponseStartLine("", 202, "Mine"), headers, data)
    self.request.connection.finish()
    self._finished = True


def refuse(self):
    raise tornado.web.HTTPError(403, reason="Refused")


async def execute(self, transforms, *args, **kwargs):
    self._transforms = transforms
    self.write("executed ")
    self.finish(repr((args, kwargs)))


REPLACEMENTS = {
    "initialize": body(lambda self: setattr(self, "extra", 1)),
    "clear": body(clear),
    "set_default_headers": body(lambda self: self._headers.add("X-Default", "d")),
    "prepare": body(lambda self: self.set_header("X-Prepared", "p")),
    "on_finish": fixed(None),
    "on_connection_close": fixed(None),
    "set_status": body(set_status),
    "set_header": body(set_header),
    "clear_header": fixed(None),
    "write": body(write),
    "flush": body(flush),
    "finish": body(finish),
    "_log": fixed(None),
    "compute_etag": fixed('"fixed"'),
    "set_etag_header": body(lambda self: self._headers.add("Etag", '"set"')),
    "check_etag_header": fixed(True),
    "_should_not_send_content": fixed(False),
    "_clear_representation_headers": fixed(None),
    "_break_cycles": fixed(None),
    "_execute": body(execute),
    "_cross_origin_protection": body(refuse),
    "decode_argument": body(lambda self, value, name=None: "decoded"),
    "SUPPORTED_METHODS": lambda side, name: ("GET", "BREW"),
    "_convert_header_value": body(lambda self, value: "converted"),
    "check_xsrf_cookie": body(refuse),
    "get_status": fixed(299),
    "add_header": body(add_header),
    "_request_summary": fixed("SUMMARY"),
    "_get_argument": fixed("argument"),
    "_get_arguments": fixed(["one", "two"]),
}

CALLABLE = [name for name in HOOKS if name != "SUPPORTED_METHODS"]
#: Methods that no fast path stands for, and that are called all the same.
OTHERS = """
    write_error send_error log_exception get_current_user _handle_request_exception _request_summary reverse_url redirect
    get_argument _ui_method _execute
""".split()
#: Bound while the handler is made: an attribute set on the object afterwards comes too late, on both sides.
ON_INSTANCE = [name for name in HOOKS if name not in ("__init__", "initialize")]


def skip_unknown(name):
    if not hasattr(tornado.web.RequestHandler, name):
        pytest.skip(f"this Tornado has no {name}")


async def ask_all(side, handler, **settings):
    """Every request of REQUESTS to a handler class."""
    side.serve(side.Application([(r"/(.*)", handler)], **settings))
    answers = []
    for request in REQUESTS:
        side.note(request.split(b"\r\n")[0])
        answers.append(await side.fetch(request))
    return answers


def test_every_hook_has_a_replacement_here():
    assert HOOKS and set(HOOKS) - {"__init__"} == set(REPLACEMENTS)


def test_a_plain_handler_is_served_on_the_fast_path():
    async def scenario(side):
        answers = await ask_all(side, make_handler(side))
        return answers, await side.is_fast("/text")

    outcome = compare(scenario)
    assert outcome.result[1]
    assert outcome.result[0][0].endswith(b"\r\n\r\ntext text")


@pytest.mark.parametrize("name", sorted({*CALLABLE, *OTHERS}))
def test_an_override_that_calls_super(name):
    skip_unknown(name)

    async def scenario(side):
        cls = make_handler(side)
        extended = type("Extended", (cls,), {})
        setattr(extended, name, wrapper(side, name, lambda self, *a, **k: getattr(super(extended, self), name)(*a, **k)))
        return await ask_all(side, extended, xsrf_cookies=name == "check_xsrf_cookie")

    compare(scenario)


@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
def test_an_override_that_does_not_call_super(name):
    skip_unknown(name)

    async def scenario(side):
        cls = make_handler(side, **{name: REPLACEMENTS[name](side, name)})
        return await ask_all(side, cls, xsrf_cookies=name == "check_xsrf_cookie")

    compare(scenario)


@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
def test_an_override_in_a_mixin_ahead_of_the_handler(name):
    skip_unknown(name)

    async def scenario(side):
        mixin = type("Mixin", (), {name: REPLACEMENTS[name](side, name)})
        cls = type("Mixed", (mixin, make_handler(side)), {})
        return await ask_all(side, cls, xsrf_cookies=name == "check_xsrf_cookie")

    compare(scenario)


@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
def test_a_mixin_behind_the_handler_is_passed_over(name):
    skip_unknown(name)

    async def scenario(side):
        mixin = type("Mixin", (), {name: REPLACEMENTS[name](side, name)})
        cls = type("Mixed", (make_handler(side), mixin), {})
        return await ask_all(side, cls)

    assert not [noted for noted in compare(scenario).noted if noted[0] == name]


@pytest.mark.parametrize("moment", ["initialize", "prepare"])
@pytest.mark.parametrize("name", ON_INSTANCE)
def test_an_attribute_of_the_object(name, moment):
    skip_unknown(name)

    async def scenario(side):
        def shadow(self):
            value = REPLACEMENTS[name](side, name)
            setattr(self, name, value.__get__(self) if callable(value) else value)

        return await ask_all(side, make_handler(side, **{moment: shadow}), xsrf_cookies=name == "check_xsrf_cookie")

    compare(scenario)


@pytest.mark.parametrize("moment", ["initialize", "prepare"])
@pytest.mark.parametrize("name", sorted({*ON_INSTANCE, *OTHERS} - {"SUPPORTED_METHODS", "_execute"}))
def test_a_wrapper_on_the_object(name, moment):
    skip_unknown(name)

    async def scenario(side):
        def wrap(self):
            original = getattr(self, name)
            setattr(self, name, wrapper(side, name, lambda self, *a, **k: original(*a, **k)).__get__(self))

        cls = make_handler(side, **{moment: wrap})
        return await ask_all(side, cls, xsrf_cookies=name == "check_xsrf_cookie")

    compare(scenario)


def targets(side, where):
    """The class to patch: Tornado's, which is behind the native one, or the one that programs name."""
    return tornado.web.RequestHandler if where == "behind" else side.RequestHandler


@pytest.mark.parametrize("where", ["behind", "ahead"])
@pytest.mark.parametrize("name", CALLABLE)
def test_a_wrapper_put_on_the_base_class_between_requests(name, where):
    skip_unknown(name)

    async def scenario(side):
        cls = make_handler(side)
        before = await ask_all(side, cls, xsrf_cookies=name == "check_xsrf_cookie")
        target = targets(side, where)
        with patched(target, name, wrapper(side, name, getattr(target, name))):
            during = []
            for request in REQUESTS:
                side.note(request.split(b"\r\n")[0])
                during.append(await side.fetch(request))
        fast = await side.is_fast("/text")
        return before, during, fast, await side.get("/text")

    assert compare(scenario).result[2]


@pytest.mark.parametrize("where", ["behind", "ahead"])
@pytest.mark.parametrize("name", sorted(REPLACEMENTS))
def test_a_replacement_put_on_the_base_class_between_requests(name, where):
    skip_unknown(name)

    async def scenario(side):
        before = await ask_all(side, make_handler(side), xsrf_cookies=name == "check_xsrf_cookie")
        with patched(targets(side, where), name, REPLACEMENTS[name](side, name)):
            during = []
            for request in REQUESTS:
                side.note(request.split(b"\r\n")[0])
                during.append(await side.fetch(request))
        return before, during, await side.is_fast("/text"), await side.get("/text")

    assert compare(scenario).result[2]


@pytest.mark.parametrize("name", ["prepare", "write", "finish", "set_header", "_execute", "on_finish"])
def test_a_patch_on_the_program_s_own_class_and_its_removal(name):
    async def scenario(side):
        cls = make_handler(side)
        await ask_all(side, cls)
        with patched(cls, name, wrapper(side, name, getattr(cls, name))):
            during = [await side.fetch(request) for request in REQUESTS]
        return during, await side.is_fast("/text")

    assert compare(scenario).result[1]


def test_a_patch_made_by_a_request_counts_for_the_rest_of_it():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                cls = type(self)
                cls.finish = wrapper(side, "finish", lambda self, *args: super(cls, self).finish(*args))
                self.write("patched")

        side.serve(side.Application([("/", Handler)]))
        return [await side.get() for _ in range(2)]

    assert ("finish", [], {}) in compare(scenario).noted


def test_mixins_with_cooperative_init():
    async def scenario(side):
        class Ahead:
            def __init__(self, *args, **kwargs):
                side.note("ahead", len(args), sorted(kwargs))
                super().__init__(*args, **kwargs)
                self.ahead = self.request.path

        class Behind:
            def __init__(self, *args, **kwargs):
                side.note("behind", len(args), sorted(kwargs), hasattr(self, "application"))
                super().__init__(*args, **kwargs)
                self.behind = "b"

        class Both(Ahead, side.RequestHandler, Behind):
            def initialize(self, name):
                side.note("initialize", name, self.behind)

            def get(self):
                self.write(self.ahead + self.behind)

        class Pickier(side.RequestHandler, Behind):
            def __init__(self, application, request, name):
                super().__init__(application, request)
                self.name = name

            def get(self):
                self.write(self.name)

        side.serve(side.Application([("/both", Both, {"name": "n"}), ("/pickier", Pickier, {"name": "p"})]))
        return await side.get("/both"), await side.get("/pickier")

    outcome = compare(scenario)
    assert outcome.result[0].endswith(b"/bothb")
    assert ("initialize", "n", "b") in outcome.noted


def test_a_mixin_with_an_init_behind_that_wants_arguments_fails_the_request_alike():
    async def scenario(side):
        class Behind:
            def __init__(self, wanted):
                pass

        class Handler(side.RequestHandler, Behind):
            def get(self):
                self.write("not reached")

        side.serve(side.Application([("/", Handler)]))
        return await side.get()

    outcome = compare(scenario)
    assert outcome.result == b""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_constructor_called_with_the_wrong_arguments_says_so_alike(count):
    async def scenario(side):
        with pytest.raises(TypeError) as caught:
            side.RequestHandler(*[None] * count)
        return str(caught.value)

    compare(scenario)


@pytest.mark.parametrize("moment", ["initialize", "prepare", "get"])
def test_the_class_of_a_handler_assigned(moment):
    async def scenario(side):
        class Other(side.RequestHandler):
            def get(self):
                self.write("other")

            def write(self, chunk):
                side.note("write", chunk)
                super().write(chunk + "!")

            def on_finish(self):
                side.note("finished")

        class First(side.RequestHandler):
            def get(self):
                if moment == "get":
                    self.__class__ = Other
                self.write("first")

        def assign(self):
            self.__class__ = Other

        if moment != "get":
            setattr(First, moment, assign)
        side.serve(side.Application([("/", First)]))
        return await side.get()

    assert ("finished",) in compare(scenario).noted


def test_a_handler_class_swapped_for_an_error_page_and_finished():
    # As jupyterhub does for users whose servers are not there.
    async def scenario(side):
        class Gone(side.RequestHandler):
            def prepare(self):
                self.set_status(503)
                self.finish("gone")

        class Handler(side.RequestHandler):
            def prepare(self):
                self.__class__ = Gone
                return self.prepare()

            def get(self):
                self.write("not reached")

        side.serve(side.Application([("/", Handler)]))
        return await side.get(), await side.fetch(get(close=False) + get())

    assert b"503 Service" in compare(scenario).result[0]


class Recorder:
    """Any attribute is a method that notes its calls."""

    def __init__(self, side, connection=None):
        self.side = side
        self.connection = connection

    def __getattr__(self, name):
        def method(*args, **kwargs):
            self.side.note(name, brief(args), sorted(kwargs))
            if self.connection is not None:
                return getattr(self.connection, name)(*args, **kwargs)
            future = asyncio.get_running_loop().create_future()
            future.set_result(None)
            return future

        return method


@pytest.mark.parametrize("moment", ["initialize", "prepare", "get"])
def test_request_connection_wrapped(moment):
    async def scenario(side):
        def wrap(self):
            self.request.connection = Recorder(side, self.request.connection)

        class Handler(side.RequestHandler):
            def get(self):
                if moment == "get":
                    wrap(self)
                self.write("one")
                self.flush()
                self.finish("two")

        if moment != "get":
            setattr(Handler, moment, wrap)
        side.serve(side.Application([("/", Handler)]))
        return await side.get(), await side.fetch(get(close=False) + get())

    names = [noted[0] for noted in compare(scenario).noted]
    assert names.count("write_headers") == 3 and names.count("finish") == 3


@pytest.mark.parametrize("finishing", [True, False])
def test_a_handler_made_by_a_program_takes_any_connection(finishing):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write("one")
                self.flush()
                self.write("two")

        request = HTTPServerRequest(start_line=RequestStartLine("GET", "/", "HTTP/1.1"), headers=HTTPHeaders({"Host": "a"}))
        request.connection = Recorder(side)
        handler = Handler(side.Application(), request)
        if finishing:
            handler._transforms = []
            handler.get()
            await handler.finish()
        else:
            await handler._execute([])
        return handler._status_code, handler._finished, handler._headers_written, handler._write_buffer

    assert "write_headers" in [noted[0] for noted in compare(scenario).noted]


class Headers(HTTPHeaders):
    """Tornado's, with every value in capitals."""

    def get_all(self):
        for name, value in super().get_all():
            yield name, value.upper()


class DictLike(dict):
    def get_all(self):
        return list(self.items())


@pytest.mark.parametrize("moment", ["prepare", "get", "on_chunk"])
@pytest.mark.parametrize("kind", [HTTPHeaders, Headers, DictLike])
def test_headers_replaced(kind, moment):
    async def scenario(side):
        def replace(self):
            self._headers = kind({"X-Fresh": "yes"})

        class Handler(side.RequestHandler):
            def get(self, what):
                if moment == "get":
                    replace(self)
                self.set_header("X-More", "more")
                self.write("one")
                if what == "two":
                    self.flush()
                    if moment == "on_chunk":
                        replace(self)
                    self.write("two")
                side.note(isinstance(self._headers, kind), sorted(self._headers))

            def post(self, what):
                self.set_status(304)

        if moment == "prepare":
            Handler.prepare = replace
        side.serve(side.Application([("/(.*)", Handler)]))
        return (
            await side.get("/one"),
            await side.get("/two"),
            await side.get("/one", "If-None-Match: *"),
            await side.get("/one", method="POST", body=b""),
            await side.fetch(get("/one", close=False) + get("/two", close=False) + get("/one")),
        )

    compare(scenario)


def test_headers_that_lose_what_finish_sets():
    async def scenario(side):
        class Forgetful(HTTPHeaders):
            def __setitem__(self, name, value):
                side.note(name, value)

        class Handler(side.RequestHandler):
            def get(self):
                self._headers = Forgetful()
                self.write("body")

        side.serve(side.Application([("/", Handler)]))
        return await side.get()

    assert compare(scenario).result.endswith(b"4\r\nbody\r\n0\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "BREW", "get", None, 7])
def test_the_method_changed_in_prepare(method):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def prepare(self):
                self.request.method = method

            def get(self):
                self.write("get")

            def post(self):
                self.write("post")

            def head(self):
                self.write("head")

        side.serve(side.Application([("/", Handler)]))
        return await side.get(method="PUT", body=b""), await side.get(), await side.get(method="HEAD")

    compare(scenario)


def test_a_handler_of_a_test_with_a_mock_for_its_connection():
    # As jupyter_server's tests make them.
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write("x")

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            requests = HTTPServerRequest("GET", "/foo"), HTTPServerRequest("foo", "GET")
        for request in requests:
            request.connection = mock.MagicMock()
            handler = Handler(side.Application(), request)
            handler._transforms = []
            handler.get()
            handler.finish()
            args, options = request.connection.write_headers.call_args
            start_line, headers = args[:2]
            side.note(start_line, sorted(set(headers) - {"Date"}), options, request.connection.finish.call_count)
            side.note(request.connection.set_close_callback.call_count, handler.get_status(), request.method, request.uri)

    assert compare(scenario).noted[0][3] == 1


def test_what_handlers_raise_return_and_answer():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self, what):
                if what == "cookie":
                    self.set_cookie("a", "b", httponly=True)
                    self.set_cookie("c", "d")
                elif what == "permanent":
                    self.redirect("/elsewhere", permanent=True)
                elif what == "finish":
                    raise tornado.web.Finish("early")
                elif what in ("204", "304"):
                    self.set_status(int(what))
                elif what == "204body":
                    self.set_status(204)
                    self.write("not allowed")
                elif what == "reason":
                    self.set_status(299, "Odd")
                elif what == "twice":
                    self.finish("x")
                    self.finish("y")
                elif what == "list":
                    self.write([1])
                elif what == "header":
                    self.set_header("X", "a\r\nb")
                elif what == "returns":
                    asyncio.get_running_loop().call_soon(lambda: side.note(self._finished))
                    return 5
                elif what == "arguments":
                    self.write(repr((self.get_arguments("a"), self.get_query_argument("b", None), self.request.arguments)))
                return None

        side.serve(side.Application([("/(.*)", Handler)]))
        names = "cookie permanent finish 204 304 reason twice list returns arguments?a=1&a=2&b=".split()
        if tornado.version_info >= (6, 6):
            names += ["204body", "header"]  # before, the exceptions were others
        return [await side.get("/" + name) for name in names]

    compare(scenario)
