"""Raw requests and the exact answers and records of tornadoc: the rules where it goes its own way, and their neighbours."""

import pytest
import support
from casebook.case import BAD_REQUEST, TOO_LARGE, Case, chunked, get, head, post, raw
from support import PLAIN

CONTINUE = b"HTTP/1.1 100 (Continue)\r\n\r\n"
MALFORMED = "Malformed HTTP message from 127.0.0.1: "
own = pytest.mark.skipif(support.REFERENCE, reason="tornadoc's own rule")


def talk(server, data, name="main"):
    """Sends ``data``; returns what came until nothing more did, whether the server closed, and the records."""
    outcome = server.run(Case("talk", data, server=name), "whole")
    assert outcome.trouble is None, outcome.trouble
    return outcome.data, outcome.closed, support.harness.normal_records(outcome.records)


# (name, listener, request, the whole answer): refused with 400, one record, no handler.
REFUSED = [
    ("both_lengths", "main", get("/dump", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST", body=b"abc")),
    ("both_lengths_2", "main", get("/dump", "Transfer-Encoding: chunked", "Content-Length: 3", method="POST", body=b"abc")),
    ("chunked_twice", "main", get("/dump", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", method="POST")),
    ("gzip_chunked", "main", get("/dump", "Transfer-Encoding: gzip, chunked", method="POST")),
    ("identity", "main", get("/dump", "Transfer-Encoding: identity", method="POST")),
    ("name_space", "main", get("/dump", "Transfer-Encoding : chunked", method="POST")),
    ("unequal", "main", get("/dump", "Content-Length: 3", "Content-Length: 4", method="POST", body=b"abcd")),
    ("digits", "main", get("/dump", "Content-Length: " + "0" * 4999 + "3", method="POST", body=b"abc")),
    ("two_63", "main", get("/dump", "Content-Length: %d" % 2**63, method="POST")),
    ("two_64", "main", get("/dump", "Content-Length: %d" % (2**64 + 3), method="POST", body=b"abc")),
    ("chunk_space", "main", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3 \r\nabc\r\n0\r\n\r\n")),
    ("chunk_hex", "main", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"0x3\r\nabc\r\n0\r\n\r\n")),
    ("chunk_extension_lf", "main", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3;a\nabc\r\n0\r\n\r\n")),
    ("chunk_end", "main", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"3\r\nabcXX0\r\n\r\n")),
    ("bare_cr", "main", raw("GET /dump HTTP/1.1", "A: b\rc")),
    ("nul", "main", raw("GET /dump HTTP/1.1", "A: b\x00c")),
    ("first_space", "main", b"GET /dump HTTP/1.1\r\n Host: h.test\r\n\r\n"),
    ("fold", "main", raw("GET /dump HTTP/1.1", "A: b\r\n c")),
    ("no_host", "main", raw("GET /dump HTTP/1.1", host=None)),
    ("two_hosts", "main", get("/dump", "Host: h.test")),
    ("tab_in_target", "main", raw("GET /du\tmp HTTP/1.1")),
    ("http2", "main", raw("GET /dump HTTP/2.0")),
    ("too_long", "small_body", post("/dump", b"x" * 65)),
    ("chunks_too_long", "small_body", chunked("/dump", b"x" * 40, b"y" * 40)),
]
OWN_REFUSED = [
    ("chunk_zeros", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"0" * 200 + b"3\r\nabc\r\n0\r\n\r\n")),
    ("last_chunk_lf", get("/dump", "Transfer-Encoding: chunked", method="POST", body=b"0\n\n")),
    ("extensions", get("/dump", "Transfer-Encoding: chunked", method="POST", body=(b"1;" + b"a" * 999 + b"\r\nx\r\n") * 20)),
]
OWN_TOO_LARGE = [
    ("one_header", "main", get("/dump", "X: " + "v" * 66000)),
    ("target", "main", get("/" + "v" * 66000)),
    ("unfinished", "main", b"GET / HTTP/1.1\r\nX: " + b"v" * 66000),
    ("by_one", "small_header", get("/dump", "X: " + "v" * 600)),
    ("many", "main", get("/dump", *["X-%d: 1" % i for i in range(1001)])),
]


@pytest.mark.parametrize("name,listener,request_", REFUSED, ids=[r[0] for r in REFUSED])
def test_refused(server, name, listener, request_):
    answer, closed, records = talk(server, request_ + PLAIN, listener)
    assert (answer, closed) == (BAD_REQUEST, True)
    assert [r[:2] for r in records] == [("tornado.general", "INFO")] and records[0][2].startswith(MALFORMED), records


@own
@pytest.mark.parametrize("name,request_", OWN_REFUSED, ids=[r[0] for r in OWN_REFUSED])
def test_refused_by_tornadoc(server, name, request_):
    answer, closed, records = talk(server, request_)
    assert (answer, closed) == (BAD_REQUEST, True)
    assert [r[:2] for r in records] == [("tornado.general", "INFO")] and records[0][2].startswith(MALFORMED), records


@own
@pytest.mark.parametrize("name,listener,request_", OWN_TOO_LARGE, ids=[r[0] for r in OWN_TOO_LARGE])
def test_header_too_large(server, name, listener, request_):
    answer, closed, records = talk(server, request_ + PLAIN, listener)
    assert (answer, closed) == (TOO_LARGE, True)
    ((logger, level, message, _),) = records
    assert (logger, level) == ("tornado.general", "INFO")
    limit = 512 if listener == "small_header" else 65536
    unread = r"Unsatisfiable read, closing connection: delimiter re.compile(b'\r?\n\r?\n') not found within %d bytes" % limit
    assert message == (MALFORMED + "too many header lines" if name == "many" else unread)


@own
@pytest.mark.parametrize("extension", [b";a=b", b";a", b';a="b;c"', b";" + b"x" * 8000])
def test_chunk_extension_is_ignored(server, extension):
    body = b"3%s\r\nabc\r\n0%s\r\n\r\n" % (extension, extension)
    answer, closed, records = talk(server, get("/dump", "Transfer-Encoding: chunked", method="POST", body=body) + PLAIN)
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and b"body=b'abc'" in answer and not closed
    assert [r[0] for r in records] == ["tornado.access"] * 2


@own
def test_trailers_are_discarded(server):
    request = chunked("/dump", b"abc", tail=b"0\r\nX-Secret: 1\r\nCookie: a=b\r\n\r\n", headers=["Trailer: X-Secret"])
    answer, closed, _ = talk(server, request + PLAIN)
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and b"X-Secret', '1'" not in answer and b"cookies=[]" in answer and not closed


@own
def test_trailers_are_bounded(server):
    answer, closed, _ = talk(server, chunked("/dump", b"abc", tail=b"0\r\n" + b"X: y\r\n" * 30000))
    assert closed and answer in (BAD_REQUEST, TOO_LARGE)


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=own), pytest.param(8, marks=own)])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_empty_lines_before_a_request(server, count, end):
    answer, closed, _ = talk(server, end * count + PLAIN)
    assert answer.startswith(b"HTTP/1.1 200 OK") and not closed


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_too_many_empty_lines(server, end):
    assert talk(server, end * 9 + PLAIN)[:2] == (BAD_REQUEST, True)


@own
@pytest.mark.parametrize("value", ["keep-alive, close", "close, x", "x,\tClose ,y"])
def test_close_in_a_list(server, value):
    answer, closed, records = talk(server, get("/write/str", "Connection: " + value) + PLAIN)
    assert answer.count(b"HTTP/1.1 200 OK") == 1 and b"\r\nConnection: close\r\n" in answer and closed
    assert len(records) == 1, "a handler ran for bytes after the last request"


@own
def test_transfer_encoding_on_10_closes_unless_kept_alive(server):
    """Tornado's own suite asks for the keep-alive (httpserver_test.KeepAliveTest.test_keepalive_chunked)."""
    answer, closed, _ = talk(server, chunked("/dump", b"abc", version="1.0") + PLAIN)
    assert answer.count(b"HTTP/1.1 200 OK") == 1 and b"body=b'abc'" in answer and closed


@pytest.mark.parametrize("value,sent", [("100-continue", True), pytest.param("100-Continue", True, marks=own), ("200-ok", False)])
def test_continue(server, value, sent):
    """The 100 comes before the body, once, and the answer after it."""
    with server.client() as sock:
        sock.sendall(get("/dump", "Expect: " + value, "Content-Length: 3", method="POST"))
        server.sync()
        if sent:
            assert sock.recv(1000) == CONTINUE
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1000)
        sock.settimeout(support.PATIENCE)
        sock.sendall(b"abc")
        answer = support.read_answer(sock)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"body=b'abc'" in answer
        sock.sendall(PLAIN)
        assert support.read_answer(sock).endswith(b"plain")


@own
def test_no_continue_on_10(server):
    answer, _, _ = talk(server, post("/dump", b"abc", "Expect: 100-continue", "Connection: keep-alive", version="1.0"))
    assert answer.startswith(b"HTTP/1.1 200 OK")


def test_pipelining(server):
    """Fifty requests in one piece: fifty answers in order."""
    requests = []
    for i in range(50):
        path = "/dump/n%d" % i
        requests.append([get(path), post(path, b"b%d" % i), chunked(path, b"c%d" % i), head(path)][i % 4])
    answer, closed, records = talk(server, b"".join(requests))
    parts = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert len(parts) == 50 and not closed
    for i, part in enumerate(parts):
        if i % 4 != 3:
            assert b"uri='/dump/n%d'\n" % i in part and b"body=%r\n" % [b"", b"b%d" % i, b"c%d" % i][i % 4] in part
    assert len(records) == 50 and all(r[0] == "tornado.access" for r in records)


def test_split_at_every_byte(server):
    """Two pieces, cut at every place."""
    request = chunked("/dump", b"abc", b"defg", headers=["X-A: 1"]) + PLAIN
    expected = None
    for cut in range(1, len(request)):
        with server.client() as sock:
            sock.sendall(request[:cut])
            server.ping()
            sock.sendall(request[cut:])
            answers = []
            rest = b""
            while len(answers) < 2:
                data = rest + sock.recv(65536)
                while b"\r\n\r\n" in data:
                    top, _, body = data.partition(b"\r\n\r\n")
                    length = int(top.lower().split(b"content-length:")[1].split()[0])
                    if len(body) < length:
                        break
                    answers.append(support.harness.normal_bytes(top + b"\r\n\r\n" + body[:length]))
                    data = body[length:]
                rest = data
        expected = expected or answers
        assert answers == expected, "cut at %d" % cut
