"""`HTTPServer(callback)` with requests that are answered in raw bytes, and what requests could do before Tornado 6."""

import asyncio
import contextvars
import functools
import gzip
import sys
import weakref

import pytest
from inprocess import Client, log_records, request, settle, until
from stream_support import logged
from tornado import httputil
from tornado2_support import LOOPS, Port, garbage_of, run_on

import tornadoc.httputil
from tornadoc.httpserver import HTTPConnection, HTTPRequest, HTTPServer
from tornadoc.tcpserver import TCPServer
from tornadoc.web import Application, RequestHandler


@pytest.fixture(params=LOOPS)
def loop(request):
    return request.param


class Classic(TCPServer):
    """A server of Tornado 2 that makes its HTTPConnections itself."""

    connection_class = HTTPConnection

    def __init__(self, callback, **options):
        super().__init__()
        self.callback = callback
        self.options = options
        self.connections = []

    def handle_stream(self, stream, address):
        self.connections.append(self.connection_class(stream, address, self.callback, **self.options))


class Overriding(HTTPConnection):
    """A subclass with a hook of its own is served by Tornado's connection."""

    def _on_write_complete(self):
        super()._on_write_complete()


class ClassicOverriding(Classic):
    connection_class = Overriding


@pytest.fixture(params=[HTTPServer, Classic, ClassicOverriding], ids=lambda cls: cls.__name__)
def server(request):
    return request.param


def raw(body, *headers):
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def hello(request):
    request.write(raw(b"hello " + request.path.encode()))
    request.finish()


def test_the_name_of_old():
    assert HTTPRequest is tornadoc.httputil.HTTPServerRequest
    assert issubclass(HTTPRequest, httputil.HTTPServerRequest)


def test_raw_bytes_go_out_as_they_are(loop, server):
    answer = b"HTTP/1.1 299 Whatever\r\nX-odd:   spaced\r\ncontent-length: 5\r\n\r\nhello"

    def callback(request):
        assert type(request) is HTTPRequest
        request.write(answer)
        request.finish()

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            client.send(request("/") + request("/", headers=["Connection: close"]))
            return await client.rest()

    assert run_on(loop, main()) == 2 * answer


def test_in_pieces_and_later(loop, server):
    async def answer(request):
        for piece in (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 11\r\n\r\n", b"hello", b" later"):
            request.write(piece)
            await asyncio.sleep(0)
        request.finish()

    tasks = []

    async def main():
        async with Port(server(lambda request: tasks.append(asyncio.ensure_future(answer(request))))) as port:
            client = await port.client()
            client.send(request("/") * 3)
            bodies = [(await client.answer()).body for _ in range(3)]
            await asyncio.gather(*tasks)
            return bodies

    assert run_on(loop, main()) == [b"hello later"] * 3


@pytest.mark.parametrize(
    "version, headers, closes",
    [
        ("1.1", [], False),
        ("1.1", ["Connection: keep-alive"], False),
        ("1.1", ["Connection: close"], True),
        ("1.0", [], True),
        ("1.0", ["Connection: Keep-Alive"], False),
        ("1.0", ["Connection: close"], True),
    ],
)
@pytest.mark.parametrize("body", [b"", b"body"])
def test_the_request_decides_whether_the_connection_is_kept(loop, server, version, headers, closes, body):
    async def main():
        async with Port(server(hello)) as port:
            client = await port.client()
            client.send(request("/", method="POST" if body else "GET", headers=headers, version=version, body=body))
            assert (await client.answer()).body == b"hello /"
            if closes:
                return await client.rest()
            return (await client.get("/again")).body

    assert run_on(loop, main()) == (b"" if closes else b"hello /again")


def test_no_keep_alive(loop, server):
    async def main():
        async with Port(server(hello, no_keep_alive=True)) as port:
            client = await port.client()
            client.send(request("/"))
            return await client.rest()

    assert run_on(loop, main()) == raw(b"hello /")


def test_head_and_todays_interface_may_be_mixed(loop, server):
    def callback(request):
        if request.path == "/headers":
            headers = httputil.HTTPHeaders({"Content-Length": "10"})
            request.connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), headers, b"from ")
            request.write(b"today")
            request.finish()
        elif request.path == "/chunked":
            request.connection.write_headers(httputil.ResponseStartLine("", 200, "OK"), httputil.HTTPHeaders(), b"chunk")
            request.connection.write(b"ed")
            request.connection.finish()
        else:
            hello(request)

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            return [(await client.get(path)).body for path in ("/headers", "/raw", "/chunked", "/raw")]

    assert run_on(loop, main()) == [b"from today", b"hello /raw", b"chunked", b"hello /raw"]


def test_the_callback_of_a_write_comes_when_it_is_sent(loop, server):
    seen = []

    def callback(request):
        seen.append("request")
        request.write(raw(b"hello"), lambda: (seen.append("written"), request.finish()))
        seen.append("returned")

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            return (await client.get("/")).body, (await client.get("/")).body

    assert run_on(loop, main()) == (b"hello", b"hello")
    assert seen == ["request", "returned", "written"] * 2


def test_a_write_that_the_client_is_slow_to_take(loop, server):
    big = bytes(8 << 20)
    seen = []

    def callback(request):
        request.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big))
        request.write(big, lambda: seen.append("written"))
        request.finish()

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            client.send(request("/"))
            await settle(20)
            assert not seen
            body = (await client.answer()).body
            await until(lambda: seen)
            return body == big, (await client.get("/", method="GET", headers=["Connection: close"])).body == big

    assert run_on(loop, main()) == (True, True)


def test_finishing_twice_and_writing_after_the_end(loop, server):
    errors = []

    def attempt(call, *args):
        try:
            call(*args)
        except AssertionError as e:
            errors.append(str(e))

    def callback(request):
        attempt(request.write, "text")
        hello(request)
        attempt(request.finish)
        attempt(request.write, b"late")

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            return (await client.get("/")).body, (await client.get("/")).body

    assert run_on(loop, main()) == (b"hello /", b"hello /")
    assert errors == ["bytes are required, not str", "Request closed", "Request closed"] * 2


def test_a_callback_that_fails_closes_the_connection(loop, server):
    def callback(request):
        if request.path == "/fail":
            raise ValueError("of the callback")
        hello(request)

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            assert (await client.get("/")).body == b"hello /"
            client.send(request("/fail"))
            assert await client.rest() == b""
            return (await port.fetch("/")).body

    with logged() as records:
        assert run_on(loop, main()) == b"hello /"
    assert [level for _, level, _ in records] == ["ERROR"] and "Uncaught exception" in records[0][2]


def test_a_client_that_goes_away_before_the_answer(loop, server):
    waiting = []

    def callback(request):
        request.connection.set_close_callback(lambda: waiting.append("closed"))
        waiting.append(request)

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            client.send(request("/"))
            await until(lambda: waiting)
            client.abort()
            await until(lambda: len(waiting) == 2)
            hello(waiting[0])
            await settle()
            return waiting[1]

    with logged() as records:
        assert run_on(loop, main()) == "closed"
    assert records == []
    waiting.clear()


def test_the_stream_hears_of_the_close(loop):
    heard = []

    def callback(request):
        request.connection.stream.set_close_callback(lambda: heard.append("closed"))
        hello(request)

    async def main():
        async with Port(HTTPServer(callback)) as port:
            client = await port.client()
            await client.get("/")
            await settle()
            assert not heard
            client.close()
            await until(lambda: heard)

    run_on(loop, main())


def test_bodies_and_arguments(loop, server):
    def callback(request):
        text = f"{request.method} {request.get('a') if hasattr(request, 'get') else request.arguments} {request.body!r}"
        request.write(raw(text.encode()))
        request.finish()

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            form = ["Content-Type: application/x-www-form-urlencoded"]
            first = await client.get("/?q=1", method="POST", headers=form, body=b"a=2")
            chunked = ["Transfer-Encoding: chunked"]
            client.send(request("/", method="POST", headers=chunked) + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
            return first.body, (await client.answer()).body

    assert run_on(loop, main()) == (b"POST {'q': [b'1'], 'a': [b'2']} b'a=2'", b"POST {} b'abcdef'")


def test_what_is_refused_is_refused(loop, server):
    called = []

    async def main():
        answers = []
        async with Port(server(called.append)) as port:
            for data in (
                b"GET / HTTP/1.1\r\n\r\n",
                b"nonsense\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999\r\n\r\n",
            ):
                client = await port.client()
                client.send(data)
                answers.append(await client.rest())
        return answers

    with log_records():
        assert run_on(loop, main()) == [b"HTTP/1.1 400 Bad Request\r\n\r\n"] * 4
    assert called == []


@pytest.mark.parametrize("xheaders", [False, True])
def test_xheaders(loop, server, xheaders):
    def callback(request):
        request.write(raw(f"{request.remote_ip} {request.protocol}".encode()))
        request.finish()

    async def main():
        async with Port(server(callback, xheaders=xheaders)) as port:
            client = await port.client()
            forwarded = ["X-Real-Ip: 4.4.4.4", "X-Scheme: https"]
            return [(await client.get("/", headers=headers)).body for headers in (forwarded, [], forwarded)]

    ours, theirs = b"127.0.0.1 http", b"4.4.4.4 https"
    assert run_on(loop, main()) == ([theirs, ours, theirs] if xheaders else [ours] * 3)


class Callable:
    def __call__(self, request):
        hello(request)

    method = __call__


class Watching(HTTPServer):
    def start_request(self, server_conn, request_conn):
        self.asked = True
        return super().start_request(server_conn, request_conn)


@pytest.mark.parametrize(
    "callback",
    [hello, lambda request: hello(request), Callable(), Callable().method, functools.partial(hello)],
    ids=["function", "lambda", "object", "method", "partial"],
)
@pytest.mark.parametrize("decompress", [False, True])
def test_every_kind_of_callback(loop, callback, decompress):
    async def main():
        async with Port(HTTPServer(callback, decompress_request=decompress)) as port:
            client = await port.client()
            return [(await client.get("/", method="POST", body=b"x" * size)).body for size in (0, 10, 200_000)]

    assert run_on(loop, main()) == [b"hello /"] * 3


def test_which_callbacks_are_called_natively(loop):
    """Those need none of Tornado's delegates; the rest is told apart by nothing else."""

    def names(callback, cls=HTTPServer, **options):
        async def main():
            called = set()

            def profile(frame, event, argument):
                if event == "call" and frame.f_code.co_filename.endswith("tornado/httpserver.py"):
                    called.add(frame.f_code.co_name)

            async with Port(cls(callback, **options)) as port:
                sys.setprofile(profile)
                try:
                    await port.fetch("/")
                finally:
                    sys.setprofile(None)
            return called & {"start_request", "headers_received", "finish"}

        return run_on(loop, main())

    assert names(hello) == names(Callable().method) == set()
    assert "finish" in names(Callable()) and "finish" in names(hello, decompress_request=True)
    assert "start_request" in names(hello, cls=Watching)


def test_compressed_bodies(loop):
    bodies = []

    def callback(request):
        bodies.append(request.body)
        hello(request)

    async def main():
        for decompress in (False, True):
            async with Port(HTTPServer(callback, decompress_request=decompress)) as port:
                client = await port.client()
                await client.get("/", method="POST", headers=["Content-Encoding: gzip"], body=gzip.compress(b"text"))

    run_on(loop, main())
    assert gzip.decompress(bodies[0]) == b"text" and bodies[1] == b"text"


def test_the_callback_may_be_another_from_one_connection_to_the_next(loop):
    async def main():
        async with Port(HTTPServer(hello)) as port:
            first = (await port.fetch("/")).body
            port.server.request_callback = Application([])
            second = (await port.fetch("/")).code
            port.server.request_callback = Callable()
            third = (await port.fetch("/")).body
            port.server.request_callback = hello
            return first, second, third, (await port.fetch("/")).body

    with log_records():
        assert run_on(loop, main()) == (b"hello /", 404, b"hello /", b"hello /")


def test_bodies_that_are_announced_and_too_large_ones(loop, server):
    async def main():
        async with Port(server(hello)) as port:
            client = await port.client()
            client.send(request("/", method="POST", headers=["Expect: 100-continue", "Content-Length: 4"]))
            assert (await client.answer()).code == 100
            client.send(b"body")
            first = (await client.answer()).body
            client.send(request("/", method="POST", headers=["Content-Length: 10"]) + b"part")
            await settle()
            client.abort()
            other = await port.client()
            other.send(request("/", method="POST", headers=["Content-Type: multipart/form-data"], body=b"no boundary"))
            return first, await other.rest()

    with log_records():
        assert run_on(loop, main()) == (b"hello /", b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_callback_that_closes_the_connection(loop, server):
    def callback(request):
        request.connection.stream.close()
        request.write(b"to nobody")
        request.finish()

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            client.send(request("/") * 2)
            return await client.rest()

    assert run_on(loop, main()) == b""


@pytest.mark.parametrize("native", [HTTPServer, Classic])
def test_each_request_has_a_context_of_its_own(loop, native):
    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    def callback(request):
        seen.append(variable.get())
        variable.set(variable.get() + 1)
        hello(request)

    async def main():
        variable.set(7)
        async with Port(native(callback)) as port:
            client = await port.client()
            client.send(request("/") * 2)
            await client.answer()
            await client.answer()

    run_on(loop, main())
    assert seen == [7, 7]


def test_what_a_request_says_of_itself(loop, server):
    said = []

    def callback(request):
        said.append((request.supports_http_1_1(), request.full_url(), request.request_time() >= 0))
        hello(request)
        before = request.request_time()
        said.append(before == request.request_time())

    async def main():
        async with Port(server(callback)) as port:
            await port.fetch("/a?b=c")
            await port.fetch("/", version="1.0")

    run_on(loop, main())
    assert said == [(True, "http://localhost/a?b=c", True), True, (False, "http://localhost/", True), True]


def test_an_application_is_a_callback_too(loop, server):
    class Handler(RequestHandler):
        def get(self):
            self.write(f"{self.request.remote_ip} {self.request.supports_http_1_1()}")

        post = get

    async def main():
        async with Port(server(Application([("/", Handler)]))) as port:
            client = await port.client()
            client.send(request("/") + request("/none") + request("/", method="POST", body=b"x"))
            return [(await client.answer()).code for _ in range(3)], (await client.get("/")).body

    with log_records():
        assert run_on(loop, main()) == ([200, 404, 200], b"127.0.0.1 True")


def test_a_handler_may_answer_in_raw_bytes(loop):
    class Handler(RequestHandler):
        def get(self):
            self._auto_finish = False
            hello(self.request)

    async def main():
        async with Port(HTTPServer(Application([("/.*", Handler)]))) as port:
            client = await port.client()
            return (await client.get("/a")).body, (await client.get("/b")).body

    assert run_on(loop, main()) == (b"hello /a", b"hello /b")


def test_requests_leave_no_garbage(loop, server):
    requests = weakref.WeakSet()

    def callback(request):
        requests.add(request)
        request.write(raw(b"hello"), lambda: None)
        request.finish()

    async def main():
        async with Port(server(callback)) as port:
            client = await port.client()
            await client.get("/")
            await settle(20)

            async def again():
                for _ in range(3):
                    await client.get("/")
                await settle(20)
                return len(requests)

            return await garbage_of(again)

    assert run_on(loop, main()) == (0, [])


def test_connections_leave_no_garbage(loop, server):
    async def one(port):
        client = await Client.connect(port.port)
        await client.get("/", headers=["Connection: close"])
        await client.rest()
        client.close()
        await client.writer.wait_closed()
        await settle(20)

    async def main():
        made = server(hello)
        async with Port(made) as port:
            await one(port)

            async def again():
                await one(port)
                if isinstance(made, Classic):
                    made.connections.clear()

            _, garbage = await garbage_of(again)
            # The client's half is asyncio's affair.
            return [text for module, text in garbage if module.startswith(("tornado", "test"))]

    assert run_on(loop, main()) == []
