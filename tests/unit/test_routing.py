"""Routes as Tornado finds them, however and whenever the rules are changed."""

import pickle
import re

import pytest
import tornado.routing
import tornado.web
from inprocess import TORNADO, TORNADOC, Running, log_records, request, run

import tornadoc.web
from tornadoc.routing import accelerated, compile_routes, literal_prefix
from tornadoc.web import Application, RequestHandler


@pytest.mark.parametrize(
    ("pattern", "prefix", "exact"),
    [
        ("/a$", "/a", True),
        ("/a", "/a", False),
        ("^/a$", "/a", True),
        ("/a\\.b$", "/a.b", True),
        ("/a.b$", "/a", False),
        ("/ab?$", "/a", False),
        ("/ab*$", "/a", False),
        ("/ab+$", "/a", False),
        ("/ab{2}$", "/a", False),
        ("/ab??$", "/a", False),
        ("/a|/b$", "/", False),
        ("(/a|/b)$", "", False),
        ("/(a)$", "/", False),
        ("/(?:a)$", "/a", None),
        ("/[a]$", "/a", None),
        ("/a$/b$", "/a", False),
        ("/a\\Z", "/a", None),
        ("(?i)/a$", "", False),
        ("(?x)/a b$", "", False),
        ("(?i:/a)$", "", False),
        ("/\u00e9$", "/\u00e9", True),
        ("/\u20ac$", "/\u20ac", True),
        ("", "", False),
        ("$", "", True),
        ("/\\d+$", "/", False),
        ("/a\\b$", "/a", False),
        ("(?=/a)/b$", "", False),
        ("/a(?#comment)b$", "/ab", True),
        ("\\x2fa$", "/a", True),
    ],
)
def test_literal_prefix_of_a_pattern(pattern, prefix, exact):
    regex = re.compile(pattern)
    found, is_exact = literal_prefix(regex)
    if exact is not None:
        assert is_exact is exact
    assert prefix.startswith(found)
    # What matters: no match is missed, and "exact" means just that.
    for path in (prefix, prefix + "x", "/a", "/A", "/ab", "/b", "/aXb", "/a.b", "/aa", "/1", "", "/\u00e9", "/\u00c9", "/a/b"):
        if regex.match(path):
            assert path.startswith(found)
        if is_exact:
            assert bool(regex.match(path)) == (path == found)


def say(web, text):
    def initialize(self, **kwargs):
        self.given = kwargs

    def get(self, *args, **kwargs):
        self.write(f"{text} {args} {sorted(kwargs.items())} {self.given}")

    return type("Says", (web.RequestHandler,), {"get": get, "initialize": initialize})


def both(build, paths, change=None, headers=()):
    """The bodies that Tornado and tornadoc answer with, before and after a change; they must be the same."""
    results = []
    for web, httpserver in (TORNADO, TORNADOC):

        async def main(web=web, httpserver=httpserver):
            app = build(web)
            bodies = []
            async with Running(app, httpserver.HTTPServer) as server:
                client = await server.client()
                for _ in range(2 if change else 1):
                    for path in paths:
                        answer = await client.get(path, headers=headers)
                        bodies.append((answer.code, answer.body))
                    if change:
                        change(app, web)
                if change:
                    for path in paths:
                        answer = await client.get(path, headers=headers)
                        bodies.append((answer.code, answer.body))
            return bodies

        with log_records():
            results.append(run(main()))
    assert results[0] == results[1]
    return results[0]


PATHS = ["/a", "/b", "/c/1", "/c/%2F%41", "/d/x/y", "/nothing", "/a/", "//a", "/c/", "/e", "/%61", "/a?b=c", "/caf%C3%A9"]


def plain(web):
    return web.Application(
        [
            ("/a", say(web, "a")),
            (r"/c/(\d+)", say(web, "digits")),
            ("/c/(.*)", say(web, "c")),
            ("/d/(?P<x>.*)/(?P<y>.*)", say(web, "named")),
            tornado.routing.URLSpec("/e", say(web, "e"), name="e"),
            ("/c(a|b)?f%C3%A9", say(web, "optional")),
        ]
    )


def test_rules_are_tried_in_their_order():
    both(plain, PATHS)


CHANGES = {
    "insert": lambda app, web: app.wildcard_router.rules.insert(
        0, tornado.routing.Rule(tornado.routing.PathMatches("/a"), say(web, "first"))
    ),
    "append": lambda app, web: app.wildcard_router.rules.append(
        tornado.routing.Rule(tornado.routing.PathMatches("/nothing"), say(web, "last"))
    ),
    "remove": lambda app, web: app.wildcard_router.rules.pop(0),
    "replace": lambda app, web: app.wildcard_router.rules.__setitem__(
        0, tornado.routing.Rule(tornado.routing.PathMatches("/b"), say(web, "b"))
    ),
    "reverse": lambda app, web: app.wildcard_router.rules.reverse(),
    "clear": lambda app, web: app.wildcard_router.rules.clear(),
    "new list": lambda app, web: setattr(app.wildcard_router, "rules", list(app.wildcard_router.rules[1:])),
    "target": lambda app, web: setattr(app.wildcard_router.rules[0], "target", say(web, "other")),
    "target_kwargs": lambda app, web: setattr(app.wildcard_router.rules[0], "target_kwargs", {"extra": 1}),
    "matcher": lambda app, web: setattr(app.wildcard_router.rules[0], "matcher", tornado.routing.PathMatches("/b")),
    "regex": lambda app, web: setattr(app.wildcard_router.rules[0].matcher, "regex", re.compile("/b$")),
    "add_handlers": lambda app, web: app.add_handlers(".*", [("/nothing", say(web, "added")), ("/a", say(web, "hides"))]),
    "add_handlers for a host": lambda app, web: app.add_handlers("local.*", [("/a", say(web, "local"))]),
    "add_handlers for another host": lambda app, web: app.add_handlers("elsewhere", [("/a", say(web, "elsewhere"))]),
    "default_router": lambda app, web: setattr(
        app, "default_router", tornado.web._ApplicationRouter(app, [("/b", say(web, "b"))])
    ),
    "default_host": lambda app, web: (
        app.add_handlers("special", [("/a", say(web, "s"))]),
        setattr(app, "default_host", "special"),
    ),
    "default_handler_class": lambda app, web: app.settings.update(default_handler_class=say(web, "default")),
    "find_handler": lambda app, web: setattr(app.wildcard_router, "find_handler", lambda request, **kwargs: None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_rules_changed_at_run_time_count_from_the_next_request(name):
    both(plain, PATHS, CHANGES[name])


def test_no_rules_at_all():
    both(lambda web: web.Application(), ["/", "/a", "/"])
    both(lambda web: web.Application([]), ["/", "/a", "/"])


def test_hosts_are_matched_before_paths():
    def build(web):
        app = web.Application([("/a", say(web, "any"))], default_host="default.example")
        app.add_handlers(r"local\w+", [("/a", say(web, "local")), ("/b/(.*)", say(web, "b"))])
        app.add_handlers("default.example", [("/a", say(web, "default"))])
        return app

    for headers in ((), ("X-Real-Ip: 1.2.3.4",)):
        both(build, ["/a", "/b/c", "/c"], headers=headers)


class CountingMatcher(tornado.routing.Matcher):
    def match(self, request):
        if request.path.startswith("/custom"):
            return {"path_args": [request.path[7:].encode()]}
        return None


class ForeignRouter(tornado.routing.Router):
    def __init__(self, app, web):
        self.app, self.handler = app, say(web, "foreign")

    def find_handler(self, request, **kwargs):
        if request.path.endswith("foreign"):
            return self.app.get_handler_delegate(request, self.handler)
        return None


def test_custom_matchers_and_routers_keep_their_place():
    def build(web):
        app = web.Application([("/custom1", say(web, "before"))])
        app.wildcard_router.add_rules([tornado.routing.Rule(CountingMatcher(), say(web, "custom"))])
        app.wildcard_router.add_rules(
            [("/x.*", ForeignRouter(app, web)), ("/x/(.*)", say(web, "behind")), ("/custom.*", say(web, "never"))]
        )
        nested = tornado.routing.RuleRouter([("/n/deep", ForeignRouter(app, web)), ("/n/foreign", ForeignRouter(app, web))])
        app.wildcard_router.add_rules([("/n/.*", nested), ("/n/rest", say(web, "rest"))])
        return app

    both(build, ["/custom1", "/custom2", "/x/foreign", "/x/y", "/n/deep", "/n/foreign", "/n/rest", "/n/none"])


def test_function_as_a_target():
    def build(web):
        def target(request):
            start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
            request.connection.write_headers(start, tornado.httputil.HTTPHeaders({"Content-Length": "2"}), b"fn")
            request.connection.finish()

        return web.Application([("/fn", target), ("/a", say(web, "a"))])

    both(build, ["/fn", "/a", "/fn"])


def test_application_below_an_application():
    def build(web):
        inner = web.Application([("/in/(.*)", say(web, "inner"))])
        return web.Application([("/in/.*", inner), ("/a", say(web, "a"))])

    both(build, ["/in/x", "/a", "/in/", "/out"])


def test_reverse_url():
    app = plain(tornadoc.web)
    assert app.reverse_url("e") == "/e"
    with pytest.raises(KeyError):
        app.reverse_url("none")


def test_lookups_do_not_depend_on_how_a_rule_list_was_changed():
    app = plain(tornadoc.web)
    first = compile_routes(app)
    app.wildcard_router.rules.pop()
    assert len(compile_routes(app)[0][-1][4]) == len(first[0][-1][4]) - 1


class Plain(tornado.web.RequestHandler):
    """Somebody's handler, made before tornadoc came."""

    attribute = ["shared"]

    def get(self):
        self.write(f"{type(self).__name__} {isinstance(self, Plain)} {super().get_status()}")


class Derived(Plain):
    def get(self):
        self.write("derived ")
        super().get()


def test_accelerated_class_is_the_class_with_the_native_type_behind_it():
    made = accelerated(Derived)
    assert made is accelerated(Derived)
    assert accelerated(made) is made
    assert accelerated(Plain) is not made
    assert issubclass(made, Derived)
    assert issubclass(made, RequestHandler)
    assert (made.__name__, made.__qualname__, made.__module__, made.__doc__) == (
        Derived.__name__,
        Derived.__qualname__,
        Derived.__module__,
        Derived.__doc__,
    )
    assert made.attribute is Plain.attribute
    Plain.attribute2 = 5
    try:
        assert made.attribute2 == 5
    finally:
        del Plain.attribute2
    assert accelerated(RequestHandler) is RequestHandler
    assert repr(made) == repr(Derived)


def test_original_class_still_pickles_after_acceleration():
    accelerated(Plain)
    assert pickle.loads(pickle.dumps(Plain)) is Plain


def test_accelerated_class_serves():
    async def main():
        async with Running(Application([("/p", Plain), ("/d", Derived)])) as server:
            assert (await server.fetch("/p")).body == b"Plain True 200"
            assert (await server.fetch("/d")).body == b"derived Derived True 200"

    run(main())


def test_a_class_that_gets_a_method_later_has_it():
    async def main():
        class Late(tornado.web.RequestHandler):
            pass

        async with Running(Application([("/", Late)])) as server:
            client = await server.client()
            with log_records():
                assert (await client.get("/")).code == 405
            Late.get = lambda self: self.write("now")
            assert (await client.get("/")).body == b"now"

    run(main())


def test_path_replaced_in_a_matcher_is_what_later_rules_see():
    class Rewriting(tornado.routing.Matcher):
        def match(self, request):
            if request.path == "/old":
                request.path = "/a"

    def build(web):
        app = web.Application([])
        app.wildcard_router.add_rules([tornado.routing.Rule(Rewriting(), say(web, "never")), ("/a", say(web, "a"))])
        return app

    both(build, ["/old", "/a"])


def test_pipelined_requests_are_routed_one_by_one():
    async def main():
        async with Running(plain(tornadoc.web)) as server:
            client = await server.client()
            client.send(b"".join(request(path) for path in PATHS))
            return [(await client.answer()).code for _ in PATHS]

    with log_records():
        codes = run(main())
    assert codes == [code for code, _ in both(plain, PATHS)]
