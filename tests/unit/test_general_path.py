"""What overrides, wraps, patches or replaces what tornadoc does natively gets Tornado's behaviour.

Each case is built twice, over Tornado's classes and over tornadoc's; bytes, log records and the calls seen must be the same.
"""

import asyncio
import re
import weakref
from unittest import mock

import pytest
import tornado.web
from inprocess import TORNADO, TORNADOC, Running, log_records, request, run, settle
from tornado.httputil import HTTPHeaders

import tornadoc.http1connection
import tornadoc.web

TIME = re.compile(r"\d+\.\d\dms")


async def conversation(modules, build, requests):
    web, httpserver = modules
    calls = []
    application = build(web, calls)
    with log_records() as records:
        async with Running(application, httpserver.HTTPServer) as server:
            client = await server.client()
            answers = []
            for data in requests:
                if client.reader.at_eof():
                    client = await server.client()
                client.send(data)
                try:
                    answers.append((await client.answer(head_only=data.startswith(b"HEAD"))).shape())
                except asyncio.IncompleteReadError as e:
                    answers.append(("closed", e.partial))
                    client = await server.client()
                await settle()
            port = str(server.port)
    return answers, [(name, level, TIME.sub("Xms", text).replace(port, "PORT")) for name, level, text in records], calls


DEFAULT_REQUESTS = [
    request("/v/arg?a=b"),
    request("/v/%C3%A9", "HEAD"),
    request("/v/x", "POST", ["Content-Type: application/x-www-form-urlencoded"], b"a=b"),
    request("/v/x", headers=["If-None-Match: *"]),
    request("/v/fails"),
    request("/v/404"),
    request("/v/x", "BREW"),
]


def assert_same(build, requests=DEFAULT_REQUESTS):
    expected = run(conversation(TORNADO, build, requests))
    found = run(conversation(TORNADOC, build, requests))
    assert found[0] == expected[0]
    assert found[1] == expected[1]
    assert found[2] == expected[2]
    return found


def victim(web, bases=None, **namespace):
    def get(self, arg):
        if arg == "fails":
            raise ValueError("wanted")
        if arg == "404":
            raise tornado.web.HTTPError(404, "reason %s", arg)
        self.set_status(200)
        self.set_header("X-One", 1)
        self.add_header("X-Two", "2")
        self.clear_header("X-Three")
        self.write("text ")
        self.write({"a": arg} if arg == "json" else arg)

    return type("Victim", bases or (web.RequestHandler,), {"get": get, "head": get, "post": get, **namespace})


def application(web, handler, **settings):
    return web.Application([("/v/(.*)", handler)], **settings)


HOOKS = """
    initialize clear set_default_headers prepare on_finish on_connection_close set_status set_header
    clear_header write flush finish _log compute_etag set_etag_header check_etag_header
    _should_not_send_content _clear_representation_headers _break_cycles _execute _cross_origin_protection
    decode_argument _convert_header_value check_xsrf_cookie get_status add_header write_error send_error
    log_exception get_current_user _handle_request_exception _request_summary reverse_url
""".split()
HOOKS = [name for name in HOOKS if hasattr(tornado.web.RequestHandler, name)]


def recorder(calls, name, then):
    def method(self, *args, **kwargs):
        calls.append((name, args if name in ("set_status", "write", "decode_argument") else len(args), sorted(kwargs)))
        return then(self, *args, **kwargs)

    return method


@pytest.mark.parametrize("name", HOOKS)
def test_overridden_method_is_called_as_by_tornado(name):
    def build(web, calls):
        handler = victim(web)

        def base(self, *args, **kwargs):
            return getattr(super(handler, self), name)(*args, **kwargs)

        setattr(handler, name, recorder(calls, name, base))
        return application(web, handler)

    assert_same(build)


@pytest.mark.parametrize("name", [name for name in HOOKS if name not in ("initialize", "_execute")])
@pytest.mark.parametrize("where", ["initialize", "prepare"])
def test_method_set_on_the_instance_is_called_as_by_tornado(name, where):
    def build(web, calls):
        def replace(self):
            original = getattr(self, name)
            setattr(
                self,
                name,
                lambda *args, **kwargs: recorder(calls, name, lambda s, *a, **k: original(*a, **k))(self, *args, **kwargs),
            )

        return application(web, victim(web, **{where: replace}))

    assert_same(build)


@pytest.mark.parametrize(
    "name", ["write", "finish", "prepare", "on_finish", "_log", "compute_etag", "set_header", "_execute", "__init__", "clear"]
)
@pytest.mark.parametrize("whose", ["tornado", "tornadoc"])
def test_method_patched_at_run_time_is_seen_by_the_next_request_and_forgotten_when_restored(name, whose):
    module = tornado.web if whose == "tornado" else tornadoc.web
    calls = []

    async def main():
        handler = victim(tornadoc.web)
        async with Running(application(tornadoc.web, handler)) as server:
            client = await server.client()
            before = await client.get("/v/x")
            cls = module.RequestHandler
            original = getattr(cls, name)
            own = vars(cls).get(name)
            setattr(cls, name, recorder(calls, name, original))
            try:
                during = await client.get("/v/x")
            finally:
                if own is None:
                    delattr(cls, name)
                else:
                    setattr(cls, name, own)
            seen = len(calls)
            after = await client.get("/v/x")
        assert before.shape() == during.shape() == after.shape()
        return seen

    seen = run(main())
    assert seen >= 1
    assert len(calls) == seen


def test_mixins_before_and_after_the_base_are_initialised_as_in_tornado():
    def build(web, calls):
        class Before:
            def __init__(self, *args, **kwargs):
                calls.append("before")
                super().__init__(*args, **kwargs)

            def prepare(self):
                calls.append("prepare before")
                return super().prepare()

        class After:
            def __init__(self):
                calls.append("after")
                super().__init__()
                self.after = "set"

            def finish_text(self):
                return self.after

        def get(self):
            self.write(self.finish_text() + str(self.extra))

        namespace = {"get": get, "initialize": lambda self, extra: setattr(self, "extra", extra)}
        one = type("One", (Before, web.RequestHandler, After), namespace)
        two = type("Two", (web.RequestHandler, After), namespace)
        return web.Application([("/one", one, {"extra": 1}), ("/two", two, {"extra": 2})])

    assert_same(build, [request("/one"), request("/two")] * 2)


def test_class_of_a_handler_may_be_assigned():
    def build(web, calls):
        class Other(web.RequestHandler):
            def get(self, arg):
                self.write("the other " + arg)

            def on_finish(self):
                calls.append("finished")

        def prepare(self):
            self.__class__ = Other

        return application(web, victim(web, prepare=prepare))

    assert_same(build, [request("/v/x")] * 2)


def test_headers_may_be_replaced():
    def build(web, calls):
        def get(self, arg):
            self._headers = HTTPHeaders({"X-Fresh": "1"} if arg == "fresh" else {})
            self.set_header("Content-Type", "text/plain")
            self.write("x")

        return application(web, victim(web, get=get))

    assert_same(build, [request("/v/fresh"), request("/v/empty")])


@pytest.mark.parametrize(
    "name", ["_status_code", "_reason", "_write_buffer", "_transforms", "_finished", "_auto_finish", "_headers_written"]
)
def test_private_attributes_may_be_assigned(name):
    values = {
        "_status_code": 299,
        "_reason": "Odd",
        "_write_buffer": [b"instead"],
        "_transforms": [],
        "_finished": False,
        "_auto_finish": True,
        "_headers_written": False,
    }

    def build(web, calls):
        def get(self, arg):
            self.write("x")
            setattr(self, name, values[name])
            calls.append(getattr(self, name))

        return application(web, victim(web, get=get))

    assert_same(build, [request("/v/x")] * 2)


def test_connection_of_a_request_may_be_replaced():
    def build(web, calls):
        def get(self, arg):
            original = self.request.connection
            self.request.connection = mock.MagicMock(wraps=original)
            self.request.connection.write_headers.side_effect = lambda *a, **k: (
                calls.append("write_headers") or original.write_headers(*a, **k)
            )
            self.request.connection.finish.side_effect = lambda: calls.append("finish") or original.finish()
            self.write("x")

        return application(web, victim(web, get=get))

    assert_same(build, [request("/v/x")] * 2)


def test_handler_takes_a_mock_connection():
    for web in (tornado.web, tornadoc.web):
        connection = mock.MagicMock()
        start_line = tornado.httputil.RequestStartLine("GET", "/foo", "HTTP/1.1")
        made = tornado.httputil.HTTPServerRequest(
            start_line=start_line, headers=HTTPHeaders(Host="localhost"), connection=connection
        )
        app = application(web, victim(web))
        with log_records():

            async def main(web=web, app=app, made=made):
                handler = victim(web)(app, made)
                handler._transforms = []
                handler.write("x")
                handler.finish()
                return handler

            handler = run(main())
        assert handler.get_status() == 200
        assert connection.set_close_callback.called
        assert connection.finish.called
        (start_line, headers), (kwargs) = connection.write_headers.call_args[0][:2], connection.write_headers.call_args[1]
        assert start_line.code == 200
        assert headers["Content-Length"] == "1"
        assert not kwargs or list(kwargs) == ["chunk"]


def test_write_headers_patched_on_the_class_of_the_connection_is_called():
    calls = []

    async def main():
        def get(self, arg):
            self.request.connection.note = "kept"
            self.write("x")

        async with Running(application(tornadoc.web, victim(tornadoc.web, get=get))) as server:
            client = await server.client()
            plain = await client.get("/v/x")
            cls = tornadoc.http1connection.NativeHTTP1Connection
            original = cls.write_headers

            def write_headers(self, start_line, headers, chunk=None):
                calls.append((start_line.code, getattr(self, "note", None)))
                return original(self, start_line, headers, chunk)

            cls.write_headers = write_headers
            try:
                patched = await client.get("/v/x")
            finally:
                del cls.write_headers
            assert (await client.get("/v/x")).shape() == patched.shape() == plain.shape()

    run(main())
    assert calls == [(200, "kept")]


def test_tracers_may_keep_attributes_and_weak_references():
    async def main():
        references = []

        class Tracing(tornadoc.web.RequestHandler):
            def get(self):
                parts = [
                    self,
                    self.request,
                    self.request.connection,
                    self.request.server_connection,
                    self._headers,
                    self.application,
                ]
                parts.append(self.request.connection.stream)
                for part in parts:
                    part._tracer_note = "note"
                    assert part._tracer_note == "note"
                    assert vars(part)["_tracer_note"] == "note"
                    vars(part).pop("_tracer_note")
                    assert not hasattr(part, "_tracer_note")
                    references.append(weakref.ref(part))
                self.write("x")

        async with Running(tornadoc.web.Application([("/", Tracing)])) as server:
            assert (await server.fetch("/")).body == b"x"
            await settle()
            handler, made, exchange = references[:3]
            assert handler() is None
            assert made() is None
            assert exchange() is None

    run(main())


def test_wrapped_delegate_attributes_are_called():
    """A tracer puts functions into the delegate that an application gives."""

    def build(web, calls):
        class Application(web.Application):
            def get_handler_delegate(self, *args, **kwargs):
                delegate = super().get_handler_delegate(*args, **kwargs)
                for name in ("headers_received", "data_received", "finish"):
                    original = getattr(delegate, name)

                    def wrapper(*a, original=original, name=name):
                        calls.append(name)
                        return original(*a)

                    setattr(delegate, name, wrapper)
                return delegate

        return Application([("/v/(.*)", victim(web))])

    assert_same(build, [request("/v/x"), request("/v/x", "POST", body=b"hello")])


@pytest.mark.parametrize("name", ["log_request", "find_handler", "get_handler_delegate", "start_request", "__call__"])
@pytest.mark.parametrize("how", ["class", "instance"])
def test_application_hooks_are_called(name, how):
    if (name, how) == ("__call__", "instance"):
        pytest.skip("Python looks for it on the class")

    def build(web, calls):
        if how == "class":

            def method(self, *args, **kwargs):
                calls.append(name)
                return getattr(super(cls, self), name)(*args, **kwargs)

            cls = type("Application", (web.Application,), {name: method})
            return cls([("/v/(.*)", victim(web))])
        app = application(web, victim(web))
        original = getattr(app, name)
        setattr(app, name, lambda *args, **kwargs: calls.append(name) or original(*args, **kwargs))
        return app

    if name != "start_request":
        assert_same(build)
        return
    # Tornado asks for the next delegate at once, tornadoc when the next request comes.
    expected = run(conversation(TORNADO, build, DEFAULT_REQUESTS))
    found = run(conversation(TORNADOC, build, DEFAULT_REQUESTS))
    assert found[:2] == expected[:2]
    assert found[2] in (expected[2], expected[2][:-1])


def test_cookies_and_redirects_and_errors_are_the_same():
    def build(web, calls):
        def get(self, arg):
            if arg == "cookie":
                self.set_cookie("a", "b", httponly=True)
                self.set_cookie("c", "d")
                self.write("x")
            elif arg == "redirect":
                self.redirect("/elsewhere", permanent=True)
            elif arg == "finish":
                raise tornado.web.Finish("early")
            elif arg == "204":
                self.set_status(204)
            elif arg == "304":
                self.set_status(304)
            elif arg == "204body":
                self.set_status(204)
                self.write("not allowed")
            elif arg == "reason":
                self.set_status(299, "Odd")
            elif arg == "twice":
                self.finish("x")
                self.finish("y")
            elif arg == "list":
                self.write([1])
            elif arg == "header":
                self.set_header("X", "a\r\nb")
            elif arg == "returns":
                return 5
            elif arg == "arguments":
                self.write(repr((self.get_arguments("a"), self.get_query_argument("b", None), self.request.arguments)))
            return None

        return application(web, victim(web, get=get))

    names = "cookie redirect finish 204 304 204body reason twice list header returns arguments?a=1&a=2&b=".split()
    assert_same(build, [request("/v/" + name) for name in names])
