"""The kinds of requests: each a function that makes `count` of them and checks the answers."""

import gzip
import os
import re
import socket
import ssl
import struct
import zlib

import tornado

KINDS = {}
#: Kinds that leave no garbage for the collector, with the number of requests of one such test. The others (ordinary=0) meet
#: cycles of Tornado's own: a template's namespace, the traceback in a streaming request's _body_future, TLS.
ORDINARY = {}


def kind(ordinary=20):
    def register(function):
        name = function.__name__
        KINDS[name] = function
        if ordinary:
            ORDINARY[name] = ordinary
        return function

    return register


class Client:
    def __init__(self, ports, server="main"):
        self.socket = socket.create_connection(("127.0.0.1", ports[server]), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        piece = self.socket.recv(65536)
        assert piece, "closed after %r" % self.rest[:300]
        self.rest += piece

    def take(self, size):
        while len(self.rest) < size:
            self.more()
        taken, self.rest = self.rest[:size], self.rest[size:]
        return taken

    def line(self):
        while b"\r\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def answer(self, head=False):
        """(status, head, body) of one answer."""
        while b"\r\n\r\n" not in self.rest:
            self.more()
        top, self.rest = self.rest.split(b"\r\n\r\n", 1)
        status = int(top.split(b" ", 2)[1])
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", top)
        if head or status in (100, 101, 204, 304):
            return status, top, b""
        if length:
            return status, top, self.take(int(length.group(1)))
        if b"transfer-encoding: chunked" in top.lower():
            body = b""
            while size := int(self.line(), 16):
                body += self.take(size + 2)[:-2]
            self.line()
            return status, top, body
        return status, top, self.until_closed()

    def until_closed(self):
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                data, self.rest = self.rest, b""
                return data
            self.rest += piece

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def request(path, *fields, method="GET", body=None, version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *fields]
    if body is not None and not any(f.lower().startswith("transfer-encoding") for f in fields):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(body, size):
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def repeat(ports, count, data, status=200, server="main", head=False):
    """All of them on one connection."""
    with Client(ports, server) as client:
        for _ in range(count):
            client.send(data)
            answer = client.answer(head)
            assert answer[0] == status, answer
    return answer


def afresh(ports, count, data, status=200, server="main", closes=True):
    """Each on a connection of its own; status None: there is no answer."""
    for _ in range(count):
        with Client(ports, server) as client:
            client.send(data)
            if status is not None:
                answer = client.answer()
                assert answer[0] == status, answer
            if closes:
                assert client.until_closed() == b""


def simple(name, data, ordinary=20, **arguments):
    def run(ports, count):
        repeat(ports, count, data, **arguments)

    run.__name__ = name
    kind(ordinary)(run)


def closing(name, data, ordinary=20, **arguments):
    def run(ports, count):
        afresh(ports, count, data, **arguments)

    run.__name__ = name
    kind(ordinary)(run)


MULTIPART = (
    b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--B\r\nContent-Disposition: form-data; name="f"; filename="n.txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n--B--\r\n'
)
FORM = "Content-Type: application/x-www-form-urlencoded"
CHUNKED = "Transfer-Encoding: chunked"
MEGABYTE = b"y" * 1_000_000

simple("sync", request("/write"))
simple("browser_headers", request("/write", "User-Agent: " + "u" * 100, "Accept: */*", "Accept-Language: en", "Cookie: a=1; b=2"))
simple("json", request("/json"))
simple("path_and_query_arguments", request("/arguments/17?q=word"))
simple("named_path_argument", request("/named/word"))
simple("async_that_does_not_wait", request("/no_wait"))
simple("async_that_waits", request("/wait"))
simple("generator_coroutine", request("/generator"))
simple("prepare_that_waits", request("/prepare_waits"))
simple("not_found", request("/nowhere"), status=404)
simple("method_not_allowed", request("/json", method="DELETE"), status=405)
simple("unknown_method", request("/json", method="BREW"), status=405)
simple("redirect", request("/redirect"), status=301)
simple("http_error", request("/fails/http"), status=403)
simple("finish_exception", request("/fails/finish"))
simple("uncaught_exception", request("/fails/value"), status=500)
simple("uncaught_exception_in_a_task", request("/fails_later"), status=500)
simple("uncaught_exception_after_a_flush", request("/fails_in_the_middle"))
simple("form", request("/form", FORM, method="POST", body=b"a=1&b=2"))
simple("malformed_form_encoding", request("/form", FORM, "Content-Encoding: x", method="POST", body=b"a=1"), status=400)
simple("multipart", request("/form", "Content-Type: multipart/form-data; boundary=B", method="POST", body=MULTIPART))
simple(
    "malformed_multipart",
    request("/form", "Content-Type: multipart/form-data; boundary=B", method="POST", body=b"--B"),
    status=400,
)
simple("missing_argument", request("/form", FORM, method="POST", body=b"b=2"), status=400)
simple("bad_utf8_in_the_path", request("/named/%FF"), status=404)
simple("bad_utf8_argument", request("/arguments/1?q=%FF"), status=400)
simple("chunked_body", request("/body", CHUNKED, method="POST", body=chunked(b"z" * 1000, 100)))
simple("large_body", request("/body", method="POST", body=MEGABYTE), ordinary=2)
simple("large_chunked_body", request("/body", CHUNKED, method="POST", body=chunked(MEGABYTE, 50_000)), ordinary=2)
simple("streamed_body", request("/stream", method="POST", body=b"s" * 100_000), ordinary=5)
simple("streamed_chunked_body", request("/stream", CHUNKED, method="POST", body=chunked(b"s" * 100_000, 9_000)), ordinary=5)
simple("gzip_body", request("/body", "Content-Encoding: gzip", method="POST", body=gzip.compress(MEGABYTE)), server="proxied")
simple("proxied", request("/curious", "X-Forwarded-For: 1.2.3.4", "X-Scheme: https"), server="proxied")
simple("static_file", request("/static/file.txt"))
simple("static_range", request("/static/file.txt", "Range: bytes=2-5"), status=206)
simple("static_not_modified", request("/static/file.txt", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"), status=304)
simple("static_head", request("/static/file.txt", method="HEAD"), head=True)
simple("static_not_found", request("/static/nothing.txt"), status=404)
simple("template", request("/template"), ordinary=0)
simple("cookies", request("/cookies", "Cookie: seen=yes; other=1"))
simple("compressed_answer", request("/write", "Accept-Encoding: gzip"), server="protected")
simple("xsrf_token", request("/xsrf"), server="protected")
simple("xsrf_refused", request("/xsrf", method="POST", body=b""), server="protected", status=403)
simple("head", request("/write", method="HEAD"), head=True)
simple("pieces", request("/pieces"))
simple("large_answer", request("/large"), ordinary=2)
simple("large_pieces", request("/large_pieces"), ordinary=1)
simple("finished_by_a_callback", request("/later"))
simple("overridden_execute", request("/execute"))
simple("overridden_hooks", request("/hooks"))
simple("every_attribute", request("/curious?a=1", "Cookie: a=1"))
simple("custom_delegate", request("/router", method="POST", body=b"d" * 1000))
simple("server_callback", request("/"), server="callback")
simple("http10_keep_alive", request("/write", "Connection: keep-alive", version="1.0"))

closing("connection_close", request("/write", "Connection: close"))
closing("http10", request("/write", version="1.0"))
closing("one_request_a_connection", request("/write"), closes=False)
closing("every_attribute_afresh", request("/curious?a=1"), closes=False)
closing("stream_refused_early", request("/stream_refused", method="POST", body=b"r" * 200_000), status=413, ordinary=5)
closing("malformed_request_line", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", status=400)
closing("malformed_header", b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", status=400)
closing("missing_host", b"GET / HTTP/1.1\r\n\r\n", status=400)
closing("bad_chunk", request("/body", CHUNKED, method="POST", body=b"zz\r\n"), status=400)
closing("bad_chunk_of_a_stream", request("/stream", CHUNKED, method="POST", body=b"3\r\nabc\r\nzz\r\n"), status=400, ordinary=0)
closing(
    "bad_gzip_body",
    request("/body", "Content-Encoding: gzip", method="POST", body=b"x" * 50),
    server="proxied",
    status=400 if tornado.version_info >= (6, 6) else None,
)
closing("head_too_large", request("/write", "X: " + "h" * 10_000), status=431)
closing("too_many_fields", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A:\r\n" * 1100 + b"\r\n", status=431)
closing("body_too_large", request("/body", "Content-Length: 5000000", method="POST"), status=400)
closing("too_many_arguments", request("/write?" + "a&" * 1500), status=400)
closing("tls", request("/write"), server="tls", closes=False, ordinary=0)


@kind()
def etag_not_modified(ports, count):
    top = repeat(ports, 1, request("/write"))[1]
    etag = re.search(rb"Etag: (\S+)", top).group(1).decode()
    repeat(ports, count, request("/write", "If-None-Match: " + etag), status=304)


@kind()
def xsrf_accepted(ports, count):
    _, top, token = repeat(ports, 1, request("/xsrf"), server="protected")
    cookie = re.search(rb"Set-Cookie: (_xsrf=[^;]+)", top).group(1).decode()
    fields = ("Cookie: " + cookie, "X-XSRFToken: " + token.decode())
    repeat(ports, count, request("/xsrf", *fields, method="POST", body=b""), server="protected")


@kind()
def expect_continue(ports, count):
    with Client(ports) as client:
        for _ in range(count):
            client.send(request("/body", "Expect: 100-continue", "Content-Length: 4", method="POST"))
            assert client.answer()[0] == 100
            client.send(b"body")
            assert client.answer()[2] == b"4"


@kind()
def pipelined(ports, count):
    data = request("/write") + request("/no_wait") + request("/wait") + request("/body", method="POST", body=b"1")
    with Client(ports) as client:
        for _ in range(count // 16 + 1):
            client.send(data * 4)
            for _ in range(16):
                assert client.answer()[0] == 200


@kind()
def byte_by_byte(ports, count):
    with Client(ports) as client:
        for _ in range(count // 10 + 1):
            for byte in request("/body", method="POST", body=b"1"):
                client.send(bytes([byte]))
            assert client.answer()[0] == 200


@kind()
def closed_without_a_request(ports, count):
    for _ in range(count):
        Client(ports).socket.close()


def abandoned(name, data, server="main", answer=False, reset=False, ordinary=20):
    """The client goes away after sending this, or after the first bytes of the answer."""

    def run(ports, count):
        for _ in range(count):
            client = Client(ports, server)
            client.send(data)
            if answer:
                client.more()
            if reset:
                client.reset()
            else:
                client.socket.close()

    run.__name__ = name
    kind(ordinary)(run)


abandoned("closed_in_the_head", b"GET /write HTTP/1.1\r\nHost: a")
abandoned("closed_in_the_body", request("/body", "Content-Length: 1000", method="POST") + b"part")
abandoned("closed_in_a_chunk", request("/body", CHUNKED, method="POST") + b"40\r\npart")
abandoned("closed_in_a_streamed_body", request("/stream", "Content-Length: 1000", method="POST") + b"part", ordinary=0)
abandoned("closed_in_a_delegates_body", request("/router", "Content-Length: 1000", method="POST") + b"part")
abandoned("closed_in_a_callback_servers_head", b"GET / HTTP/1.1\r\n", server="callback")
abandoned("closed_in_the_answer", request("/large"), answer=True)
abandoned("reset_in_the_answer", request("/large"), answer=True, reset=True)
abandoned("reset_before_the_handler_returns", request("/lingers"), answer=True, reset=True)
abandoned("reset_between_flushes", request("/large_pieces"), answer=True, reset=True)
abandoned("closed_while_the_handler_waits", request("/waits"), answer=True)
abandoned("reset_while_the_handler_waits", request("/waits"), answer=True, reset=True)
abandoned("closed_before_a_close_callback", request("/forsaken"), answer=True)
abandoned("reset_at_once", request("/wait"), reset=True)
abandoned("reset_while_pipelined", request("/wait") * 8, reset=True)


def cut_off(name, data, ordinary=20):
    """The server closes without a complete answer."""

    def run(ports, count):
        for _ in range(count):
            with Client(ports) as client:
                client.send(data)
                client.until_closed()

    run.__name__ = name
    kind(ordinary)(run)


cut_off("uncaught_exception_in_initialize", request("/fails_to_initialize"))
cut_off("uncaught_exception_in_data_received", request("/stream_fails", method="POST", body=b"data"), ordinary=0)
cut_off("answer_shorter_than_its_length", request("/wrong_length"))
cut_off("detached", request("/detached"))
cut_off("closed_by_the_handler", request("/closes"))


@kind()
def tls_keep_alive(ports, count):
    repeat(ports, count, request("/write"), server="tls")


closing("tls_looked_at", request("/curious"), server="tls", closes=False, ordinary=0)
closing("tls_closed_by_the_server", request("/write", "Connection: close"), server="tls", ordinary=0)


@kind()
def tls_large_answer(ports, count):
    repeat(ports, count, request("/large"), server="tls")


@kind(ordinary=0)
def tls_no_handshake(ports, count):
    """Plain HTTP, the beginning of a handshake, nothing at all."""
    for i in range(count):
        with socket.create_connection(("127.0.0.1", ports["tls"]), timeout=30) as sock:
            sock.sendall((request("/write"), b"\x16\x03\x01\x02\x00\x01", b"")[i % 3])
            if i % 3:
                sock.shutdown(socket.SHUT_WR)
            while True:
                try:
                    if not sock.recv(65536):
                        break
                except ConnectionError:
                    break


@kind(ordinary=0)
def tls_detached(ports, count):
    for _ in range(count):
        with Client(ports, "tls") as client:
            client.send(request("/detached"))
            assert client.answer()[0] == 200
            client.until_closed()


@kind(ordinary=0)
def tls_websocket(ports, count):
    websocket_echo(ports, count, "tls")


@kind(ordinary=5)
def websocket(ports, count):
    websocket_echo(ports, count, "main")


def handshake(*fields):
    return request(
        "/echo",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==",
        "Sec-WebSocket-Version: 13",
        *fields,
    )


def frame(opcode, payload=b"", first=0x80):
    mask = b"\1\2\3\4"
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([first | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def websocket_echo(ports, count, server):
    for _ in range(count):
        with Client(ports, server) as client:
            client.send(handshake() + frame(1, b"early"))
            assert client.answer()[0] == 101
            client.send(frame(1, b"hello"))
            assert client.take(14) == b"\x81\5early\x81\5hello"
            client.send(frame(8, b"\x03\xe8"))
            assert client.take(4)[:2] == b"\x88\2"
            assert client.until_closed() == b""


@kind(ordinary=5)
def websocket_frames(ports, count):
    """Fragments with a ping between them, a frame in two parts, an awaitable on_message, compression."""
    for _ in range(count):
        with Client(ports) as client:
            client.send(handshake("Sec-WebSocket-Extensions: permessage-deflate"))
            assert client.answer()[0] == 101
            client.send(frame(1, b"ab", first=0) + frame(9, b"p") + frame(0, b"c"))
            assert client.take(3) == b"\x8a\1p"
            client.take(client.take(2)[1])
            large = frame(1, b"x" * 5000)
            client.send(large[:3000])
            client.send(large[3000:] + frame(1, b"slow"))
            client.take(client.take(2)[1])
            client.take(client.take(2)[1])
            compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
            data = compressor.compress(b"compressed") + compressor.flush(zlib.Z_SYNC_FLUSH)
            client.send(frame(1, data[:-4], first=0xC0) + frame(8, b"\x03\xe8"))
            assert client.until_closed()[-4:-2] == b"\x88\2"


#: What a close frame answers, or nothing.
FAULTS = (
    b"\x81\2hi",
    frame(3, b"x"),
    frame(0, b"x"),
    frame(1, b"\xff"),
    frame(9, b"x", first=0),
    frame(1, b"x", first=0xA0),
    frame(8, b"\3\xe8\xff"),
    b"\x82\xff" + struct.pack("!Q", 1 << 63),
    frame(1, b"\xff", first=0xC0),
)


@kind()
def websocket_faults(ports, count):
    for i in range(count):
        with Client(ports) as client:
            client.send(handshake())
            assert client.answer()[0] == 101
            client.send(frame(1, b"fine") + FAULTS[i % len(FAULTS)])
            assert client.until_closed()[:7] == b"\x81\4fine\x88"


@kind(ordinary=0)
def websocket_abandoned(ports, count):
    """Clients that go away in every place."""
    whole = frame(1, b"whole message")
    places = (b"", whole[:1], whole[:2], whole[:5], whole[:9], whole + frame(1, b"slow"), frame(1, b"a", first=0), whole * 500)
    for i in range(count):
        with Client(ports) as client:
            client.send(handshake())
            assert client.answer()[0] == 101
            client.send(places[i // 2 % len(places)])
            if i % 2:
                client.reset()


@kind()
def websocket_refused(ports, count):
    afresh(ports, count, request("/echo"), status=400, closes=False)


#: These cost the client much more than others, and get a part of the requests.
EXPENSIVE = {
    "large_pieces": 8,
    "large_answer": 8,
    "reset_between_flushes": 8,
    "large_chunked_body": 4,
    "large_body": 4,
    "gzip_body": 2,
    "byte_by_byte": 2,
    "tls": 4,
    "tls_looked_at": 4,
    "tls_closed_by_the_server": 4,
    "tls_large_answer": 8,
    "tls_detached": 4,
    "tls_websocket": 4,
}

TOTAL = int(os.environ.get("TORNADOC_LEAK_REQUESTS", "20000"))


def share(name, part):
    """How many requests of a kind make up one phase, where a part of TOTAL is divided among all kinds' two and a half phases."""
    return max(4, round(TOTAL * part / len(KINDS) / 2.5 / EXPENSIVE.get(name, 1)))
