"""The access log's lines, where nobody can tell them from logging's.

A record costs logging some ten microseconds, and little of it is seen where stock handlers and formatters make a line of it.
Between the records of one second only the message differs: what stands around it is taken from a line that the formatter
itself has made. Whatever is not stock, or was replaced in logging, in Tornado or on an object, gets its record as always.
"""

from __future__ import annotations

import functools
import io
import logging
import os
import re
import sys
import time
import types
from typing import Any, NamedTuple

import tornado.log
import tornado.web

from tornadoc import _native
from tornadoc._originals import originals

_OF_HANDLERS = ("handle", "filter", "acquire", "emit", "format", "flush", "release", "handleError")
#: What logging calls between Logger.info() and the line, by the class that it is looked up on.
_CALLED: dict[type, tuple[str, ...]] = {
    logging.Logger: ("info", "warning", "error", "_log", "findCaller", "makeRecord", "handle", "filter", "callHandlers"),
    logging.LogRecord: ("__init__", "getMessage"),
    logging.StreamHandler: _OF_HANDLERS,
    logging.FileHandler: _OF_HANDLERS,
    logging.PercentStyle: ("usesTime", "format"),
    logging.Formatter: ("format", "usesTime", "formatTime", "formatMessage"),
    tornado.log.LogFormatter: ("format", "formatTime"),
}
_CLASSES = tuple(_CALLED)
_FORMAT = "%d %s %.2fms"
_MARK = "\0"
_MESSAGE = "%(message)s"
#: Fields that are the same in all records that one logger makes at one level in one second.
_STEADY = re.compile(
    r"%%|%\((?:color|end_color|levelname|levelno|name|module|filename|pathname|lineno|funcName|asctime)\)[-# 0+.\d]*[ds]"
)
_CLOCK = "time_ns" if sys.version_info >= (3, 13) else "time"
_clock = getattr(time, _CLOCK)
_get_level_name = logging.getLevelName
_level_names: dict[int, str] = logging._levelToName


def _sizes() -> dict[type, int]:
    """How many attributes objects have that nobody has put a method into."""
    stream = logging.StreamHandler()
    file = logging.FileHandler(os.devnull, delay=True)
    formatters = logging.Formatter(), tornado.log.LogFormatter(color=False), logging.PercentStyle("")
    objects: tuple[Any, ...] = (stream, file, *formatters)
    sizes = {type(each): len(vars(each)) for each in objects}
    sizes[logging.Logger] = len(vars(logging.Logger(""))) + 1  # getLogger() adds the manager
    stream.close()
    file.close()
    return sizes


_SIZES = _sizes()
LOGGER_SIZE = _SIZES[logging.Logger]


class _Around(NamedTuple):
    """What a formatter puts before and after the message, as long as none of the rest changes."""

    before: str
    after: str
    tick: int
    formatter: logging.Formatter
    format: str
    date_format: str | None
    names: tuple[str | None, str | None]


#: The latest for each level.
_around: dict[int, _Around] = {}
#: The versions of the classes, and whether they are stock then.
_judged: tuple[tuple[int, ...], bool] = ((), False)


def _classes_are_stock() -> bool:
    global _judged
    versions = _native.class_versions(_CLASSES)
    if versions != _judged[0]:
        stock = all(originals(*cls.__mro__[:-1]).keys() >= set(names) for cls, names in _CALLED.items())
        # A version of 0 would not change with the class.
        _judged = _native.class_versions(_CLASSES), stock and 0 not in versions
    return _judged[1]


@functools.cache
def _find_place() -> tuple[str, int, str]:
    """File, line and function that logging finds as the caller: Tornado's log_request()."""
    places: list[tuple[str, int, str]] = []

    def log(*_: object) -> None:
        frame = sys._getframe(1)
        places.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))

    logger = types.SimpleNamespace(info=log, warning=log, error=log)
    request = types.SimpleNamespace(request_time=float)
    handler = types.SimpleNamespace(get_status=int, _request_summary=str, request=request)
    code = tornado.web.Application.log_request.__code__
    types.FunctionType(code, {"access_log": logger})(types.SimpleNamespace(settings={}), handler)
    return places[0]


def _make_record(logger: logging.Logger, level: int, message: str, arguments: tuple[object, ...]) -> logging.LogRecord:
    file, line, function = _find_place()
    return logger.makeRecord(logger.name, level, file, line, message, arguments, None, function)


def _take_around(logger: logging.Logger, level: int, formatter: logging.Formatter) -> _Around | None:
    """What the formatter puts around a message, as of now. None: it may differ from one record to the next."""
    kind = type(formatter)
    fmt = formatter._fmt
    names: tuple[str | None, str | None] = (_level_names.get(level), None)
    per_second = 1
    if len(vars(formatter)) != _SIZES.get(kind):
        return None
    if kind is logging.Formatter:
        style = formatter._style
        if type(style) is not logging.PercentStyle or len(vars(style)) != _SIZES[logging.PercentStyle]:
            return None
        fmt = style._fmt
        if not formatter.datefmt and formatter.default_msec_format:
            per_second = 1000
    elif kind is tornado.log.LogFormatter:
        names = (names[0], formatter._colors.get(level))  # type: ignore[attr-defined]
    else:
        return None
    tick = _clock() * per_second // (10**9 if _CLOCK == "time_ns" else 1)
    known = _around.get(level)
    if (
        known is not None
        and known.tick == tick
        and known.formatter is formatter
        and known.format is fmt
        and known.date_format is formatter.datefmt
        and known.names == names
    ):
        return known
    if not isinstance(fmt, str) or fmt.count(_MESSAGE) != 1 or "%" in _STEADY.sub("", fmt.replace(_MESSAGE, "")):
        return None
    before, _, after = formatter.format(_make_record(logger, level, _MARK, ())).partition(_MARK)
    _around[level] = known = _Around(before, after, int(tick), formatter, fmt, formatter.datefmt, names)
    return known


def _find_handlers(logger: logging.Logger, level: int) -> list[logging.StreamHandler[Any]] | None:
    """The handlers that a record of the level comes to, in order. None: not all of them are stock, or there are none."""
    handlers: list[Any] = []
    there_are = False
    each: logging.Logger | None = logger
    handler: Any
    while each:
        for handler in each.handlers:
            kind = type(handler)
            stock = kind is logging.StreamHandler or (kind is logging.FileHandler and type(handler.stream) is io.TextIOWrapper)
            if not stock or len(vars(handler)) != _SIZES[kind] or handler.filters or handler.lock is None:
                return None
            there_are = True
            if level >= handler.level:
                handlers.append(handler)
        each = each.parent if each.propagate else None
    return handlers if there_are else None


def write_line(logger: logging.Logger, level: int, handler: tornado.web.RequestHandler) -> bool:
    """Write what Tornado's `Application.log_request` has logging write.

    The caller has seen that the logger is enabled for the level, and that neither `log_request()` nor what it calls on the
    handler is overridden. False if nothing was written, because somebody might look at the record.
    """
    if (
        type(logger) is not logging.Logger
        or len(vars(logger)) != _SIZES[logging.Logger]
        or logger.filters
        or logging.getLogRecordFactory() is not logging.LogRecord
        or logging.getLevelName is not _get_level_name
        or not logging._srcfile
        or getattr(time, _CLOCK) is not _clock
        or not _classes_are_stock()
    ):
        return False
    handlers = _find_handlers(logger, level)
    if handlers is None:
        return False
    lines: list[tuple[logging.StreamHandler[Any], _Around]] = []
    for each in handlers:
        around = _take_around(logger, level, each.formatter or logging._defaultFormatter)  # type: ignore[attr-defined]
        if around is None:
            return False
        lines.append((each, around))
    request = handler.request
    summary = f"{request.method} {request.uri} ({request.remote_ip})"
    if "\n" in summary:
        return False
    arguments = (handler.get_status(), summary, 1000.0 * request.request_time())
    message = _FORMAT % arguments
    for each, around in lines:
        with each.lock:  # type: ignore[union-attr]
            try:
                stream = each.stream
                stream.write(around.before + message + around.after + each.terminator)
                # Of a file, all that the handler's flush() does.
                (stream if type(stream) is io.TextIOWrapper else each).flush()
            except RecursionError:
                raise
            except Exception:
                each.handleError(_make_record(logger, level, _FORMAT, arguments))
    return True
