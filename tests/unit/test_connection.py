"""HTTP1Connection and HTTP1ServerConnection as handlers and delegates meet them."""

import asyncio
import gc
import socket

import pytest
import tornado.iostream
import tornado.web
from inprocess import TORNADO, TORNADOC, Running, log_records, request, run, run_python, settle, until
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPOutputError, HTTPServerConnectionDelegate, ResponseStartLine

from tornadoc.web import Application, RequestHandler

OK = ResponseStartLine("HTTP/1.1", 200, "OK")


def test_stale_connection_does_not_write_into_the_next_answer():
    kept = []

    class Keeps(RequestHandler):
        async def get(self):
            kept.append(self.request.connection)
            if len(kept) > 1:
                old = kept[0]
                for future in (old.write(b"stale"), old.write_headers(OK, HTTPHeaders({"Stale": "1"}), b"stale")):
                    assert isinstance(future.exception(), tornado.iostream.StreamClosedError)
                old.finish()
                old.close()
                old.set_close_callback(lambda: kept.append("never"))
                old.set_max_body_size(0)
                with pytest.raises(RuntimeError):
                    old.detach()
                await asyncio.sleep(0)
            self.write("fresh")

    async def main():
        async with Running(Application([("/", Keeps)])) as server:
            client = await server.client()
            for _ in range(3):
                assert (await client.get("/")).body == b"fresh"
            client.close()
            await settle()
        assert len(kept) == 3
        assert kept[0] is not kept[1]

    run(main())


def test_stale_handler_does_not_write_into_the_next_answer():
    kept = []

    class Keeps(RequestHandler):
        async def get(self):
            kept.append(self)
            if len(kept) > 1:
                with pytest.raises(RuntimeError):
                    kept[-2].finish("again")
                with pytest.raises(RuntimeError):
                    kept[-2].write("again")
                kept[-2].flush()
                kept[-2]._finished = False
                kept[-2].write("again")
                kept[-2].flush()
                await asyncio.sleep(0)
            self.write("fresh")

    async def main():
        async with Running(Application([("/", Keeps)])) as server:
            client = await server.client()
            for _ in range(3):
                assert (await client.get("/")).body == b"fresh"

    run(main())


PHASES = ["start_request", "headers_received", "data_received", "finish", "after"]


class Detacher(HTTPServerConnectionDelegate):
    def __init__(self, phase, answer, coroutine=False):
        self.phase, self.answer, self.coroutine = phase, answer, coroutine
        self.streams = []
        self.log = []

    def detach(self, connection):
        stream = connection.detach()
        assert isinstance(stream, tornado.iostream.IOStream)
        self.streams.append(stream)
        stream.write(b"raw:")
        self.task = asyncio.ensure_future(self.echo(stream))

    async def echo(self, stream):
        try:
            while True:
                await stream.write(await stream.read_bytes(1000, partial=True))
        except tornado.iostream.StreamClosedError:
            self.log.append("closed")

    def start_request(self, server_conn, request_conn):
        outer = self

        class Message(HTTPMessageDelegate):
            def step(self, name):
                if outer.phase == name:
                    outer.detach(request_conn)
                if outer.coroutine and name.endswith("received"):
                    return asyncio.sleep(0)
                return None

            def headers_received(self, start_line, headers):
                return self.step("headers_received")

            def data_received(self, chunk):
                return self.step("data_received")

            def finish(self):
                self.step("finish")
                if outer.phase == "after":
                    request_conn.write_headers(OK, HTTPHeaders({"Content-Length": "2"}), b"ok")
                    request_conn.finish()
                    self.step("after")

            def on_connection_close(self):
                outer.log.append("told")

        if self.phase == "start_request":
            self.detach(request_conn)
        return Message()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("coroutine", [False, True])
def test_detach_in_every_phase(phase, coroutine):
    delegate = Detacher(phase, b"", coroutine)

    async def main():
        with log_records() as records:
            async with Running(delegate) as server:
                client = await server.client()
                client.send(request("/", "POST", body=b"body") + b"next")
                expected = {
                    "start_request": b"next",
                    "headers_received": b"bodynext",
                    "data_received": b"next",
                    "finish": b"next",
                    "after": b"next",
                }[phase]
                seen = b""
                while not (b"raw:" in seen and seen.endswith(expected)):
                    piece = await asyncio.wait_for(client.reader.read(1000), 20)
                    assert piece, seen
                    seen += piece
                assert seen.split(b"raw:")[1].endswith(expected)
                await until(lambda: not server.server._connections)
                client.send(b"more")
                assert await asyncio.wait_for(client.reader.readexactly(4), 20) == b"more"
                client.close()
                await until(lambda: "closed" in delegate.log)
        assert records == []
        assert "told" not in delegate.log

    run(main())


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
def test_detach_in_a_handler_keeps_what_was_sent_after_the_request(modules):
    web, httpserver = modules
    streams = []

    class Detaches(web.RequestHandler):
        def get(self):
            stream = self.detach()
            streams.append(stream)
            stream.write(b"raw\n")
            assert self.request.connection.stream is None

    async def main():
        async with Running(web.Application([("/", Detaches)]), httpserver.HTTPServer) as server:
            client = await server.client()
            client.send(request("/") + b"unread")
            assert await asyncio.wait_for(client.reader.readexactly(4), 20) == b"raw\n"
            assert await asyncio.wait_for(streams[0].read_bytes(6), 20) == b"unread"
            gc.collect()
            client.send(b"later")
            assert await asyncio.wait_for(streams[0].read_bytes(5), 20) == b"later"
            # More than the kernel takes at once.
            sending = streams[0].write(b"y" * 5_000_000)
            assert len(await asyncio.wait_for(client.reader.readexactly(5_000_000), 20)) == 5_000_000
            await sending
            streams[0].close()
            assert await client.rest() == b""

    run(main())


def test_detached_stream_survives_without_a_reference_of_the_application():
    async def main():
        class Detaches(RequestHandler):
            def get(self):
                task = asyncio.ensure_future(self.serve(self.detach()))
                tasks.append(task)

            @staticmethod
            async def serve(stream):
                line = await stream.read_until(b"\n")
                await stream.write(line.upper())
                stream.close()

        tasks = []
        async with Running(Application([("/", Detaches)])) as server:
            client = await server.client()
            client.send(request("/"))
            await until(lambda: tasks)
            gc.collect()
            client.send(b"line\n")
            assert await client.rest() == b"LINE\n"

    run(main())


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
@pytest.mark.parametrize("size", [10, 11])
def test_set_max_body_size_limits_this_request_only(modules, size):
    web, httpserver = modules

    @tornado.web.stream_request_body
    class Limited(web.RequestHandler):
        def prepare(self):
            if self.request.headers.get("Limit"):
                self.request.connection.set_max_body_size(10)

        def data_received(self, chunk):
            pass

        def post(self):
            self.write("done")

    async def main():
        with log_records() as records:
            async with Running(web.Application([("/", Limited)]), httpserver.HTTPServer) as server:
                client = await server.client()
                client.send(request("/", "POST", body=b"x" * 20))
                assert (await client.answer()).body == b"done"
                client.send(request("/", "POST", ["Limit: 1"], b"x" * size))
                if size > 10:
                    assert await client.rest() == b"HTTP/1.1 400 Bad Request\r\n\r\n"
                    assert any("Content-Length too long" in text for _, _, text in records)
                else:
                    assert (await client.answer()).body == b"done"
                    client.send(request("/", "POST", body=b"x" * 20))
                    assert (await client.answer()).body == b"done"

    run(main())


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
def test_set_body_timeout_closes_a_slow_sender(modules):
    web, httpserver = modules

    @tornado.web.stream_request_body
    class Limited(web.RequestHandler):
        def prepare(self):
            self.request.connection.set_body_timeout(0.05)

        def data_received(self, chunk):
            pass

    async def main():
        with log_records() as records:
            async with Running(web.Application([("/", Limited)]), httpserver.HTTPServer) as server:
                client = await server.client()
                client.send(request("/", "POST", ["Content-Length: 100"]) + b"some")
                assert await client.rest() == b""
        assert any(text.startswith("Timeout reading body from 127.0.0.1") for _, _, text in records), records

    run(main())


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
def test_close_in_a_handler_closes_without_an_answer(modules):
    web, httpserver = modules

    class Closes(web.RequestHandler):
        def get(self, how):
            if how == "connection":
                self.request.connection.close()
            else:
                self.request.connection.stream.close()
            assert self.request.connection.stream is None or self.request.connection.stream.closed()
            self.write("never seen")

    async def main():
        with log_records():
            async with Running(web.Application([("/(.*)", Closes)]), httpserver.HTTPServer) as server:
                for how in ("connection", "stream"):
                    client = await server.client()
                    client.send(request("/" + how))
                    assert await client.rest() == b""
                await until(lambda: not server.server._connections)

    run(main())


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
def test_wrong_content_length_is_an_output_error(modules):
    web, httpserver = modules
    errors = []

    class Wrong(web.RequestHandler):
        def get(self, length):
            self.set_header("Content-Length", length)
            self.write("12345")
            try:
                self.finish()
            except HTTPOutputError as e:
                errors.append(str(e))
                raise

    async def main():
        with log_records():
            async with Running(web.Application([("/(.*)", Wrong)]), httpserver.HTTPServer) as server:
                for length in ("4", "6"):
                    client = await server.client()
                    client.send(request("/" + length))
                    await client.rest()

    run(main())
    assert errors == ["Tried to write more data than Content-Length", "Tried to write 1 bytes less than Content-Length"]


def test_flush_waits_for_a_slow_reader():
    states = []

    class Large(RequestHandler):
        async def get(self):
            self.set_header("Content-Length", "20000000")
            for _ in range(20):
                self.write(b"x" * 1_000_000)
                future = self.flush()
                states.append(future.done())
                await future

    async def main():
        async with Running(Application([("/", Large)])) as server:
            client = await server.client()
            client.send(request("/"))
            await until(lambda: states and not states[-1])
            assert len((await client.answer()).body) == 20_000_000

    run(main())
    assert len(states) == 20


@pytest.mark.parametrize("modules", [TORNADO, TORNADOC])
def test_stand_in_stream_looks_like_a_stream(modules):
    web, httpserver = modules

    async def main():
        class Looks(web.RequestHandler):
            def get(self):
                stream = self.request.connection.stream
                assert isinstance(stream, tornado.iostream.IOStream)
                assert stream is self.request.connection.stream is self.request.server_connection.stream
                assert stream.socket.getsockname()[1] == server.port
                assert stream.socket.family == socket.AF_INET
                assert not stream.closed()
                assert not stream.writing()
                assert stream.fileno() is stream.socket
                stream.set_nodelay(True)
                stream.set_nodelay(False)
                assert stream.error is None
                self.write("x")

        async with Running(web.Application([("/", Looks)]), httpserver.HTTPServer) as server:
            client = await server.client()
            for _ in range(2):
                assert (await client.get("/")).body == b"x"

    run(main())


@pytest.mark.parametrize("name", ["NativeHTTP1Connection", "NativeHTTP1ServerConnection"])
def test_object_that_was_not_made_by_the_engine_is_harmless(name):
    # In a subprocess, because it may crash.
    code = f"""
import tornadoc.http1connection
cls = tornadoc.http1connection.{name}
try:
    made = cls.__new__(cls)
except TypeError:
    made = None
for attribute in dir(cls) if made is not None else ():
    if not attribute.startswith("__") and attribute not in ("close", "start_serving", "read_response", "_server_request_loop"):
        try:
            value = getattr(made, attribute)
            if callable(value):
                value()
        except Exception:
            pass
del made
"""
    result = run_python("-W", "ignore", "-c", code)
    assert result.returncode == 0, result.stderr
