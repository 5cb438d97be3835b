"""Values of types that no program should use, in places where C reads them: an exception as in Tornado, and no crash."""

import asyncio
import collections
import functools
import itertools
import json
import os
import subprocess
import sys
import traceback
import types
from pathlib import Path

import pytest
from sidebyside import compare, get, run


@functools.lru_cache(None)
def problems(name):
    """{case: what went wrong, or ""} for the cases of a function, in one process, and in another one behind each that crashes."""
    found = {}
    cases = CASES[name]
    while len(found) < len(cases):
        code = f"import test_odd_values; test_odd_values.call({name!r}, {len(found)})"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=250, check=False
        )
        for line in done.stdout.splitlines():
            found[cases[len(found)]] = json.loads(line)
        if len(found) < len(cases):
            found[cases[len(found)]] = f"exit status {done.returncode}\n{done.stderr[-1500:]}"
    return found


def call(name, start):
    """Tells a line of JSON for each case from that one on."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    for case in CASES[name][start:]:
        try:
            globals()[name](*case)
        except Exception:
            problem = traceback.format_exc()
        else:
            problem = ""
        lines.write(json.dumps(problem) + "\n")


def serve_arguments(source, where):
    arguments = eval(source)

    async def scenario(side):
        class Handler(side.RequestHandler):
            def initialize(self, **kwargs):
                self.given = kwargs

            def get(self):
                self.write(repr(self.given))

        application = side.Application([("/a", Handler)])
        if where == "rule":
            application.wildcard_router.rules[0].target_kwargs = arguments
        else:
            application.settings.update(default_handler_class=Handler, default_handler_args=arguments)
        side.serve(application)
        status, answer = await side.body("/a" if where == "rule" else "/none")
        side.note(await side.body("/other"))
        return status, answer

    compare(scenario)


ARGUMENTS = [
    "types.MappingProxyType({'k': 1})",
    "collections.UserDict(k=1)",
    "collections.OrderedDict(k=1)",
    "{}",
    "None",
    "[('k', 1)]",
    "7",
    "{1: 2}",
    "{'request': 1}",
]


def survive_change(statement, moment):
    """A statement is run on a handler. What its request gets is not compared: the next client is answered, that is all."""

    async def scenario(side):
        def change(self, *args):
            side.note("changed")
            exec(statement, {"self": self, "types": types, "collections": collections})

        class Handler(side.RequestHandler):
            def get(self, *args, **kwargs):
                if moment == "get":
                    change(self)
                self.write(repr((args, sorted(kwargs))))

        if moment != "get":
            setattr(Handler, moment, change)
        side.serve(side.Application([("/", Handler), (r"/(\w)", Handler), (r"/(?P<a>\w)/", Handler)]))
        clients = []
        for count, path in enumerate(("/", "/x", "/x/"), 1):
            _, writer = await asyncio.open_connection("127.0.0.1", side.port)
            clients.append(writer)
            writer.write(get(path))
            while len(side.noted) < count:
                await asyncio.sleep(0)
        answer = await side.body("/none")
        for writer in clients:
            writer.close()
        return answer[0]

    assert run(scenario, "tornadoc").result == 404


CHANGES = [
    "self.path_args = None",
    "self.path_args = iter('ab')",
    "self.path_kwargs = None",
    "self.path_kwargs = types.MappingProxyType({'m': 1})",
    "self.path_kwargs = collections.UserDict(u=1)",
    "self.path_kwargs = {1: 2}",
    "del self.path_args, self.path_kwargs",
    "self._headers = None",
    "self._write_buffer = None",
    "self._write_buffer = ['text', None]",
    "self._status_code = 2 ** 70",
    "self._reason = None",
    "self._transforms = None",
    "self.request = None",
    "del self.request",
    "self.application = None",
    "del self.application",
    "self.request.headers = None",
    "self.__dict__ = {}",
]


CASES = {
    "serve_arguments": list(itertools.product(ARGUMENTS, ["rule", "default"])),
    "survive_change": list(itertools.product([*CHANGES, "pass"], ["__init__", "prepare", "get"])),
}


@pytest.mark.parametrize("arguments, where", CASES["serve_arguments"])
def test_arguments_of_a_handler(arguments, where):
    assert problems("serve_arguments")[arguments, where] == ""


@pytest.mark.parametrize("statement, moment", CASES["survive_change"])
def test_the_server_survives_an_attribute(statement, moment):
    assert problems("survive_change")[statement, moment] == ""
