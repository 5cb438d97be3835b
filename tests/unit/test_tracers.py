"""What tracers and monitors do to delegates, connections, requests and handlers, and programs to private attributes."""

import asyncio
import gc
import weakref

import pytest
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
