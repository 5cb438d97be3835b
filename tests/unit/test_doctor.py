"""`python -m tornadoc doctor` and `tornadoc.doctor()`: what they say, and that a program is not served."""

import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import tornado

import tornadoc
from tornadoc import _native

HANDLERS = """
    import asyncio, sys
    from tornado import httpserver, ioloop, netutil, web, websocket

    class Fast(web.RequestHandler):
        def initialize(self, **options): pass
        def prepare(self): pass
        async def get(self): self.write("x")
        def on_finish(self): pass
"""

SLOW = """
    class Finish(web.RequestHandler):
        def set_header(self, name, value): super().set_header(name, value)

    class Flush(web.RequestHandler):
        def add_header(self, name, value): super().add_header(name, value)

    class Base(web.RequestHandler):
        async def _execute(self, *args, **kwargs): return await super()._execute(*args, **kwargs)

    class Task(Base):
        pass

    @web.stream_request_body
    class Upload(web.RequestHandler):
        def data_received(self, chunk): pass

    ROUTES = [("/fast", Fast), ("/finish", Finish), ("/flush", Flush), ("/task", Task), ("/upload", Upload)]
"""


def write(tmp_path, *parts):
    path = tmp_path / "program.py"
    path.write_text("".join(textwrap.dedent(part) for part in parts))
    return path


def doctor(*arguments, mode=None, cwd=None):
    environment = {name: value for name, value in os.environ.items() if name != "TORNADOC"}
    if mode is not None:
        environment["TORNADOC"] = mode
    command = [sys.executable, "-m", "tornadoc", "doctor", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment, check=False)


def report(*arguments, status, **options):
    result = doctor("--json", *arguments, **options)
    assert result.returncode == status, result
    return json.loads(result.stdout)


def reasons(things, name):
    """{(path, what, where)} of the class of that name."""
    (thing,) = (thing for thing in things if thing["class"].rpartition(".")[2] == name)
    return {(reason["path"], reason["what"], reason["where"]) for reason in thing["reasons"]}


def test_the_installation():
    found = report(status=0)
    assert found["tornadoc"] == {
        "version": tornadoc.__version__,
        "active": True,
        "why_inactive": None,
        "installed": True,
        "environment": None,
    }
    assert found["tornado"] == {"version": tornado.version, "tested": "6.5.10 to 6.6.x", "is_tested": True}
    assert found["python"]["version"] == sys.version.split()[0] and found["kernel"]["release"] == os.uname().release
    assert found["native"] == {"http_parser": _native.http_parser_version, "build_flags": _native.build_flags}
    assert found["open_files"]["soft"] > 0 and found["program"] is None
    assert found["all_native"] and found["problems"] == []
    parts = {part["part"]: part for part in found["parts"]}
    assert parts["HTTP server"]["native"] and parts["handlers"]["native"] and parts["routing"]["why"] is None
    assert all(part["native"] or part["why"] for part in parts.values())


def test_the_build_flags_are_those_of_the_compiler():
    flags = _native.build_flags
    assert set(flags) == {"compiler", "python", "optimized", "assertions", "sanitizers", "http_parser"}
    assert flags["python"].split(".")[:2] == sys.version.split(".")[:2] and flags["http_parser"] in ("static", "shared")
    assert flags["compiler"].split()[0] in ("gcc", "clang")


def test_the_report_for_people():
    out = doctor().stdout
    for line in (
        f"tornadoc     {tornadoc.__version__}, active",
        "  native   HTTP server",
        f"http-parser {_native.http_parser_version}",
    ):
        assert line in out
    assert out.endswith("All that this version of tornadoc can serve natively is native.\n")


MAIN = """
    async def main():
        print("printed")
        application = web.Application(ROUTES, **SETTINGS)
        server = application.listen(PORT)
        assert list(server._sockets)
        await asyncio.Event().wait()

    if __name__ == "__main__":
        asyncio.run(main())
"""


def test_the_handlers_of_a_program_and_what_forces_their_paths(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        program = write(tmp_path, HANDLERS, SLOW, f"\nPORT = {port}\nSETTINGS = dict(compress_response=True)\n", MAIN)
        # A port that somebody listens on: the doctor can look at a program that is in use.
        found = report(program, status=1)["program"]
    handlers = {handler["class"]: (handler["path"], handler["routes"]) for handler in found["handlers"]}
    assert handlers == {
        "__main__.Fast": ("fast", ["/fast$"]),
        "__main__.Finish": ("partly", ["/finish$"]),
        "__main__.Flush": ("partly", ["/flush$"]),
        "__main__.Task": ("general", ["/task$"]),
        "__main__.Upload": ("general", ["/upload$"]),
        "__main__.Base": ("general", []),
    }
    assert reasons(found["handlers"], "Finish") == {("partly", "set_header", "__main__.Finish")}
    assert reasons(found["handlers"], "Task") == {("general", "_execute", "__main__.Base")}
    assert reasons(found["handlers"], "Upload") == {("general", "stream_request_body", "__main__.Upload")}
    assert reasons(found["applications"], "Application") == {("partly", "transforms", "tornado.web.GZipContentEncoding")}
    assert [server["path"] for server in found["servers"]] == ["fast"]


def test_a_program_that_is_all_native(tmp_path):
    program = write(tmp_path, HANDLERS, "\nROUTES, SETTINGS, PORT = [('/', Fast)], {}, 0\n", MAIN)
    result = doctor(program, "--an", "argument")
    assert result.returncode == 0 and "  fast     __main__.Fast  /$" in result.stdout
    assert "printed" in result.stderr and "printed" not in result.stdout
    found = report("-m", "program", status=0, cwd=tmp_path)
    assert [handler["class"] for handler in found["program"]["handlers"]] == ["__main__.Fast"]


STARTS = {
    "IOLoop.start": "web.Application([('/', Fast)]).listen(0)\nioloop.IOLoop.current().start()\n",
    "run_forever": "web.Application([('/', Fast)]).listen(0)\nioloop.IOLoop.current().asyncio_loop.run_forever()\n",
    "run_sync": """
async def main():
    httpserver.HTTPServer(web.Application([('/', Fast)])).listen(0)
    await asyncio.Event().wait()
ioloop.IOLoop.current().run_sync(main)
""",
    "fork": """
server = httpserver.HTTPServer(web.Application([('/', Fast)]))
server.bind(0)
server.start(4)
ioloop.IOLoop.current().start()
""",
    "sockets": """
server = httpserver.HTTPServer(web.Application([('/', Fast)]))
sockets = netutil.bind_sockets(1)
sockets.append(netutil.bind_unix_socket("/no/such/folder/socket"))
from tornado.process import fork_processes
fork_processes(2)
server.add_sockets(sockets)
ioloop.IOLoop.current().start()
""",
    "two": """
async def main():
    web.Application([('/', Fast)]).listen(0)
    await asyncio.sleep(0)
    web.Application([('/', Fast)]).listen(0)
    try:
        await asyncio.Event().wait()
    except Exception:
        pass
asyncio.run(main())
""",
    "no loop": "application = web.Application([('/', Fast)])\n",
    "exit": "application = web.Application([('/', Fast)])\nsys.exit()\n",
}


@pytest.mark.parametrize("how", STARTS)
def test_programs_start_in_many_ways(tmp_path, how):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(HANDLERS) + STARTS[how])
    found = report(program, status=0)["program"]
    assert len(found["servers"]) == {"two": 2, "no loop": 0, "exit": 0}.get(how, 1)
    assert len(found["applications"]) == (2 if how == "two" else 1)
    assert [(handler["class"], handler["path"]) for handler in found["handlers"]] == [("__main__.Fast", "fast")]


def test_servers_and_applications_that_change_hooks(tmp_path):
    program = write(
        tmp_path,
        HANDLERS,
        """
    from tornado import routing

    class Server(httpserver.HTTPServer):
        def handle_stream(self, stream, address): super().handle_stream(stream, address)

    class App(web.Application):
        def find_handler(self, request, **kwargs): return super().find_handler(request, **kwargs)

    class Odd(routing.Matcher):
        def match(self, request): return {}

    def answer(request): pass

    application = App([("/", Fast), (Odd(), Fast)], log_function=print, default_handler_class=Fast)
    Server(application).listen(0)
    other = httpserver.HTTPServer(answer, decompress_request=True)
    other.on_close = other.on_close
    other.start_request = other.start_request
    other.listen(0)
    ioloop.IOLoop.current().start()
    """,
    )
    found = report(program, status=1)["program"]
    servers = found["servers"]
    assert reasons(servers, "Server") == {("general", "handle_stream", "__main__.Server")}
    assert reasons(servers, "HTTPServer") == {
        ("general", "start_request", "the object"),
        ("general", "request_callback", "builtins.function"),
        ("partly", "decompress_request", "the server"),
    }
    assert reasons(found["applications"], "App") == {
        ("general", "find_handler", "__main__.App"),
        ("general", "matcher", "__main__.Odd"),
        ("partly", "log_function", "the settings"),
    }
    assert found["handlers"][0]["routes"] == ["/$", "Odd", "(no rule matches)"]


def test_classes_that_hide_attributes_of_their_objects(tmp_path):
    program = write(
        tmp_path,
        """
        import tornado.ioloop, tornado.web

        class Mixin:
            request = None

        class Typed(Mixin, tornado.web.RequestHandler):
            pass

        class Settled(tornado.web.Application):
            settings = None

        Settled([("/", Typed)]).listen(0)
        tornado.ioloop.IOLoop.current().start()
        """,
    )
    found = report(program, status=1)["program"]
    assert reasons(found["handlers"], "Typed") == {("general", "request", "__main__.Mixin")}
    assert reasons(found["applications"], "Settled") == {("general", "settings", "__main__.Settled")}


def test_wrong_usage():
    for arguments in (["--yaml"], ["-m"], ["no_such_program.py"], ["-m", "no_such_module_of_anybody"]):
        result = doctor(*arguments)
        assert result.returncode == 2 and result.stdout == "" and result.stderr != "", arguments
    assert doctor("--help").stdout.startswith("usage: python -m tornadoc doctor")


@pytest.mark.parametrize("end", ["raise KeyError('broken')", "sys.exit(3)", "sys.exit('no config')"])
def test_a_program_that_fails(tmp_path, end):
    result = doctor(write(tmp_path, "import sys\n" + end))
    assert result.returncode == 2 and result.stdout == "" and "could not be loaded" in result.stderr


@pytest.mark.parametrize("arguments", [[], ["program.py"]])
def test_where_it_is_inactive_it_says_so(tmp_path, arguments):
    write(tmp_path, HANDLERS, "\nweb.Application([('/', Fast)]).listen(0)\nioloop.IOLoop.current().start()\n")
    for mode in ("off", "require"):
        result = doctor(*arguments, mode=mode, cwd=tmp_path)
        active = mode == "require"
        assert result.returncode == (0 if active else 1), result
        assert ("inactive: TORNADOC=off is in the environment" in result.stdout) is not active


def test_doctor_as_a_function():
    found = tornadoc.doctor()
    assert found["program"] is None and not found["tornadoc"]["installed"]
    # Here nothing is installed: Tornado's names are Tornado's.
    assert "HTTP server: install() was not called" in found["problems"] and not found["all_native"]
    application = tornadoc.web.Application([("/x", tornadoc.web.RequestHandler)])
    found = tornadoc.doctor(application, tornado.web.Application())["program"]
    assert [one["path"] for one in found["applications"]] == ["fast", "general"]
    assert json.loads(json.dumps(found)) == found
