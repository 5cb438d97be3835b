"""`HTTPConnection(stream, address, request_callback)`: HTTP on a stream that a program has at hand."""

import asyncio
import os
import socket
import ssl

import pytest
from inprocess import Client, log_records, request, settle, until
from stream_support import certificate, logged
from tornado import httputil
from tornado.iostream import StreamClosedError
from tornado.routing import Router
from tornado2_support import LOOPS, Port, run_on

from tornadoc import _http_connection, iostream
from tornadoc.http1connection import NativeHTTP1Connection
from tornadoc.httpserver import HTTPConnection, HTTPRequest
from tornadoc.iostream import IOStream
from tornadoc.tcpserver import TCPServer
from tornadoc.web import Application, RequestHandler


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


def hello(request):
    body = b"hello " + request.path.encode()
    request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    request.finish()


class Server(TCPServer):
    """Makes an HTTPConnection for each stream, and keeps it."""

    def __init__(self, make, **options):
        super().__init__(**options)
        self.make = make
        self.made = []

    def handle_stream(self, stream, address):
        self.made.append(self.make(stream, address))


def classic(callback=hello, cls=HTTPConnection, **options):
    return Server(lambda stream, address: cls(stream, address, callback, **options))


def is_native(connection):
    return connection._native is not None


class Handler(RequestHandler):
    def get(self):
        self.write(type(self.request.connection).__name__)


async def pair():
    """A stream, and a client at its other end."""
    one, other = socket.socketpair()
    return IOStream(one), Client(*await asyncio.open_connection(sock=other))


# -- which path --


def test_a_fresh_stream_is_served_natively(loop):
    async def main():
        async with Port(classic(Application([("/", Handler)]))) as port:
            body = (await port.fetch("/")).body
            return body, is_native(port.server.made[0]), type(port.server.made[0].stream)

    assert run_on(loop, main()) == (b"NativeHTTP1Connection", True, iostream.ConnectionStream)


@pytest.mark.parametrize(
    "name", ["write", "finish", "write_headers", "_on_headers", "_on_request_body", "_on_write_complete", "_finish_request"]
)
def test_a_subclass_that_overrides_something_is_asked(loop, name):
    called = []

    class Subclass(HTTPConnection):
        pass

    def override(self, *args, **kwargs):
        called.append(name)
        return getattr(HTTPConnection, name)(self, *args, **kwargs)

    setattr(Subclass, name, override)

    def callback(request):
        request.connection.write_headers(
            httputil.ResponseStartLine("", 200, "OK"), httputil.HTTPHeaders({"Content-Length": "5"})
        )
        request.write(b"hello")
        request.finish()

    async def main():
        async with Port(classic(callback, Subclass)) as port:
            client = await port.client()
            bodies = [(await client.get("/", method="POST", body=b"data")).body for _ in range(2)]
            await settle()
            assert not is_native(port.server.made[0])
            return bodies

    assert run_on(loop, main()) == [b"hello", b"hello"]
    assert called and set(called) == {name} and len(called) % 2 == 0


def test_a_subclass_that_overrides_nothing_is_native(loop):
    class Subclass(HTTPConnection):
        color = "blue"

    async def main():
        async with Port(classic(hello, Subclass)) as port:
            await port.fetch("/")
            return is_native(port.server.made[0]), port.server.made[0].color

    assert run_on(loop, main()) == (True, "blue")


def test_a_stream_that_was_read_from_keeps_what_it_has(loop):
    """A line of another protocol first, as proxies send it."""

    class Prefixed(TCPServer):
        async def handle_stream(self, stream, address):
            line = await stream.read_until(b"\r\n")
            self.connection = HTTPConnection(stream, (line.split()[1].decode(), 1), self.answer)

        def answer(self, request):
            body = request.remote_ip.encode()
            request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            request.finish()

    async def main():
        async with Port(Prefixed()) as port:
            client = await port.client()
            client.send(b"PROXY 5.6.7.8\r\n" + request("/") + request("/"))
            first = [(await client.answer()).body for _ in range(2)]
            general = is_native(port.server.connection)
            before = port.server.connection
            other = await port.client()
            other.send(b"PROXY 8.7.6.5\r\n")
            await until(lambda: port.server.connection is not before)
            return first, general, (await other.get("/")).body, is_native(port.server.connection)

    assert run_on(loop, main()) == ([b"5.6.7.8"] * 2, False, b"8.7.6.5", True)


def test_a_stream_of_another_class(loop):
    class Stream(IOStream):
        count = 0

        def read_from_fd(self, buf):
            Stream.count += 1
            return super().read_from_fd(buf)

    async def main():
        one, other = socket.socketpair()
        connection = HTTPConnection(Stream(one), ("", 0), hello)
        client = Client(*await asyncio.open_connection(sock=other))
        bodies = [(await client.get(path)).body for path in ("/a", "/b")]
        client.close()
        connection.stream.close()
        await settle()
        return bodies, is_native(connection), Stream.count > 0

    assert run_on(loop, main()) == ([b"hello /a", b"hello /b"], False, True)


def test_tls_streams(loop, tmp_path):
    options = certificate(tmp_path)

    def callback(request):
        request.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + request.protocol.encode())
        request.finish()

    async def main():
        server = classic(callback)
        server.ssl_options = options
        insecure = ssl.create_default_context()
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        async with Port(server) as port:
            client = await Client.connect(port.port, insecure)
            port.clients.append(client)
            return (await client.get("/")).body, (await client.get("/")).body

    assert run_on(loop, main()) == (b"https", b"https")


def test_unix_sockets_have_no_remote_ip(loop):
    async def main():
        seen = []
        stream, client = await pair()
        HTTPConnection(stream, "", lambda request: (seen.append(request.remote_ip), hello(request)))
        body = (await client.get("/")).body
        client.close()
        await settle()
        return body, seen

    assert run_on(loop, main()) == (b"hello /", ["0.0.0.0"])


def test_a_router_is_asked_for_delegates(loop):
    class Delegate(httputil.HTTPMessageDelegate):
        def __init__(self, connection):
            self.connection = connection

        def finish(self):
            self.connection.write_headers(
                httputil.ResponseStartLine("", 200, "OK"), httputil.HTTPHeaders({"Content-Length": "6"}), b"routed"
            )
            self.connection.finish()

    class Everything(Router):
        def find_handler(self, request, **kwargs):
            return Delegate(request.connection)

    async def main():
        async with Port(classic(Everything())) as port:
            client = await port.client()
            return [(await client.get("/")).body for _ in range(2)]

    assert run_on(loop, main()) == [b"routed", b"routed"]


def test_an_application_that_overrides_call_is_called(loop):
    class Calling(Application):
        def __call__(self, request):
            request.headers["X-Seen"] = "yes"
            handler = super().__call__(request)
            assert isinstance(handler, RequestHandler) and handler.request is request
            return handler

    class Seen(RequestHandler):
        def get(self):
            self.write(self.request.headers["X-Seen"])

    async def main():
        async with Port(classic(Calling([("/", Seen)]))) as port:
            client = await port.client()
            return (await client.get("/")).body, (await client.get("/")).body, (await client.get("/none")).code

    with log_records():
        assert run_on(loop, main()) == (b"yes", b"yes", 404)


# -- its attributes and methods --


class Overriding(HTTPConnection):
    def _finish_request(self):
        super()._finish_request()


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
def test_what_it_tells_of_the_request(loop, cls):
    seen = []

    async def main():
        async with Port(classic(lambda request: seen.append(request), cls)) as port:
            client = await port.client()
            client.send(request("/"))
            await until(lambda: seen)
            (connection,) = port.server.made
            assert connection._request is seen[0] and type(seen[0]) is HTTPRequest
            assert connection.address[0] == "127.0.0.1" and connection.xheaders is False and connection.no_keep_alive is False
            assert connection.request_callback is not None and connection._request_finished is False
            assert connection.context.remote_ip == "127.0.0.1"
            written = []
            connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            connection.write(b"hi", lambda: written.append(True))
            connection.finish()
            body = (await client.answer()).body
            await until(lambda: written)
            assert connection._request is None and connection._request_finished is False
            for call in (lambda: connection.write(b"late"), connection.finish):
                with pytest.raises(AssertionError, match="Request closed"):
                    call()
            seen.clear()
            return body

    assert run_on(loop, main()) == b"hi"


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
def test_the_current_request_of_an_application(loop, cls):
    seen = []

    class Waiting(RequestHandler):
        def get(self):
            self._auto_finish = False
            seen.append(self)

    async def main():
        async with Port(classic(Application([("/", Waiting)]), cls)) as port:
            client = await port.client()
            assert not port.server.made or port.server.made[0]._request is None
            client.send(request("/"))
            await until(lambda: seen)
            (connection,) = port.server.made
            assert connection._request is seen[0].request
            seen.pop().finish("done")
            body = (await client.answer()).body
            await settle()
            return body, connection._request

    with log_records():
        assert run_on(loop, main()) == (b"done", None)


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
@pytest.mark.parametrize("when", ["between", "during"])
def test_keep_alive_can_be_given_up(loop, cls, when):
    seen = []

    def callback(request):
        if when == "during":
            seen[0].no_keep_alive = True
        hello(request)

    async def main():
        async with Port(classic(callback, cls)) as port:
            client = await port.client()
            await until(lambda: port.server.made)
            seen.append(port.server.made[0])
            if when == "between":
                assert (await client.get("/")).body == b"hello /"
                seen[0].no_keep_alive = True
                assert seen[0].no_keep_alive is True
            client.send(request("/last"))
            assert (await client.answer()).body == b"hello /last"
            rest = await client.rest()
            seen.clear()
            return rest

    assert run_on(loop, main()) == b""


def test_on_headers_sees_and_may_change_or_refuse_the_head(loop):
    class Editing(HTTPConnection):
        def _on_headers(self, data):
            if data.startswith(b"GET /refused"):
                raise httputil.HTTPInputError("by the program")
            if not data.startswith(b"GET /dropped"):
                super()._on_headers(data.replace(b"GET /old", b"GET /new"))

    async def main():
        async with Port(classic(hello, Editing)) as port:
            client = await port.client()
            edited = (await client.get("/old")).body
            refused = []
            for path in ("/refused", "/dropped"):
                other = await port.client()
                other.send(request(path))
                refused.append(await other.rest())
            return edited, refused, (await client.get("/x")).body

    with log_records("tornado.general") as records:
        assert run_on(loop, main()) == (b"hello /new", [b"HTTP/1.1 400 Bad Request\r\n\r\n"] * 2, b"hello /x")
    assert [message for _, _, message in records] == [
        "Malformed HTTP message from 127.0.0.1: by the program",
        "Malformed HTTP message from 127.0.0.1: refused by _on_headers()",
    ]


def test_finish_request_may_close_the_stream(loop):
    class Closing(HTTPConnection):
        def _finish_request(self):
            super()._finish_request()
            self.stream.close()

    async def main():
        async with Port(classic(hello, Closing)) as port:
            client = await port.client()
            client.send(request("/"))
            return await client.rest()

    assert run_on(loop, main()).endswith(b"hello /")


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
def test_the_socket_can_be_taken_away(loop, cls):
    def callback(request):
        stream = request.connection.detach()
        stream.write(b"not HTTP any more\r\n")
        streams.append(stream)

    streams = []

    async def main():
        async with Port(classic(callback, cls)) as port:
            client = await port.client()
            client.send(request("/"))
            line = await client.reader.readline()
            client.send(b"more\n")
            more = await streams[0].read_until(b"\n")
            streams[0].close()
            await settle()
            return line, more, await client.rest(), streams[0] is port.server.made[0].stream

    assert run_on(loop, main()) == (b"not HTTP any more\r\n", b"more\n", b"", True)


# -- what goes wrong --


def test_a_stream_that_is_closed_or_read_from_is_refused(loop):
    async def main():
        stream, client = await pair()
        reading = stream.read_bytes(1)
        with pytest.raises(AssertionError, match="Already reading"):
            HTTPConnection(stream, ("", 0), hello)
        client.send(b"x")
        assert await reading == b"x"
        stream.close()
        with pytest.raises(StreamClosedError):
            HTTPConnection(stream, ("", 0), hello)
        client.close()
        await settle()

    run_on(loop, main())


@pytest.mark.parametrize("address, remote_ip", [(None, b"0.0.0.0"), (["9.9.9.9", 1], b"9.9.9.9"), (("8.8.8.8",), b"8.8.8.8")])
def test_odd_addresses(loop, address, remote_ip):
    def callback(request):
        ip = request.remote_ip.encode()
        request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(ip), ip))
        request.finish()

    async def main():
        async with Port(Server(lambda stream, _: HTTPConnection(stream, address, callback))) as port:
            return (await port.fetch("/")).body

    assert run_on(loop, main()) == remote_ip


@pytest.mark.parametrize("fails", [False, True])
def test_a_socket_that_cannot_be_watched_is_closed(loop, monkeypatch, fails):
    def refuse(self, engine, fd, address, stream):
        os.close(fd)
        if fails:
            raise MemoryError("no memory")

    async def main():
        stream, client = await pair()
        closed = []
        stream.set_close_callback(lambda: closed.append(True))
        monkeypatch.setattr(_http_connection._Server, "_serve", refuse)
        if fails:
            with pytest.raises(MemoryError):
                HTTPConnection(stream, "", hello)
        else:
            assert HTTPConnection(stream, "", hello)._request is None
        assert type(stream) is IOStream and stream.closed()
        await until(lambda: closed)
        rest = await client.rest()
        client.close()
        await settle()
        return rest

    assert run_on(loop, main()) == b""


def descriptors():
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
def test_connections_leave_no_descriptors(loop, cls):
    async def main():
        async with Port(classic(hello, cls)) as port:
            counts = []
            for _ in range(4):
                for number in range(10):
                    client = await port.client()
                    if number % 3:
                        client.send(request("/", headers=["Connection: close"]))
                        await client.rest()
                    client.abort() if number % 2 else client.close()
                await until(lambda: all(made.stream.closed() for made in port.server.made) and len(port.server.made) % 10 == 0)
                await settle(20)
                counts.append(descriptors())
                await until(lambda: descriptors() <= counts[0], "the descriptors become more")

    run_on(loop, main())


@pytest.mark.parametrize("cls", [HTTPConnection, Overriding])
def test_the_stream_is_closed_while_a_request_is_answered(loop, cls):
    seen = []

    async def main():
        async with Port(classic(seen.append, cls)) as port:
            client = await port.client()
            client.send(request("/"))
            await until(lambda: seen)
            closed = []
            seen[0].connection.set_close_callback(lambda: closed.append(True))
            port.server.made[0].stream.close()
            assert await client.rest() == b""
            await until(lambda: closed)
            seen[0].request_time()
            await settle()
            assert port.server.made[0].stream.closed() and port.server.made[0]._request is None
            seen.clear()

    with logged() as records:
        run_on(loop, main())
    assert records == []


def test_close_callbacks_of_the_stream_from_before_still_count(loop):
    async def main():
        closed = []

        def make(stream, address):
            stream.set_close_callback(lambda: closed.append(True))
            return HTTPConnection(stream, address, hello)

        async with Port(Server(make)) as port:
            client = await port.client()
            assert (await client.get("/")).body == b"hello /"
            client.close()
            await until(lambda: closed)
            return is_native(port.server.made[0])

    assert run_on(loop, main()) is True


def test_it_need_not_be_kept(loop):
    class Forgetful(TCPServer):
        def handle_stream(self, stream, address):
            HTTPConnection(stream, address, hello)

    async def main():
        import gc

        async with Port(Forgetful()) as port:
            client = await port.client()
            assert (await client.get("/")).body == b"hello /"
            gc.collect()
            return (await client.get("/again")).body

    assert run_on(loop, main()) == b"hello /again"


def test_the_type_of_the_connection_is_the_native_one(loop):
    seen = []

    async def main():
        async with Port(classic(lambda request: (seen.append(request.connection), hello(request)))) as port:
            await port.fetch("/")
        return type(seen[0]), seen.pop().address[0]

    assert run_on(loop, main()) == (NativeHTTP1Connection, "127.0.0.1")
