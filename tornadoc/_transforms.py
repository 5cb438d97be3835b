"""Output transforms with the methods of Tornado 2: ``transform_first_chunk(headers, chunk, finishing)``."""

from __future__ import annotations

import inspect
import weakref
from typing import Any

import tornado.web

_tornado_RequestHandler = tornado.web.RequestHandler

#: Does a class of transforms have the method of Tornado 2?
_known: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


def _is_old(transform: Any) -> bool:
    cls = type(transform)
    known = _known.get(cls)
    if known is None:
        try:
            parameters = inspect.signature(transform.transform_first_chunk).parameters.values()
        except (AttributeError, TypeError, ValueError):
            known = False
        else:
            positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            known = [p.kind in positional for p in parameters] == [True] * 3
        _known[cls] = known
    return known


class _Old:
    """A transform of Tornado 2 in the shape of later ones."""

    def __init__(self, transform: Any) -> None:
        self._transform = transform

    def transform_first_chunk(self, status_code: int, headers: Any, chunk: bytes, finishing: bool) -> tuple[int, Any, bytes]:
        headers, chunk = self._transform.transform_first_chunk(headers, chunk, finishing)
        return status_code, headers, chunk

    def transform_chunk(self, chunk: bytes, finishing: bool) -> bytes:
        transformed: bytes = self._transform.transform_chunk(chunk, finishing)
        return transformed


def flush(handler: Any, *args: Any, **kwargs: Any) -> Any:
    """Tornado's `RequestHandler.flush`, for a handler with transforms of either kind."""
    transforms = handler._transforms
    if not any(map(_is_old, transforms)):
        return _tornado_RequestHandler.flush(handler, *args, **kwargs)
    handler._transforms = [_Old(transform) if _is_old(transform) else transform for transform in transforms]
    try:
        return _tornado_RequestHandler.flush(handler, *args, **kwargs)
    finally:
        handler._transforms = transforms
