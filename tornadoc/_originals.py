"""What Tornado itself defines, told from what a program has put in its place before tornadoc was imported."""

from __future__ import annotations

import re
import types
import urllib.parse
from typing import Any

import tornado.escape
import tornado.httputil
import tornado.web

#: Types of attributes of classes that can be called and are nobody's wrapper.
_PLAIN = (type, staticmethod, classmethod)


def originals(*classes: type) -> dict[str, Any]:
    """What Tornado's classes define, without what somebody else has put there: a function of another file, or an object that can
    be called in a function's place, which may pass for what it wraps in everything but its type."""
    definitions: dict[str, Any] = {}
    for cls in reversed(classes):
        module = __import__(cls.__module__, fromlist=["_"])
        for name, value in vars(cls).items():
            if type(value) is types.FunctionType:
                is_original = value.__code__.co_filename == module.__file__
            else:
                is_original = type(value) in _PLAIN or not callable(value)
            if is_original:
                definitions[name] = value
            else:
                definitions.pop(name, None)
    return definitions


def function(namespace: dict[str, Any], name: str, file: str | None) -> types.FunctionType | None:
    """A function of a module that is defined in a file; None if somebody has replaced it."""
    found = namespace.get(name)
    return found if type(found) is types.FunctionType and found.__code__.co_filename == file else None


def query_functions() -> tuple[Any, ...] | None:
    """The functions that Tornado parses a query string with: tuples of namespace, name and function. None if somebody has
    replaced one."""
    escape = vars(tornado.escape)
    places = [(vars(tornado.httputil), "parse_qs_bytes", tornado.escape.__file__)]
    if "_unquote_to_bytes" in escape:
        places.append((escape, "_unquote_to_bytes", tornado.escape.__file__))
    else:
        # Tornado before 6.6 leaves it to the library.
        names = ("parse_qs", "parse_qsl", "unquote", "unquote_to_bytes")
        places += [(vars(urllib.parse), name, urllib.parse.__file__) for name in names]
    found = tuple((namespace, name, function(namespace, name, file)) for namespace, name, file in places)
    return found if all(each[2] for each in found) else None


def control_characters() -> re.Pattern[str] | None:
    """The expression by which RequestHandler finds control characters in arguments; None if it is not the one that is known."""
    pattern = getattr(tornado.web.RequestHandler, "_remove_control_chars_regex", None)
    known = isinstance(pattern, re.Pattern) and pattern.pattern == r"[\x00-\x08\x0e-\x1f]" and pattern.flags == re.UNICODE
    return pattern if known else None
