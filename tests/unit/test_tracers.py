"""What tracers and monitors do to delegates, connections, requests and handlers, and programs to private attributes."""

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest
import tornado.escape
import tornado.httpserver
import tornado.web
from sidebyside import compare, get, patched
from test_overrides import ask_all, brief, make_handler, targets


def wrap_delegate(side, delegate):
    """Attributes on a delegate that wrap its methods."""
    for name in ("headers_received", "data_received", "finish"):
        original = getattr(delegate, name)

        def method(*args, name=name, original=original):
            side.note(name, [brief(arg) for arg in args])
            return original(*args)

        setattr(delegate, name, method)
    return delegate


def make_echo(side):
    class Echo(side.RequestHandler):
        def get(self):
            self.write("got")

        def post(self):
            self.write(self.request.body)

    return Echo


@pytest.mark.parametrize("hook", ["find_handler", "get_handler_delegate", "start_request"])
@pytest.mark.parametrize("where", ["class", "object", "tornado"])
def test_delegates_wrapped_by_attributes(hook, where):
    async def scenario(side):
        class Traced(side.Application):
            pass

        application = Traced([("/", make_echo(side))])
        target = {"class": Traced, "object": application, "tornado": tornado.web.Application}[where]
        side.serve(application)
        before = await side.get()
        original = getattr(target, hook)

        def wrapped(*args, **kwargs):
            # Tornado also asks for the delegate of a message that never comes: what counts is those that get one.
            return wrap_delegate(side, original(*args, **kwargs))

        with patched(target, hook, wrapped):
            during = await side.get(), await side.get(method="POST", body=b"data"), await side.get("/none")
        return before, during, await side.get(), await side.is_fast()

    outcome = compare(scenario)
    assert [noted[0] for noted in outcome.noted].count("finish") >= 2 and outcome.result[-1]


def test_a_delegate_whose_attribute_is_popped_again():
    async def scenario(side):
        class Traced(side.Application):
            def find_handler(self, request, **kwargs):
                delegate = super().find_handler(request, **kwargs)
                original = delegate.finish

                def finish():
                    side.note("finish", vars(delegate).pop("finish") is finish)
                    return original()

                delegate.finish = finish
                return delegate

        side.serve(Traced([("/", make_echo(side))]))
        return await side.fetch(get(close=False) + get("/", method="POST", body=b"x"))

    assert compare(scenario).noted == [("finish", True)] * 2


@pytest.mark.parametrize("name", ["write_headers", "write", "finish", "set_close_callback"])
def test_methods_set_on_the_type_of_the_connection(name):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write("one")
                self.flush()
                self.write("two")

            def post(self):
                kind = type(self.request.connection)
                side.note(isinstance(kind, type))
                types.append(kind)

        types = []
        side.serve(side.Application([("/", Handler)]))
        await side.get(method="POST", body=b"")
        (kind,) = types
        original = getattr(kind, name)

        def method(self, *args, **kwargs):
            side.note(name, brief(args) if name != "set_close_callback" else None)
            return original(self, *args, **kwargs)

        with patched(kind, name, method):
            during = await side.get(), await side.fetch(get(close=False) + get())
        return during, await side.get(), await side.is_fast()

    outcome = compare(scenario)
    assert name in [noted[0] for noted in outcome.noted] and outcome.result[-1]


@pytest.mark.parametrize("name", ["write_headers", "write", "finish", "set_close_callback"])
def test_methods_set_on_the_connection_object(name):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def prepare(self):
                original = getattr(self.request.connection, name)

                def method(*args, **kwargs):
                    side.note(name, brief(args) if name != "set_close_callback" else None)
                    return original(*args, **kwargs)

                setattr(self.request.connection, name, method)

            def get(self):
                self.write("one")
                self.flush()
                self.write("two")

        side.serve(side.Application([("/", Handler)]))
        return await side.get(), await side.fetch(get(close=False) + get())

    assert name in [noted[0] for noted in compare(scenario).noted]


def test_attributes_and_weak_references_on_everything_of_a_request():
    async def scenario(side):
        references = []

        class Handler(side.RequestHandler):
            def prepare(self):
                for thing in (self, self.request, self.request.connection, self.request.server_connection, self.application):
                    thing._trace = self.request.path
                    references.append((type(thing).__mro__[-2:] != (), weakref.ref(thing)))
                    side.note(vars(thing)["_trace"])
                self.request.connection.stream._trace = "s"
                self.request.connection.context._trace = "c"

            async def get(self):
                await asyncio.sleep(0)
                side.note(self._trace, self.request._trace, self.request.connection._trace)
                side.note(self.request.connection.stream._trace, self.request.connection.context._trace)
                del self._trace
                side.note(hasattr(self, "_trace"))
                self.write("traced")

            def on_finish(self):
                side.note(self.request._trace, self.request.connection._trace, self.get_status())

        application = side.Application([("/.*", Handler)])
        side.serve(application)
        answers = await side.get("/a"), await side.fetch(get("/b", close=False) + get("/c"))
        await asyncio.sleep(0)
        gc.collect()
        alive = [reference() for _, reference in references]
        # Of the last exchanges only the application is left.
        return answers, [one is application for one in alive if one is not None]

    outcome = compare(scenario)
    assert ("/a", "/a", "/a") in outcome.noted and ("/c", "/c", 200) in outcome.noted


WRAPPED = ["__init__", "_execute", "flush", "on_finish", "log_exception", "_handle_request_exception", "_log"]


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("where", ["behind", "ahead"])
def test_an_agent_s_wrapper_around_a_method_of_the_base_class(name, where):
    """With the signature (wrapped, instance, args, kwargs), put on a class before the handlers are defined."""

    async def scenario(side):
        target = targets(side, where)
        original = getattr(target, name)

        def agent(self, *args, **kwargs):
            side.note(name, self.request.path if name != "__init__" else args[1].path)
            try:
                return original(self, *args, **kwargs)
            finally:
                side.note(name, "left", self._finished)

        with patched(target, name, agent):
            during = await ask_all(side, make_handler(side))
        return during, await side.is_fast("/text")

    outcome = compare(scenario)
    assert any(noted[0] == name for noted in outcome.noted)


def test_an_execute_that_gives_a_future():
    async def scenario(side):
        class Handler(make_echo(side)):
            def _execute(self, transforms, *args, **kwargs):
                future = asyncio.ensure_future(super()._execute(transforms, *args, **kwargs))
                future.add_done_callback(lambda future: side.note("done", future.exception()))
                return future

        side.serve(side.Application([("/", Handler)]))
        return await side.get(), await side.get(method="POST", body=b"x")

    assert compare(scenario).noted == [("done", None)] * 2


def test_private_attributes_assigned():
    async def scenario(side):
        class Shouting(tornado.web.OutputTransform):
            def transform_first_chunk(self, status_code, headers, chunk, finishing):
                headers["X-Shouted"] = "1"
                return status_code, headers, chunk.upper()

        class Handler(side.RequestHandler):
            def get(self, what):
                if what == "transforms":
                    self._transforms = [Shouting(self.request)]
                elif what == "buffer":
                    self._write_buffer = [b"as", b"signed "]
                elif what == "append":
                    self._write_buffer.append(b"appended ")
                elif what == "status":
                    self._status_code = 418
                elif what == "reason":
                    self._reason = "Because"
                elif what == "manual":
                    self._auto_finish = False
                    asyncio.get_running_loop().call_soon(self.finish, "by hand")
                    return
                elif what == "finished":
                    self._finished = True
                    self.request.connection.stream.close()
                    return
                self.write(what)

        side.serve(side.Application([("/(.*)", Handler)]))
        names = ["transforms", "buffer", "append", "status", "reason", "manual", "finished", "plain"]
        return [await side.get("/" + name) for name in names]

    compare(scenario)


VARIABLE = contextvars.ContextVar("variable", default="unset")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task has a context of its own in any case")
@pytest.mark.parametrize("waits", ["never", "in prepare", "in get", "fails"])
def test_a_request_has_one_context_from_prepare_to_its_end(waits):
    """A token of prepare() resets the variable in on_finish() or log_exception(), and the next request does not see it."""

    async def scenario(side):
        class Handler(side.RequestHandler):
            def prepare(self):
                side.note("prepare", VARIABLE.get())
                self.token = VARIABLE.set(self.request.path)
                return asyncio.sleep(0) if waits == "in prepare" else None

            def get(self):
                side.note("get", VARIABLE.get())
                return self.later() if waits in ("in get", "fails") else None

            async def later(self):
                await asyncio.sleep(0)
                side.note("later", VARIABLE.get())
                if waits == "fails":
                    raise ValueError("wanted")

            def on_finish(self):
                VARIABLE.reset(self.token)
                side.note("on_finish", VARIABLE.get())

        side.serve(side.Application([("/.*", Handler)]))
        return await side.fetch(get("/a", close=False) + get("/b"))

    assert ("on_finish", "unset") in compare(scenario).noted


def test_the_current_task_is_the_connection_s_for_delegates():
    """Agents know a request by it."""

    async def scenario(side):
        tasks = []

        class Traced(side.Application):
            def start_request(self, *args):
                delegate = super().start_request(*args)
                original = delegate.headers_received

                def headers_received(*args):
                    tasks.append(asyncio.current_task())
                    return original(*args)

                delegate.headers_received = headers_received
                return delegate

        class Handler(side.RequestHandler):
            def initialize(self):
                side.note("initialize", asyncio.current_task() is tasks[-1])

            async def get(self):
                side.note("get", asyncio.current_task() is not None, asyncio.current_task() in tasks)
                await asyncio.sleep(0)

        side.serve(Traced([("/", Handler)]))
        await side.fetch(get(close=False) + get())
        await side.get()
        first, second, third = tasks
        for _ in range(5):
            await asyncio.sleep(0)
        return first is second, first is third, isinstance(first, asyncio.Task), first.done(), third in asyncio.all_tasks()

    assert compare(scenario).result == (True, False, True, True, False)


def test_headers_of_an_answer_afterwards():
    async def scenario(side):
        class Handler(side.RequestHandler):
            async def get(self, what):
                self.write("one")
                if what == "chunks":
                    await self.flush()

            def on_finish(self):
                side.note(sorted(self._headers))
                side.note(self._headers.get("Transfer-Encoding"), self._headers.get("Connection"))

        side.serve(side.Application([("/(.*)", Handler)]))
        return (
            await side.get("/chunks"),
            await side.get("/plain"),
            await side.get("/chunks", version="1.0", close=False),
            await side.fetch(get("/chunks", close=False) + get("/plain", close=False) + get("/chunks")),
        )

    assert ("chunked", "close") in compare(scenario).noted


def test_limits_of_a_body_assigned_to_the_connection():
    async def scenario(side):
        @side.web.stream_request_body
        class Upload(side.RequestHandler):
            def prepare(self):
                self.size = 0
                side.note(self.request.connection._max_body_size, self.request.connection._body_timeout)
                self.request.connection._max_body_size = 10
                self.request.connection._body_timeout = 5
                side.note(self.request.connection._max_body_size, self.request.connection._body_timeout)

            def data_received(self, chunk):
                self.size += len(chunk)

            def post(self):
                self.write(str(self.size))

        side.serve(side.Application([("/", Upload)]))
        return await side.get(method="POST", body=b"x" * 10), await side.get(method="POST", body=b"x" * 11)

    assert compare(scenario).result[1] == b"HTTP/1.1 400 Bad Request\r\n\r\n"


@pytest.mark.parametrize("xheaders", [True, False])
def test_the_context_s_way_with_a_proxy_s_headers_replaced(xheaders):
    """As OctoPrint does, which trusts less than Tornado."""

    async def scenario(side):
        def apply(self, headers):
            side.note("apply", headers.get("X-Forwarded-For"))
            self.remote_ip = "10.0.0.1"

        class Handler(side.RequestHandler):
            def get(self):
                self.write(f"{self.request.remote_ip} {self.request.protocol} {self.request.connection.context._orig_remote_ip}")

        server = side.HTTPServer(side.Application([("/", Handler)]), xheaders=xheaders)
        server.listen(0, address="127.0.0.1")
        side.servers.append(server)
        (listening,) = server._sockets.values()
        side.port = listening.getsockname()[1]
        with patched(tornado.httpserver._HTTPRequestContext, "_apply_xheaders", apply):
            during = await side.get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")
        return during, await side.get("/", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https")

    assert bool(compare(scenario).noted) is xheaders


def test_json_encode_replaced():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write({"a": object})

        side.serve(side.Application([("/", Handler)]))
        with patched(tornado.escape, "json_encode", lambda value: "encoded " + str(sorted(value))):
            during = await side.get()
        return during, await side.get()

    assert b"encoded ['a']" in compare(scenario).result[0]


def test_nothing_of_a_request_is_left_without_a_collection():
    async def scenario(side):
        references = []

        class Handler(side.RequestHandler):
            def get(self):
                for part in (self, self.request, self.request.connection, self._headers):
                    part._note = "note"
                    side.note(vars(part).pop("_note"), hasattr(part, "_note"))
                    references.append(weakref.ref(part))
                self.write("x")

        side.serve(side.Application([("/", Handler)]))
        gc.collect()
        gc.disable()
        try:
            answer = await side.get()
            for _ in range(5):
                await asyncio.sleep(0)
            return answer, [reference() for reference in references]
        finally:
            gc.enable()

    assert compare(scenario).result[1] == [None] * 4


@pytest.mark.parametrize("how", ["class", "base"])
def test_an_application_that_is_called_with_a_request(how):
    """What HTTPServer called before Tornado 4, which it still does with one that overrides start_request no more."""

    async def scenario(side):
        class Called(side.Application):
            pass

        target = Called if how == "class" else tornado.web.Application
        side.serve(Called([("/", make_echo(side))]))
        original = tornado.web.Application.__call__

        def call(self, request):
            side.note("called", request.path)
            return original(self, request)

        with patched(target, "__call__", call):
            return await side.get(), await side.get("/none")

    compare(scenario)
