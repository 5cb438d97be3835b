"""HTTPServer over TLS: Tornado and tornadoc agree on what clients and handlers see."""

import asyncio
import contextlib
import gc
import os
import shutil
import socket
import ssl
import sys
import warnings

import pytest
import tornado.httpserver
import tornado.httputil
import tornado.iostream
import tornado.web
from inprocess import PATIENCE, TORNADO, TORNADOC, Running, log_records, request, run, settle, until
from tlsclient import TLSClient, client_context, server_context, ssl_options

import tornadoc.httpserver
import tornadoc.web
import tornadoc.websocket

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

HANDSHAKE = b"\x16\x03\x01"


@pytest.fixture(params=["tornado", "tornadoc"])
def side(request):
    return TORNADO if request.param == "tornado" else TORNADOC


def application(web, **handlers):
    """Handlers by path; each value is a `get` (and `post`) method."""

    def hello(self):
        self.write("hello " + self.request.protocol)

    handlers.setdefault("hello", hello)
    rules = [("/" + name, type(name, (web.RequestHandler,), {"get": f, "post": f})) for name, f in handlers.items()]
    return web.Application(rules)


def serve(side, *args, ssl_options=None, **options):
    web, httpserver = side
    app = args[0] if args else application(web)
    return Running(app, httpserver.HTTPServer, ssl_options=ssl_options or server_context(), **options)


def is_native(running):
    """Does the native code serve its connections?"""
    return all(isinstance(c, tornadoc._native.HTTP1ServerConnection) for c in running.server._connections)


async def get(client, path="/hello", **options):
    client.send(request(path, **options))
    return await client.read_until(b"hello https")


@pytest.mark.parametrize("options", [ssl_options, server_context])
def test_a_dict_and_a_context_serve(side, options):
    async def main():
        async with serve(side, ssl_options=options()) as server:
            client = await TLSClient.connect(server.port)
            for _ in range(3):
                assert (await get(client)).startswith(b"HTTP/1.1 200 OK\r\n")
            assert (side is TORNADOC) == is_native(server)
            client.close()

    run(main())


def test_a_missing_file_is_refused_at_once(side):
    _, httpserver = side
    for options, error in [
        ({}, KeyError),
        ({"certfile": "/nowhere.crt"}, ValueError),
        ({**ssl_options(), "keyfile": "/nowhere.key"}, ValueError),
    ]:
        with pytest.raises(error):
            httpserver.HTTPServer(lambda request: None, ssl_options=options)


def test_a_renewed_certificate_is_taken_up(side, tmp_path):
    files = {"certfile": str(tmp_path / "a.crt"), "keyfile": str(tmp_path / "a.key")}

    def renew(name):
        for key, path in ssl_options(name).items():
            shutil.copy(path, files[key] + ".new")
            os.replace(files[key] + ".new", files[key])

    async def main():
        renew("localhost")
        async with serve(side, ssl_options=files) as server:
            for _ in range(2):
                (await TLSClient.connect(server.port, client_context("localhost"))).close()
            renew("other")
            (await TLSClient.connect(server.port, client_context("other"), "other")).close()
            with pytest.raises(ssl.SSLCertVerificationError):
                await TLSClient.connect(server.port, client_context("localhost"))

    run(main())


def test_a_certificate_that_has_gone_costs_connections_not_the_server(tmp_path):
    """In Tornado the clients of that time are left waiting."""
    side = TORNADOC
    files = {"certfile": str(tmp_path / "a.crt"), "keyfile": str(tmp_path / "a.key")}

    async def main():
        for key, path in ssl_options().items():
            shutil.copy(path, files[key])
        uncaught = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: uncaught.append(type(context["exception"])))
        async with serve(side, ssl_options=files) as server:
            os.rename(files["certfile"], files["certfile"] + ".away")
            client = await TLSClient.open(server.port)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await client.handshake()
            client.close()
            assert uncaught == [FileNotFoundError]
            os.rename(files["certfile"] + ".away", files["certfile"])
            client = await TLSClient.connect(server.port)
            await get(client)
            client.close()

    run(main())


def test_handlers_see_an_ssl_socket(side):
    seen = []

    def look(self):
        stream = self.request.connection.stream
        sock = stream.socket
        seen.append(
            (
                isinstance(stream, tornado.iostream.SSLIOStream),
                isinstance(sock, ssl.SSLSocket),
                sock.version(),
                sock.cipher(),
                sock.selected_alpn_protocol(),
                sock.server_side,
                sock.session_reused,
                sock.compression(),
                sock.getpeercert(),
                len(sock.get_channel_binding()),
                sock.getpeername() == self.request.connection.context.address,
                self.request.get_ssl_certificate(),
                self.request.full_url(),
                self.request.connection.context.protocol,
                stream.reading(),
                stream.closed(),
            )
        )
        self.write("hello " + self.request.protocol)

    async def main(side):
        context = server_context()
        context.set_alpn_protocols(["http/1.1"])
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        wanted = client_context()
        wanted.set_alpn_protocols(["h2", "http/1.1"])
        async with serve(side, application(side[0], look=look), ssl_options=context) as server:
            client = await TLSClient.connect(server.port, wanted)
            await get(client, "/look")
            client.close()

    run(main(side))
    if side is TORNADOC:
        run(main(TORNADO))
        assert seen[0] == seen[1]
    assert seen[0][4] == "http/1.1" and seen[0][2] == "TLSv1.2"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(side, version):
    """Asked for in the handshake, and seen by the handler."""

    def who(self):
        binary = self.request.get_ssl_certificate(binary_form=True)
        subject = self.request.get_ssl_certificate()["subject"]
        self.write(f"{len(binary)} {subject} hello {self.request.protocol}")

    async def main():
        options = {**ssl_options(), "cert_reqs": ssl.CERT_REQUIRED, "ca_certs": ssl_options()["certfile"]}
        async with serve(side, application(side[0], who=who), ssl_options=options) as server:
            context = client_context()
            context.maximum_version = version
            with log_records("tornado.general") as records:
                anonymous = await TLSClient.open(server.port, context)
                with pytest.raises((ssl.SSLError, ConnectionError)) as raised:
                    await anonymous.handshake()
                    await get(anonymous)
                # The alert has come before the end.
                assert "alert" in str(raised.value).lower(), raised.value
                await until(lambda: records)
            [(_, level, message)] = records
            assert level == "WARNING" and message.startswith("SSL Error on "), message
            assert "peer did not return a certificate" in message
            context.load_cert_chain(**ssl_options())
            client = await TLSClient.connect(server.port, context)
            assert b"commonName" in await get(client, "/who")
            client.close()
            anonymous.close()

    run(main())


def test_server_names_choose_the_certificate(side):
    """The callback is given the socket that the handler finds later."""

    def named(self):
        self.write(self.request.connection.stream.socket.wanted + " hello " + self.request.protocol)

    async def main():
        context, other = server_context(), server_context("other")
        seen = []

        def choose(sock, name, original):
            seen.append((isinstance(sock, ssl.SSLSocket), name, original is context))
            sock.wanted = name
            if name == "other":
                sock.context = other

        context.sni_callback = choose
        async with serve(side, application(side[0], named=named), ssl_options=context) as server:
            for name in ("localhost", "other"):
                client = await TLSClient.connect(server.port, client_context(name), name)
                assert b"\r\n\r\n%s hello" % name.encode() in await get(client, "/named")
                client.close()
            assert seen == [(True, "localhost", True), (True, "other", True)]
            assert is_native(server) or side is TORNADO

    run(main())


def test_a_callback_that_fails_ends_its_handshake(side):
    async def main():
        context = server_context()
        unraisable = []

        def choose(sock, name, original):
            raise ValueError(name)

        context.sni_callback = choose
        hook, sys.unraisablehook = sys.unraisablehook, lambda info: unraisable.append(repr(info.exc_value))
        try:
            with log_records("tornado.general") as records:
                async with serve(side, ssl_options=context) as server:
                    client = await TLSClient.open(server.port)
                    with pytest.raises(ssl.SSLError):
                        await client.handshake()
                    client.close()
                    await until(lambda: records)
        finally:
            sys.unraisablehook = hook
        assert unraisable == ["ValueError('localhost')"]
        assert [message for _, _, message in records if message.startswith("SSL Error on ")] != []

    run(main())


def test_plain_http_is_no_handshake(side):
    async def main():
        with log_records("tornado.general") as records:
            async with serve(side) as server:
                client = await TLSClient.open(server.port)
                client.send_raw(request("/hello"))
                assert await client.rest() == b""
                client.close()
                await until(lambda: records)
        [(_, level, message)] = records
        assert level == "WARNING" and "http request" in message and message.startswith("SSL Error on ")
        assert "('127.0.0.1', " in message

    run(main())


@pytest.mark.parametrize("how", ["at_once", "in_hello", "reset"])
def test_clients_that_leave_in_the_handshake_are_silent(side, how):
    async def main():
        with log_records("tornado.general", "tornado.application", "asyncio") as records:
            async with serve(side) as server:
                client = await TLSClient.open(server.port)
                if how != "at_once":
                    client.send_raw(HANDSHAKE)
                    await settle()
                if how == "reset":
                    sock = client.writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                await until(lambda: server.server._connections)
                client.close()
                await until(lambda: not server.server._connections)
        assert records == []

    run(main())


def test_a_handshake_has_the_time_of_a_head(side):
    async def main():
        async with serve(side, idle_connection_timeout=0.2) as server:
            client = await TLSClient.open(server.port)
            client.send_raw(HANDSHAKE)
            # Where the machine stands still for so long, the bytes come when the time is over, and are answered with a reset.
            with contextlib.suppress(ConnectionResetError):
                assert not await client.receive()
            await until(lambda: not server.server._connections)
            client.close()

    run(main())


def test_records_may_come_byte_by_byte(side):
    async def main():
        async with serve(side) as server:
            client = await TLSClient.open(server.port)
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await client.handshake()
            for data in (client.seal(request("/hello")), client.seal(*[bytes([b]) for b in request("/hello")])):
                for i in range(len(data)):
                    client.send_raw(data[i : i + 1])
                    if i % 8 == 0:
                        await asyncio.sleep(0)
                assert b"hello https" in await client.read_until(b"hello https")
            client.close()

    run(main())


def test_a_handshake_may_come_byte_by_byte(side):
    async def main():
        async with serve(side) as server:
            client = await TLSClient.open(server.port)
            client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            queue = asyncio.Queue()

            async def drip():
                while (data := await queue.get()) is not None:
                    for i in range(len(data)):
                        client.send_raw(data[i : i + 1])
                        await asyncio.sleep(0)

            dripping = asyncio.ensure_future(drip())
            await client.handshake(queue.put_nowait)
            queue.put_nowait(client.seal(request("/hello")))
            await client.read_until(b"hello https")
            queue.put_nowait(None)
            await dripping
            client.close()

    run(main())


def test_a_record_may_carry_many_requests_and_the_last_flight_one(side):
    async def main():
        async with serve(side) as server:
            client = await TLSClient.open(server.port)
            flights = []
            await client.handshake(lambda data: flights.append(data) if flights else (flights.append(b""), client.send_raw(data)))
            # The client's Finished, and with it a record of fifty requests.
            client.send_raw(flights[-1] + client.seal(request("/hello") * 50))
            data = b""
            while data.count(b"hello https") < 50:
                piece = await client.read()
                assert piece
                data += piece
            assert data.count(b"HTTP/1.1 200 OK") == 50
            client.close()

    run(main())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_both_ways(side, version):
    def echo(self):
        self.write(self.request.body)

    async def main():
        async with serve(side, application(side[0], echo=echo)) as server:
            context = client_context()
            context.maximum_version = version
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
            body = os.urandom(1 << 20) * 5
            for _ in range(2):
                writer.write(request("/echo", "POST", body=body))
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(len(body)) == body
            writer.close()

    run(main())


def test_a_client_that_does_not_read_holds_the_answer_up(side):
    """The future of a write is done when the kernel has its records."""
    body = os.urandom(1 << 20) * 8
    progress = []

    async def big(self):
        self.write(body)
        future = self.flush()
        progress.append(future.done())
        await future
        progress.append(True)

    async def main():
        async with serve(side, application(side[0], big=big)) as server:
            client = await TLSClient.connect(server.port)
            client.writer.transport.pause_reading()
            client.send(request("/big"))
            await until(lambda: progress)
            await settle()
            assert progress == [False]
            client.writer.transport.resume_reading()
            data = await client.read_until(b"0\r\n\r\n")
            assert progress == [False, True]
            assert len(data) > len(body)
            client.close()

    run(main())


def test_a_goodbye_is_the_end_of_the_input(side):
    """close_notify alone, with the socket left open."""
    closed = []

    async def wait(self):
        self.request.connection.set_close_callback(lambda: closed.append("closed"))
        await asyncio.sleep(0)
        self.entered.set()
        await asyncio.Event().wait()

    async def main():
        entered = asyncio.Event()
        app = application(side[0], wait=wait)
        app.wildcard_router.rules[0].target.entered = entered
        async with serve(side, app) as server:
            for path in ("/wait", None):
                client = await TLSClient.connect(server.port)
                if path:
                    client.send(request(path))
                    await asyncio.wait_for(entered.wait(), 10)
                else:
                    await get(client)
                with pytest.raises(ssl.SSLWantReadError):
                    client.tls.unwrap()
                client.send_raw(client.outgoing.read())
                assert not await client.receive() or await client.rest() == b""
                await until(lambda: not server.server._connections)
                client.close()
            assert closed == ["closed"]

    run(main())


def test_a_request_and_the_goodbye_at_once_is_answered():
    """Tornado may lose it."""

    async def main():
        async with serve(TORNADOC) as server:
            client = await TLSClient.connect(server.port)
            records = client.seal(request("/hello"))
            with pytest.raises(ssl.SSLWantReadError):
                client.tls.unwrap()
            client.send_raw(records + client.outgoing.read())
            data = b""
            while await client.receive():
                pass
            try:
                while piece := client.tls.read():
                    data += piece
            except ssl.SSLError:
                pass
            client.close()
            assert b"hello https" in data

    run(main())


def test_the_server_says_goodbye_behind_a_last_answer():
    """RFC 9112 9.8; Tornado does not."""

    async def main():
        async with serve(TORNADOC) as server:
            client = await TLSClient.connect(server.port)
            client.send(request("/hello", headers=["Connection: close"]))
            assert (await client.rest()).endswith(b"hello https")
            assert client.said_goodbye
            client.close()

    run(main())


def test_spoiled_records_end_the_connection(side):
    async def main():
        with log_records("tornado.general", "tornado.application", "asyncio") as records:
            async with serve(side) as server:
                client = await TLSClient.connect(server.port)
                await get(client)
                data = bytearray(client.seal(request("/hello")))
                data[-1] ^= 1
                client.send_raw(bytes(data))
                with pytest.raises(ssl.SSLError):
                    while await client.read():
                        pass
                client.close()
                await until(lambda: not server.server._connections)
        [(logger, level, message)] = records
        assert (logger, level) == ("tornado.general", "WARNING")
        assert message.startswith("error on read: [SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]")

    run(main())


def test_a_spoiled_record_behind_good_ones_is_told_once():
    async def main():
        with log_records("tornado.general", "tornado.application", "asyncio") as records:
            async with serve(TORNADOC) as server:
                client = await TLSClient.connect(server.port)
                good = client.seal(request("/hello"))
                bad = bytearray(client.seal(request("/hello")))
                bad[-1] ^= 1
                client.send_raw(good + bytes(bad))
                while await client.receive():
                    pass
                client.close()
                await until(lambda: not server.server._connections)
        [(_, level, message)] = records
        assert level == "WARNING" and message.startswith("error on read: [SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC]")

    run(main())


def test_malformed_requests_are_refused_over_tls(side):
    async def main():
        with log_records("tornado.general") as records:
            async with serve(side) as server:
                client = await TLSClient.connect(server.port)
                client.send(b"nonsense\r\n\r\n")
                assert await client.rest() == b"HTTP/1.1 400 Bad Request\r\n\r\n"
                client.close()
        assert [r[2] for r in records] == ["Malformed HTTP message from 127.0.0.1: Malformed HTTP request line"]

    run(main())


def test_an_answer_survives_an_unread_body(side):
    """tornadoc reads on for a while, so that no reset overtakes the answer."""

    def early(self):
        self.write("hello " + self.request.protocol)

    async def main():
        web = side[0]
        methods = {"prepare": lambda self: self.finish("hello https")}
        handler = web.stream_request_body(type("Early", (web.RequestHandler,), methods))
        async with serve(side, web.Application([("/early", handler)])) as server:
            client = await TLSClient.connect(server.port)
            client.send(request("/early", "POST", headers=["Content-Length: 300000"]))
            await client.read_until(b"hello https")
            if side is TORNADOC:
                for _ in range(10):
                    client.send(b"x" * 10000)
                assert await client.rest() == b""
            client.close()
            await until(lambda: not server.server._connections)

    run(main())


def test_detached_streams_go_on(side):
    """Input that came with the request, input that comes later, large output, and the client's goodbye."""
    result = []

    async def away(self):
        stream = self.detach()
        assert isinstance(stream, tornado.iostream.SSLIOStream)
        assert stream.socket.version().startswith("TLSv1")
        stream.set_close_callback(lambda: result.append("closed"))
        await stream.write(b"hello https" + await stream.read_until(b"\n"))
        line = await stream.read_until(b"\n")
        size = int(line)
        await stream.write(await stream.read_bytes(size))
        try:
            await stream.read_bytes(1)
        except tornado.iostream.StreamClosedError:
            result.append("end")

    async def main():
        async with serve(side, application(side[0], away=away)) as server:
            client = await TLSClient.connect(server.port)
            body = os.urandom(1 << 20) * 3
            client.send(request("/away") + b"first\n" + b"%d\n" % len(body))
            assert (await client.read_until(b"first\n")).endswith(b"hello httpsfirst\n")

            async def upload():
                for i in range(0, len(body), 16384):
                    client.send(body[i : i + 16384])
                    await client.writer.drain()

            uploading = asyncio.ensure_future(upload())
            data = b""
            while len(data) < len(body):
                piece = await client.read()
                assert piece
                data += piece
            assert data == body
            await uploading
            client.close()
            await until(lambda: "end" in result and "closed" in result)

    run(main())


def test_a_stand_in_that_was_looked_at_becomes_the_stream(side):
    async def away(self):
        before = self.request.connection.stream
        sock = before.socket
        stream = self.detach()
        assert stream is before and stream.socket is sock
        await stream.write(b"hello https")
        await stream.write(await stream.read_until(b"\n"))
        stream.close()

    async def main():
        async with serve(side, application(side[0], away=away)) as server:
            client = await TLSClient.connect(server.port)
            client.send(request("/away"))
            await client.read_until(b"hello https")
            client.send(b"more\n")
            assert await client.rest() == b"more\n"
            client.close()

    run(main())


def test_websockets_over_tls(side):
    """The handshake is HTTP's, the frames go through the detached stream."""
    websocket = tornado.websocket if side is TORNADO else tornadoc.websocket

    class Echo(websocket.WebSocketHandler):
        def on_message(self, message):
            self.write_message(message, binary=isinstance(message, bytes))

    async def main():
        async with serve(side, side[0].Application([("/ws", Echo)])) as server:
            wanted = tornado.httpclient.HTTPRequest(f"wss://localhost:{server.port}/ws", ssl_options=client_context())
            connection = await tornado.websocket.websocket_connect(wanted)
            for message in ("text", b"b" * 1000000, "x" * 70000, b""):
                await connection.write_message(message, binary=isinstance(message, bytes))
                assert await connection.read_message() == message
            connection.close()
            assert await connection.read_message() is None

    run(main())


def test_a_websocket_s_fault_over_tls_is_answered_though_the_client_goes_on_sending():
    closed = []

    class Handler(tornadoc.websocket.WebSocketHandler):
        def on_close(self):
            closed.append((self.close_code, self.close_reason))

    def client(port):
        upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        upgrade.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
        sock = client_context().wrap_socket(socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname="localhost")
        with sock:
            sock.sendall(request("/ws", headers=upgrade))
            while not sock.recv(4096).endswith(b"\r\n\r\n"):
                pass
            sock.sendall(b"\x83\x80mask" + bytes(5_000_000))
            return sock.recv(4096), sock.recv(4096)

    async def main():
        async with serve(TORNADOC, tornadoc.web.Application([("/ws", Handler)])) as server:
            answer = await asyncio.to_thread(client, server.port)
            await until(lambda: closed)
            return answer

    with log_records() as records:
        answer, end = run(main())
    assert answer[:1] + answer[2:4] == b"\x88\x03\xea" and end == b""
    assert closed == [(None, None)] and [record for record in records if record[0] != "tornado.access"] == []


def test_delegates_are_told_before_the_handshake_and_may_wait_for_it(side):
    events = []

    class Delegate(tornado.httputil.HTTPMessageDelegate):
        def __init__(self, connection):
            self.connection = connection

        def headers_received(self, start_line, headers):
            events.append(("headers", start_line.path))

        def finish(self):
            start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
            self.connection.write_headers(start, tornado.httputil.HTTPHeaders({"Content-Length": "11"}), b"hello https")
            self.connection.finish()

    class Server(tornado.httputil.HTTPServerConnectionDelegate):
        def start_request(self, server_conn, request_conn):
            events.append("start")
            if len(events) == 1:
                waiting = asyncio.ensure_future(server_conn.stream.wait_for_handshake())
                waiting.add_done_callback(lambda f: events.append(("shaken", isinstance(f.result(), ssl.SSLSocket))))
            return Delegate(request_conn)

    async def main():
        async with serve(side, Server()) as server:
            client = await TLSClient.open(server.port)
            await until(lambda: events)
            await settle()
            assert events == ["start"]
            await client.handshake()
            await until(lambda: len(events) == 2)
            client.send(request("/hello"))
            await client.read_until(b"hello https")
            assert events[:3] == ["start", ("shaken", False), ("headers", "/hello")]
            client.close()

    run(main())


def test_a_subclass_that_handles_streams_itself_is_asked(side):
    seen = []

    class Own(side[1].HTTPServer):
        def handle_stream(self, stream, address):
            seen.append((isinstance(stream, tornado.iostream.SSLIOStream), address[0]))
            super().handle_stream(stream, address)

    async def main():
        async with Running(application(side[0]), Own, ssl_options=server_context()) as server:
            client = await TLSClient.connect(server.port)
            await get(client)
            client.close()
        assert seen == [(True, "127.0.0.1")]

    run(main())


def test_a_context_with_sockets_of_its_own_is_tornados(side):
    class Socket(ssl.SSLSocket):
        pass

    def own(self):
        self.write(type(self.request.connection.stream.socket).__name__ + " hello " + self.request.protocol)

    async def main():
        context = server_context()
        context.sslsocket_class = Socket
        async with serve(side, application(side[0], own=own), ssl_options=context) as server:
            client = await TLSClient.connect(server.port)
            assert b"Socket hello" in await get(client, "/own")
            client.close()

    run(main())


def test_a_client_context_can_not_serve(side):
    async def main():
        uncaught = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: uncaught.append(type(context["exception"])))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        async with serve(side, ssl_options=context) as server:
            client = await TLSClient.open(server.port)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await client.handshake()
            client.close()
            await until(lambda: uncaught)
        assert uncaught == [ssl.SSLError]

    run(main())


def test_resumed_sessions():
    """One context for all connections: the tickets of one are good for the next. Tornado's dict has a new context each time."""

    def session(self):
        self.write(f"{self.request.connection.stream.socket.session_reused} hello {self.request.protocol}")

    async def main():
        async with serve(TORNADOC, application(TORNADOC[0], session=session), ssl_options=ssl_options()) as server:
            context = client_context()
            client = await TLSClient.connect(server.port, context)
            assert b"False hello" in await get(client, "/session")
            ticket = client.tls.session
            client.close()
            again = await TLSClient.open(server.port, context)
            again.tls = context.wrap_bio(again.incoming, again.outgoing, server_hostname="localhost", session=ticket)
            await again.handshake()
            assert b"True hello" in await get(again, "/session")
            again.close()

    run(main())


def test_no_cycle_stays_behind_a_connection(side):
    """As circlerefs_test asks: everything of a connection is freed without the collector."""

    def look(self):
        self.write(f"{self.request.connection.stream.socket.version()} hello https")

    async def main():
        async with serve(side, application(side[0], look=look)) as server:
            gc.collect()
            gc.disable()
            gc.set_debug(gc.DEBUG_SAVEALL)
            try:
                for path in ("/hello", "/look"):
                    client = await TLSClient.connect(server.port)
                    client.send(request(path, headers=["Connection: close"]))
                    assert b"hello https" in await client.rest()
                    client.close()
                    del client
                await settle(20)
                gc.collect()
                kinds = (ssl.SSLSocket, ssl.SSLObject, tornado.iostream.BaseIOStream, tornado.web.RequestHandler)
                assert [x for x in gc.garbage if isinstance(x, kinds)] == []
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(main())
