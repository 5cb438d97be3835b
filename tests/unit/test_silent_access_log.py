"""An access log that wants no record of a request may want one of the next: all that decides it counts when the request ends."""

import contextlib
import logging

import pytest
import tornado.web
from sidebyside import compare, patched

ACCESS = logging.getLogger("tornado.access")


class Eager(logging.Logger):
    def isEnabledFor(self, level):
        return True


@contextlib.contextmanager
def level_set(level):
    previous = ACCESS.level
    ACCESS.setLevel(level)
    try:
        yield
    finally:
        ACCESS.setLevel(previous)


@contextlib.contextmanager
def disabled_below(level):
    with level_set(logging.INFO):
        logging.disable(level)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


@contextlib.contextmanager
def attribute_set(name, value):
    previous = getattr(ACCESS, name)
    setattr(ACCESS, name, value)
    try:
        yield
    finally:
        setattr(ACCESS, name, previous)


def other_logger():
    logger = logging.getLogger("tornado.access.other")
    logger.setLevel(logging.INFO)
    return logger


#: A change, and how many of four requests (200, 404, 500, 200) leave a record of it.
CHANGES = {
    "nothing": (contextlib.nullcontext, 0),
    "the level": (lambda: level_set(logging.INFO), 4),
    "the level, for some": (lambda: level_set(logging.WARNING), 2),
    "the level, for errors": (lambda: level_set(logging.ERROR), 1),
    "the level of all": (lambda: disabled_below(logging.NOTSET), 4),
    "the level of all, for some": (lambda: disabled_below(logging.INFO), 2),
    "the cache": (lambda: attribute_set("_cache", {20: True, 30: True, 40: True}), 4),
    "an entry of the cache": (lambda: patched_item(ACCESS._cache, 20, True), 2),
    "the logger": (lambda: patched(tornado.web, "access_log", other_logger()), 4),
    "the logger's class": (lambda: attribute_set("__class__", Eager), 4),
    "the logger's attributes": (lambda: attribute_set("__dict__", {**vars(other_logger()), "parent": ACCESS.parent}), 4),
    "a method of the logger": (lambda: patched(ACCESS, "isEnabledFor", lambda level: True), 4),
    "another method of the logger": (lambda: patched(ACCESS, "info", lambda *args: ACCESS.critical("info")), 2),
    "a method of the class": (lambda: patched(logging.Logger, "isEnabledFor", lambda self, level: True), 4),
    "another method of the class": (lambda: patched(logging.Logger, "info", lambda self, *args: self.critical("info")), 2),
}


@contextlib.contextmanager
def patched_item(mapping, key, value):
    previous = mapping[key]
    mapping[key] = value
    try:
        yield
    finally:
        mapping[key] = previous


async def ask(side):
    for status in (200, 404, 500, 200):
        await side.get(f"/{status}")


def make_handler(side):
    class Handler(side.RequestHandler):
        def get(self, status):
            self.set_status(int(status))

    return Handler


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_at_once(name):
    change, count = CHANGES[name]
    found = {}

    async def scenario(side):
        records = []
        side.serve(side.Application([("/(.*)", make_handler(side))]))
        handler = logging.Handler()
        handler.emit = lambda record: records.append(record.getMessage())
        with level_set(logging.CRITICAL):
            ACCESS.parent.addHandler(handler)
            try:
                await ask(side)
                assert records == []
                with change():
                    await ask(side)
                found[side.name] = len(records)
                await ask(side)
                assert len(records) == found[side.name]
            finally:
                ACCESS.parent.removeHandler(handler)

    compare(scenario)
    assert found == {"tornado": count, "tornadoc": count}


@pytest.mark.parametrize("how", ["item", "update", "replaced", "default"])
def test_a_log_function_is_called_as_soon_as_it_is_set(how):
    async def scenario(side):
        called = []
        application = side.Application([("/(.*)", make_handler(side))], other=1)
        side.serve(application)
        settings = application.settings

        def log(handler):
            called.append(handler.get_status())

        with level_set(logging.CRITICAL):
            await ask(side)
            if how == "item":
                settings["log_function"] = log
            elif how == "update":
                settings.update(log_function=log)
            elif how == "replaced":
                application.settings = {"log_function": log}
            else:
                settings.setdefault("log_function", log)
            await ask(side)
            assert called == [200, 404, 500, 200]
            if how == "replaced":
                application.settings = settings
            else:
                del settings["log_function"]
            await ask(side)
        return called

    compare(scenario)


def test_other_settings_count_as_soon_as_they_are_set():
    async def scenario(side):
        class Handler(side.RequestHandler):
            def post(self):
                self.write("posted")

        application = side.Application([("/", Handler)])
        side.serve(application)
        answers = [await side.get(method="POST", body=b"")]
        application.settings["xsrf_cookies"] = True
        answers.append(await side.get(method="POST", body=b""))
        application.settings["xsrf_cookies"] = False
        answers.append(await side.get(method="POST", body=b""))
        return answers

    answers = compare(scenario).result
    assert answers[0] == answers[2] != answers[1]
