"""Access log lines written without a record are logging's, and whoever looks at records gets them."""

from __future__ import annotations

import io
import logging
import re
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import tornado.log
import tornado.web
from inprocess import Running, run

import tornadoc.web
from tornadoc import _access_log

LEVELS = {200: logging.INFO, 304: logging.INFO, 404: logging.WARNING, 500: logging.ERROR}
BASIC = logging.BASIC_FORMAT
SIMPLE = "%(asctime)s %(levelname)-8s %(name)s %(filename)s:%(lineno)d %(funcName)s %(message)s 100%%"


class Request:
    method, uri, remote_ip = "GET", "/caf\xe9?q=%d%s{}", "127.0.0.1"

    def request_time(self) -> float:
        return 0.0125


def make_handler(status: int = 200) -> Any:
    request = Request()
    summary = f"{request.method} {request.uri} ({request.remote_ip})"
    return types.SimpleNamespace(request=request, get_status=lambda: status, _request_summary=lambda: summary)


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.Logger]]:
    """The access log and those above it, with a root of its own (pytest has handlers at logging's); as before afterwards."""
    chain = [logging.getLogger("tornado.access"), logging.getLogger("tornado"), logging.RootLogger(logging.INFO)]
    monkeypatch.setattr(chain[1], "parent", chain[2])
    saved = [(each.handlers[:], each.level, each.propagate) for each in chain]
    for each in chain:
        each.handlers[:] = []
        each.propagate = True
        each.setLevel(logging.INFO)
    yield chain
    for each, (handlers, level, propagate) in zip(chain, saved):
        each.handlers[:] = handlers
        each.filters[:] = []
        each.setLevel(level)
        each.propagate = propagate


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Formatters show one time; the class's attribute is none of the functions that a line depends on."""
    monkeypatch.setattr(logging.Formatter, "converter", staticmethod(lambda *_: time.gmtime(1e9)))


def add_stream(logger: logging.Logger, formatter: logging.Formatter | None, level: int = 0) -> io.StringIO:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return stream


def log_with_a_record(handler: Any) -> None:
    tornado.web.Application.log_request(types.SimpleNamespace(settings={}), handler)  # type: ignore[arg-type]


def take(stream: io.StringIO) -> str:
    text = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    return re.sub(r"(:40),\d\d\d", r"\1,mmm", text)


OTHER = "%(color)s%(levelname)s%(end_color)s|%(message)s|%(asctime)s"
FORMATTERS: dict[str, Callable[[], logging.Formatter | None]] = {
    "pretty": lambda: tornado.log.LogFormatter(color=False),
    "none": lambda: None,
    "default": logging.Formatter,
    "basic": lambda: logging.Formatter(BASIC),
    "all fields": lambda: logging.Formatter(SIMPLE),
    "date": lambda: logging.Formatter(SIMPLE, "%H:%M"),
    "pretty, other format": lambda: tornado.log.LogFormatter(OTHER, "%H", color=False),
}


@pytest.mark.parametrize("status", LEVELS)
@pytest.mark.parametrize("name", FORMATTERS)
def test_a_line_is_logging_s(loggers: list[logging.Logger], name: str, status: int) -> None:
    stream = add_stream(loggers[-1], FORMATTERS[name]())
    handler = make_handler(status)
    log_with_a_record(handler)
    expected = take(stream)
    for _ in range(2):
        assert _access_log.write_line(loggers[0], LEVELS[status], handler)
        assert take(stream) == expected
    assert f"{status} GET /caf\xe9" in expected


def test_colors(loggers: list[logging.Logger]) -> None:
    formatter = tornado.log.LogFormatter(color=False)
    stream = add_stream(loggers[-1], formatter)
    for color in ("<green>", "<blue>"):
        formatter._colors[logging.INFO] = color
        formatter._normal = "<normal>"
        log_with_a_record(make_handler())
        expected = take(stream)
        assert _access_log.write_line(loggers[0], logging.INFO, make_handler())
        assert take(stream) == expected
        assert expected.startswith(color + "[I ")


def test_a_level_s_name_is_looked_up_each_time(loggers: list[logging.Logger], request: pytest.FixtureRequest) -> None:
    request.addfinalizer(lambda: logging.addLevelName(logging.INFO, "INFO"))
    stream = add_stream(loggers[-1], logging.Formatter(BASIC))
    for name in ("INFO", "NOTE"):
        logging.addLevelName(logging.INFO, name)
        assert _access_log.write_line(loggers[0], logging.INFO, make_handler())
        assert take(stream).startswith(name + ":")


def test_every_handler_on_the_way_up_in_order(loggers: list[logging.Logger]) -> None:
    streams = [add_stream(each, logging.Formatter(f"{each.name} %(message)s")) for each in loggers]
    streams.append(add_stream(loggers[1], None, logging.ERROR))
    for stop in (None, 1, 0):
        if stop is not None:
            loggers[stop].propagate = False
        results = []
        for log in (log_with_a_record, lambda handler: _access_log.write_line(loggers[0], logging.INFO, handler)):
            log(make_handler())
            results.append([take(stream) for stream in streams])
        assert results[0] == results[1]
        assert [bool(text) for text in results[0]] == [True, stop != 0, stop is None, False]


def test_a_file(loggers: list[logging.Logger], tmp_path: Any) -> None:
    handler = logging.FileHandler(tmp_path / "log", delay=True, encoding="latin-1")
    loggers[0].addHandler(handler)
    try:
        # It is opened by the first record.
        assert not _access_log.write_line(loggers[0], logging.INFO, make_handler())
        log_with_a_record(make_handler())
        assert _access_log.write_line(loggers[0], logging.INFO, make_handler())
        first, second = (tmp_path / "log").read_bytes().splitlines()
        assert first == second == b"200 GET /caf\xe9?q=%d%s{} (127.0.0.1) 12.50ms"
    finally:
        loggers[0].removeHandler(handler)
        handler.close()


def test_a_stream_that_fails_is_reported_as_by_logging(loggers: list[logging.Logger], capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError("disk full")

    loggers[0].addHandler(logging.StreamHandler(Broken()))
    reports = []
    for log in (log_with_a_record, lambda handler: _access_log.write_line(loggers[0], logging.INFO, handler)):
        log(make_handler())
        reports.append(capsys.readouterr().err)
    for report in reports:
        assert "--- Logging error ---" in report and "OSError: disk full" in report
        assert report.splitlines()[-2:] == reports[0].splitlines()[-2:]
    assert "Arguments: (200, " in reports[0]


def test_what_a_stream_raises_beyond_errors_is_passed_on(loggers: list[logging.Logger]) -> None:
    class Broken(io.StringIO):
        error: type[BaseException] = RecursionError

        def write(self, text: str) -> int:
            raise self.error

    stream = Broken()
    loggers[0].addHandler(logging.StreamHandler(stream))
    for error in (RecursionError, KeyboardInterrupt):
        stream.error = error
        with pytest.raises(error):
            _access_log.write_line(loggers[0], logging.INFO, make_handler())


class Emits(logging.StreamHandler):  # type: ignore[type-arg]
    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)


def make_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    return logging.LogRecord(*args, **kwargs)


def patched(cls: type, name: str) -> Callable[[pytest.MonkeyPatch, list[logging.Logger], Any], None]:
    def patch(monkeypatch: pytest.MonkeyPatch, *_: Any) -> None:
        original = getattr(cls, name)
        monkeypatch.setattr(cls, name, lambda *args, **kwargs: original(*args, **kwargs))

    return patch


LOOKED_AT: dict[str, Callable[[pytest.MonkeyPatch, list[logging.Logger], Any], None]] = {
    **{f"{cls.__name__}.{name}": patched(cls, name) for cls, names in _access_log._CALLED.items() for name in names},
    "Handler.handle": patched(logging.Handler, "handle"),
    "Filterer.filter": patched(logging.Filterer, "filter"),
    "emit of the handler": lambda _, loggers, handler: setattr(handler, "emit", lambda record: None),
    "formatTime of the formatter": lambda _, loggers, handler: setattr(handler.formatter, "formatTime", lambda *_: ""),
    "info of the logger": lambda monkeypatch, loggers, _: monkeypatch.setattr(loggers[0], "info", print, raising=False),
    "a filter of the handler": lambda _, loggers, handler: handler.addFilter(lambda record: True),
    "a filter of the logger": lambda _, loggers, handler: loggers[0].addFilter(lambda record: True),
    "a handler class": lambda _, loggers, handler: loggers[1].addHandler(Emits(io.StringIO())),
    "a formatter class": lambda _, loggers, handler: handler.setFormatter(type("Mine", (logging.Formatter,), {})()),
    "a style": lambda _, loggers, handler: handler.setFormatter(logging.Formatter("{message}", style="{")),
    "a field of each record": lambda _, loggers, handler: handler.setFormatter(logging.Formatter("%(created)f %(message)s")),
    "no message": lambda _, loggers, handler: handler.setFormatter(logging.Formatter("%(levelname)s")),
    "a message of a width": lambda _, loggers, handler: handler.setFormatter(logging.Formatter("%(message)-40s")),
    "a record factory": lambda monkeypatch, *_: monkeypatch.setattr(logging, "_logRecordFactory", make_record),
    "getLevelName": lambda monkeypatch, *_: monkeypatch.setattr(logging, "getLevelName", lambda level: "?"),
    "no callers": lambda monkeypatch, *_: monkeypatch.setattr(logging, "_srcfile", None),
    "the clock": lambda monkeypatch, *_: monkeypatch.setattr(time, _access_log._CLOCK, lambda: 10**9),
    "no handler": lambda _, loggers, handler: loggers[-1].removeHandler(handler),
}


@pytest.mark.parametrize("name", LOOKED_AT)
def test_whoever_looks_at_records_gets_them(loggers: list[logging.Logger], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretty = name.startswith("LogFormatter")
    file = name.startswith("FileHandler")
    handler: Any = logging.FileHandler("/dev/null") if file else logging.StreamHandler(io.StringIO())
    handler.setFormatter(tornado.log.LogFormatter(color=False) if pretty else logging.Formatter(SIMPLE))
    loggers[-1].addHandler(handler)
    assert _access_log.write_line(loggers[0], logging.INFO, make_handler())
    with monkeypatch.context() as patch:
        LOOKED_AT[name](patch, loggers, handler)
        assert not _access_log.write_line(loggers[0], logging.INFO, make_handler())
    handler.close()


def test_a_message_of_two_lines_is_logging_s(loggers: list[logging.Logger]) -> None:
    add_stream(loggers[-1], tornado.log.LogFormatter(color=False))
    handler = make_handler()
    handler.request.uri = "/\n"
    assert not _access_log.write_line(loggers[0], logging.INFO, handler)


def test_a_logger_of_the_program_s_class(loggers: list[logging.Logger]) -> None:
    class Mine(logging.Logger):
        pass

    mine = Mine("mine")
    add_stream(mine, None)
    assert not _access_log.write_line(mine, logging.INFO, make_handler())


@pytest.mark.parametrize("overridden", [False, True])
def test_a_served_request_makes_a_record_if_its_handler_changes_the_line(loggers: list[logging.Logger], overridden: bool) -> None:
    class Hello(tornadoc.web.RequestHandler):
        def get(self) -> None:
            self.write("hello")

    if overridden:
        Hello._request_summary = lambda self: "SUMMARY"  # type: ignore[method-assign]
    stream = add_stream(loggers[-1], logging.Formatter(BASIC))
    _access_log._around.clear()

    async def main() -> None:
        async with Running(tornadoc.web.Application([("/", Hello)])) as server:
            for _ in range(2):
                assert (await server.fetch("/")).code == 200

    run(main())
    summary = "SUMMARY" if overridden else "GET / (127.0.0.1)"
    assert re.fullmatch(rf"(INFO:tornado\.access:200 {re.escape(summary)} \d+\.\d\dms\n){{2}}", stream.getvalue())
    # What stands around the message was kept for the next line.
    assert bool(_access_log._around) != overridden


def test_a_logger_put_into_tornado_s_module(loggers: list[logging.Logger], monkeypatch: pytest.MonkeyPatch) -> None:
    class Hello(tornadoc.web.RequestHandler):
        def get(self) -> None:
            self.write("hello")

    loggers[0].disabled = True
    mine = logging.Logger("mine")
    stream = add_stream(mine, logging.Formatter(BASIC))
    monkeypatch.setattr(tornado.web, "access_log", mine)

    async def main() -> None:
        async with Running(tornadoc.web.Application([("/", Hello)])) as server:
            await server.fetch("/")

    try:
        run(main())
    finally:
        loggers[0].disabled = False
    assert stream.getvalue().startswith("INFO:mine:200 GET / (127.0.0.1) ")
