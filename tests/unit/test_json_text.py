"""write(dict) sends what Tornado's json_encode() gives, whatever is in the dict and whatever is replaced behind json_encode()."""

import collections
import contextlib
import enum
import json
import json.encoder
import math
import random
import subprocess
import sys

import pytest
import tornado.escape
from sidebyside import compare, patched


class Text(str):
    pass


class Number(int):
    def __repr__(self):
        return "number"


class Real(float):
    def __repr__(self):
        return "real"


class Colour(enum.IntEnum):
    RED = 1


class Named(collections.namedtuple("Named", "a b")):
    pass


class Sorted(dict):
    def items(self):
        return sorted(super().items())


CHARACTERS = [
    *map(chr, range(0x100)),
    *"</<//</script>\u2028\u20ac\ud800\udfff\uffff\U00010000\U0001f600\U0010ffff",
]
ODD = [
    object(),
    b"bytes",
    {1, 2},
    Text("text </"),
    Number(3),
    Real(1.5),
    Colour.RED,
    Named(1, "</"),
    Sorted(b=1, a=2),
    collections.OrderedDict(b=1, a="</"),
    10**30,
    -(2**63) - 1,
    2**63,
]


def make_text(r):
    alphabet = r.choice([CHARACTERS, "abc</", CHARACTERS[:128]])
    return "".join(r.choices(alphabet, k=r.choice([0, 1, 3, 10, 63, 64, 65, 200])))


def make_number(r):
    near = r.choice([0, 256, 2**30, 2**31, 2**60, 2**62, 2**63 - 5])
    real = r.choice([0.0, -0.0, 1e16, 1e-5, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf, r.uniform(-9, 9)])
    return r.choice([near + r.randint(-3, 3), -near, real, r.random() * 10 ** r.randint(-20, 20)])


def make_value(r, depth, odd):
    if r.random() < odd:
        return r.choice(ODD)
    kind = r.randrange(4 if depth == 0 else 8)
    if kind == 0:
        return make_text(r)
    if kind == 1:
        return make_number(r)
    if kind < 4:
        return r.choice([None, True, False])
    if kind < 6:
        return r.choice([list, tuple])(make_value(r, depth - 1, odd) for _ in range(r.randrange(5)))
    return make_dict(r, depth - 1, odd)


def make_dict(r, depth, odd):
    def make_key():
        keys = (
            [None, True, 1.5, math.inf, (1, 2), Text("k"), Number(4)]
            if r.random() < odd
            else [make_text(r), int(r.uniform(-9, 9))]
        )
        return r.choice(keys)

    return {make_key(): make_value(r, depth, odd) for _ in range(r.randrange(6))}


def encoded(values):
    """A scenario: what a handler's write() makes of each of the values that a function gives, and who was asked for it."""

    async def scenario(side):
        results = []
        asked = []
        called = set()

        class Handler(side.RequestHandler):
            def get(self):
                for value in values():
                    self.clear()
                    called.clear()
                    sys.setprofile(lambda frame, event, argument: called.add(frame.f_code.co_name))
                    try:
                        self.write(value)
                        result = b"".join(self._write_buffer)
                    except Exception as error:
                        result = type(error), str(error)
                    finally:
                        sys.setprofile(None)
                    asked.append("json_encode" in called)
                    results.append((result, self._headers["Content-Type"]))
                self.clear()

        side.serve(side.Application([("/", Handler)]))
        assert await side.body() == (200, b"")
        assert side.native or all(asked)
        who[side.name] = asked
        return results

    who = {}
    results = compare(scenario).result
    return [result for result, _ in results], who["tornadoc"]


def test_random_values_of_the_plain_types():
    results, asked = encoded(lambda: (make_dict(random.Random(seed), 4, 0) for seed in range(4000)))
    assert not any(type(result) is tuple for result in results)
    assert sum(map(len, results)) > 1_000_000
    assert not any(asked)


def test_random_values_of_any_types():
    results, asked = encoded(lambda: (make_dict(random.Random(seed), 4, 0.1) for seed in range(4000)))
    failed = [type(result) is tuple for result in results]
    assert 100 < sum(failed) < 3900
    assert asked == failed


def test_every_character():
    def values():
        for start in range(0, 0x110000, 0x1000):
            yield {"": "".join(map(chr, range(start, start + 0x1000)))}
        yield {each: f"<{each}</{each}" for each in map(chr, range(0x180))}

    assert not any(encoded(values)[1])


def test_the_end_of_a_script_is_never_written():
    values = [{"</script>": ["<", "/", "</", "<</", "</</", "<//", "a" * 63 + "</", "a" * 62 + "</", "</\u20ac", "\u20ac</"]}]
    (result,), asked = encoded(lambda: values)
    assert result.startswith(b'{"<\\/script>": ["<", "/", "<\\/", "<<\\/", "<\\/<\\/", "<\\//", "aaa')
    assert b"</" not in result
    assert asked == [False]


def nested(depth, make):
    value = {}
    for _ in range(depth):
        value = make(value)
    return {"a": value}


@pytest.mark.parametrize("make", [lambda value: {"a": value}, lambda value: [value], lambda value: (value,)])
def test_deep_values(make):
    results, asked = encoded(lambda: [nested(depth, make) for depth in (1, 30, 60, 61, 62, 63, 64, 65, 100, 100_000)])
    assert results[-1][0] is RecursionError
    assert asked[0] is False and asked[-1] is True


def test_values_that_contain_themselves():
    def values():
        for make in (lambda value: [value], lambda value: (value,), lambda value: {"b": value}):
            value = {}
            value["a"] = make(value)
            yield value
            shared = make("</")
            yield {"a": shared, "b": [shared, shared]}

    results, _ = encoded(values)
    assert results[::2] == [(ValueError, "Circular reference detected")] * 3


class Disturber(dict):
    """Adds to the dict that it is in."""

    def items(self):
        self.around["more"] = 1
        return super().items()


def test_values_whose_dict_changes_meanwhile():
    def values():
        value = {"a": Disturber(b=1), "c": 2}
        value["a"].around = value
        yield value
        yield value

    encoded(values)


def test_kinds_of_dicts():
    values = [
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
        Sorted(b=1, a=2),
        collections.Counter("aab"),
        {},
    ]
    results, asked = encoded(lambda: values)
    assert results[-1] == b"{}"
    assert not any(asked)


def test_a_value_that_writes_json_itself():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                handler = self

                class Writing(dict):
                    def items(self):
                        handler.write({"inner": [1]})
                        return super().items()

                value = {"a": Writing(b=1), "c": {1: 2}}
                self.write(value)
                self.write(value)

        side.serve(side.Application([("/", Handler)]))
        return [await side.body(), await side.body()]

    assert compare(scenario).result[1] == (200, b'{"inner": [1]}{"a": {"b": 1}, "c": {"1": 2}}' * 2)


def test_large_values():
    results, asked = encoded(lambda: [{"a": "</\u20ac" * 300_000, "b": list(range(100_000)), "c": "x" * 1_000_000}])
    assert len(results[0]) > 4_000_000
    assert asked == [False]


@contextlib.contextmanager
def item_set(mapping, name, value):
    missing = object()
    previous = mapping.get(name, missing)
    mapping[name] = value
    try:
        yield
    finally:
        if previous is missing:
            del mapping[name]
        else:
            mapping[name] = previous


class OtherEncoder(json.JSONEncoder):
    def encode(self, o):
        return f"other {len(o)}"


def other_dumps(value, *, skipkeys=False):
    return f"dumped {len(value)}"


def other_iterencode(self, o, _one_shot=False):
    return ["itered"]


@contextlib.contextmanager
def slot_set(target, name, value):
    """As patched(), of what is in no dict."""
    previous = getattr(target, name)
    setattr(target, name, value)
    try:
        yield
    finally:
        setattr(target, name, previous)


ENCODER = json._default_encoder
REPLACEMENTS = {
    "json_encode": lambda: patched(tornado.escape, "json_encode", lambda value: f"encoded {len(value)}"),
    "json_encode to bytes": lambda: patched(tornado.escape, "json_encode", lambda value: b"encoded"),
    "json_encode to a bytearray": lambda: patched(tornado.escape, "json_encode", lambda value: bytearray(b"encoded")),
    "json_encode to nothing": lambda: patched(tornado.escape, "json_encode", lambda value: None),
    "json_encode's code": lambda: slot_set(tornado.escape.json_encode, "__code__", (lambda value: f"code {len(value)}").__code__),
    "the module": lambda: patched(tornado.escape, "json", type("Module", (), {"dumps": staticmethod(other_dumps)})),
    "dumps": lambda: patched(json, "dumps", other_dumps),
    "dumps' code": lambda: slot_set(json.dumps, "__code__", other_dumps.__code__),
    "dumps' defaults": lambda: slot_set(json.dumps, "__kwdefaults__", {**json.dumps.__kwdefaults__, "sort_keys": True}),
    "a default of dumps": lambda: item_set(json.dumps.__kwdefaults__, "default", repr),
    "the encoder": lambda: patched(json, "_default_encoder", OtherEncoder()),
    "the encoder's class": lambda: slot_set(ENCODER, "__class__", OtherEncoder),
    "the encoder's default": lambda: patched(ENCODER, "default", lambda value: "a default"),
    "the encoder's encode": lambda: patched(ENCODER, "encode", lambda value: "an encode"),
    "the encoder's setting": lambda: patched(ENCODER, "ensure_ascii", False),
    "the encoder's separator": lambda: patched(ENCODER, "item_separator", ";"),
    "a method of the class": lambda: patched(json.JSONEncoder, "encode", lambda self, value: f"encoded by {type(self).__name__}"),
    "iterencode": lambda: patched(json.JSONEncoder, "iterencode", other_iterencode),
    "a method's code": lambda: slot_set(json.JSONEncoder.iterencode, "__code__", other_iterencode.__code__),
    "default of the class": lambda: patched(json.JSONEncoder, "default", lambda self, value: "a default"),
    "a separator of the class": lambda: patched(json.JSONEncoder, "key_separator", "="),
    "a setting on the class": lambda: patched(json.JSONEncoder, "sort_keys", property(lambda self: True)),
    "no encoder in C": lambda: patched(json.encoder, "c_make_encoder", None),
    "another encoder in C": lambda: patched(json.encoder, "c_make_encoder", lambda *args: lambda value, level: ["made"]),
    "the strings": lambda: patched(json.encoder, "encode_basestring_ascii", lambda text: f"<{text}>"),
}
#: Those that matter for values that json does not know.
DEFAULTS = ("a default of dumps", "the encoder's default", "default of the class")


@pytest.mark.parametrize("name", REPLACEMENTS)
def test_what_is_replaced_is_called(name):
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.write({"b": "caf\xe9", "a": [1, {}], "c": {1} if name in DEFAULTS else None})

        side.serve(side.Application([("/", Handler)]))
        before = await side.get()
        with REPLACEMENTS[name]():
            during = await side.get()
        return before, during, await side.get()

    before, during, after = compare(scenario).result
    # Without a C encoder json gives the same text.
    assert before == after
    assert (before == during) is (name == "no encoder in C")


def test_the_headers_of_a_json_answer():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def get(self):
                self.set_header("X-First", "1")
                if self.get_argument("before", None):
                    self.set_header("content-TYPE", "text/plain")
                try:
                    self.write({"a": object() if self.get_argument("fail", None) else 1})
                except TypeError:
                    self.write("failed")
                if self.get_argument("after", None):
                    self.set_header("content-TYPE", "text/plain")
                side.note(list(self._headers.get_all())[:2], list(self._headers))

        side.serve(side.Application([("/", Handler)]))
        return [await side.get(path) for path in ("/", "/?before=1", "/?after=1", "/?fail=1", "/?before=1&fail=1")]

    compare(scenario)


PROGRAM = """
import json
{replacement}
import asyncio, sys
import tornadoc.web, tornado.web
class Handler(tornadoc.web.RequestHandler):
    def get(self):
        self.write({{"a": 1}})
async def main():
    server = tornadoc.web.Application([("/", Handler)]).listen(0, "127.0.0.1")
    (sock,) = server._sockets.values()
    reader, writer = await asyncio.open_connection(*sock.getsockname())
    writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
    print((await reader.read()).decode().partition("\\r\\n\\r\\n")[2])
    writer.close()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("replacement", "answer"),
    [
        ("", '{"a": 1}'),
        ("json.dumps = lambda value: 'replaced'", "replaced"),
        ("json.JSONEncoder.encode = lambda self, value: 'replaced'", "replaced"),
        ("json.JSONEncoder.item_separator = ','; json.JSONEncoder.key_separator = ':'", '{"a":1}'),
        ("json._default_encoder = json.JSONEncoder(indent=1)", '{\n "a": 1\n}'),
        ("json.JSONEncoder.indent = property(lambda self: 1)", '{\n "a": 1\n}'),
        ("json._default_encoder.key_separator = '='", '{"a"=1}'),
        ("json.dumps.__kwdefaults__['separators'] = (',', ':')", '{"a":1}'),
        ("json.encoder.encode_basestring_ascii = lambda text: 'replaced'", "{replaced: 1}"),
        ("import tornado.escape; tornado.escape.json_encode = lambda value: 'replaced'", "replaced"),
    ],
)
def test_what_was_replaced_before_tornadoc_was_imported_is_called(replacement, answer):
    program = PROGRAM.format(replacement=replacement)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == answer + "\n"
