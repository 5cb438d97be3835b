"""The head of an answer, whatever a handler puts into its headers, has Tornado's bytes or Tornado's error."""

import http
import operator
import re

import pytest
import tornado.httputil
from sidebyside import at_every_collection, compare, get, run


class Text(str):
    pass


class Name(str):
    def __str__(self):
        return "X-Other"


def direct(name, value):
    def change(handler):
        handler._headers[name] = value

    return change


def stored(name, value):
    """Past all checks."""

    def change(handler):
        handler._headers._as_list[name] = [value]

    return change


def several(count, value="v"):
    def change(handler):
        for i in range(count):
            handler.set_header(f"X-{i}", value)

    return change


def added(*values):
    def change(handler):
        for value in values:
            handler.add_header("X-Added", value)

    return change


def length(value):
    def change(handler):
        handler._headers["Content-Length"] = value

    return change


def replaced(make):
    def change(handler):
        handler._headers = make(handler._headers)

    return change


class Shouting(tornado.httputil.HTTPHeaders):
    def get_all(self):
        return ((name.upper(), value) for name, value in super().get_all())


CHANGES = {
    "none": lambda handler: None,
    "looked at": lambda handler: list(handler._headers.get_all()),
    "one": several(1),
    "as many as are gathered": several(27),
    "31": several(28),
    "32": several(29),
    "33": several(30),
    "100": several(100),
    "long": several(1, "v" * 9000),
    "many long": several(20, "v" * 1000),
    "longer than a block": several(3, "v" * 20000),
    "at the edge": several(8, "v" * 990),
    "empty": direct("X-Empty", ""),
    "latin-1": direct("X-Latin", "caf\xe9"),
    "beyond latin-1": direct("X-Wide", "\u20ac"),
    "latin-1 name": direct("X-Caf\xe9", "v"),
    "CR": direct("X-Line", "a\rb"),
    "LF": direct("X-Line", "a\nSet-Cookie: b"),
    "LF in a name": direct("X-Line\nb", "v"),
    "CR at the end": direct("X-Line", "a\r"),
    "NUL": direct("X-Nul", "a\0b"),
    "bytes": direct("X-Bytes", b"bytes"),
    "number": direct("X-Number", 5),
    "none at all": direct("X-None", None),
    "subclass": direct("X-Text", Text("text")),
    "subclass name": direct(Name("X-Name"), "v"),
    "stored bytes": stored("X-Bytes", b"caf\xc3\xa9"),
    "stored number": stored("X-Number", 5),
    "stored line end": stored("X-Line", "a\r\nb"),
    "added": added("a", "b", "c"),
    "added once": added("a"),
    "added numbers": added(1, b"two", "three"),
    "any case": lambda handler: handler.set_header("x-ANY-case", "v"),
    "set twice": lambda handler: [handler.set_header("content-TYPE", value) for value in ("a/b", "c/d")],
    "cleared": lambda handler: handler.clear_header("Server"),
    "all cleared": lambda handler: handler._headers.clear(),
    "moved": lambda handler: handler.set_header("Date", handler._headers.pop("Date")),
    "etag": lambda handler: handler.set_header("ETAG", '"mine"'),
    "length": length("4"),
    "length with zeros": length("0000000000000000000000004"),
    "short length": length("3"),
    "long length": length("5"),
    "large length": length("123456789012345678"),
    "larger length": length("9223372036854775807"),
    "length of too many digits": length("9" * 4400),
    "length that is none": length("four"),
    "empty length": length(""),
    "signed length": length("+4"),
    "length and blank": length("4 "),
    "two lengths": lambda handler: [handler.add_header("Content-Length", "4") for _ in range(2)],
    "wide length": length("\u0664"),
    "connection": direct("Connection", "other"),
    "coding": direct("Transfer-Encoding", "identity"),
    "other class": replaced(Shouting),
    "parsed": replaced(lambda headers: tornado.httputil.HTTPHeaders.parse("A: b\r\nC: d\r\nA: e\r\n")),
    "copied": replaced(lambda headers: headers.copy()),
    "attribute": lambda handler: setattr(handler._headers, "note", 1),
    "method": lambda handler: setattr(handler._headers, "get_all", lambda: [("X-Instead", "v")]),
    "long reason": lambda handler: handler.set_status(200, "r" * 9000),
    "reason with a line end": lambda handler: setattr(handler, "_reason", "a\nb"),
    "reason and header": lambda handler: (handler.set_status(200, "caf\xe9"), handler.set_header("X-A", "b")),
    "created": lambda handler: handler.set_status(201),
    "unknown status": lambda handler: handler.set_status(299),
    "no content": lambda handler: (handler.set_status(204), handler._write_buffer.clear(), handler.set_header("X-A", "b")),
}
REQUESTS = [
    get("/"),
    get("/", method="HEAD"),
    get("/", version="1.0", close=False),
    get("/", "If-None-Match: *"),
    get("/?flush=1"),
    get("/?flush=1", version="1.0"),
]
PIPELINED = [
    get("/", "Connection: keep-alive", version="1.0", close=False) + get("/", version="1.0", close=False),
    get("/", close=False) + get("/"),
]
#: Those after which the connection is closed.
FAILING = """beyond latin-1, CR, LF, LF in a name, CR at the end, number, none at all, stored number, stored line end,
short length, long length, large length, larger length, length of too many digits,
length that is none, empty length, signed length, length and blank,
two lengths, wide length, reason with a line end"""


@pytest.mark.parametrize("name", CHANGES)
def test_headers_of_all_kinds(name):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write("text")
                try:
                    CHANGES[name](self)
                except Exception as error:
                    side.note(type(error), str(error))
                if self.get_argument("flush", None):
                    self.flush()
                    self.write("more")

            head = get

            def on_finish(self):
                # Once the answer is written: names in order, values as they are.
                side.note([(name, type(value)) for name, value in self._headers.get_all()], self.get_status())

        side.serve(side.Application([("/", Handler)]))
        return [await side.fetch(data) for data in (REQUESTS if name in failing else REQUESTS + PIPELINED)]

    failing = re.split(r",\s", FAILING)
    too_long = ("long length", "large length", "larger length")
    answers = compare(scenario).result
    if name != "no content":
        assert answers[0].endswith(b"\r\n\r\ntext") is (name not in failing or name in too_long)


def test_a_length_that_no_file_has():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def head(self):
                self.set_header("Content-Length", str(2**63 + 4))

            def get(self):
                self.head()
                self.write("text")

        side.serve(side.Application([("/", Handler)]))
        return [await side.get(method="HEAD"), await side.get()]

    # The exceptions say how much is missing: tornadoc counts up to 2**63 - 1.
    expected, actual = (run(scenario, name) for name in ("tornado", "tornadoc"))
    assert actual.result == expected.result
    assert [re.sub(r"\d{19}", "N", str(r)) for r in actual.records] == [re.sub(r"\d{19}", "N", str(r)) for r in expected.records]


@pytest.mark.parametrize("header", [False, True])
def test_reasons_that_a_program_changes(header):
    responses = tornado.httputil.responses
    saved = dict(responses)

    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self, status):
                self.set_status(int(status))
                if header:
                    self.set_header("X-A", "b")
                side.note(self._reason)

        side.serve(side.Application([("/(.*)", Handler)]))
        answers = []

        async def ask():
            for status in (200, 299, 404):
                answers.append(await side.get(f"/{status}"))

        try:
            await ask()
            responses[200] = "Fine"
            responses[299] = "Nearly"
            await ask()
            del responses[http.HTTPStatus.OK]
            responses[200] = "Again"
            await ask()
            responses[200.0] = "Same key"
            await ask()
        finally:
            responses.clear()
            responses.update(saved)
        await ask()
        return answers

    answers = compare(scenario).result
    assert [answer.split(b"\r\n")[0] for answer in answers[::3]] == [
        b"HTTP/1.1 200 " + reason for reason in (b"OK", b"Fine", b"Again", b"Same key", b"OK")
    ]


def test_each_answer_has_headers_of_its_own():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                side.note(sorted(self._headers))
                self._headers["X-Left"] = "1"
                self._headers["Server"] = "mine"
                del self._headers["Content-Type"]
                self._headers.add("X-More", "2")
                self._headers.get_list("Date").append("3")
                self.write("text")

        side.serve(side.Application([("/", Handler)]))
        return [await side.get() for _ in range(3)]

    answers = compare(scenario).result
    assert answers[0] == answers[1] == answers[2]


def test_what_a_collection_writes_while_somebody_looks_at_the_buffer():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                kept = []
                written = []

                def write():
                    written.append(f"{len(written)} ")
                    self.write(written[-1])

                with at_every_collection(write):
                    for _ in range(50):
                        self.clear()
                        written.clear()
                        kept.append([])  # or its memory would be used again, and none be made, which starts collections
                        kept.append(self._write_buffer)
                assert b"".join(self._write_buffer) == "".join(written).encode()
                self.clear()
                self.write("fine")

        side.serve(side.Application([("/", Handler)]))
        return await side.body()

    assert compare(scenario).result == (200, b"fine")


@pytest.mark.parametrize(
    "path",
    ["_headers", "path_kwargs", "request.headers", "request.connection._request_start_line",
     "request.connection._request_headers", "request.connection.context", "request.connection.stream"],
)  # fmt: skip
def test_what_is_made_when_it_is_looked_at_is_made_once(path):
    """Also where a collection, which making it starts, looks at it first."""

    def look(handler):
        try:
            return operator.attrgetter(path)(handler)
        except AttributeError as e:
            return str(e)

    async def scenario(side):
        kept = []

        class Handler(side.RequestHandler):
            def get(self, number):
                found = []
                armed = False
                with at_every_collection(lambda: armed and found.append(look(self))):
                    for _ in range(int(number)):
                        kept.append(([], {}))  # or their memory would be used again, which starts no collection
                    armed = True
                    found.append(look(self))
                    armed = False
                found.append(look(self))
                side.note(all(one is found[-1] or isinstance(one, str) for one in found))
                kept.append(found)

        side.serve(side.Application([("/(.*)", Handler)]))
        for number in range(50):
            await side.get(f"/{number}")

    assert set(compare(scenario).noted) == {(True,)}


@pytest.mark.parametrize("pieces", [1, 3])
def test_the_etag_is_of_the_whole_body_however_long(pieces):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self, size):
                body = bytes(i * 7 % 251 for i in range(int(size)))
                cut = len(body) // pieces
                for i in range(pieces):
                    self.write(body[i * cut : (i + 1) * cut if i < pieces - 1 else None])

        side.serve(side.Application([("/(.*)", Handler)]))
        return [await side.get(f"/{size}") for size in (0, 1, 54, 55, 56, 63, 64, 65, 2047, 2048, 100_000)]

    assert all(b"\r\nEtag: " in answer for answer in compare(scenario).result)
