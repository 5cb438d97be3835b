"""The compiled rules of an application: they match as `re` does, and follow every change of the rules they were made from."""

import asyncio
import pickle
import random
import re

import pytest
import tornado.httputil
import tornado.routing
import tornado.web
from sidebyside import compare, get, patched
from tornado.routing import AnyMatches, HostMatches, Matcher, PathMatches, Rule, RuleRouter, URLSpec

import tornadoc.web
from tornadoc import _native
from tornadoc.routing import accelerated, compile_routes, literal_prefix

# literal_prefix


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("/$", ("/", True)),
        ("^/a$", ("/a", True)),
        ("/a", ("/a", False)),
        ("", ("", False)),
        ("$", ("", True)),
        ("^$", ("", True)),
        (r"/a\.b\-c$", ("/a.b-c", True)),
        (r"/\x41\u0042\103$", ("/ABC", True)),
        (r"/tab\t$", ("/tab\t", True)),
        ("/caf\u00e9$", ("/caf\u00e9", True)),
        ("/\u4e2d$", ("/\u4e2d", True)),
        ("/a(b)$", ("/a", False)),
        ("/a(?:b)$", ("/ab", True)),
        ("/a(?:b|c)$", ("/a", False)),
        ("/a|/b$", ("/", False)),
        ("/a|b$", ("", False)),
        ("/ab?$", ("/a", False)),
        ("/ab*$", ("/a", False)),
        ("/ab+$", ("/a", False)),
        ("/ab{2}$", ("/a", False)),
        ("/ab{0}c$", ("/a", False)),
        ("/ab{1}c$", None),
        ("/a.$", ("/a", False)),
        ("/a[b]$", None),
        ("/a[^b]$", ("/a", False)),
        (r"/a\d$", ("/a", False)),
        (r"/a\Z", ("/a", False)),
        (r"\A/a$", None),
        (r"/a\b$", ("/a", False)),
        ("/a^b$", ("/a", False)),
        ("/a$b$", ("/a", False)),
        ("/a(?=b)$", ("/a", False)),
        ("/a(?#note)b$", ("/ab", True)),
        ("(?i:/a)$", ("", False)),
        ("/(?i:a)b$", ("/", False)),
        ("/\u20ac$", ("/\u20ac", True)),
        ("/ab??$", ("/a", False)),
        ("(/a|/b)$", ("", False)),
        (r"/\d+$", ("/", False)),
    ],
)
def test_literal_prefix(pattern, expected):
    found = literal_prefix(re.compile(pattern))
    if expected is not None:
        assert found[1] == expected[1]
        assert expected[0].startswith(found[0])
        assert expected[0] == found[0] or not found[1]


@pytest.mark.parametrize("flags", [re.IGNORECASE, re.VERBOSE, re.MULTILINE, re.DOTALL, re.ASCII, re.IGNORECASE | re.ASCII])
def test_a_pattern_with_flags_has_no_literal_prefix(flags):
    assert literal_prefix(re.compile("/a b$", flags)) == ("", False)


@pytest.mark.parametrize("pattern", ["(?i)/a$", "(?x)/a b$", "(?m)/a$", "(?s)/a$", "(?a)/a$"])
def test_a_pattern_with_flags_written_in_it_has_no_literal_prefix(pattern):
    assert literal_prefix(re.compile(pattern)) == ("", False)


ATOMS = ["/", "a", "b", "A", "-", r"\.", ".", "[ab]", "[^a]", r"\d", r"\w", "1", "\u00e9", "\u00df", r"\x61", "%41"]
ATOMS += ["^", "$", r"\b"]
WRAPS = ["{}", "{}", "{}", "({})", "(?:{})", "{}?", "({})?", "{}*", "{}+?", "(?:{}){{2}}", "(?i:{})", "{}|b", "(?={})", "(?!{})"]
PATHS = "/aabAB1-.\u00e9\u00df\u00c9%"


def random_pattern(chance):
    parts = []
    for _ in range(chance.randrange(1, 5)):
        inner = "".join(chance.choice(ATOMS) for _ in range(chance.randrange(1, 4)))
        parts.append(chance.choice(WRAPS).format(inner))
    return chance.choice(["/", "^/", ""]) + "".join(parts)


def random_matcher(chance):
    """A path matcher of a random pattern that Python accepts."""
    while True:
        try:
            flags = chance.choice([0] * 6 + [re.IGNORECASE, re.VERBOSE, re.DOTALL])
            pattern = random_pattern(chance)
            return PathMatches(re.compile(pattern, flags) if flags or chance.random() < 0.2 else pattern)
        except re.error:
            continue


def random_path(chance, regex):
    """A path that has a good chance to match."""
    stem = re.sub(r"[^/abA1\-.\u00e9\u00df%]", "", regex.pattern) if chance.random() < 0.6 else ""
    path = list(stem + "".join(chance.choice(PATHS) for _ in range(chance.randrange(0, 4))))
    if path and chance.random() < 0.4:
        del path[chance.randrange(len(path))]
    return "/" + "".join(path).lstrip("/")


@pytest.mark.parametrize("seed", range(6))
def test_literal_prefixes_of_random_patterns_hold(seed):
    chance = random.Random(seed)
    for _ in range(1500):
        regex = random_matcher(chance).regex
        text, exact = literal_prefix(regex)
        for _ in range(6):
            path = chance.choice([random_path(chance, regex), text, text + "a", text[:-1]])
            found = regex.match(path)
            if found:
                assert path.startswith(text), (regex.pattern, path)
            if exact and not regex.groups:
                assert bool(found) == (path == text), (regex.pattern, path)


@pytest.mark.parametrize("seed", range(4))
def test_random_rules_route_as_in_tornado(seed):
    """Many rules with random patterns, and paths over one connection: the same rules answer with the same groups."""

    async def scenario(side):
        chance = random.Random(seed)

        class Handler(side.RequestHandler):
            def initialize(self, number):
                self.number = number

            def get(self, *args, **kwargs):
                self.write({"rule": self.number, "args": args, "kwargs": kwargs})

        matchers = [random_matcher(chance) for _ in range(25)]
        side.serve(side.Application([Rule(matcher, Handler, {"number": i}) for i, matcher in enumerate(matchers)]))
        paths = [random_path(chance, chance.choice(matchers).regex) for _ in range(150)]
        requests = [get(path, close=False) for path in paths[:-1]] + [get(paths[-1])]
        return await side.fetch(b"".join(requests))

    assert compare(scenario).result.count(b"HTTP/1.1 200 OK") > 20


# What rules are compiled to, and when that is made anew


def named(side, name, **attributes):
    """A handler class that answers with its name, its arguments, and what initialize() got."""

    def get(self, *args, **kwargs):
        self.write(repr((name, args, sorted(kwargs.items()), self.given)))

    def initialize(self, **kwargs):
        self.given = sorted(kwargs.items())

    return type(name, (side.RequestHandler,), {"get": get, "initialize": initialize, **attributes})


async def bodies(side, *paths, headers=()):
    return [await side.body(path, *headers) for path in paths]


def test_compiled_rules_name_accelerated_classes_and_keep_their_order():
    class Old(tornado.web.RequestHandler):
        pass

    application = tornadoc.web.Application([("/a", Old), ("/b/(.*)", Old, {"k": 1}), (AnyMatches(), Old)])
    rules, lists = compile_routes(application)
    assert [held for held, _ in lists] == [application.default_router.rules, application.wildcard_router.rules]
    assert all(tuple(held) == items for held, items in lists)
    (outer,) = rules
    inner = outer[4]
    assert [rule[0] for rule in inner] == [1, 3, 0]
    assert inner[0][1] == b"/a" and inner[1][2] == b"/b/"
    assert [rule[4] for rule in inner] == [accelerated(Old)] * 3
    assert [rule[5] or None for rule in inner] == [None, {"k": 1}, None]


def test_rules_in_a_ring_are_left_to_python():
    router = RuleRouter()
    router.rules.append(Rule(PathMatches("/.*"), router))
    application = tornadoc.web.Application([])
    application.default_router.rules.insert(0, Rule(AnyMatches(), router))
    rules, _ = compile_routes(application)
    assert rules[0][4][0][3] == 2


def mutations(side):
    """Name -> a function of the application that changes its rules."""
    new = named(side, "New")

    def rules(app):
        return app.wildcard_router.rules

    def nested(app):
        return rules(app)[3].target.rules

    def routed(app):
        return tornado.web._ApplicationRouter(app, [(AnyMatches(), new)])

    # Making a rule or a matcher sets attributes of it, so that is left to the change itself.
    def assign(name, make):
        return lambda app: setattr(rules(app)[0], name, make())

    def replace_list(app):
        app.wildcard_router.rules = [Rule(PathMatches("/a"), new)]

    def swap(app):
        rules(app)[0], rules(app)[1] = rules(app)[1], rules(app)[0]

    def regex(app):
        rules(app)[0].matcher.regex = re.compile("/c(.*)$")

    def matcher_class(app):
        class Never(PathMatches):
            def match(self, request):
                return None

        rules(app)[0].matcher.__class__ = Never

    def router_object(app):
        router = tornado.routing.ReversibleRuleRouter([Rule(PathMatches("/a"), routed(app))])
        app.default_router.rules[-1].target = router

    def default_router(app):
        app.default_router = tornado.web._ApplicationRouter(app, [("/a", new, {"k": "router"})])

    def find_on_router(app):
        original = app.wildcard_router.find_handler
        app.wildcard_router.find_handler = lambda request, **kwargs: (
            side.note("asked", request.path) or original(request, **kwargs)
        )

    def find_on_matcher(app):
        rules(app)[0].matcher.match = lambda request: {} if request.path == "/c" else None

    def target_delegate(app):
        app.wildcard_router.get_target_delegate = lambda target, request, **params: None

    return {
        "insert": lambda app: rules(app).insert(0, Rule(PathMatches("/a"), new)),
        "append": lambda app: rules(app).append(Rule(PathMatches("/c"), new)),
        "remove": lambda app: rules(app).pop(0),
        "replace": lambda app: rules(app).__setitem__(0, Rule(PathMatches("/c"), new)),
        "replace all": replace_list,
        "swap": swap,
        "clear": lambda app: rules(app).clear(),
        "slice": lambda app: rules(app).__setitem__(slice(0, 2), []),
        "reverse": lambda app: rules(app).reverse(),
        "add_rules": lambda app: app.wildcard_router.add_rules([("/c", new, {"k": 1}, "c")]),
        "target": assign("target", lambda: new),
        "target a dotted name": assign("target", lambda: "tornado.web.ErrorHandler"),
        "matcher": assign("matcher", lambda: PathMatches("/c")),
        "kwargs": assign("target_kwargs", lambda: {"k": "assigned"}),
        "kwargs emptied": assign("target_kwargs", dict),
        "kwargs updated": lambda app: rules(app)[0].target_kwargs.update(k="updated"),
        "kwargs of a rule without updated": lambda app: rules(app)[1].target_kwargs.update(k="new"),
        "regex": regex,
        "class of the matcher": matcher_class,
        "nested append": lambda app: nested(app).append(Rule(PathMatches("/n/c"), routed(app))),
        "nested remove": lambda app: nested(app).pop(),
        "nested target": lambda app: setattr(nested(app)[0], "target", routed(app)),
        "nested list": lambda app: setattr(rules(app)[3].target, "rules", [Rule(AnyMatches(), routed(app))]),
        "router as a target": router_object,
        "default_router": default_router,
        "wildcard_router": lambda app: setattr(app, "wildcard_router", tornado.web._ApplicationRouter(app, [("/a", new)])),
        "add_handlers": lambda app: app.add_handlers("example", [("/a", new), ("/c", new)]),
        "add_handlers for another host": lambda app: app.add_handlers("other", [("/a", new)]),
        "default_host": lambda app: (app.add_handlers("other", [("/a", new)]), setattr(app, "default_host", "other")),
        "find_handler of a router": find_on_router,
        "match of a matcher": find_on_matcher,
        "get_target_delegate of a router": target_delegate,
        "match of the matcher of all": lambda app: setattr(app.default_router.rules[-1].matcher, "match", lambda request: None),
    }


MUTATIONS = list(mutations(type("Side", (), {"RequestHandler": tornado.web.RequestHandler})))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_of_the_rules_between_requests(name):
    async def scenario(side):
        first, second, inner = named(side, "First"), named(side, "Second"), named(side, "Inner")
        nested = RuleRouter()
        application = side.Application(
            [
                URLSpec("/a", first, {"k": "first"}, name="a"),
                ("/b", second),
                ("/[ac]", second),
                (PathMatches("/n/.*"), nested),
            ]
        )
        for path, target in (("/n/(x)", inner), ("/n/y", first), ("/n/(?P<z>z)", inner)):
            router = tornado.web._ApplicationRouter(application, [(path, target, {"k": path})])
            nested.add_rules([(PathMatches(path), router)])
        side.serve(application)
        paths = ["/a", "/b", "/c", "/n/y", "/n/x", "/n/z", "/n/c", "/none"]
        before = await bodies(side, *paths)
        mutations(side)[name](application)
        after = await bodies(side, *paths)
        connection = await side.fetch(b"".join(get(path, close=False) for path in paths) + get("/a"))
        return before, after, connection, await bodies(side, "/a", headers=["X-Real-Ip: 1.2.3.4"])

    compare(scenario)


def test_a_change_made_by_a_handler_counts_for_the_next_request_of_a_pipeline():
    async def scenario(side):
        after = named(side, "After")

        class Changer(side.RequestHandler):
            def get(self):
                self.write("before")
                self.application.wildcard_router.rules[0].target = after

        side.serve(side.Application([("/", Changer)]))
        return await side.fetch(get(close=False) + get())

    assert b"After" in compare(scenario).result


def test_patches_on_the_classes_of_rules_and_matchers():
    async def scenario(side):
        side.serve(side.Application([("/a", named(side, "A")), ("/b", named(side, "B")), (r"/c/(\w)", named(side, "C"))]))
        results = [await bodies(side, "/a", "/b", "/c/d")]
        original = PathMatches.match

        def match(self, request):
            side.note("match", request.path)
            return original(self, request)

        with patched(PathMatches, "match", match):
            results.append(await bodies(side, "/a", "/b", "/c/d"))
        find = RuleRouter.find_handler

        def find_handler(self, request, **kwargs):
            side.note("find", request.path)
            return find(self, request, **kwargs)

        with patched(RuleRouter, "find_handler", find_handler):
            results.append(await bodies(side, "/a", "/b", "/c/d"))
        return results, await side.is_fast("/a")

    assert compare(scenario).result[1]


def test_answers_before_a_request_that_fails_while_routed_are_sent():
    async def scenario(side):
        class Broken(side.RequestHandler):
            def initialize(self):
                raise ValueError("initialize")

        class Unroutable(Matcher):
            def match(self, request):
                raise ValueError("matcher")

        side.serve(side.Application([("/a", named(side, "A")), ("/broken", Broken), (Unroutable(), named(side, "B"))]))
        return [await side.fetch(get("/a", close=False) * 2 + get(path, close=False) + get("/a")) for path in ("/broken", "/b")]

    assert [answer.count(b"('A', ") for answer in compare(scenario).result] == [2, 2]


# Custom matchers, routers and targets


class ByHeader(Matcher):
    def __init__(self, name, result):
        self.name, self.result = name, result

    def match(self, request):
        return self.result if self.name in request.headers else None


def test_custom_rules_between_native_ones_keep_their_place():
    async def scenario(side):
        class Delegate(tornado.httputil.HTTPMessageDelegate):
            def __init__(self, connection, text):
                self.connection, self.text = connection, text

            def finish(self):
                start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
                headers = tornado.httputil.HTTPHeaders({"Content-Length": str(len(self.text))})
                self.connection.write_headers(start, headers, self.text)
                self.connection.finish()

        class Router(tornado.routing.Router):
            def find_handler(self, request, **kwargs):
                side.note("router", request.path, sorted(kwargs))
                if request.path == "/routed/no":
                    return None
                return Delegate(request.connection, b"routed")

        class Server(tornado.httputil.HTTPServerConnectionDelegate):
            def start_request(self, server_conn, request_conn):
                return Delegate(request_conn, b"served")

        def old_style(request):
            start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
            request.connection.write_headers(start, tornado.httputil.HTTPHeaders({"Content-Length": "3"}), b"old")
            request.connection.finish()

        class Subclassed(PathMatches):
            def match(self, request):
                return super().match(request) if request.method == "GET" else None

        side.serve(
            side.Application(
                [
                    ("/first", named(side, "First")),
                    (ByHeader("X-Other", {"target_kwargs": {"k": 1}}), named(side, "Other")),
                    (ByHeader("X-Args", {"path_args": [b"a"]}), named(side, "Args")),
                    (PathMatches("/routed/.*"), Router()),
                    ("/routed/no", named(side, "Fallback")),
                    (PathMatches("/served"), Server()),
                    (PathMatches("/old"), old_style),
                    (Subclassed("/sub/(.*)"), named(side, "Sub")),
                    ("/sub/.*", named(side, "Behind", post=lambda self: self.write("posted"))),
                    (HostMatches("other.*"), named(side, "Host")),
                    ("/last", named(side, "Last")),
                ]
            )
        )
        paths = ["/first", "/routed/yes", "/routed/no", "/served", "/old", "/sub/x", "/last", "/none"]
        results = await bodies(side, *paths)
        for header in ("X-Other: 1", "X-Args: 1"):
            results += await bodies(side, "/first", "/last", "/routed/yes", headers=[header])
        results.append(await side.body("/sub/x", method="POST", body=b""))
        pipeline = b"".join(get(path, close=False) for path in paths)
        return results, await side.fetch(pipeline + get("/first"))

    compare(scenario)


def test_groups_of_a_rule_whose_target_is_a_router():
    async def scenario(side):
        application = side.Application()
        inner = tornado.web._ApplicationRouter(application, [(r"/in/(\w+)/(.*)", named(side, "Inner"))])
        application.add_handlers(".*", [(r"/in/(\w+)/.*", inner), (r"/(?P<name>\w+)/(?P<rest>.*)", named(side, "Named"))])
        application.add_handlers(".*", [(r"/(\w)?x", named(side, "Optional"))])
        side.serve(application)
        return await bodies(side, "/in/a/b%20c", "/out/a%2Fb", "/x", "/ax", "/in/a")

    compare(scenario)


@pytest.mark.parametrize("headers", [[], ["X-Real-Ip: 1.2.3.4"]])
def test_hosts_are_matched_before_paths(headers):
    async def scenario(side):
        application = side.Application([("/a", named(side, "Any"))], default_host="default.example")
        application.add_handlers(r"exam\w+", [("/a", named(side, "Example")), ("/b/(.*)", named(side, "B"))])
        application.add_handlers("default.example", [("/a", named(side, "Default"))])
        application.add_handlers("elsewhere", [("/c", named(side, "Elsewhere"))])
        side.serve(application)
        return await bodies(side, "/a", "/b/c", "/c", headers=headers)

    compare(scenario)


def test_no_rules_at_all():
    async def scenario(side):
        results = []
        for application in (side.Application(), side.Application([])):
            side.serve(application)
            results += await bodies(side, "/", "/a", "/")
        return results

    compare(scenario)


def test_an_application_below_an_application():
    async def scenario(side):
        inner = side.Application([("/in/(.*)", named(side, "Inner"))])
        side.serve(side.Application([("/in/.*", inner), ("/a", named(side, "A"))]))
        return await bodies(side, "/in/x", "/a", "/in/", "/out")

    compare(scenario)


def test_a_path_that_a_matcher_replaces_is_what_later_rules_see():
    async def scenario(side):
        class Rewriting(Matcher):
            def match(self, request):
                if request.path == "/old":
                    request.path = "/a"

        application = side.Application([])
        application.wildcard_router.add_rules([Rule(Rewriting(), named(side, "Never")), ("/a", named(side, "A"))])
        side.serve(application)
        return await bodies(side, "/old", "/a")

    assert [status for status, _ in compare(scenario).result] == [200, 200]


def test_a_class_that_gets_a_method_later_has_it():
    async def scenario(side):
        class Late(tornado.web.RequestHandler):
            pass

        side.serve(side.Application([("/", Late)]))
        before = await side.body("/")
        Late.get = lambda self: self.write("now")
        return before, await side.body("/")

    assert compare(scenario).result[1] == (200, b"now")


def test_reverse_url_and_changed_names():
    async def scenario(side):
        application = side.Application(
            [
                URLSpec("/a", named(side, "A"), name="a"),
                URLSpec(r"/b/(\d+)/(.*)", named(side, "B"), name="b"),
                URLSpec(r"/c/(?P<x>.*)", named(side, "C"), name="c"),
            ]
        )

        class Reversing(side.RequestHandler):
            def get(self):
                self.write(self.reverse_url("b", 7, "x y/z") + self.reverse_url("a") + self.reverse_url("c", "\u00e9"))

        application.add_handlers(".*", [URLSpec("/r", Reversing, name="r")])
        side.serve(application)
        result = await side.body("/r"), application.reverse_url("r"), repr(application.wildcard_router.rules[0]).split(",")[0]
        with pytest.raises(KeyError):
            application.reverse_url("none")
        with pytest.raises(AssertionError):
            application.reverse_url("b", 1)
        return result

    assert compare(scenario).result[0] == (200, b"/b/7/x%20y/z/a/c/%C3%A9")


# Classes that were defined before tornadoc came in


class Before(tornado.web.RequestHandler):
    """Tornado's handler."""

    setting = ["kept"]

    def get(self):
        self.write(type(self).__name__ + ",".join(self.setting))

    def super_write(self, chunk):
        return super().write(chunk)


class Meta(type):
    made = []

    def __new__(mcs, name, bases, namespace):
        cls = super().__new__(mcs, name, bases, namespace)
        mcs.made.append(name)
        return cls


class WithMeta(tornado.web.RequestHandler, metaclass=Meta):
    def get(self):
        self.write("meta")


class Inheriting(tornado.web.RequestHandler):
    names = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.names.append(cls.__name__)


class Slotted(tornado.web.RequestHandler):
    __slots__ = ("held",)

    def get(self):
        self.held = "slot"
        self.write(self.held)


def test_an_accelerated_class_passes_for_the_one_it_was_made_of():
    made = accelerated(Before)
    assert made is accelerated(Before) and made is not Before
    assert issubclass(made, Before) and issubclass(made, _native.RequestHandler)
    assert accelerated(made) is made
    assert (made.__name__, made.__qualname__, made.__module__, made.__doc__) == (
        Before.__name__,
        Before.__qualname__,
        Before.__module__,
        Before.__doc__,
    )
    assert repr(made) == repr(Before)
    assert made.setting is Before.setting
    with patched(Before, "setting", ["changed"]):
        assert made.setting == ["changed"]
    assert made.super_write is Before.super_write


def test_classes_of_tornadoc_are_not_accelerated_again():
    class Mine(tornadoc.web.RequestHandler):
        pass

    assert accelerated(Mine) is Mine


def test_a_subclass_is_accelerated_by_itself():
    class Child(Before):
        pass

    parent, child = accelerated(Before), accelerated(Child)
    assert child is not parent and issubclass(child, Child)
    assert accelerated(Child) is child


def test_a_metaclass_is_kept_and_not_asked_again():
    made = accelerated(WithMeta)
    assert isinstance(made, Meta) and issubclass(made, _native.RequestHandler) and made is accelerated(WithMeta)
    assert Meta.made.count("WithMeta") == 1


def is_native(cls):
    return issubclass(cls, _native.RequestHandler)


def test_an_init_subclass_that_would_refuse_is_not_asked():
    class Final(tornado.web.RequestHandler):
        def __init_subclass__(cls, **kwargs):
            raise TypeError("no subclasses")

    class Wanting(tornado.web.RequestHandler):
        def __init_subclass__(cls, *, label, **kwargs):
            super().__init_subclass__(**kwargs)

    assert is_native(accelerated(Final)) and is_native(accelerated(Wanting))
    with pytest.raises(TypeError, match="no subclasses"):
        type("Child", (accelerated(Final),), {})


def test_a_metaclass_that_refuses_a_second_class_of_the_name_is_not_asked():
    class Unique(type):
        names = set()

        def __new__(mcs, name, bases, namespace):
            if name in mcs.names:
                raise RuntimeError("registered twice: " + name)
            mcs.names.add(name)
            return super().__new__(mcs, name, bases, namespace)

    class Registered(tornado.web.RequestHandler, metaclass=Unique):
        pass

    assert is_native(accelerated(Registered)) and Unique.names == {"Registered"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_class_is_pickled_as_the_program_s_class(protocol):
    assert pickle.loads(pickle.dumps(accelerated(Before), protocol)) is Before
    assert pickle.loads(pickle._dumps(accelerated(Before), protocol)) is Before


def test_handlers_of_older_classes_are_instances_of_both():
    async def scenario(side):
        class Older(Before):
            def get(self):
                side.note(isinstance(self, Before), isinstance(self, side.RequestHandler), type(self).__name__)
                side.note(super().super_write("from super ") is None, self.setting, isinstance(self, Older))
                self.write(self.__class__.__qualname__.split(".")[-1])

        class Static(Older, tornado.web.RequestHandler):
            pass

        side.serve(
            side.Application(
                [
                    ("/older", Older),
                    ("/static", Static),
                    ("/meta", WithMeta),
                    ("/slot", Slotted),
                    ("/redirect", tornado.web.RedirectHandler, {"url": "/older"}),
                ]
            )
        )
        return [await side.get(path) for path in ("/older", "/static", "/meta", "/slot", "/redirect")]

    compare(scenario)


def test_a_class_that_finds_no_order_of_bases_is_served_by_tornado_s_code():
    async def scenario(side):
        class Mixin:
            pass

        class Tangled(tornado.web.RequestHandler, Mixin):
            def get(self):
                self.write("tangled")

        made = types_with(Tangled, Mixin)
        side.serve(side.Application([("/", made), ("/plain", Tangled)]))
        return await side.get(), await side.get("/plain")

    compare(scenario)


def types_with(*bases):
    return type("Made", bases, {})


# Settings and defaults


def test_the_default_handler_changes_with_the_settings():
    async def scenario(side):
        application = side.Application([("/a", named(side, "A"))])
        side.serve(application)
        results = [await side.get("/none")]
        for cls in (named(side, "Default"), tornado.web.RedirectHandler, Before):
            application.settings["default_handler_class"] = cls
            application.settings["default_handler_args"] = {"url": "/a"} if cls is not Before else {}
            results.append(await side.get("/none"))
        application.settings["default_handler_args"] = {"url": "/b"}
        application.settings["default_handler_class"] = named(side, "Last")
        results.append(await side.get("/none"))
        del application.settings["default_handler_class"]
        results.append(await side.get("/none"))
        application.settings = {"default_handler_class": named(side, "Other")}
        results.append(await side.get("/none"))
        return results

    assert b"Other" in compare(scenario).result[-1]


class Shouting(tornado.web.OutputTransform):
    def transform_first_chunk(self, status_code, headers, chunk, finishing):
        return status_code, headers, chunk.upper()


def test_settings_changed_between_requests():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write(self.settings.get("greeting", "none"))

            def post(self):
                self.write("posted")

            def put(self):
                raise ValueError("put")

        application = side.Application([("/", Handler)])
        side.serve(application)

        async def ask():
            return (
                await side.get(),
                await side.get(method="POST", body=b""),
                await side.get(method="PUT", body=b""),
                await side.get("/none"),
            )

        results = [await ask()]
        application.settings["greeting"] = "hello"
        application.settings["xsrf_cookies"] = True
        results.append(await ask())
        application.settings["xsrf_cookies"] = False
        application.settings["log_function"] = lambda handler: side.note("log", handler.get_status(), handler.request.path)
        results.append(await ask())
        del application.settings["log_function"]
        application.settings["serve_traceback"] = False
        application.settings["compiled_template_cache"] = False
        application.settings["static_hash_cache"] = False
        results.append(await ask())
        application.transforms.append(Shouting)
        results.append(await ask())
        application.transforms = []
        results.append(await ask())
        application.settings = dict(application.settings, greeting="replaced")
        results.append(await ask())
        application.ui_methods["shout"] = lambda handler: "ui"
        results.append(await ask())
        return results, await side.is_fast()

    assert compare(scenario).result[1]


def test_attributes_of_the_application_class_patched():
    async def scenario(side):
        side.serve(side.Application([("/a", named(side, "A"))]))
        results = [await bodies(side, "/a")]
        for name in ("find_handler", "get_handler_delegate"):
            for target in (tornado.web.Application, side.Application):
                original = getattr(target, name)

                def wrapped(self, *args, original=original, name=name, **kwargs):
                    side.note(name, len(args), sorted(kwargs))
                    return original(self, *args, **kwargs)

                with patched(target, name, wrapped):
                    results.append(await bodies(side, "/a", "/none"))
        return results, await side.is_fast("/a")

    outcome = compare(scenario)
    assert len(outcome.noted) >= 8 and outcome.result[1]


def test_log_request_replaced_on_the_application():
    async def scenario(side):
        application = side.Application([("/", named(side, "A"))])
        side.serve(application)
        results = [await side.get()]
        application.log_request = lambda handler: side.note("object", handler.get_status())
        results.append(await side.get("/none"))
        del application.log_request
        results.append(await side.get())
        with patched(tornado.web.Application, "log_request", lambda self, handler: side.note("tornado", handler.get_status())):
            results.append(await side.get())
        with patched(side.Application, "log_request", lambda self, handler: side.note("class", handler.get_status())):
            results.append(await side.get())
        return results

    assert compare(scenario).noted == [("object", 404), ("tornado", 200), ("class", 200)]


def test_rules_changed_from_another_task_while_requests_are_served():
    async def scenario(side):
        application = side.Application([("/a", named(side, "A"))])
        side.serve(application)
        statuses = set()

        async def change():
            for i in range(40):
                application.wildcard_router.rules.insert(0, Rule(PathMatches(f"/x{i}"), named(side, f"X{i}")))
                await asyncio.sleep(0)
                application.wildcard_router.rules[0].matcher.regex = re.compile(f"/y{i}$")
                await asyncio.sleep(0)

        async def ask():
            for _ in range(20):
                statuses.add((await side.body("/a"))[0])

        await asyncio.gather(change(), ask(), ask())
        return statuses, await bodies(side, "/y39", "/x39", "/y0")

    assert compare(scenario).result[0] == {200}
