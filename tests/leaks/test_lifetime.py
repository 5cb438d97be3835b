"""Each native type: made and destroyed without a trace, dead when the last reference is gone, and honest with the collector."""

import asyncio
import collections
import contextlib
import gc
import os
import sys
import weakref

import pytest
from tornado.httputil import RequestStartLine

from tornadoc import _native
from tornadoc.http1connection import NativeHTTP1Connection, NativeHTTP1ServerConnection
from tornadoc.httpserver import HTTPServer
from tornadoc.httputil import HTTPHeaders, HTTPServerRequest
from tornadoc.web import Application, RequestHandler

TIMES = 200

NATIVE = [value for value in vars(_native).values() if isinstance(value, type)]


class Hello(RequestHandler):
    def get(self):
        self.write("hello")


def make_headers():
    headers = HTTPHeaders({"A": "1"}, b="2")
    headers.add("a", "3")
    headers.note = "x"
    return headers


def make_request():
    headers = make_headers()
    headers["Host"] = "localhost"
    request = HTTPServerRequest(headers=headers, start_line=RequestStartLine("GET", "/?a=1", "HTTP/1.1"))
    request.note = request.path, request.arguments
    return request


class Context:
    remote_ip = "127.0.0.1"
    protocol = "http"


class Connection:
    context = Context()

    def set_close_callback(self, callback):
        pass


def make_handler():
    request = make_request()
    request.connection = Connection()
    handler = Hello(make_application(), request)
    handler.set_header("A", "1")
    handler.write("x")
    handler.note = handler._headers, handler._write_buffer
    return handler


def make_application():
    application = Application([(r"/", Hello), (r"/(\d+)", Hello)])
    application.note = "x"
    return application


def make_server():
    server = HTTPServer(make_application())
    server.note = "x"
    return server


MAKERS = {
    HTTPHeaders: make_headers,
    HTTPServerRequest: make_request,
    Hello: make_handler,
    Application: make_application,
    HTTPServer: make_server,
    _native.Engine: _native.Engine,
}

each_type = pytest.mark.parametrize(("cls", "make"), MAKERS.items(), ids=[c.__name__ for c in MAKERS])


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@each_type
def test_making_and_destroying_keeps_the_counts(cls, make):
    """A type owns one reference for each instance: none may stay behind, none may be dropped twice."""
    watched = [*NATIVE, *MAKERS, Connection, None, True, "A", make]

    def count():
        gc.collect()
        return [sys.getrefcount(value) for value in watched]

    for _ in range(10):
        make()
    before = count()
    for _ in range(TIMES):
        make()
    after = count()
    differences = {repr(w): b - a for w, a, b in zip(watched, before, after) if abs(b - a) >= TIMES // 4}
    assert differences == {}


@each_type
def test_weak_references_tell_of_the_death(cls, make, no_collector):
    told = []
    item = make()
    assert isinstance(item, cls)
    reference = weakref.ref(item, told.append)
    assert reference() is item
    del item
    # Applications and handlers have cycles in Tornado's own attributes.
    gc.collect()
    assert reference() is None and told == [reference]


@each_type
def test_the_collector_frees_a_cycle_through_the_instance_dict(cls, make, no_collector):
    item = make()
    if not hasattr(item, "__dict__"):
        pytest.skip("has no attributes")
    item.circle = [item]
    reference = weakref.ref(item)
    del item
    assert reference() is not None
    gc.collect()
    assert reference() is None


def overcounted(items):
    """Objects that more containers say they own than there are references."""
    owners = collections.Counter()
    for container in gc.get_objects():
        if container is items:
            continue
        for target in gc.get_referents(container):
            owners[id(target)] += 1
    # The list, the loop variable and the argument of getrefcount are no containers' visits.
    return [repr(item) for item in items if owners[id(item)] > sys.getrefcount(item)]


async def ask(port, data, writers):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writers.append(writer)
    writer.write(data)
    return reader, writer


@contextlib.asynccontextmanager
async def serving(application):
    server = HTTPServer(application)
    server.listen(0, "127.0.0.1")
    (sock,) = server._sockets.values()
    writers = []
    try:
        yield server, sock.getsockname()[1], writers
    finally:
        server.stop()
        for writer in writers:
            writer.close()
        await server.close_all_connections()


def test_objects_of_a_live_request_die_with_it(no_collector):
    async def main():
        kept = {}
        proceed = asyncio.Event()

        class Pending(RequestHandler):
            async def get(self):
                request = self.request
                connection = request.connection
                everything = [
                    self, request, request.headers, connection, request.server_connection, connection.context, connection.stream,
                ]  # fmt: skip
                assert isinstance(connection, NativeHTTP1Connection)
                assert isinstance(request.server_connection, NativeHTTP1ServerConnection)
                for item in everything:
                    kept[type(item).__name__] = weakref.ref(item)
                # The collector's view of them, while all are alive.
                assert self in gc.get_referrers(request)
                assert request.server_connection in gc.get_referrers(connection)
                for item in (self, request, connection, request.server_connection, request.headers, self.application):
                    assert type(item) in gc.get_referents(item)
                assert overcounted([*everything, self.application]) == []
                del everything, item, request, connection
                await proceed.wait()
                self.write("done")

        async with serving(Application([(r"/", Pending)])) as (server, port, writers):
            reader, writer = await ask(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", writers)
            while len(kept) < 7:
                await asyncio.sleep(0)
            assert len(server._connections) == 1
            proceed.set()
            assert (await reader.readuntil(b"done")).startswith(b"HTTP/1.1 200")
            writer.close()
            while server._connections:
                await asyncio.sleep(0)
            for _ in range(3):
                await asyncio.sleep(0)
            return {name: reference() for name, reference in kept.items() if reference() is not None}

    assert asyncio.run(main()) == {}


def test_a_request_that_is_kept_outlives_its_connection(no_collector):
    async def main():
        kept = []

        class Keeps(RequestHandler):
            def get(self):
                kept.extend([self, self.request, self.request.connection, self.request.headers])

        async with serving(Application([(r"/", Keeps)])) as (server, port, writers):
            reader, _ = await ask(port, b"GET /?a=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", writers)
            await reader.read()
            while server._connections:
                await asyncio.sleep(0)
            handler, request, connection, headers = kept
            assert request.arguments == {"a": [b"1"]} and headers["Host"] == "a" and request.remote_ip == "127.0.0.1"
            assert connection.stream.closed() and handler._finished and connection.context is not None
            references = [weakref.ref(item) for item in kept]
            kept.clear()
            del handler, request, connection, headers
            return [reference() for reference in references if reference() is not None]

    assert asyncio.run(main()) == []


def test_servers_and_engines_die_with_their_loop():
    """Many loops in one process: a forgotten server must not keep descriptors or objects."""

    async def main():
        server = HTTPServer(Application([(r"/", Hello)]))
        server.listen(0, "127.0.0.1")
        (sock,) = server._sockets.values()
        reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"hello")
        server.stop()
        writer.close()
        await server.close_all_connections()
        return weakref.ref(server)

    def descriptors():
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    asyncio.run(main())
    before = descriptors()
    references = [asyncio.run(main()) for _ in range(5)]
    assert descriptors() == before
    assert [reference for reference in references if reference() is not None] == []
