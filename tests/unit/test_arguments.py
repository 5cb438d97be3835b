"""Arguments of query strings and forms, and the methods of handlers that give them: everything as in Tornado."""

import asyncio
import contextlib
import copy
import gc
import inspect
import random
import re
import sys
import urllib.parse

import pytest
import tornado.escape
import tornado.httputil
import tornado.web
from inprocess import Running, run
from sidebyside import compare, functions_called, get, patched
from tornado.escape import parse_qs_bytes

import tornadoc.web

FORM = "Content-Type: application/x-www-form-urlencoded"
#: Functions of Tornado that a request with arguments does not need.
PARSERS = {"parse_qs_bytes", "_parse_body", "parse_body_arguments", "_get_argument", "_get_arguments"}
PARSERS |= {f"get_{kind}argument{plural}" for kind in ("", "query_", "body_") for plural in ("", "s")}


def calls_of(names):
    """The functions of these names that Python code ran."""
    return functions_called(lambda code: code.co_name in names)


# -- what is parsed


def by_the_library(query):
    """What parse_qs_bytes gave before Tornado 6.6."""
    text = query if isinstance(query, str) else query.decode("latin-1")
    parsed = urllib.parse.parse_qs(text, keep_blank_values=True, encoding="latin-1", errors="strict")
    return {name: [value.encode("latin-1") for value in values] for name, values in parsed.items()}


def expected(query):
    parsed = parse_qs_bytes(query, keep_blank_values=True)
    assert list(parsed.items()) == list(by_the_library(query).items())
    return parsed


NASTY = ["a", "b", "a", "&", "&", "=", "=", "+", "%", "%4", "%41", "%61", "%2B", "%3d", "%26", "%00", "%zz", "%C3%A9", "%ff"]
NASTY += [";", "é", "ÿ", "\xa0", "\x80", "%é", "[]", "?", "/", "~", '"', "'", "\\", "%%", "%0a", "%25", "%3D", "=3D"]
BYTES = [piece.encode("latin-1") for piece in NASTY] + [b" ", b"\r\n", b"\n", b"\0", b"=\r", b"==", b"=\n", b"\x1f", b"\x7f"]


def drawn(pieces, seed, count):
    """Texts of pieces, most of them short."""
    source = random.Random(seed)
    for _ in range(count):
        yield pieces[0][:0].join(source.choices(pieces, k=source.choice((1, 2, 3, 5, 8, 13, 30, 400))))


async def parsed(requests):
    """query, query_arguments, arguments and body_arguments of requests on one connection, by the native parser."""
    seen = []

    class Handler(tornadoc.web.RequestHandler):
        def get(self):
            r = self.request
            seen.append((r.query, r.query_arguments, r.arguments, r.body_arguments))

        post = get

    async with Running(tornadoc.web.Application([("/", Handler)])) as server:
        client = await server.client()
        with calls_of(PARSERS) as called:
            for data in requests:
                client.send(data)
                answer = await client.answer()
                assert answer.code == 200, (data, answer)
    assert not called
    return seen


def check_types(arguments):
    assert type(arguments) is dict
    for name, values in arguments.items():
        assert type(name) is str and type(values) is list and {type(value) for value in values} == {bytes}
        hash(name)
        name.encode("latin-1")


def test_random_query_strings():
    queries = list(drawn(NASTY, 1, 3000))
    found = run(parsed(get("/?" + query, close=False) for query in queries))
    assert len(found) == len(queries)
    for query, (seen, query_arguments, arguments, body_arguments) in zip(queries, found):
        assert seen == query
        assert list(query_arguments.items()) == list(arguments.items()) == list(expected(query).items()), query
        assert body_arguments == {}
        check_types(arguments)
        for name, values in arguments.items():
            assert values is not query_arguments[name]


def test_random_forms():
    bodies = list(drawn(BYTES, 2, 3000))
    queries = list(drawn(NASTY, 3, len(bodies)))
    requests = (get("/?" + q, FORM, method="POST", body=body, close=False) for q, body in zip(queries, bodies))
    found = run(parsed(requests))
    assert len(found) == len(bodies)
    for query, body, (_, query_arguments, arguments, body_arguments) in zip(queries, bodies, found):
        form = expected(body)
        assert list(body_arguments.items()) == list(form.items()), body
        assert query_arguments == expected(query)
        both = expected(query)
        for name, values in form.items():
            both.setdefault(name, []).extend(values)
        assert list(arguments.items()) == list(both.items()), (query, body)
        check_types(arguments)
        check_types(body_arguments)
        for name, values in body_arguments.items():
            assert values is not arguments[name] and values is not query_arguments.get(name)


def listing(request):
    return repr([list(getattr(request, name).items()) for name in ("arguments", "query_arguments", "body_arguments")])


REQUESTS = [
    get("/?a=1&b=%20&a=2"),
    get("/?a"),
    get("/?"),
    get("/"),
    get("/?a=1&b=2&c=3&d=4"),
    get("/?&&&&&"),
    get("/?a=query", FORM, method="POST", body=b"a=form&b=+"),
    get("/", FORM, method="POST", body=b"a=1&b=2&c=3&d=4"),
    get("/", FORM, method="POST", body=b""),
    get("/?a=%FF", FORM + "; charset=x", method="POST", body=b"%FF=%FF"),
    get("/?a=1", FORM, "Content-Encoding: br", method="POST", body=b"a=1"),
    get("/?a=1", FORM, "Content-Encoding:", method="POST", body=b"a=1"),
    get("/?a=1", "Content-Type: application/x-www-form-urlencodedx", method="POST", body=b"a=2"),
    get("/?a=1", "Content-Type: Application/x-www-form-urlencoded", method="POST", body=b"a=2"),
    get("/?a=1", "Content-Type: text/plain", FORM, method="POST", body=b"a=2"),
    get("/?a=1", FORM, "Content-Type: text/plain", method="POST", body=b"a=2"),
    get("/?a=1", "Content-Type: multipart/form-data; boundary=x", method="POST", body=b"--x--"),
]


#: A query that is empty is not parsed: only a function in the place of Tornado's could tell.
WITH_QUERY = [request for request in REQUESTS if b" /?" in request and b" /? " not in request]


async def listed(side, requests=REQUESTS, **extra):
    """The answers of a handler that shows the arguments; extra methods of it by name."""

    class Handler(side.RequestHandler):
        def get(self):
            self.write(listing(self.request))

        post = get

    side.serve(side.Application([("/", type("Handler", (Handler,), extra))]))
    return [await side.fetch(request) for request in requests]


def test_arguments_of_every_kind_of_request():
    outcome = compare(listed)
    assert outcome.result[0].endswith(b"[('a', [b'1', b'2']), ('b', [b' '])], []]")
    assert b"[('a', [b'query', b'form']), ('b', [b' '])]" in outcome.result[6]


class Limits:
    def __init__(self, max_arguments):
        self.max_arguments = max_arguments


def config_of(max_arguments):
    config = copy.copy(tornado.httputil._DEFAULT_PARSE_BODY_CONFIG)
    config.urlencoded = Limits(max_arguments)
    return config


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, -1, 10**30, None, 2.5, "3", True], ids=repr)
def test_limits(limit):
    async def scenario(side):
        with patched(tornado.httputil, "_DEFAULT_PARSE_BODY_CONFIG", config_of(limit)):
            # Tornado before 6.6 holds an empty query against a limit as well.
            return await listed(side, REQUESTS if limit is None or limit in (1, 2, 3, 4, 2.5, 10**30) else WITH_QUERY)

    outcome = compare(scenario)
    if limit == 2:
        refused = [answer.split(b"\r\n")[0] for answer in outcome.result if b" 200 " not in answer.split(b"\r\n")[0]]
        assert len(refused) == 6


def test_a_limit_that_was_lowered_meanwhile():
    """The query counts when the request comes, the body when it is there."""

    async def scenario(side):
        with contextlib.ExitStack() as stack:

            def lower(self):
                stack.enter_context(patched(tornado.httputil, "_DEFAULT_PARSE_BODY_CONFIG", config_of(1)))

            return await listed(side, REQUESTS[:1], initialize=lower), await listed(side, REQUESTS[6:8])

    outcome = compare(scenario)
    assert b" 200 " in outcome.result[0][0] and b" 400 " in outcome.result[1][1]


def test_no_config():
    async def scenario(side):
        with patched(tornado.httputil, "_DEFAULT_PARSE_BODY_CONFIG", None):
            return await listed(side, WITH_QUERY)

    compare(scenario)


def noting(side, name, function):
    def wrapper(*args, **kwargs):
        result = function(*args, **kwargs)
        side.note(name, repr(args[:2]), repr(kwargs), repr(result))
        return result

    return wrapper


def refusing(side, name, function):
    def replacement(*args, **kwargs):
        raise ValueError("no " + name)

    return replacement


def inventing(side, name, function):
    def replacement(*args, **kwargs):
        result = function(*args, **kwargs)
        return {**result, "invented": [b"x"]} if isinstance(result, dict) else b"invented" if result else result

    return replacement


PLACES = {"httputil.parse_qs_bytes": (tornado.httputil, "parse_qs_bytes")}
PLACES["escape.parse_qs_bytes"] = (tornado.escape, "parse_qs_bytes")
if hasattr(tornado.escape, "_unquote_to_bytes"):
    PLACES["escape._unquote_to_bytes"] = (tornado.escape, "_unquote_to_bytes")
for each in ("parse_qs", "parse_qsl", "unquote", "unquote_to_bytes"):
    PLACES["urllib.parse." + each] = (urllib.parse, each)


@pytest.mark.parametrize("replace", [noting, refusing, inventing])
@pytest.mark.parametrize("place", PLACES)
def test_functions_that_a_program_replaces(place, replace):
    module, name = PLACES[place]

    async def scenario(side):
        with patched(module, name, replace(side, name, getattr(module, name))):
            during = await listed(side, WITH_QUERY)
        return during, await listed(side)

    outcome = compare(scenario)
    if place == "httputil.parse_qs_bytes":
        assert outcome.noted if replace is noting else outcome.result[0] != outcome.result[1][: len(outcome.result[0])]


def test_a_replaced_parser_of_bodies():
    async def scenario(side):
        original = tornado.httputil.parse_body_arguments

        def replacement(content_type, body, arguments, files, headers=None, **kwargs):
            side.note(content_type, body, sorted(headers))
            original(content_type, body, arguments, files, headers, **kwargs)
            arguments["more"] = [b"m"]

        with patched(tornado.httputil, "parse_body_arguments", replacement):
            # Without a body there is nothing to be parsed.
            return await listed(side, [request for request in REQUESTS if not request.endswith(b"\r\n\r\n")])

    outcome = compare(scenario)
    assert len(outcome.noted) == len(outcome.result) > 5 and b"('more', [b'm'])" in outcome.result[0]


def change(what):
    """Functions of a handler that change the request before the body is parsed."""
    headers = tornado.httputil.HTTPHeaders

    class Body(bytes):
        pass

    class Arguments(dict):
        pass

    class Values(list):
        pass

    changes = {
        "body": lambda r: setattr(r, "body", b"a=mine&c=d"),
        "empty body": lambda r: setattr(r, "body", b""),
        "body of a subclass": lambda r: setattr(r, "body", Body(b"a=mine")),
        "body as str": lambda r: setattr(r, "body", "a=mine"),
        "body as bytearray": lambda r: setattr(r, "body", bytearray(b"a=mine")),
        "no body": lambda r: delattr(r, "body"),
        "body None": lambda r: setattr(r, "body", None),
        "headers read": lambda r: r.headers.get("Content-Type"),
        "headers replaced": lambda r: setattr(r, "headers", headers({"Content-Type": "application/x-www-form-urlencoded"})),
        "headers a dict": lambda r: setattr(r, "headers", {"Content-Type": "application/x-www-form-urlencoded"}),
        "headers coded": lambda r: r.headers.add("Content-Encoding", "br"),
        "headers without a type": lambda r: r.headers.pop("Content-Type", None),
        "headers gone": lambda r: delattr(r, "headers"),
        "arguments read": lambda r: r.arguments,
        "arguments changed": lambda r: r.arguments.setdefault("b", []).append(b"mine"),
        "arguments replaced": lambda r: setattr(r, "arguments", {"a": [b"mine"]}),
        "arguments of a subclass": lambda r: setattr(r, "arguments", Arguments(a=Values([b"mine"]))),
        "arguments with a tuple": lambda r: setattr(r, "arguments", {"a": (b"mine",)}),
        "arguments None": lambda r: setattr(r, "arguments", None),
        "arguments gone": lambda r: delattr(r, "arguments"),
        "body_arguments read": lambda r: r.body_arguments,
        "body_arguments filled": lambda r: r.body_arguments.update(a=[b"before"]),
        "body_arguments replaced": lambda r: setattr(r, "body_arguments", Arguments()),
        "body_arguments gone": lambda r: delattr(r, "body_arguments"),
        "query_arguments changed": lambda r: r.query_arguments.clear(),
        "query_arguments gone": lambda r: delattr(r, "query_arguments"),
        "query changed": lambda r: setattr(r, "query", "z=9"),
        "uri changed": lambda r: setattr(r, "uri", "/?z=9"),
        "files gone": lambda r: delattr(r, "files"),
        "parser of its own": lambda r: setattr(r, "_parse_body", lambda: r.arguments.update(parsed=[b"p"])),
    }
    return changes[what] if what else list(changes)


@pytest.mark.parametrize("what", change(None))
def test_a_request_that_was_changed_before_its_body_is_parsed(what):
    async def scenario(side):
        def shown(self):
            r = self.request
            self.write(repr([getattr(r, name, "gone") for name in ("arguments", "query_arguments", "body_arguments", "files")]))

        def initialize(self):
            change(what)(self.request)

        # Without its headers a request has no answer: the exception of Tornado's that says so names this process's objects.
        answers = await listed(side, initialize=initialize, get=shown, post=shown)
        return [re.sub(rb"HTTPHeaders object at 0x\w+", b"headers", answer) for answer in answers]

    compare(scenario)


# -- what handlers are given

VALUES = [
    b"plain",
    b"",
    b" ",
    b" \t a b \r\n\v\f",
    b"\x00a\x01b\x08\x0e\x1f",
    b"\x1c\x1d\x1e\x1f x \x1c",
    b"\x7f",
    "é".encode(),
    "\xa0é\x85\u2003".encode(),
    " \u3000 x \u2028\n".encode(),
    "\xa0".encode(),
    "\u200b\ufeff".encode(),
    "\U0001f600 \x02".encode(),
    b"\xff",
    b" \xc3",
    b"\xc3 ",
    b"\xed\xa0\x80",
    b"\xc3\x01\xa9",
    b"x" * 300 + b"\xff",
]


def ask(side, handler, method, *args, **kwargs):
    """Notes what a method gives or raises."""
    try:
        value = getattr(handler, method)(*args, **kwargs)
        kinds = [type(item).__name__ for item in value] if isinstance(value, list) else type(value).__name__
        side.note(method, repr(value), kinds)
    except Exception as e:
        side.note(method, type(e).__name__, str(e), getattr(e, "arg_name", None), type(e) in (tornado.web.MissingArgumentError,))


async def within(side, visit, base=None, extra=()):
    """visit(handler) in a handler's method; extra are more attributes of its class."""

    class Handler(base or side.RequestHandler):
        def get(self):
            visit(self)
            self.write("x")

        post = get

    side.serve(side.Application([("/", type("Handler", (Handler,), dict(extra)))]))
    return await side.fetch(get("/?a=1&a=%202%20&b=", FORM, method="POST", body=b"a=3&c=+4+"))


SINGLE = ("get_argument", "get_query_argument", "get_body_argument")
SEVERAL = ("get_arguments", "get_query_arguments", "get_body_arguments")
SOURCES = ("arguments", "query_arguments", "body_arguments")


def ask_everything(side, handler):
    for name in ("a", "b", "c", "missing"):
        for method in SINGLE:
            ask(side, handler, method, name)
            for default in (None, "d", "", 5, 2.5, [], b"d", side, True):
                ask(side, handler, method, name, default if default is not side else handler.application.settings)
            ask(side, handler, method, name, strip=False)
            ask(side, handler, method, name, None, False)
            ask(side, handler, method, name=name, default="k", strip=True)
            ask(side, handler, method, name, tornado.web._ARG_DEFAULT)
            ask(side, handler, method, name, tornado.web._ArgDefaultMarker)
        for method in SEVERAL:
            ask(side, handler, method, name)
            ask(side, handler, method, name, False)
            ask(side, handler, method, name=name, strip=True)


def test_every_method_and_every_form_of_call():
    async def scenario(side):
        return await within(side, lambda handler: ask_everything(side, handler))

    noted = compare(scenario).noted
    assert ("get_argument", "'3'", "str") in noted and ("get_query_arguments", "['1', ' 2 ']", ["str", "str"]) in noted


def test_calls_that_are_wrong():
    async def scenario(side):
        def visit(handler):
            for method in (*SINGLE, *SEVERAL):
                for args in ((), ("a", None, True, 4), (None,), (5,), ([],), (b"a",), ({},)):
                    ask(side, handler, method, *args)
                ask(side, handler, method, "a", what=1)
                ask(side, handler, method, "a", name="a")
                for strip in (0, 1, "", "x", None, [], 2.5):
                    ask(side, handler, method, "a", strip=strip)

        return await within(side, visit)

    compare(scenario)


def test_values_of_every_kind():
    """Each alone, and ahead of another: what can't be decoded is an error wherever it stands."""

    async def scenario(side):
        def visit(handler):
            for value in VALUES:
                for values in ([value], [value, b"last"], [b"first", value]):
                    for source in SOURCES:
                        setattr(handler.request, source, {"a": values, "é": values, "": values})
                    for name in ("a", "é", ""):
                        for strip in (True, False):
                            ask(side, handler, "get_argument", name, strip=strip)
                            ask(side, handler, "get_query_argument", name, "d", strip)
                            ask(side, handler, "get_body_arguments", name, strip)

        return await within(side, visit)

    compare(scenario)


def test_random_values():
    pieces = [b"a", b" ", b"\t", b"\x00", b"\x1c", b"\x1f", b"\x7f", b"\xc2\xa0", b"\xe3\x80\x80", b"\xc3", b"\xa9", b"\xf0"]
    values = list(drawn(pieces, 4, 1500))

    async def scenario(side):
        def visit(handler):
            for value in values:
                handler.request.arguments = {"a": [value]}
                ask(side, handler, "get_argument", "a")
                ask(side, handler, "get_arguments", "a", False)

        return await within(side, visit)

    compare(scenario)


NAMES = ["a", "b", "ab", "A", "", " ", "é", "ÿ", "a b", "[]", "%41", "a\x00", "\u0100", "Ã©", "&", "="]


def answers_for(side, handler):
    """What a handler's methods give for each of NAMES; an error by its text."""
    for name in NAMES:
        for method in SINGLE[:2]:
            for strip in (True, False):
                try:
                    yield getattr(handler, method)(name, None, strip)
                except tornado.web.HTTPError as e:
                    yield str(e)


@pytest.mark.parametrize("looks", [False, True], ids=["search", "dict"])
def test_random_queries_that_are_searched(looks):
    """Before somebody has looked at the arguments, and after."""
    queries = list(drawn(NASTY, 5 + looks, 400))

    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                if looks:
                    side.note(listing(self.request))
                side.note(self.request.query, list(answers_for(side, self)))
                side.note(listing(self.request))
                side.note(list(answers_for(side, self)))

        side.serve(side.Application([("/", Handler)]))
        for start in range(0, len(queries), 50):
            requests = [get("/?" + query, close=False) for query in queries[start : start + 50]]
            await side.fetch(b"".join(requests) + get("/"))

    assert len(compare(scenario).noted) == (4 if looks else 3) * (len(queries) + 8)


@pytest.mark.parametrize("length", [1, 100, 253, 254, 255, 256, 257, 258, 1000, 5000])
@pytest.mark.parametrize("piece", ["x", "%20", "%C3%A9", "+"])
def test_queries_of_every_length(length, piece):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                answers = [self.get_argument(name, None, strip) for name in ("a", "last", "none") for strip in (True, False)]
                self.write(repr((answers, self.get_query_arguments("a"), self.get_argument("a"))))

        side.serve(side.Application([("/", Handler)]))
        value = (piece * length)[: length // len(piece) * len(piece)]
        return [await side.get("/?a=" + value), await side.get("/?a=1&last=" + value), await side.get("/?" + value + "=1&a=2")]

    compare(scenario)


def test_a_search_leaves_no_trace():
    async def scenario(side):
        def visit(handler):
            request = handler.request
            ask(side, handler, "get_query_argument", "a")
            side.note(repr(request.query_arguments))
            request.query_arguments["a"].append(b"5")
            ask(side, handler, "get_query_argument", "a")
            ask(side, handler, "get_argument", "a")
            side.note(repr(request.arguments))
            request.query = "a=other"
            ask(side, handler, "get_argument", "a")

        return await within(side, visit)

    compare(scenario)


@pytest.mark.parametrize("where", ["class", "subclass"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_property_of_the_request(source, where):
    """That somebody has put in the place of the attribute."""

    async def scenario(side):
        made = property(lambda self: {"a": [b"of the property"]}, lambda self, value: None)

        def visit(handler):
            if where == "subclass":
                handler.request.__class__ = type("Request", (type(handler.request),), {source: made})
                ask_everything(side, handler)
                return
            with patched(type(handler.request), source, made):
                ask_everything(side, handler)

        return await within(side, visit)

    compare(scenario)


def test_a_parser_that_takes_the_request_away():
    """While its arguments are made: what is asked for is the old one's."""
    handlers, given = [], []

    def parser(query, **kwargs):
        for handler in handlers:
            handler.request = None
            gc.collect()
        return {"a": [b"parsed"]}

    class Handler(tornadoc.web.RequestHandler):
        def get(self):
            self._auto_finish = False
            handlers.append(self)
            try:
                given.append(self.get_argument("a"))
            finally:
                handlers.clear()

    async def main():
        async with Running(tornadoc.web.Application([("/", Handler)])) as server:
            client = await server.client()
            with patched(tornado.httputil, "parse_qs_bytes", parser):
                client.send(get("/", close=False))
                while not given:
                    await asyncio.sleep(0.01)

    run(main())
    assert given == ["parsed"]


def test_python_sees_tornados_functions():
    """Whoever looks at a native method sees the function: name, signature, documentation."""
    for name in METHODS[3:]:
        native, function = getattr(tornadoc.web.RequestHandler, name), getattr(tornado.web.RequestHandler, name)
        assert native is not function and native is getattr(tornadoc.web.RequestHandler, name)
        assert inspect.signature(native) == inspect.signature(function) and inspect.unwrap(native) is function
        assert inspect.isroutine(native) and repr(native) == repr(function)
        for attribute in ("__name__", "__qualname__", "__doc__", "__module__", "__defaults__", "__code__", "__annotations__"):
            assert getattr(native, attribute) == getattr(function, attribute)
        assert copy.copy(native) is native
        with pytest.raises(AttributeError):
            native.nothing  # noqa: B018
        with pytest.raises(TypeError) as error:
            native()
        with pytest.raises(TypeError) as expected_error:
            function()
        assert str(error.value) == str(expected_error.value)
        bound = native.__get__(5)
        assert bound.__self__ == 5 and bound.__func__ is native


def test_on_a_handler_of_tornados_own():
    """As wrappers call methods that they have taken from another class."""

    async def scenario(side):
        taken = {name: getattr(side.RequestHandler, name) for name in METHODS[3:]}

        class Foreign:
            def __init__(self, request):
                self.request = request

            _get_argument = tornado.web.RequestHandler._get_argument
            _get_arguments = tornado.web.RequestHandler._get_arguments
            decode_argument = tornado.web.RequestHandler.decode_argument

        def visit(handler):
            foreign = Foreign(handler.request)
            for name, method in taken.items():
                side.note(name, method(foreign, "a"))
                with pytest.raises(AttributeError):
                    method(5, "a")

        return await within(side, visit)

    assert len(compare(scenario).noted) == 6


class StrangeDict(dict):
    def get(self, name, default=None):
        return [b"strange " + str(name).encode()]


class Word(str):
    pass


ODD_SOURCES = {
    "a subclass of dict": lambda: StrangeDict(a=[b"1"]),
    "a tuple": lambda: {"a": (b"1", b"2")},
    "bytes": lambda: {"a": b"12"},
    "a str": lambda: {"a": "12"},
    "str values": lambda: {"a": ["1", " 2 "]},
    "None": lambda: {"a": None},
    "values that are None": lambda: {"a": [None]},
    "mixed values": lambda: {"a": [b"1", "2", b" 3 "]},
    "a generator": lambda: {"a": iter([b"1", b"2"])},
    "numbers": lambda: {"a": [1]},
    "bytearray": lambda: {"a": [bytearray(b"1")]},
    "an empty list": lambda: {"a": []},
    "a name of a subclass": lambda: {Word("a"): [b"1"]},
    "no dict": lambda: [("a", b"1")],
    "nothing": lambda: None,
    "a name that is bytes": lambda: {b"a": [b"1"], "a": [b"2"]},
}


@pytest.mark.parametrize("kind", ODD_SOURCES)
def test_whatever_the_request_has_for_arguments(kind):
    async def scenario(side):
        def visit(handler):
            for source in SOURCES:
                setattr(handler.request, source, ODD_SOURCES[kind]())
            for name in ("a", Word("a"), "missing"):
                for method in SINGLE:
                    ask(side, handler, method, name)
                    ask(side, handler, method, name, "d", False)
                for method in SEVERAL:
                    ask(side, handler, method, name)

        return await within(side, visit)

    compare(scenario)


@pytest.mark.parametrize("source", SOURCES)
def test_a_request_without_the_attribute(source):
    async def scenario(side):
        def visit(handler):
            delattr(handler.request, source)
            ask_everything(side, handler)

        return await within(side, visit)

    compare(scenario)


def test_changed_arguments_are_what_counts():
    async def scenario(side):
        def visit(handler):
            request = handler.request
            ask_everything(side, handler)
            request.query_arguments["a"].append(b"more")
            request.arguments["new"] = [b"n"]
            del request.body_arguments["c"]
            ask_everything(side, handler)
            request.query_arguments = {"missing": [b"found"]}
            ask_everything(side, handler)

        return await within(side, visit)

    compare(scenario)


def test_a_handler_with_another_request():
    """As programs make them to call a handler's methods."""

    async def scenario(side):
        def visit(handler):
            own = handler.request
            start_line = tornado.httputil.RequestStartLine("GET", "/?a=other&a=%20last", "HTTP/1.1")
            headers = tornado.httputil.HTTPHeaders({"Host": "x"})
            handler.request = tornado.httputil.HTTPServerRequest(start_line=start_line, headers=headers)
            ask_everything(side, handler)
            handler.request = None
            ask_everything(side, handler)
            handler.request = own

        return await within(side, visit)

    compare(scenario)


def derived(side, base, name):
    """A class with a method that notes its calls and goes on to the base's."""

    class Derived(base):
        pass

    def method(self, *args, **kwargs):
        side.note("override", name, repr(args), repr(kwargs))
        return getattr(super(Derived, self), name)(*args, **kwargs)

    setattr(Derived, name, method)
    return Derived


OVERRIDES = {
    "decode_argument": lambda self, value, name=None: f" {name} {value!r}\x01 ",
    "_get_argument": lambda self, name, default, source, strip=True: repr((name, default is None, sorted(source), strip)),
    "_get_arguments": lambda self, name, source, strip=True: [repr((name, sorted(source), strip))] if name == "a" else [],
    "get_argument": lambda self, name, default=None, strip=True: "mine",
    "get_arguments": lambda self, name, strip=True: ["mine"],
    "get_query_argument": lambda self, name, default=None, strip=True: "mine",
    "get_query_arguments": lambda self, name, strip=True: ["mine"],
    "get_body_argument": lambda self, name, default=None, strip=True: "mine",
    "get_body_arguments": lambda self, name, strip=True: ["mine"],
    "_remove_control_chars_regex": re.compile("[a-z0-9]"),
}
METHODS = [name for name in OVERRIDES if name.endswith(("argument", "arguments"))]


@pytest.mark.parametrize("base", ["as named", "tornado's"])
@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override(name, base):
    async def scenario(side):
        cls = tornado.web.RequestHandler if base == "tornado's" else None
        return await within(side, lambda handler: ask_everything(side, handler), base=cls, extra={name: OVERRIDES[name]})

    compare(scenario)


@pytest.mark.parametrize("base", ["as named", "tornado's"])
@pytest.mark.parametrize("name", METHODS)
def test_an_override_that_calls_super(name, base):
    async def scenario(side):
        cls = tornado.web.RequestHandler if base == "tornado's" else side.RequestHandler
        return await within(side, lambda handler: ask_everything(side, handler), base=derived(side, cls, name))

    assert any(noted[:2] == ("override", name) for noted in compare(scenario).noted)


@pytest.mark.parametrize("name", METHODS)
def test_an_attribute_of_the_object(name):
    async def scenario(side):
        def visit(handler):
            setattr(handler, name, OVERRIDES[name].__get__(handler))
            ask_everything(side, handler)
            delattr(handler, name)
            ask_everything(side, handler)

        return await within(side, visit)

    compare(scenario)


@pytest.mark.parametrize("where", ["behind", "ahead"])
@pytest.mark.parametrize("name", OVERRIDES)
def test_a_patch_of_the_base_class(name, where):
    async def scenario(side):
        target = tornado.web.RequestHandler if where == "behind" else side.RequestHandler

        def visit(handler):
            ask_everything(side, handler)
            with patched(target, name, OVERRIDES[name]):
                ask_everything(side, handler)
            ask_everything(side, handler)
            if callable(getattr(target, name)):
                original = getattr(target, name)

                def wrapper(self, *args, **kwargs):
                    side.note("wrapped", name, repr(args), repr(kwargs))
                    return original(self, *args, **kwargs)

                with patched(target, name, wrapper):
                    ask_everything(side, handler)

        return await within(side, visit)

    if (name, where) == ("_remove_control_chars_regex", "ahead"):
        # Tornado looks it up on its own class, which is this one only where tornadoc is installed.
        pytest.skip("it is not the class that Tornado has for the name")
    compare(scenario)


@pytest.mark.parametrize("result", [b"bytes \x01 ", None, Word(" word\x02 "), 5], ids=repr)
def test_decode_argument_may_give_anything(result):
    async def scenario(side):
        extra = {"decode_argument": lambda self, value, name=None: result}
        return await within(side, lambda handler: ask_everything(side, handler), extra=extra)

    compare(scenario)


@pytest.mark.parametrize("path", ["/?b=1", "/?a=%FF", "/?a=1&a=%C3%28"])
@pytest.mark.parametrize("settings", [{}, {"serve_traceback": True}], ids=["plain", "traceback"])
def test_answers_and_records_of_errors(path, settings):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write(self.get_argument("a"))

            def post(self):
                self.write(self.get_body_argument("a"))

        side.serve(side.Application([("/", Handler)], **settings))
        return [await side.get(path), await side.get(path, FORM, method="POST", body=b"x=1")]

    answers = compare_with_tracebacks(scenario) if settings else compare(scenario).result
    assert b" 400 " in answers[0]


def compare_with_tracebacks(scenario):
    """Tornado's frames of the request itself are not there; those behind the handler's method are the same."""
    seen = []

    async def behind(side):
        answers = await scenario(side)
        seen.append(answers)
        return [answer[answer.index(b", in ", answer.index(b"test_arguments")) :] for answer in answers]

    compare(behind)
    return seen[0]


def test_neither_arguments_nor_values_need_python():
    async def scenario(side):
        with calls_of(PARSERS) as called:
            answer = await within(side, lambda handler: [getattr(handler, method)("a") for method in SINGLE + SEVERAL])
            answer += await within(side, lambda handler: handler.get_argument("none", default="d", strip=False))
        return answer, not side.native or not called

    assert compare(scenario).result[1]


def test_many_requests_leave_nothing_behind():
    """References of dicts, lists and bytes are right: sys.getrefcount() of a default that is given and given back."""
    default = "a default that nobody else has"
    before = sys.getrefcount(default)

    async def scenario(side):
        def visit(handler):
            for _ in range(100):
                assert handler.get_argument("missing", default) is default

        return await within(side, visit)

    compare(scenario)
    assert sys.getrefcount(default) == before
