"""What Tornado itself defines, told from what a program has put in its place before tornadoc was imported."""

from __future__ import annotations

import types
from typing import Any

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
