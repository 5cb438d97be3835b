"""Monitoring agents in miniature: each takes hold of Tornado where products of its kind do, by their manner of wrapping, and
records what they would report. `AGENTS` maps a name to a class; an agent's `patch()` is undone by `unpatch()`.

They look names up in Tornado's modules when they patch, so the same agent wraps Tornado's classes or tornadoc's, depending on
whether it comes before or after `tornadoc.install()`.
"""

import asyncio
import contextlib
import contextvars
import functools
import inspect
import sys
import weakref

import tornado.httpserver
import tornado.httputil
import tornado.routing
import tornado.template
import tornado.web
import tornado.websocket


class Proxy:
    """A wrapper that passes for what it wraps, in all but its type: class, code, name and attributes are the wrapped object's."""

    def __init__(self, wrapped, call, instance=None):
        self.__dict__.update(__wrapped__=wrapped, _call=call, _instance=instance)

    @property
    def __class__(self):
        return type(self.__wrapped__)

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __setattr__(self, name, value):
        setattr(self.__wrapped__, name, value)

    def __get__(self, instance, owner):
        return Proxy(self.__wrapped__.__get__(instance, owner), self._call, instance)

    def __call__(self, *args, **kwargs):
        instance = self._instance
        if instance is None and args:
            instance = args[0]
        return self._call(self.__wrapped__, instance, args, kwargs)


def found(owner, name):
    """The attribute as it stands in a class or one of its bases, unbound."""
    if not isinstance(owner, type):
        return vars(owner)[name]
    return next(vars(cls)[name] for cls in owner.__mro__ if name in vars(cls))


class Agent:
    def __init__(self):
        self.records = []
        self._undo = contextlib.ExitStack()

    def record(self, *what):
        self.records.append(what)

    def taken(self):
        """What was recorded since the last look."""
        records, self.records = self.records, []
        return records

    def put(self, owner, name, value):
        missing = object()
        before = vars(owner).get(name, missing)
        setattr(owner, name, value)
        self._undo.callback(*((delattr, owner, name) if before is missing else (setattr, owner, name, before)))

    def wrap(self, owner, name, call):
        """call(wrapped, instance, args, kwargs), in the manner of transparent wrappers."""
        self.put(owner, name, Proxy(found(owner, name), call))

    def application(self, application):
        """Called with the application that is served."""

    def unpatch(self):
        self._undo.close()


class Transactions(Agent):
    """In the manner of New Relic: a transaction opens in headers_received of the delegate that the server gives, is known by the
    current task, and closes in the connection's finish(). Methods of handlers are wrapped when their rule is made."""

    def patch(self):
        self.by_task = {}
        self.by_connection = weakref.WeakKeyDictionary()
        self.seen = set()
        self.wrap(tornado.httpserver.HTTPServer, "start_request", self.start_request)
        self.wrap(tornado.routing.RuleRouter, "process_rule", self.process_rule)
        self.wrap(tornado.web.RequestHandler, "__init__", self.init)
        self.wrap(tornado.web.RequestHandler, "_execute", self.execute)
        self.wrap(tornado.httputil, "_normalize_header", self.normalize)

    def current(self):
        return self.by_task.get(id(asyncio.current_task()))

    def start_request(self, wrapped, instance, args, kwargs):
        connection = args[1]
        delegate = wrapped(*args, **kwargs)

        def headers_received(inner, instance, args, kwargs):
            start_line, headers = args
            port = connection.stream.socket.getsockname()[1]
            task = id(asyncio.current_task())
            # A transaction within another is a part of it.
            nested = task in self.by_task
            transaction = {
                "path": start_line.path.partition("?")[0],
                "method": start_line.method,
                "host": headers.get("Host"),
                "port": port > 0,
                "nested": nested,
                "delegate": type(delegate).__name__,
                "connection": [f"{type(one).__module__}.{type(one).__qualname__}" for one in (connection, connection.stream)],
                "task": asyncio.current_task() is not None,
            }
            self.by_task[task] = transaction
            connection._transaction = transaction, task
            vars(delegate).pop("headers_received")
            return inner(*args, **kwargs)

        delegate.headers_received = Proxy(delegate.headers_received, headers_received)
        self.once(type(connection), "write_headers", self.write_headers)
        self.once(type(connection), "finish", self.finish)
        return delegate

    def once(self, owner, name, call):
        method = getattr(owner, name, None)
        if callable(method) and getattr(method, "__wrapped__", None) not in self.seen:
            self.put(owner, name, Proxy(method, call))
            self.seen.add(method)

    def write_headers(self, wrapped, instance, args, kwargs):
        open_one = getattr(instance, "_transaction", None)
        if open_one:
            start_line, headers = args[:2]
            open_one[0].update(status=start_line.code, type=headers.get("Content-Type"))
        return wrapped(*args, **kwargs)

    def finish(self, wrapped, instance, args, kwargs):
        try:
            return wrapped(*args, **kwargs)
        finally:
            open_one = getattr(instance, "_transaction", None)
            if open_one:
                transaction, task = open_one
                instance._transaction = None
                self.by_task.pop(task, None)
                self.record("transaction", sorted(transaction.items()))

    def process_rule(self, wrapped, instance, args, kwargs):
        (rule,) = args
        target = rule[1] if isinstance(rule, (tuple, list)) else rule.target
        if (
            inspect.isclass(target)
            and issubclass(target, tornado.web.RequestHandler)
            and not issubclass(target, tornado.websocket.WebSocketHandler)
        ):
            for method in target.SUPPORTED_METHODS:
                self.once(target, method.lower(), self.method)
        return wrapped(*args, **kwargs)

    def method(self, wrapped, instance, args, kwargs):
        self.record("method", instance.request.path, wrapped.__name__)
        return wrapped(*args, **kwargs)

    def init(self, wrapped, instance, args, kwargs):
        transaction = self.current()
        if transaction is not None:
            transaction["name"] = type(instance).__name__
        return wrapped(*args, **kwargs)

    def execute(self, wrapped, instance, args, kwargs):
        return Driven(wrapped(*args, **kwargs), lambda what: self.record("step", what))

    def normalize(self, wrapped, instance, args, kwargs):
        return args[0] if args[0].startswith("X-Agent") else wrapped(*args, **kwargs)


class Driven:
    """A coroutine that tells when it is gone on with, as those that measure how long the loop is held up."""

    def __init__(self, coroutine, tell):
        self.coroutine = coroutine
        self.tell = tell

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def send(self, value):
        try:
            return self.coroutine.send(value)
        except StopIteration:
            self.tell("returned")
            raise

    def throw(self, *args):
        return self.coroutine.throw(*args)

    def close(self):
        return self.coroutine.close()


SPAN = contextvars.ContextVar("span", default=None)


class Traces(Agent):
    """In the manner of Datadog: a span around _execute that on_finish completes, the route by walking the rules, settings put
    into the application by its constructor, templates."""

    def patch(self):
        self.wrap(tornado.web.Application, "__init__", self.made)
        self.wrap(tornado.web.RequestHandler, "_execute", self.execute)
        self.wrap(tornado.web.RequestHandler, "on_finish", self.on_finish)
        self.wrap(tornado.web.RequestHandler, "log_exception", self.log_exception)
        self.wrap(tornado.web.RequestHandler, "flush", self.flush)
        self.wrap(tornado.template.Template, "generate", self.generate)

    def made(self, wrapped, instance, args, kwargs):
        wrapped(*args, **kwargs)
        instance.settings["traces"] = {"service": "web"}
        for rule in instance.wildcard_router.rules:
            if isinstance(rule.target, type) and issubclass(rule.target, tornado.web.RequestHandler):
                # Which methods a handler has, by its classes' dicts up to Tornado's.
                methods = set()
                for cls in rule.target.__mro__:
                    if cls is tornado.web.RequestHandler:
                        break
                    methods |= {name for name in ("get", "post", "head") if name in cls.__dict__}
                self.record("endpoint", rule.matcher._path, rule.target.__name__, sorted(methods))

    async def execute(self, wrapped, instance, args, kwargs):
        request = instance.request
        span = {
            "service": instance.settings["traces"]["service"],
            "url": f"{request.protocol}://{request.host}{request.uri}",
            "arguments": sorted(request.arguments),
            "headers": sorted(name.lower() for name in request.headers),
            "cookies": {name: instance.get_cookie(name) for name in instance.cookies},
            "peer": request.remote_ip,
            "route": self.route(instance.application.default_router.rules, request),
        }
        token = SPAN.set(span)
        request._traces_span = span
        try:
            return await wrapped(*args, **kwargs)
        finally:
            SPAN.reset(token)

    def route(self, rules, request):
        for rule in rules:
            match = rule.matcher.match(request)
            if match is None:
                continue
            if isinstance(rule.matcher, tornado.routing.PathMatches):
                return rule.matcher._path or rule.matcher.regex.pattern, sorted(match)
            inner = self.route(getattr(rule.target, "rules", ()), request)
            if inner is not None:
                return inner
        return None

    def flush(self, wrapped, instance, args, kwargs):
        self.record("flush", instance.get_status(), instance._headers.get("Content-Type"), SPAN.get() is not None)
        return wrapped(*args, **kwargs)

    def on_finish(self, wrapped, instance, args, kwargs):
        span = getattr(instance.request, "_traces_span", None)
        if span is not None:
            cls = instance.__class__
            span["resource"] = f"{cls.__module__}.{cls.__name__}"
            span["status"] = instance.get_status()
            span["full_url"] = instance.request.full_url()
            self.record("span", sorted(span.items()))
        return wrapped(*args, **kwargs)

    def log_exception(self, wrapped, instance, args, kwargs):
        span = SPAN.get()
        if span is not None:
            span["error"] = repr(args[1])
        return wrapped(*args, **kwargs)

    def generate(self, wrapped, instance, args, kwargs):
        self.record("template", instance.name, SPAN.get() is not None)
        return wrapped(*args, **kwargs)


class Spans(Agent):
    """In the manner of OpenTelemetry: __init__ wraps the methods of each handler's class when its first object is made. What
    prepare puts into the context must be there for on_finish or log_exception to take out again."""

    PATCHED = "_spans_patched"

    def patch(self):
        self.wrap(tornado.web.RequestHandler, "__init__", self.init)

    def init(self, wrapped, instance, args, kwargs):
        cls = instance.__class__
        if not getattr(cls, self.PATCHED, False):
            self.put(cls, self.PATCHED, True)
            self.wrap(cls, "prepare", self.prepare)
            self.wrap(cls, "log_exception", self.log_exception)
            ends = "on_close" if issubclass(cls, tornado.websocket.WebSocketHandler) else "on_finish"
            self.wrap(cls, ends, self.end)
        return wrapped(*args, **kwargs)

    def prepare(self, wrapped, instance, args, kwargs):
        request = instance.request
        context = request.connection.context
        span = {
            "handler": f"{type(instance).__module__}.{type(instance).__qualname__}",
            "parent": request.headers.get("traceparent"),
            "version": request.version,
            "peer": (request.remote_ip, context._orig_remote_ip, getattr(context, "address", None) is not None),
            "route": self.route(instance),
        }
        instance._spans_state = span, SPAN.set(span)
        instance.set_header("X-Trace", "1")
        return wrapped(*args, **kwargs)

    def route(self, instance):
        """By the rule whose target is the handler's class."""
        for rule in instance.application.wildcard_router.rules:
            if rule.target is instance.__class__ and rule.matcher.match(instance.request) is not None:
                return rule.matcher._find_groups()
        return None

    def end(self, wrapped, instance, args, kwargs):
        try:
            return wrapped(*args, **kwargs)
        finally:
            self.close(instance, None)

    def log_exception(self, wrapped, instance, args, kwargs):
        self.close(instance, args[1])
        return wrapped(*args, **kwargs)

    def close(self, instance, error):
        state = getattr(instance, "_spans_state", None)
        if state is None:
            return
        span, token = state
        del instance._spans_state
        assert SPAN.get() is span
        if sys.version_info >= (3, 11):
            # Before, a task has a context of its own in any case.
            SPAN.reset(token)
        size = int(instance._headers.get("Content-Length", 0))
        self.record("span", sorted(span.items()), instance.get_status(), size, error and repr(error))


class Errors(Agent):
    """In the manner of Sentry: plain functions in the place of _execute and log_exception, a context manager around the first,
    and a weak reference to the handler."""

    def patch(self):
        execute = tornado.web.RequestHandler._execute
        log_exception = tornado.web.RequestHandler.log_exception
        assert inspect.iscoroutinefunction(execute)
        scope = self.scope

        async def reporting(self, *args, **kwargs):
            with scope(self):
                return await execute(self, *args, **kwargs)

        def reported(handler, kind, value, traceback, *args, **kwargs):
            if not isinstance(value, tornado.web.HTTPError):
                frames = []
                while traceback is not None:
                    frames.append(traceback.tb_frame.f_code.co_name)
                    traceback = traceback.tb_next
                self.record("exception", kind.__name__, str(value), frames[-1], self.event(handler))
            return log_exception(handler, kind, value, value.__traceback__, *args, **kwargs)

        self.put(tornado.web.RequestHandler, "_execute", reporting)
        self.put(tornado.web.RequestHandler, "log_exception", reported)

    @contextlib.contextmanager
    def scope(self, handler):
        reference = weakref.ref(handler)
        token = SPAN.set({"url": handler.request.path})
        try:
            yield
        finally:
            SPAN.reset(token)
            self.record("transaction", self.event(reference()), handler.get_status())

    def event(self, handler):
        request = handler.request
        method = getattr(handler, request.method.lower(), None)
        return {
            "transaction": method and f"{method.__module__}.{method.__qualname__}",
            "url": f"{request.protocol}://{request.host}{request.path}",
            "query": request.query,
            "headers": dict(request.headers),
            "cookies": {name: morsel.value for name, morsel in request.cookies.items()},
            "form": {name: [value.decode("latin-1") for value in values] for name, values in request.body_arguments.items()},
            "files": sorted(request.files),
            "body": len(request.body or b""),
            "user": handler.current_user,
        }


class Monitor(Agent):
    """In the manner of Elastic APM: a client is an attribute of the application; _execute and _handle_request_exception are
    wrapped; what the answer's headers are is read when _execute has returned."""

    def patch(self):
        self.wrap(tornado.web.RequestHandler, "_execute", self.execute)
        self.wrap(tornado.web.RequestHandler, "_handle_request_exception", self.exception)
        self.wrap(tornado.web.RequestHandler, "render", self.render)

    def application(self, application):
        application.monitor_client = self

    async def execute(self, wrapped, instance, args, kwargs):
        if not hasattr(instance.application, "monitor_client"):
            return await wrapped(*args, **kwargs)
        request = instance.request
        streams = tornado.web._has_stream_request_body(instance.__class__)
        body = None if streams else bytes(request.body)
        self.record("request", request.method, type(instance).__name__, streams, body and len(body), request.version)
        result = await wrapped(*args, **kwargs)
        headers = instance._headers
        kept = {name: ";".join(headers.get_list(name)) for name in headers if name not in ("Date", "Etag")}
        self.record("response", instance.get_status(), kept)
        return result

    def exception(self, wrapped, instance, args, kwargs):
        if not isinstance(args[0], tornado.web.Finish):
            self.record("exception", repr(args[0]), instance.get_status())
        return wrapped(*args, **kwargs)

    def render(self, wrapped, instance, args, kwargs):
        self.record("render", args[0])
        return wrapped(*args, **kwargs)


class Tasks(Agent):
    """In the manner of agents that follow a request into the tasks that it starts: the loop's create_task is wrapped, or its
    code rewritten."""

    def patch(self):
        create_task = asyncio.BaseEventLoop.create_task

        @functools.wraps(create_task)
        def following(loop, coroutine, **kwargs):
            if getattr(coroutine, "__name__", "").startswith("child"):
                self.record("task", coroutine.__name__)
            return create_task(loop, coroutine, **kwargs)

        self.put(asyncio.BaseEventLoop, "create_task", following)


AGENTS = {agent.__name__.lower(): agent for agent in (Transactions, Traces, Spans, Errors, Monitor, Tasks)}
