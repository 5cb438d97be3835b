"""HTTPServerRequest: attributes that are made when they are looked at, as if they had always been there."""

import copy
import gc
import pickle
import weakref

import pytest
import tornado.httputil
import tornado.iostream
import tornado.web
from inprocess import TORNADO, TORNADOC, Running, log_records, request, run, settle
from tornado.httputil import HTTPHeaders, RequestStartLine

import tornadoc.httputil
from tornadoc.web import Application, RequestHandler

ATTRIBUTES = """
    method uri version path query headers body remote_ip protocol host host_name files arguments
    query_arguments body_arguments _start_time _finish_time connection server_connection cookies
""".split()
DATA = request(
    "/p%C3%A1th;x/y?a=b&c=%20d&a=&e",
    "POST",
    ['Cookie: k=v; bad; k2="q"', "X-Multi: 1", "X-Multi: 2", "Content-Type: application/x-www-form-urlencoded"],
    b"form=1&a=body",
)


async def look(modules, visit, data=DATA, **options):
    """visit(request) in a handler of either implementation; what it returns or raises."""
    web, httpserver = modules
    box = []

    class Handler(web.RequestHandler):
        def get(self):
            try:
                box.append(visit(self.request))
            except Exception as e:
                box.append((type(e).__name__, str(e)))
            self.finish("x") if not self._finished else None

        post = get

    with log_records():
        async with Running(web.Application([(".*", Handler)]), httpserver.HTTPServer, **options) as server:
            client = await server.client()
            client.send(data)
            await client.answer()
    return box[0]


def both(visit, data=DATA, **options):
    expected = run(look(TORNADO, visit, data, **options))
    found = run(look(TORNADOC, visit, data, **options))
    assert found == expected
    return found


def plain_value(name, value):
    if name in ("connection", "server_connection"):
        return value is not None
    if name == "_start_time":
        return type(value)
    if name == "headers":
        return sorted(value.get_all())
    if name == "cookies":
        return str(value)
    return value


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute_is_tornados_the_same_twice_and_settable(name):
    def visit(r):
        first = getattr(r, name)
        assert getattr(r, name) is first
        seen = plain_value(name, first)
        if name not in ("connection", "cookies"):
            setattr(r, name, "replaced")
            assert getattr(r, name) == "replaced"
        return seen

    both(visit)


@pytest.mark.parametrize("name", [name for name in ATTRIBUTES if name not in ("connection", "cookies")])
def test_attribute_may_be_set_before_it_was_looked_at(name):
    def visit(r):
        value = object()
        setattr(r, name, value)
        return getattr(r, name) is value

    assert both(visit) is True


@pytest.mark.parametrize("name", ["method", "uri", "path", "query", "body", "arguments", "files", "remote_ip"])
def test_deleted_attribute_is_gone(name):
    def visit(r):
        value = getattr(r, name)
        delattr(r, name)
        there = hasattr(r, name) and getattr(r, name) is not None  # None is a class's own, before Tornado 6.6
        setattr(r, name, value)
        return there

    assert both(visit) is False


def test_repr_is_tornados():
    both(lambda r: repr(r).replace(r.__class__.__module__, ""))


def test_methods_of_tornado():
    both(lambda r: (r.full_url(), type(r.request_time()), r.get_ssl_certificate.__name__))


def test_new_attributes_and_unknown_ones():
    def visit(r):
        r.mine = 5
        assert r.mine == 5
        assert vars(r)["mine"] == 5
        return r.nothing

    assert both(visit)[0] == "AttributeError"


def test_shallow_copy_has_every_attribute():
    def visit(r):
        r.note = "kept"
        duplicate = copy.copy(r)
        return [
            plain_value(name, getattr(duplicate, name)) for name in ("method", "path", "body", "headers", "arguments", "host")
        ], duplicate.note

    both(visit)


def test_copy_of_its_arguments_is_independent():
    def visit(r):
        duplicate = copy.deepcopy(r.arguments)
        duplicate["a"].append(b"more")
        return r.arguments, r.query_arguments, r.body_arguments, r.arguments is r.query_arguments

    both(visit)


def test_pickle_of_a_request_without_its_connection():
    def visit(r):
        connection, r.connection = r.connection, None
        r.server_connection = None
        try:
            loaded = pickle.loads(pickle.dumps(r))
        finally:
            r.connection = connection
        return [
            plain_value(name, getattr(loaded, name))
            for name in ("method", "uri", "path", "body", "headers", "arguments", "remote_ip")
        ]

    both(visit)


@pytest.mark.parametrize("cls", [tornado.httputil.HTTPServerRequest, tornadoc.httputil.HTTPServerRequest])
def test_request_made_by_python(cls):
    start_line = RequestStartLine("POST", "/a/b?c=d", "HTTP/1.1")
    made = cls(start_line=start_line, headers=HTTPHeaders({"Host": "Example.com:80"}), body=b"body", host=None)
    assert (made.method, made.path, made.query, made.body, made.host, made.host_name) == (
        "POST",
        "/a/b",
        "c=d",
        b"body",
        "Example.com:80",
        "example.com",
    )
    assert made.arguments == {"c": [b"d"]}
    assert made.connection is None
    assert made.remote_ip is None
    assert made.protocol == "http"
    made.arguments["more"] = [b"x"]
    assert made.arguments["more"] == [b"x"]
    assert not hasattr(made, "nothing")
    again = pickle.loads(pickle.dumps(made))
    assert (again.method, again.path, again.body) == ("POST", "/a/b", b"body")
    assert copy.copy(made).path == "/a/b"
    assert weakref.ref(made)() is made


def test_uninitialised_request_has_no_attributes():
    cls = tornadoc.httputil.HTTPServerRequest
    empty = cls.__new__(cls)
    for name in ATTRIBUTES:
        assert not hasattr(empty, name) or name == "cookies"


def test_too_many_or_bad_arguments_are_refused_alike():
    for query in ("&".join("a=b" for _ in range(1200)), "%ff=%fe", "a=%zz", ";".join("ab"), "&&&"):
        expected, found = (
            run(answers(modules, request("/?" + query) + request("/?after", headers=["Connection: close"])))
            for modules in (TORNADO, TORNADOC)
        )
        assert found == expected


async def answers(modules, data):
    web, httpserver = modules

    class Handler(web.RequestHandler):
        def get(self):
            self.write(repr(sorted(self.request.arguments.items())))

    with log_records():
        async with Running(web.Application([("/", Handler)]), httpserver.HTTPServer) as server:
            client = await server.client()
            client.send(data)
            raw = await client.rest()
    return [line for line in raw.split(b"\r\n") if not line.startswith(b"Date:")]


def test_xheaders_reach_the_attributes():
    def visit(r):
        return r.remote_ip, r.protocol, r.connection.context.remote_ip

    for headers in (["X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Scheme: https"], ["X-Real-Ip: bad"], ["X-Forwarded-Proto: ftp"], []):
        both(visit, request("/", headers=headers), xheaders=True)
        both(visit, request("/", headers=headers), xheaders=True, trusted_downstream=["5.6.7.8"])
        both(visit, request("/", headers=headers))


def test_request_outlives_its_connection():
    kept = []

    class Keeps(RequestHandler):
        def get(self):
            kept.append(self.request)
            self.write("x")

    async def main():
        async with Running(Application([("/(?:.*)", Keeps)])) as server:
            client = await server.client()
            await client.get("/one?a=b")
            await client.get("/two")
            client.close()
            await settle()
        gc.collect()
        one, two = kept
        assert (one.path, two.path) == ("/one", "/two")
        assert one.arguments == {"a": [b"b"]}
        assert one.host == "localhost"
        assert one.remote_ip == "127.0.0.1"
        assert one.protocol == "http"
        assert one.connection is not two.connection
        assert one.connection.stream is None or one.connection.stream.closed()
        for made in kept:
            made.connection.close()
            made.connection.finish()
            made.connection.set_close_callback(None)
            made.connection.set_max_body_size(5)
            made.connection.set_body_timeout(5)
            assert made.connection.write(b"x").exception() is not None
            with pytest.raises((RuntimeError, tornado.iostream.StreamClosedError)):
                made.connection.detach()

    run(main())
