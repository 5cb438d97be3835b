"""What a program finds of the replaced classes by looking up: names, parameters, documentation, as of Tornado's own."""

import ast
import doctest
import functools
import inspect
import pydoc
import socket
import textwrap
import typing

import pytest
import tornado.httputil
import tornado.ioloop
import tornado.web

import tornadoc.httputil
import tornadoc.iostream
import tornadoc.platform.asyncio
import tornadoc.web
from tornadoc import _overlay

CLASSES = {
    f"{module}.{name}": pair
    for module, names in _overlay.table().items()
    for name, pair in names.items()
    if inspect.isclass(pair[0])
}
#: Parameters of Tornado's earlier versions, beyond those of this one.
EARLIER = {"callback", "io_loop"}
#: The same of HTTPServerRequest's methods.
EARLIER_METHODS = {"finish", "supports_http_1_1", "write"}
#: What only some kinds of streams have: their common native type has descriptors for it.
UNSET = {"fd", "socket"}


@functools.cache
def assigned_by(cls):
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            if node.value.id == "self":
                found.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def assigned(cls):
    """The attributes that methods of a class or its bases assign to self."""
    return set().union(*map(assigned_by, cls.__mro__[:-1]))


def public(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def parameters(function):
    """Names, defaults and whether they may be given by keyword, from the second on; None for what has no signature."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [
        (parameter.name, repr(parameter.default), parameter.kind)
        for parameter in list(signature.parameters.values())[0 if inspect.isclass(function) else 1 :]
    ]


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_has_tornado_s_public_names_and_no_more(name):
    original, replacement = CLASSES[name]
    assert public(original) - public(replacement) == set()
    earlier = EARLIER_METHODS if original.__name__ == "HTTPServerRequest" else set()
    assert public(replacement) - public(original) - assigned(original) - UNSET - earlier == set()


def is_same(theirs, ours):
    """Can all that Tornado's parameters allow be passed, under the same names and with the same defaults?"""
    if ours == theirs:
        return True
    if ours is None or theirs is None:
        return False
    names = {name for name, _, _ in theirs}
    ours = [parameter for parameter in ours if parameter[0] in names or parameter[0] not in EARLIER]
    if any(kind is inspect.Parameter.VAR_KEYWORD for _, _, kind in ours):
        # Handed on as they are, to Tornado's.
        given = [parameter for parameter in ours if parameter[2] is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        return given == theirs[: len(given)]
    return ours == theirs


@pytest.mark.parametrize("name", CLASSES)
def test_its_methods_have_tornado_s_parameters(name):
    original, replacement = CLASSES[name]
    assert is_same(parameters(original), parameters(replacement)), inspect.signature(replacement)
    different = {}
    for attribute in sorted(public(original) | {"__init__"}):
        theirs, ours = getattr(original, attribute), getattr(replacement, attribute)
        if inspect.isroutine(theirs) and not is_same(parameters(theirs), parameters(ours)):
            different[attribute] = (parameters(theirs), parameters(ours))
        assert inspect.iscoroutinefunction(theirs) == inspect.iscoroutinefunction(ours)
    assert different == {}


def test_a_derived_class_has_the_parameters_of_its_base():
    class Derived(tornadoc.web.RequestHandler):
        pass

    class Own(tornadoc.web.RequestHandler):
        def __init__(self, application, request, name):
            super().__init__(application, request)

    assert list(inspect.signature(Derived).parameters) == ["application", "request", "kwargs"]
    assert list(inspect.signature(Own).parameters) == ["application", "request", "name"]


class Anything:
    pass


def refusals(target, original, names):
    """The methods that take no keywords where Tornado's take them. Each is called with wrong values under the right names."""
    refused = []
    for name in names:
        keywords = {
            parameter.name: Anything()
            for parameter in list(inspect.signature(getattr(original, name)).parameters.values())[1:]
            if parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        }
        if not keywords:
            continue
        try:
            getattr(target, name)(**keywords)
        except TypeError as e:
            if "keyword" in str(e) or "takes" in str(e) or "missing" in str(e):
                refused.append((name, str(e)))
        except Exception:
            pass
    return refused


def native_methods(cls):
    return [name for name in sorted(public(cls)) if inspect.ismethoddescriptor(getattr(cls, name))]


def test_methods_in_c_take_keywords():
    connection = Anything()
    connection.set_close_callback = lambda callback: None
    headers = tornadoc.httputil.HTTPHeaders({"Host": "a"})
    start_line = tornado.httputil.RequestStartLine("GET", "/", "HTTP/1.1")
    request = tornado.httputil.HTTPServerRequest(start_line=start_line, connection=connection, headers=headers)
    handler = tornadoc.web.RequestHandler(tornadoc.web.Application(), request)
    methods = native_methods(tornadoc.web.RequestHandler)
    assert "write" in methods
    assert refusals(handler, tornado.web.RequestHandler, methods) == []

    methods = [name for name in native_methods(type(headers)) if name not in ("update", "pop", "setdefault")]
    assert "add" in methods
    assert refusals(headers, tornado.httputil.HTTPHeaders, methods) == []

    io_loop = tornado.ioloop.IOLoop(make_current=False)
    ours = tornadoc.platform.asyncio.AsyncIOLoop(make_current=False)
    try:
        methods = native_methods(type(ours))
        assert "remove_timeout" in methods
        assert refusals(ours, type(io_loop), methods) == []
        called = []
        ours.add_callback(callback=called.append)
        ours.remove_timeout(timeout=ours.call_later(delay=0, callback=called.append))
        near, far = socket.socketpair()
        with near, far:
            original = _overlay.original("tornado.iostream", "IOStream")

            async def make():
                return tornadoc.iostream.IOStream(near)

            stream = ours.run_sync(make)
            methods = native_methods(type(stream))
            assert "read_until" in methods
            assert not hasattr(stream, "fd")
            assert refusals(stream, original, methods) == []
            stream.set_close_callback(None)
            stream.close()
    finally:
        io_loop.close()
        ours.close()


@pytest.mark.parametrize("name", CLASSES)
def test_help_and_type_hints(name):
    original, replacement = CLASSES[name]
    assert pydoc.render_doc(replacement)
    for attribute in public(original):
        theirs, ours = getattr(original, attribute), getattr(replacement, attribute)
        if callable(theirs):
            try:
                typing.get_type_hints(theirs)
            except Exception:
                continue
            typing.get_type_hints(ours)


@pytest.mark.parametrize("method", ["parse", "parse_line", None])
def test_the_examples_in_tornado_s_documentation_of_headers(method):
    """Tornado's own run looks for them in Python functions."""
    original = _overlay.original("tornado.httputil", "HTTPHeaders")
    documented = getattr(original, method) if method else original
    names = {"HTTPHeaders": tornadoc.httputil.HTTPHeaders}
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(documented), names, method or "class", None, None)
    assert test.examples
    result = doctest.DocTestRunner().run(test)
    assert result.failed == 0
