"""HTTPHeaders: every test runs on Tornado's class and on tornadoc's, and the two are compared step by step."""

import collections.abc
import copy
import doctest
import gc
import pickle
import random
import sys
import time
import weakref

import pytest
import tornado.httputil
from tornado.httputil import HTTPInputError

import tornadoc
import tornadoc.httputil

if not tornadoc.active:
    pytest.skip("without the native module there is only Tornado's class", allow_module_level=True)

# What changed there: no line folding, and deleting a field that was never read works.
like_6_6 = pytest.mark.skipif(tornado.version_info < (6, 6), reason="tornadoc's HTTPHeaders is that of Tornado 6.6")

CLASSES = {"tornado": tornado.httputil.HTTPHeaders, "tornadoc": tornadoc.httputil.HTTPHeaders}


@pytest.fixture(params=list(CLASSES))
def headers_class(request):
    return CLASSES[request.param]


def outcome(function, *args, **kwargs):
    """What a call gives, or which exception with which text."""
    try:
        return ("value", function(*args, **kwargs))
    except Exception as error:
        return (type(error), str(error))


def outcomes(function):
    return {name: outcome(function, cls) for name, cls in CLASSES.items()}


def assert_same(function):
    """The function is called with each of the classes, and has to return or raise the same."""
    both = outcomes(function)
    assert both["tornadoc"] == both["tornado"]
    return both["tornado"]


# --- The class ---


def test_the_examples_of_tornados_documentation(headers_class):
    """Those that doctest, which looks into a class's own dict, does not find with the native methods."""
    original = CLASSES["tornado"]
    examples = [
        example
        for method in vars(original).values()
        for example in doctest.DocTestParser().get_examples(getattr(method, "__doc__", None) or "")
    ]
    assert len(examples) > 4
    test = doctest.DocTest(examples, {"HTTPHeaders": headers_class}, headers_class.__name__, None, None, None)
    assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed == 0


def test_is_tornados_class_too():
    headers = tornadoc.httputil.HTTPHeaders()
    assert isinstance(headers, tornado.httputil.HTTPHeaders)
    assert isinstance(headers, collections.abc.MutableMapping)
    assert type(headers).__module__ == "tornadoc.httputil"


def test_module_reexports():
    for name in dir(tornado.httputil):
        assert hasattr(tornadoc.httputil, name)
        if name != "HTTPHeaders" and not name.startswith("__"):
            mine = getattr(tornadoc.httputil, name)
            assert mine is getattr(tornado.httputil, name) or mine.__module__.startswith("tornadoc.")
    assert set(dir(tornado.httputil)) <= set(dir(tornadoc.httputil))
    with pytest.raises(AttributeError):
        tornadoc.httputil.no_such_name  # noqa: B018


def test_private_names_follow_tornados_module(monkeypatch):
    monkeypatch.setattr(tornado.httputil, "_normalize_header", str.upper)
    assert tornadoc.httputil._normalize_header("a-b") == "A-B"


# --- Construction ---


@pytest.mark.parametrize(
    "args, kwargs",
    [
        ((), {}),
        (({"content-type": "a", "x-y": "b"},), {}),
        (([("b", "1"), ("a", "2"), ("B", "3")],), {}),
        ((), {"foo": "1", "content_type": "2"}),
        (({"foo": "0", "bar": "1"},), {"foo": "1"}),
        (({"a": "1"}, {"b": "2"}), {}),
        ((5,), {}),
        ((None,), {}),
        (([("a",)],), {}),
        (({1: "a"},), {}),
        (({"ok": "1", 1: "a"},), {}),
        ((collections.OrderedDict(z="1", y="2"),), {}),
        ((collections.UserDict(z="1", y="2"),), {}),
        (({"a": ["1", "2"]},), {}),
        (({"a": "\r\n"},), {}),
    ],
)
def test_constructor(args, kwargs):
    def build(cls):
        headers = cls(*args, **kwargs)
        return list(headers), dict(headers), list(headers.get_all())

    assert_same(build)


def test_constructor_from_an_iterator(headers_class):
    assert dict(headers_class(iter([("b", "1"), ("a", "2")]))) == {"B": "1", "A": "2"}


def test_constructor_from_an_object_with_keys(headers_class):
    class Keyed:
        def keys(self):
            return ["a", "b"]

        def __getitem__(self, name):
            return name * 2

    assert dict(headers_class(Keyed())) == {"A": "aa", "B": "bb"}


@pytest.mark.parametrize("source_name", list(CLASSES))
def test_copy_constructor(headers_class, source_name):
    source = CLASSES[source_name]()
    source.add("set-cookie", "1")
    source.add("X", "2")
    source.add("set-cookie", "3")
    made = headers_class(source)
    assert list(made.get_all()) == [("Set-Cookie", "1"), ("Set-Cookie", "3"), ("X", "2")]
    made.add("set-cookie", "4")
    assert source.get_list("set-cookie") == ["1", "3"]


def test_copy_constructor_checks_values(headers_class):
    source = headers_class(x="\x00")
    with pytest.raises(HTTPInputError, match=r"Invalid header value '\\x00'"):
        headers_class(source)
    with pytest.raises(HTTPInputError, match=r"Invalid header value"):
        source.copy()


def test_init_again_starts_over(headers_class):
    headers = headers_class(a="1")
    before = headers.get_list("a")
    headers.attribute = "kept"
    headers.__init__({"b": "2"})
    assert dict(headers) == {"B": "2"} and headers.attribute == "kept" and before == ["1"]
    headers.__init__(headers)
    assert dict(headers) == {}


def test_new_without_init():
    headers = tornadoc.httputil.HTTPHeaders.__new__(tornadoc.httputil.HTTPHeaders)
    assert len(headers) == 0 and list(headers) == [] and "x" not in headers


# --- Names ---


NAMES = [
    "",
    "a",
    "Content-Type",
    "content-type",
    "CONTENT-TYPE",
    "cOnTeNt-tYpE",
    "-",
    "--a--b-",
    "x_y-z.w",
    "1a-2B",
    "é-É",
    "straße-ß",
    "\u01c6-\u01c6a",  # a digraph with a title case of its own
    "\u017fet-cookie",  # long s, whose title case is ASCII
    "\u212aelvin",
    "ﬁ-ﬁ",
    "\u0130-\u0131",
    "Σ-ΑΣ",
    "日本-語",
    "\U00010428-\U00010400",
    "\ud800-x",
    "a" * 127 + "-B",
    "a" * 128,
    "aB-" * 1000,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_normalization(headers_class, name):
    normal = "-".join(word.capitalize() for word in name.split("-"))
    headers = headers_class()
    for _ in range(2):
        headers[name] = "1"
        assert list(headers) == [normal]
        assert name in headers and normal in headers and headers[name] == "1" and headers.get(normal) == "1"
        assert headers.get_list(name) == ["1"]
        del headers[name]
        with pytest.raises(KeyError) as caught:
            headers[name]
        assert caught.value.args == (normal,)
        with pytest.raises(KeyError) as caught:
            del headers[name]
        assert caught.value.args == (normal,)


def test_str_subclass_as_name(headers_class):
    class Name(str):
        pass

    headers = headers_class()
    headers[Name("a-b")] = "1"
    headers.add(Name("a-b"), Name("2"))
    assert headers["A-B"] == "1,2"
    assert [type(name) for name in headers] == [str]


def test_many_names_do_not_pile_up(headers_class):
    headers = headers_class()
    for number in range(5000):
        headers[f"x-{number}"] = str(number)
    assert len(headers) == 5000
    assert [headers[f"X-{number}"] for number in range(5000)] == [str(number) for number in range(5000)]


@pytest.mark.parametrize("name", [5, None, b"x", ("a",), ["a"], 1.5, object])
def test_names_that_are_no_str(name):
    assert assert_same(lambda cls: name in cls(a="1")) == ("value", False)
    assert_same(lambda cls: cls(a="1")[name])
    assert_same(lambda cls: cls(a="1").get(name))
    assert_same(lambda cls: cls(a="1").get_list(name))
    assert_same(lambda cls: cls(a="1").__setitem__(name, "x"))
    assert_same(lambda cls: cls(a="1").__delitem__(name))
    assert_same(lambda cls: cls(a="1").pop(name, None))
    kind, _ = assert_same(lambda cls: cls(a="1").add(name, "x"))
    assert kind is TypeError


# --- add ---


@pytest.mark.parametrize(
    "name", ["", "foo bar", "foo\tbar", "foo\nbar", "foo\0bar", "foo ", " foo", "é", "日", "a:b", "a\x7f", '"', "(", "@"]
)
def test_add_refuses_names(headers_class, name):
    headers = headers_class()
    with pytest.raises(HTTPInputError) as caught:
        headers.add(name, "bar")
    assert str(caught.value) == f"Invalid header name {name!r}"
    assert len(headers) == 0


def test_add_takes_every_token_character():
    for code in range(0x180):
        name = f"a{chr(code)}"
        assert_same(lambda cls, name=name: [cls().add(name, "v"), name in cls({name: "x"})])


@pytest.mark.parametrize("bytes_only", [True, False])
def test_add_checks_every_character_of_a_value(bytes_only):
    for code in [*range(0x180), 0x2028, 0x3000, 0xD800, 0x1F600]:
        for value in (
            chr(code),
            f"a{chr(code)}",
            f"{chr(code)}a",
            f"a{chr(code)}a",
            f"a{chr(code) * 2}a",
            "b" * 40 + chr(code) + "b" * 9,
        ):

            def add(cls, value=value):
                headers = cls()
                headers.add("X", value, _chars_are_bytes=bytes_only)
                return list(headers.get_all())

            assert_same(add)


@pytest.mark.parametrize("bytes_only", [True, False, 0, 1, "", "yes", None])
@pytest.mark.parametrize(
    "value", ["", b"", b"abc", b"\xff", b"a\nb", b" a", "é".encode(), None, 5, ["a"], ("a",), bytearray(b"a")]
)
def test_add_of_values_that_may_be_no_str(value, bytes_only):
    def add(cls):
        headers = cls()
        headers.add("X", value, _chars_are_bytes=bytes_only)
        return headers["x"], headers.get_list("x"), list(headers.get_all()), str(headers)

    def add_twice(cls):
        headers = cls(x="first")
        headers.add("X", value, _chars_are_bytes=bytes_only)
        return headers.get_list("x"), outcome(lambda: headers["x"]), str(headers)

    assert_same(add)
    assert_same(add_twice)


def test_add_arguments(headers_class):
    headers = headers_class()
    headers.add(name="a", value="1")
    headers.add("a", value="2", _chars_are_bytes=False)
    assert headers["A"] == "1,2"
    for args, kwargs in [
        ((), {}),
        (("a",), {}),
        (("a", "b", "c"), {}),
        (("a", "b"), {"x": 1}),
        (("a",), {"name": "b", "value": "c"}),
    ]:
        with pytest.raises(TypeError):
            headers.add(*args, **kwargs)
    with pytest.raises(TypeError):
        headers.get()
    with pytest.raises(TypeError):
        headers.get_list()
    with pytest.raises(TypeError):
        headers.parse_line()
    assert headers.get(key="a") == "1,2" and headers.get("b", default=5) == 5 and headers.get("b", 6) == 6
    assert headers.get_list(name="a") == ["1", "2"]


def test_flag_that_cannot_be_told(headers_class):
    class Undecided:
        def __bool__(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        headers_class().add("a", "b", _chars_are_bytes=Undecided())


# --- Values ---


@pytest.mark.parametrize("value", [5, None, b"x", ["a", "b"], ("a", "b"), {"a": 1}, "a\r\nb", "日"], ids=repr)
def test_setitem_stores_anything(value):
    def store(cls):
        headers = cls(x="old")
        headers.add("x", "older")
        headers["x"] = value
        assert headers["X"] is value and headers.get("x") is value
        seen = [list(headers.get_all()), list(headers.items()), list(headers.values()), str(headers)]
        headers.add("x", "more")
        seen += [outcome(lambda: headers["x"]), headers.get_list("x"), str(headers)]
        return seen

    assert_same(store)
    assert_same(lambda cls: list(cls({"x": value}).get_all()))


def test_list_value_is_one_value(headers_class):
    headers = headers_class()
    headers["x"] = values = ["a", "b"]
    assert headers.get_list("x") == [values] and headers["x"] is values
    headers.__setitem__("x", "plain")
    assert headers.get_list("x") == ["plain"] and headers["x"] == "plain"


def test_get_list_is_live(headers_class):
    headers = headers_class(a="1")
    values = headers.get_list("A")
    values.append("2")
    assert headers.get_list("a") is values
    assert list(headers.get_all()) == [("A", "1"), ("A", "2")]
    headers.add("a", "3")
    assert values == ["1", "2", "3"] and headers["a"] == "1,2,3"
    headers["a"] = "4"
    assert values == ["1", "2", "3"] and headers.get_list("a") == ["4"]
    assert headers.get_list("none") == []
    headers.get_list("none").append("x")
    assert "none" not in headers


@like_6_6
def test_tornados_attributes_are_live(headers_class):
    headers = headers_class(a="1", b="2")
    headers.add("a", "3")
    assert headers._as_list == {"A": ["1", "3"], "B": ["2"]}
    assert headers._combined_cache == {"B": "2"}
    assert headers["a"] == "1,3" and headers._combined_cache == {"A": "1,3", "B": "2"}
    headers._as_list["C"] = ["5", "6"]
    assert headers["c"] == "5,6" and len(headers) == 3
    headers["d"] = "7"
    assert headers._as_list["D"] == ["7"] and headers._combined_cache["D"] == "7"
    headers.add("d", "8")
    assert headers._as_list["D"] == ["7", "8"] and "D" not in headers._combined_cache
    del headers["d"]
    assert "D" not in headers._as_list
    headers._as_list = {"E": ["x"]}
    headers._combined_cache = {}
    assert dict(headers) == {"E": "x"}
    assert headers._as_list is headers._as_list


def test_tornados_methods_work_on_the_native_object():
    base = tornado.httputil.HTTPHeaders
    headers = tornadoc.httputil.HTTPHeaders(x="0")
    base.__init__(headers, {"a": "1"})
    base.add(headers, "a", "2")
    base.__setitem__(headers, "b", "3")
    assert dict(headers) == {"A": "1,2", "B": "3"} and base.__getitem__(headers, "a") == "1,2"
    headers.add("b", "4")
    assert list(base.get_all(headers)) == list(headers.get_all()) == [("A", "1"), ("A", "2"), ("B", "3"), ("B", "4")]
    assert base.get_list(headers, "b") == ["3", "4"] and base.__contains__(headers, "B") and base.__len__(headers) == 2
    base.__delitem__(headers, "a")
    base.parse_line(headers, "c: d")
    assert str(headers) == base.__str__(headers) == headers.__unicode__() == "B: 3\nB: 4\nC: d\n"


def test_bad_internal_dicts():
    headers = tornadoc.httputil.HTTPHeaders(a="1")
    for name in ("_as_list", "_combined_cache"):
        with pytest.raises(TypeError):
            setattr(headers, name, 5)
        with pytest.raises(TypeError):
            delattr(headers, name)
    assert dict(headers) == {"A": "1"}


# --- The mapping ---


def test_mapping(headers_class):
    headers = headers_class()
    headers["b"] = "1"
    headers["a"] = "2"
    headers["B"] = "3"
    assert list(headers) == list(headers.keys()) == ["B", "A"]
    assert list(headers.values()) == ["3", "2"] and list(headers.items()) == [("B", "3"), ("A", "2")]
    assert ("b", "3") in headers.items() and "b" in headers.keys()
    assert headers.pop("b") == "3" and headers.pop("b", None) is None
    with pytest.raises(KeyError):
        headers.pop("b")
    assert headers.setdefault("a", "x") == "2" and headers.setdefault("c", "y") == "y"
    assert headers.popitem() == ("A", "2")
    headers.clear()
    assert len(headers) == 0 and not headers
    with pytest.raises(KeyError):
        headers.popitem()
    with pytest.raises(TypeError):
        reversed(headers)
    with pytest.raises(TypeError):
        hash(headers)


def test_update():
    def build(cls):
        headers = cls(z="0")
        headers.update({"a": "1"}, b="2")
        headers.update([("A", "3"), ("c", "4")])
        headers.update(cls(d="5"))
        headers.update()
        headers.update(collections.UserDict(e="6"))
        return list(headers.items())

    assert_same(build)
    for argument in (5, None, [1], ["abc"], "ab", [("a", "b", "c")]):
        assert_same(lambda cls, argument=argument: cls().update(argument))
    assert_same(lambda cls: cls().update({}, {}))


def test_update_keeps_what_came_before_the_error(headers_class):
    headers = headers_class()
    with pytest.raises(AttributeError):
        headers.update({"a": "1", 2: "b", "c": "3"})
    assert dict(headers) == {"A": "1"}


def test_equality(headers_class):
    headers = headers_class(a="1")
    headers.add("a", "2")
    assert headers == {"A": "1,2"} and {"A": "1,2"} == headers and headers != {"a": "1,2"}
    assert headers != [("A", "1,2")] and not headers == None  # noqa: E711
    for other_class in CLASSES.values():
        assert headers == other_class({"a": "1,2"}) and headers != other_class()


def test_pattern_matching_sees_a_mapping(headers_class):
    match headers_class(a="1"):
        case {"A": value}:
            assert value == "1"
        case _:
            pytest.fail("no mapping")


def test_repr_and_str(headers_class):
    headers = headers_class({"b": "1"})
    headers.add("a", "2")
    headers.add("b", "é")
    assert str(headers) == f"{headers}" == "B: 1\nB: é\nA: 2\n"
    assert str(headers_class()) == ""
    assert repr(headers) == object.__repr__(headers)
    assert headers_class.parse(str(headers)) == headers


# --- Iteration ---


@pytest.mark.parametrize("view", ["__iter__", "get_all", "items", "keys", "values"])
def test_iteration_notices_a_change_of_size(headers_class, view):
    for change in (lambda h: h.add("new", "1"), lambda h: h.__delitem__("a"), lambda h: h.clear()):
        headers = headers_class(a="1", b="2", c="3")
        iterator = iter(getattr(headers, view)())
        next(iterator)
        change(headers)
        with pytest.raises(RuntimeError, match="dictionary changed size during iteration"):
            next(iterator)
            next(iterator)
        if view == "get_all":
            assert list(iterator) == []


def test_get_all_starts_at_the_first_step(headers_class):
    headers = headers_class(a="1")
    iterator = headers.get_all()
    headers["b"] = "2"
    assert iter(iterator) is iterator
    assert list(iterator) == [("A", "1"), ("B", "2")]
    assert list(iterator) == []
    iterator = headers.get_all()
    headers.__init__(c="3")
    assert list(iterator) == [("C", "3")]


def test_get_all_sees_values_that_are_added_to_a_repeated_field(headers_class):
    headers = headers_class(a="1")
    headers.add("a", "2")
    seen = []
    for name, value in headers.get_all():
        seen.append((name, value))
        if len(seen) < 4:
            headers.add("a", str(len(seen) + 2))
    assert seen == [("A", "1"), ("A", "2"), ("A", "3"), ("A", "4"), ("A", "5")]


def test_changing_values_while_iterating(headers_class):
    headers = headers_class(a="1", b="2")
    for name in headers:
        headers[name] = headers[name] + "x"
    for name, value in headers.get_all():
        headers[name] = value + "y"
    assert dict(headers) == {"A": "1xy", "B": "2xy"}


def test_get_all_keeps_its_headers_alive(headers_class):
    iterator = headers_class(a="1").get_all()
    gc.collect()
    assert list(iterator) == [("A", "1")]


# --- Parsing ---


LINES = [
    "",
    "\r\n",
    "\n",
    "\n\n",
    "\n\n\n",
    "\r",
    "a: b",
    "a: b\r\n",
    "a: b\n",
    "a: b\n\n",
    "a: b\r\n\n",
    "a: b\r\n\r\n",
    "a: b\n\r\n",
    "a: b\r",
    "a: b\r\r\n",
    "a:b",
    "a:\t b \t",
    "a:",
    "a: ",
    "a:: b:c",
    ":b",
    "a : b",
    " a: b",
    "\ta: b",
    " ",
    "ab",
    "a\r\nb: c",
    "a: b\r\nc: d\r\n",
    "a: b\u2028",
    "a: b\x85",
    "a: \xa0b",
    "a: \x0bb",
    "a: é",
    "é: a",
    "a: 日",
    "日: a",
    "日",
    "a: \x00",
    "\r\na: b",
]


@like_6_6
@pytest.mark.parametrize("line", LINES, ids=ascii)
@pytest.mark.parametrize("kwargs", [{}, {"_chars_are_bytes": False}], ids=["bytes", "text"])
def test_parse_line_and_parse(line, kwargs):
    def parse_line(cls):
        headers = cls(before="1")
        assert headers.parse_line(line, **kwargs) is None
        return list(headers.get_all())

    assert_same(parse_line)
    for text in (line, "x: y\r\n" + line, line + "x: y\r\n", f"A: 1\r\n{line}\r\na: 2\n"):
        assert_same(lambda cls, text=text: list(cls.parse(text, **kwargs).get_all()))


@pytest.mark.parametrize("text", [5, None, b"a: b", bytearray(b"a: b"), ["a: b"]], ids=repr)
def test_parse_of_what_is_no_str(text):
    kind, _ = assert_same(lambda cls: cls().parse_line(text))
    assert kind is TypeError
    assert_same(lambda cls: cls.parse(text))


def test_parse_keeps_order_and_repetitions(headers_class):
    headers = headers_class.parse("b: 1\r\na: 2\r\nB:3\nc:\r\n\r\n")
    assert list(headers.get_all()) == [("B", "1"), ("B", "3"), ("A", "2"), ("C", "")]
    assert type(headers) is headers_class


# --- Subclasses and patches ---


def test_overridden_mapping_methods_are_used(headers_class):
    calls = []

    class Recording(headers_class):
        def __setitem__(self, name, value):
            calls.append(("set", name, value))
            super().__setitem__(name, value)

        def __getitem__(self, name):
            calls.append(("get", name))
            return super().__getitem__(name) + "!"

        def __contains__(self, name):
            calls.append(("in", name))
            return super().__contains__(name)

        def __delitem__(self, name):
            calls.append(("del", name))
            super().__delitem__(name)

    headers = Recording({"a": "1"}, b="2")
    headers.add("a", "3")
    headers.add("c-c", "4")
    assert headers.get("A") == "1,3!" and headers.get("none", 1) == 1 and headers.pop("b") == "2!"
    headers.parse_line("d: 5")
    assert calls == [
        ("set", "a", "1"),
        ("set", "b", "2"),
        ("in", "A"),
        ("in", "C-C"),
        ("set", "C-C", "4"),
        ("get", "A"),
        ("get", "none"),
        ("get", "b"),
        ("del", "b"),
        ("in", "D"),
        ("set", "D", "5"),
    ]
    assert dict(headers.items()) == {"A": "1,3!", "C-C": "4!", "D": "5!"}


def test_contains_that_lies(headers_class):
    class Lying(headers_class):
        def __contains__(self, name):
            return True

    with pytest.raises(KeyError) as caught:
        Lying().add("a-b", "1")
    assert caught.value.args == ("A-B",)


def test_overridden_add_and_parse_line(headers_class):
    calls = []

    class Adding(headers_class):
        def add(self, name, value, **kwargs):
            calls.append((name, value, kwargs))
            super().add(name, value, **kwargs)

    class Parsing(Adding):
        def parse_line(self, line, **kwargs):
            calls.append((line, kwargs))
            super().parse_line(line, **kwargs)

    headers = Parsing.parse("a: 1\r\nb: 2", _chars_are_bytes=0)
    assert type(headers) is Parsing and dict(headers) == {"A": "1", "B": "2"}
    flag = {"_chars_are_bytes": 0}
    assert calls == [("a: 1\r\n", flag), ("a", "1", flag), ("b: 2", flag), ("b", "2", flag)]
    calls.clear()
    copied = Adding(headers)
    assert calls == [("A", "1", {}), ("B", "2", {})]
    assert dict(copied) == dict(headers)
    calls.clear()
    copied.parse_line("c: 3")
    assert calls == [("c", "3", {"_chars_are_bytes": True})]


def test_overridden_update_and_get_all(headers_class):
    class Special(headers_class):
        def update(self, *args, **kwargs):
            super().update(*args, **kwargs)
            super().update(extra="1")

        def get_all(self):
            for name, value in super().get_all():
                yield [name.lower(), value]

    headers = Special(a="1")
    assert str(headers) == "a: 1\nextra: 1\n"
    assert dict(headers_class(headers)) == {"A": "1", "Extra": "1"}
    assert dict(Special()) == {"Extra": "1"}


@pytest.mark.parametrize("pairs", [[("a",)], [("a", "b", "c")], [5]], ids=repr)
def test_get_all_with_bad_pairs(headers_class, pairs):
    class Bad(headers_class):
        def get_all(self):
            return iter(pairs)

    with pytest.raises((TypeError, ValueError)):
        headers_class(Bad())
    with pytest.raises((TypeError, ValueError)):
        str(Bad())


def test_exceptions_of_overrides_come_through(headers_class):
    class Failing(headers_class):
        def __getitem__(self, name):
            raise ZeroDivisionError

        def __setitem__(self, name, value):
            raise ZeroDivisionError

        def get_all(self):
            yield ("a", "1")
            raise ZeroDivisionError

    for call in (
        lambda h: h.get("a"),
        lambda h: h.add("a", "1"),
        lambda h: h.update(a="1"),
        lambda h: h.parse_line("a: 1"),
        str,
        headers_class,
        lambda h: Failing.parse("a: b"),
        lambda h: Failing({"a": "1"}),
    ):
        with pytest.raises(ZeroDivisionError):
            call(Failing())


def test_instance_attributes_are_found_first(headers_class):
    headers = headers_class()
    calls = []
    headers.add = lambda name, value, **kwargs: calls.append((name, value))
    headers.parse_line("a: 1")
    assert calls == [("a", "1")] and len(headers) == 0 and "add" in vars(headers)


def test_patched_class(headers_class, monkeypatch):
    calls = []
    original = headers_class.add

    def add(self, name, value, **kwargs):
        calls.append(name)
        original(self, name, value, **kwargs)

    monkeypatch.setattr(headers_class, "add", add)
    headers = headers_class.parse("a: 1\r\n")
    assert calls == ["a"] and headers["a"] == "1"
    monkeypatch.undo()
    headers_class.parse("a: 1\r\n")
    assert calls == ["a"]


def test_class_assignment_and_mixins(headers_class):
    class Mixin:
        def hello(self):
            return len(self)

    class First(headers_class):
        pass

    class Second(headers_class):
        extra = 1

    class Mixed(Mixin, headers_class):
        pass

    headers = First(a="1")
    headers.__class__ = Second
    assert headers.extra == 1 and headers["a"] == "1" and Mixed(a="1").hello() == 1


def test_copies(headers_class):
    class Special(headers_class):
        pass

    headers = Special(a="1")
    headers.add("a", "2")
    headers.attribute = ["x"]
    for copied in (headers.copy(), copy.copy(headers)):
        assert type(copied) is headers_class and not hasattr(copied, "attribute")
        assert list(copied.get_all()) == [("A", "1"), ("A", "2")]
        assert copied.get_list("a") is not headers.get_list("a")
    deep = copy.deepcopy(headers)
    assert type(deep) is Special and deep.attribute == ["x"] and deep.attribute is not headers.attribute
    assert list(deep.get_all()) == [("A", "1"), ("A", "2")] and deep.get_list("a") is not headers.get_list("a")


class Pickled(tornadoc.httputil.HTTPHeaders):
    pass


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", [*CLASSES.values(), Pickled])
def test_pickle(cls, protocol):
    headers = cls(a="1", c="3")
    headers.add("a", "2")
    headers.attribute = {"x": 1}
    loaded = pickle.loads(pickle.dumps(headers, protocol))
    assert type(loaded) is cls and loaded.attribute == {"x": 1}
    assert list(loaded.get_all()) == [("A", "1"), ("A", "2"), ("C", "3")]
    loaded.add("c", "4")
    assert loaded["c"] == "3,4" and headers["c"] == "3"


@like_6_6
def test_state_is_tornados():
    def state(cls):
        headers = cls(a="1", b="2")
        headers.add("a", "3")
        headers.attribute = 5
        return headers.__reduce_ex__(2)[2]

    assert_same(state)


# --- Memory ---


def test_weak_references(headers_class):
    headers = headers_class(a="1")
    dropped = []
    reference = weakref.ref(headers, dropped.append)
    assert reference() is headers
    del headers
    gc.collect()
    assert reference() is None and dropped == [reference]


def test_cycles_are_collected(headers_class):
    class Special(headers_class):
        pass

    def through_attribute(headers):
        headers.me = headers

    def through_value(headers):
        headers["me"] = headers

    def through_list(headers):
        headers.add("me", "1")
        headers.get_list("me").append(headers)

    def through_combined(headers):
        headers._combined_cache["me"] = headers

    def through_iterator(headers):
        headers.iterator = headers.get_all()
        next(headers.iterator)

    def through_repeated_iterator(headers):
        headers.add("a", "2")
        through_iterator(headers)

    for tie in (through_attribute, through_value, through_list, through_combined, through_iterator, through_repeated_iterator):
        for cls in (headers_class, Special):
            headers = cls(a="1", b="2")
            tie(headers)
            reference = weakref.ref(headers)
            gc.collect()
            assert reference() is headers
            del headers
            gc.collect()
            assert reference() is None, tie


def test_class_goes_with_its_last_instance(headers_class):
    class Special(headers_class):
        pass

    headers = Special(a="1")
    reference = weakref.ref(Special)
    del Special, headers
    gc.collect()
    assert reference() is None


def use(cls):
    headers = cls({"content-type": "text/html", "x": "1"}, y="2")
    headers.add("x", "3")
    headers.add("X", "4")
    assert headers["x"] == "1,3,4" and headers.get("none") is None and "y" in headers and 5 not in headers
    assert len(list(headers.get_all())) == 5 and len(list(headers)) == 3 and headers == dict(headers)
    headers["x"] = ["list"]
    headers.update({"z": b"5"})
    del headers["y"]
    str(headers)
    headers.get_list("z").append("6")
    copy.copy(cls.parse("a: b\r\nc: d\r\na: e\r\n"))
    copy.deepcopy(headers)
    pickle.loads(pickle.dumps(headers))
    next(headers.get_all())
    headers.attribute = headers._as_list, headers._combined_cache
    headers._as_list = {}
    headers.__init__(headers)
    headers.__init__(a="1")
    for call in (
        lambda: headers["none"],
        lambda: headers[5],
        lambda: headers.__delitem__("none"),
        lambda: headers.add("", ""),
        lambda: headers.add(5, ""),
        lambda: headers.add("a", 5),
        lambda: headers.add("a", b"\xff"),
        lambda: headers.add("a", b"\n"),
        lambda: headers.add("a", "\n"),
        lambda: headers.add("a"),
        lambda: headers.parse_line("a"),
        lambda: headers.parse_line(" a"),
        lambda: headers.parse_line(5),
        lambda: cls.parse(5),
        lambda: cls.parse("a: b\nc"),
        lambda: cls(5),
        lambda: cls({"a": "1", 5: "2"}),
        lambda: headers.get_list(None),
        lambda: headers.__setitem__(None, None),
        lambda: setattr(headers, "_as_list", 5),
    ):
        outcome(call)


@pytest.mark.skipif(not hasattr(sys, "getallocatedblocks"), reason="needs CPython's allocator")
def test_nothing_leaks(headers_class):
    class Special(headers_class):
        def __setitem__(self, name, value):
            super().__setitem__(name, value)

        def add(self, name, value, **kwargs):
            super().add(name, value, **kwargs)

    watched = [None, True, headers_class, "Content-Type", 5]

    def measure():
        for cls in (headers_class, Special):
            if cls is headers_class:
                use(cls)
            else:
                outcome(use, cls)  # a local class can't be pickled
        gc.collect()
        return sys.getallocatedblocks(), [sys.getrefcount(thing) for thing in watched]

    measure()
    growth = []
    for _ in range(8):
        blocks, counts = measure()
        for _ in range(20):
            after = measure()
        growth.append(max(after[0] - blocks, *(now - before for now, before in zip(after[1], counts))))
    # CPython's own caches fill up with time; a leak would be there in every round.
    assert min(growth) < 20


def test_values_are_released(headers_class):
    class Value(str):
        pass

    value = Value("v")
    before = sys.getrefcount(value)
    headers = headers_class(a=value)
    headers.add("a", value)
    headers.add("b", value)
    headers["c"] = value
    headers.get_list("c")
    list(headers.get_all())
    headers["a"], headers["b"], headers.get("c")
    headers["b"] = "other"
    del headers["a"]
    headers.copy()
    del headers
    gc.collect()
    assert sys.getrefcount(value) == before


# --- Code that runs in the middle ---


class Meddler:
    """A value whose end changes the headers it was in."""

    def __init__(self, headers, action):
        self.headers = headers
        self.action = action

    def __del__(self):
        self.action(self.headers)


@pytest.mark.parametrize(
    "action",
    [
        lambda h: h.__init__(),
        lambda h: h.__init__(b="2"),
        lambda h: h.clear(),
        lambda h: h._as_list,
        lambda h: setattr(h, "_as_list", {}),
        lambda h: setattr(h, "_combined_cache", {}),
        lambda h: h.add("new", "1"),
        lambda h: h.add("a", "1"),
    ],
)
@pytest.mark.parametrize(
    "trigger",
    [
        lambda h: h.__setitem__("a", "x"),
        lambda h: h.__setitem__("a", ["x"]),
        lambda h: h.__delitem__("a"),
        lambda h: h.update({"a": "1", "b": "2"}),
        lambda h: h.pop("a"),
        lambda h: h.__init__(),
        lambda h: h.clear(),
        lambda h: h.get_list("a").clear(),
        lambda h: h._combined_cache.clear() or h.add("a", "y"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_values_that_meddle_when_they_die(headers_class, action, trigger):
    for prepare in (lambda h: None, lambda h: h.get_list("a"), lambda h: h._as_list):
        headers = headers_class()
        headers["a"] = Meddler(headers, action)
        prepare(headers)
        outcome(trigger, headers)
        list(headers.get_all())
        list(headers)
        headers.__init__()


# --- Cost ---


def seconds(function, *args):
    """Processor time, without the collector's: other processes don't count."""
    best = float("inf")
    gc.disable()
    for _ in range(5):
        start = time.thread_time()
        function(*args)
        best = min(best, time.thread_time() - start)
    gc.enable()
    return best


@pytest.mark.parametrize("how", ["add", "parse", "read"])
def test_repeated_headers_cost_linear_time(headers_class, how):
    def run(count):
        if how == "parse":
            headers_class.parse("X: a\r\n" * count)
            return
        headers = headers_class()
        for _ in range(count):
            headers.add("X-Foo", "bar")
        for _ in range(count if how == "read" else 0):
            headers["x-foo"]

    assert seconds(run, 20_000) / seconds(run, 2_000) < 40


# --- Everything at random ---


RANDOM_NAMES = ["a", "A", "b-c", "B-C", "b-C", "set-cookie", "Set-Cookie", "é", "日", "bad name", "", 5]
RANDOM_VALUES = ["", "1", "two", " x", "é", "日", "a\nb", b"bytes", b"\xff", 7, None, ["l", "m"]]


def random_steps(seed):
    choose = random.Random(seed)
    operations = [
        lambda n, v: ("add", lambda h: h.add(n, v)),
        lambda n, v: ("add text", lambda h: h.add(n, v, _chars_are_bytes=False)),
        lambda n, v: ("set", lambda h: h.__setitem__(n, v)),
        lambda n, v: ("delete", lambda h: h.__delitem__(n)),
        lambda n, v: ("read", lambda h: h[n]),
        lambda n, v: ("get", lambda h: h.get(n, v)),
        lambda n, v: ("contains", lambda h: n in h),
        lambda n, v: ("list", lambda h: list(h.get_list(n))),
        lambda n, v: ("extend", lambda h: h.get_list(n).append(v)),
        lambda n, v: ("parse", lambda h: h.parse_line(f"{n}:{v}\r\n")),
        lambda n, v: ("pop", lambda h: h.pop(n, v)),
        lambda n, v: ("setdefault", lambda h: h.setdefault(n, v)),
        lambda n, v: ("update", lambda h: h.update({n: v})),
        lambda n, v: ("init", lambda h: h.__init__([(n, v)])),
        lambda n, v: ("str", lambda h: str(h)),
        lambda n, v: ("copy", lambda h: list(h.copy().get_all())),
        lambda n, v: ("deepcopy", lambda h: list(copy.deepcopy(h).get_all())),
        lambda n, v: ("pickle", lambda h: dict(pickle.loads(pickle.dumps(h)).items())),
        lambda n, v: ("dicts", lambda h: (copy.deepcopy(h._as_list), copy.deepcopy(h._combined_cache))),
        lambda n, v: ("popitem", lambda h: h.popitem()),
    ]
    weights = [9, 3, 9, 3, 9, 5, 3, 3, 2, 5, 2, 2, 2, 0.3, 2, 1, 0.5, 0.3, 0.5, 0.5]
    for _ in range(60):
        name, value = choose.choice(RANDOM_NAMES), choose.choice(RANDOM_VALUES)
        operation = choose.choices(operations, weights)[0](name, copy.copy(value))
        yield operation[0], name, value, operation[1]


@like_6_6
@pytest.mark.parametrize("block", range(10))
def test_random_operations(block):
    for seed in range(block * 100, block * 100 + 100):
        theirs, ours = tornado.httputil.HTTPHeaders(), tornadoc.httputil.HTTPHeaders()
        done = []
        for label, name, value, operation in random_steps(seed):
            done.append((label, name, value))
            assert outcome(operation, ours) == outcome(operation, theirs), (seed, done)
            assert list(ours.get_all()) == list(theirs.get_all()), (seed, done)
            assert list(ours) == list(theirs) and len(ours) == len(theirs), (seed, done)
        assert ours._as_list == theirs._as_list and ours._combined_cache == theirs._combined_cache, (seed, done)


def test_a_line_without_colon_shows_what_splitting_it_raised():
    """Pages with tracebacks and logs show the whole chain."""
    chains = []
    for cls in (tornado.httputil.HTTPHeaders, tornadoc.httputil.HTTPHeaders):
        with pytest.raises(tornado.httputil.HTTPInputError) as caught:
            cls.parse("A: b\r\nbad\r\n")
        context = caught.value.__context__
        chains.append((str(caught.value), type(context), str(context), context.__traceback__ is not None))
    assert chains[0] == chains[1]
    assert chains[1][1] is ValueError
