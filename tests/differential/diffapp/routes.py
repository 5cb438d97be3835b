"""The applications and their routes."""

import logging

from tornado import httputil, routing, web

from diffapp import hooks, lifecycle, output, program, requests, sockets, streaming

log = logging.getLogger("app")
SECRET = "a fixed secret for the tests"


class HeaderMatches(routing.Matcher):
    """Matches requests with a header, whose value becomes an argument."""

    def __init__(self, name):
        self.name = name

    def match(self, request):
        value = request.headers.get(self.name)
        if value is None:
            return None
        return {"path_args": [value.encode("latin-1")]}

    def reverse(self, *args):
        return "/by-header"


class MethodMatches(routing.PathMatches):
    """A path matcher that also wants a method."""

    def __init__(self, pattern, method):
        super().__init__(pattern)
        self.method = method

    def match(self, request):
        if request.method != self.method:
            return None
        return super().match(request)


class RaisingMatches(routing.Matcher):
    def match(self, request):
        if request.path == "/matcher-raises":
            raise ValueError("in match")
        if request.path == "/matcher-refuses":
            raise httputil.HTTPInputError("refused by the matcher")
        return None


class PrefixRouter(routing.Router):
    """A router of its own kind."""

    def __init__(self, application):
        self.application = application

    def find_handler(self, request, **kwargs):
        if request.path.endswith("none"):
            return None
        return self.application.get_handler_delegate(
            request, requests.Dump, path_args=[request.path.encode()] if "args" in request.path else None
        )


class NotFound(web.RequestHandler):
    def initialize(self, text="nothing here"):
        self.text = text

    def prepare(self):
        self.set_status(404)
        self.finish("%s: %s %s" % (self.text, self.request.method, self.request.path))


class Dash(web.RequestHandler):
    def get(self):
        names = [("named", ("x", 1)), ("optional", ()), ("nested", ("deep",)), ("header", ()), ("nosuch", ())]
        for name, args in names:
            try:
                url = self.reverse_url(name, *args)
            except Exception as e:
                url = "%s: %s" % (type(e).__name__, e)
            self.write("%s -> %s\n" % (name, url))


def fallback(request):
    streaming.bare_target(request, by="fallback")


def rules(static):
    """The rule list of the main application; ``static`` is a directory."""
    return [
        (RaisingMatches(), requests.Dump),
        ("/", requests.Dump),
        ("/dump", requests.Dump),
        ("/dump/([^/]*)", requests.Dump),
        ("/two/([0-9]+)/(.*)", requests.Dump),
        (r"/named/(?P<first>[^/]+)(?:/(?P<second>.*))?", requests.Dump),
        (r"/optional(?:/([a-z]+))?(?:/([0-9]+))?", requests.Dump, None, "optional_args"),
        (r"/literal\.txt", requests.Dump),
        (r"/dollar$", requests.Dump),
        (r"/prefix.*", requests.Dump),
        (r"^/caret", requests.Dump),
        (r"/latin/(\w+)", requests.DecodeLatin1),
        (r"/latin-named/(?P<word>.+)", requests.DecodeLatin1),
        web.url(r"/reverse/([^/]+)/([0-9]+)", requests.Dump, name="named"),
        web.URLSpec(r"/reverse-optional(?:/(.*))?", requests.Dump, name="optional"),
        routing.Rule(HeaderMatches("X-Route"), requests.Dump, name="header"),
        routing.Rule(MethodMatches("/by-method/(.*)", "PUT"), requests.Dump),
        routing.Rule(routing.PathMatches("/rule"), requests.Dump),
        (routing.HostMatches(r"matched\..*"), [("/only-matched", requests.Dump)]),
        (r"/nested/.*", [(r"/nested/a", requests.Dump), (r"/nested/b/(.*)", requests.Dump, None, "nested")]),
        (r"/nested/fall", requests.Arguments),
        ("/bare", streaming.bare_target),
        ("/bare/(.*)", streaming.bare_target),
        ("/echo/.*", streaming.EchoServer()),
        ("/reverse", Dash),
        ("/any-method", requests.AnyMethod),
        ("/only-get", requests.OnlyGet),
        ("/arguments", requests.Arguments),
        ("/missing", requests.Missing),
        ("/bad-strip", requests.BadStrip),
        ("/cookies", requests.Cookies),
        ("/context", requests.Context),
        ("/connection", requests.Connection),
        ("/mutate", requests.MutateRequest),
        ("/initialized", lifecycle.Initialized),
        ("/initialized/kwargs(/.*)?", lifecycle.Initialized, {"word": "kw", "number": 3}),
        ("/unexpected-kwargs", lifecycle.UnexpectedKwargs, {"surprise": 1}),
        ("/prepare", lifecycle.PrepareSync),
        ("/prepare-async", lifecycle.PrepareAsync),
        ("/prepare-coroutine", lifecycle.PrepareCoroutine),
        ("/methods/([a-z_]+)", lifecycle.Methods),
        ("/sync", lifecycle.Sync),
        ("/raises/([a-z_]+)", lifecycle.Raises),
        ("/bad-init", lifecycle.BadInit),
        ("/bad-constructor", lifecycle.BadConstructor),
        ("/custom-error", lifecycle.CustomError),
        ("/custom-log", lifecycle.CustomLog),
        ("/finish-raises", lifecycle.FinishRaises),
        ("/async-finish", lifecycle.AsyncFinish),
        ("/wait-for-close", lifecycle.WaitForClose),
        ("/close-raises", lifecycle.CloseRaises),
        ("/slow", lifecycle.SlowAnswer),
        ("/stack-of-errors", lifecycle.StackOfErrors),
        ("/send-error-overridden", lifecycle.SendErrorOverridden),
        ("/write/([a-z_]+)", output.Write),
        ("/flush", output.Flush),
        ("/status", output.Status),
        ("/headers", output.Headers),
        ("/etag", output.Etag),
        ("/own-etag", output.OwnEtag),
        ("/redirect", output.Redirect),
        ("/redirect-unicode", output.RedirectUnicode),
        (r"/render/([a-z.]+)", output.Render),
        ("/render-string", output.RenderString),
        ("/flush-result", output.FlushResult),
        ("/close-then-write", output.CloseThenWrite),
        ("/detach", output.Detach),
        ("/detach-upgrade", output.DetachAfterHeaders),
        ("/connection-writes", output.ConnectionWrites),
        ("/default-headers", output.TimeOfDate),
        ("/hooks/instance", hooks.InstanceHooks),
        ("/hooks/class/(.*)", hooks.ClassHooks),
        ("/hooks/execute-future", hooks.ExecuteFuture),
        ("/hooks/execute-raises", hooks.ExecuteRaises),
        ("/hooks/wrapped", hooks.Wrapped),
        ("/hooks/close-callback", hooks.Callbacks),
        ("/poke/([a-z_]+)", hooks.Poke),
        ("/user", hooks.User),
        ("/slashes/?(.*)", hooks.Slashes),
        ("/no-slash/?", hooks.NoSlash),
        ("/locale", hooks.Locale),
        ("/stream", streaming.Stream),
        ("/stream-async", streaming.StreamAsync),
        ("/stream-pieces", streaming.StreamPieces),
        ("/stream-no-method", streaming.StreamNoMethod),
        ("/limit-in-prepare", streaming.LimitInPrepare),
        ("/big", streaming.BigUnread),
        *program.ROUTES,
        *sockets.ROUTES,
        ("/moved", web.RedirectHandler, {"url": "/new"}),
        ("/moved-302", web.RedirectHandler, {"url": "/new?x=1", "permanent": False}),
        ("/moved/(.*)/(.*)", web.RedirectHandler, {"url": "/new/{1}/{0}"}),
        ("/moved-host/(.*)", web.RedirectHandler, {"url": "http://other.test/{0}"}),
        ("/moved-open(.*)", web.RedirectHandler, {"url": "{0}"}),
        ("/error/403", web.ErrorHandler, {"status_code": 403}),
        ("/fallback/.*", web.FallbackHandler, {"fallback": fallback}),
        ("/files/(.*)", web.StaticFileHandler, {"path": static}),
        ("/files-index/(.*)", web.StaticFileHandler, {"path": static, "default_filename": "index.html"}),
    ]


def settings():
    return {
        "cookie_secret": SECRET,
        "login_url": "/login",
        "template_loader": output.loader(),
        "template_path": "unused",
        "ui_modules": {"Box": output.Box},
        "ui_methods": {"shout": output.shout},
    }


def main(static):
    application = web.Application(rules(static), static_path=static, **settings())
    application.add_handlers(r"first\.test", [("/host", requests.Dump), ("/dump", lifecycle.Initialized)])
    application.add_handlers(r"(second|third)\.test$", [("/host", lifecycle.Initialized, {"word": "second"})])
    application.wildcard_router.add_rules([(r"/prefix-router/.*", PrefixRouter(application))])
    return application


def default_host():
    """default_host, default_handler_class and its arguments."""
    application = web.Application(
        [("/plain", requests.Dump)],
        default_host="default.test",
        default_handler_class=NotFound,
        default_handler_args={"text": "default handler"},
    )
    application.add_handlers(r"default\.test", [("/host", requests.Dump)])
    application.add_handlers(r"other\.test", [("/other", requests.Dump)])
    return application


class Form(web.RequestHandler):
    def compute_etag(self):
        return None  # the token in the page is random

    def get(self):
        self.write(self.xsrf_form_html())

    def post(self):
        self.write("accepted")

    put = delete = patch = post
    options = post


class Token(web.RequestHandler):
    def get(self):
        self.write("%d %s" % (len(self.xsrf_token), self.xsrf_token == self.xsrf_token))


def xsrf():
    return web.Application(
        [("/form", Form), ("/token", Token), ("/stream", streaming.Stream)], xsrf_cookies=True, cookie_secret=SECRET
    )


def cross_origin():
    return web.Application([("/form", Form)], cross_origin_protection=True, trusted_origins=["https://trusted.test"])


def compressed(static):
    return web.Application(
        [
            ("/write/([a-z_]+)", output.Write),
            ("/flush", output.Flush),
            ("/headers", output.Headers),
            ("/etag", output.Etag),
            ("/raises/([a-z_]+)", lifecycle.Raises),
            ("/files/(.*)", web.StaticFileHandler, {"path": static}),
            *program.ROUTES,
        ],
        compress_response=True,
    )


def transformed():
    application = web.Application(
        [
            ("/write/([a-z_]+)", output.Write),
            ("/flush", output.Flush),
            ("/raises/([a-z_]+)", lifecycle.Raises),
            *program.ROUTES,
        ],
        transforms=[hooks.Upper],
    )
    application.add_transform(hooks.Checksum)
    return application


def traceback():
    return web.Application(
        [("/raises/([a-z_]+)", lifecycle.Raises), ("/custom-error", lifecycle.CustomError), *program.ROUTES], serve_traceback=True
    )


def log_function(handler):
    log.info("log_function %d %s finished=%s", handler.get_status(), handler._request_summary(), handler._finished)


def logged():
    return web.Application([("/raises/([a-z_]+)", lifecycle.Raises), ("/dump", requests.Dump)], log_function=log_function)


class LogOverride(web.Application):
    """log_request overridden in a subclass of Application."""

    def log_request(self, handler):
        log.info("log_request %d", handler.get_status())

    def find_handler(self, request, **kwargs):
        log.info("find_handler %s", request.path)
        return super().find_handler(request, **kwargs)


def overriding():
    return LogOverride([("/dump", requests.Dump), ("/raises/([a-z_]+)", lifecycle.Raises)])


def bare_router(application):
    """A RuleRouter straight under HTTPServer: its 404 is the router's own."""
    return routing.RuleRouter(
        [
            routing.Rule(routing.PathMatches("/app/.*"), application),
            (routing.PathMatches("/bare(?P<rest>.*)"), streaming.bare_target),
            ("/dump", application),
        ]
    )
