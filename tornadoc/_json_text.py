"""What makes Tornado's json_encode() give its text: as long as all of it is stock, native code keeps the encoder for the next."""

from __future__ import annotations

import _json
import json
import json.encoder
from json import JSONEncoder
from typing import Any

import tornado.escape

from tornadoc._originals import function, originals

_ENCODER = {
    "skipkeys": False,
    "ensure_ascii": True,
    "check_circular": True,
    "allow_nan": True,
    "sort_keys": False,
    "indent": None,
}
_DUMPS = {**_ENCODER, "cls": None, "separators": None, "default": None}
_SEPARATORS = {"item_separator": ", ", "key_separator": ": "}
#: Not called once the encoder is there; and what Python notes about a class.
_IRRELEVANT = {"__init__", "__doc__", "__static_attributes__", "__firstlineno__"}
_EXPECTED = {"default", "encode", "iterencode", *_SEPARATORS, "__module__", "__dict__", "__weakref__"}


def _relevant() -> dict[str, Any]:
    return {name: value for name, value in vars(JSONEncoder).items() if name not in _IRRELEVANT}


_class = _relevant()


def class_is_stock() -> bool:
    """Are the attributes of `JSONEncoder` that matter what they were when tornadoc was imported?"""
    now = _relevant()
    return (
        type(JSONEncoder) is type
        and JSONEncoder.__mro__ == (JSONEncoder, object)
        and now.keys() == _class.keys()
        and all(value is _class[name] for name, value in now.items())
    )


def _is_same(found: dict[str, Any] | None, expected: dict[str, Any]) -> bool:
    return found is not None and found.keys() == expected.keys() and all(found[name] is expected[name] for name in expected)


def make_encoder() -> Any:
    """What `JSONEncoder.iterencode` makes of the default encoder's attributes."""
    encoder: Any = json._default_encoder  # type: ignore[attr-defined]
    return json.encoder.c_make_encoder(  # type: ignore[attr-defined]
        {},
        encoder.default,
        json.encoder.encode_basestring_ascii,
        encoder.indent,
        encoder.key_separator,
        encoder.item_separator,
        encoder.sort_keys,
        encoder.skipkeys,
        encoder.allow_nan,
    )


def find_parts() -> tuple[Any, ...] | None:
    """What native code compares with what it finds, or None if somebody has replaced some of it already.

    Modules; names in them and what they stand for; functions and their code; the defaults of dumps(); the encoder's attributes.
    """
    encode = function(vars(tornado.escape), "json_encode", tornado.escape.__file__)
    dumps = function(vars(json), "dumps", json.__file__)
    encoder = json._default_encoder  # type: ignore[attr-defined]
    methods = originals(JSONEncoder)
    if (
        vars(tornado.escape).get("json") is not json
        or encode is None
        or dumps is None
        or not _is_same(dumps.__kwdefaults__, _DUMPS)
        or type(encoder) is not JSONEncoder
        or not _is_same(vars(encoder), _ENCODER)
        or not class_is_stock()
        or not _EXPECTED == _class.keys() <= methods.keys()
        or any(methods[name] != text for name, text in _SEPARATORS.items())
        or json.encoder.c_make_encoder is not _json.make_encoder  # type: ignore[attr-defined]
        or json.encoder.encode_basestring_ascii is not _json.encode_basestring_ascii
    ):
        return None
    modules = vars(tornado.escape), vars(json), vars(json.encoder)
    names = (
        (modules[0], "json_encode", encode),
        (modules[0], "json", json),
        (modules[1], "dumps", dumps),
        (modules[1], "_default_encoder", encoder),
        (modules[2], "c_make_encoder", _json.make_encoder),
        (modules[2], "encode_basestring_ascii", _json.encode_basestring_ascii),
    )
    functions = tuple((each, each.__code__) for each in (encode, dumps, methods["encode"], methods["iterencode"]))
    return (
        modules,
        names,
        functions,
        dumps,
        tuple(dumps.__kwdefaults__.items()),  # type: ignore[union-attr]
        encoder,
        tuple(vars(encoder).items()),
        JSONEncoder,
        class_is_stock,
        make_encoder,
    )
