"""The package from outside: names, install() and uninstall(), the command line, and what happens where it can't run."""

import subprocess
import sys
import textwrap

import pytest

import tornadoc

PROGRAM = """
    import asyncio, socket, sys
    import tornado.httpserver, tornado.web, tornado.netutil

    class Hello(tornado.web.RequestHandler):
        def get(self):
            native = any(cls.__module__ == "tornadoc._native" for cls in type(self).__mro__)
            self.write("hello from " + ("tornadoc" if native else "tornado"))

    async def main():
        server = tornado.httpserver.HTTPServer(tornado.web.Application([("/", Hello)]))
        listener, = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.getsockname()[1])
        writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        print((await reader.read()).rpartition(b"\\n")[2].decode(), sys.argv[1:], __name__)
        writer.close()
        server.stop()

    asyncio.run(main())
"""


def run(*arguments, code=None, cwd=None):
    """A fresh interpreter's standard output; it must end well and write no error."""
    command = [sys.executable, *arguments] + ([] if code is None else ["-c", textwrap.dedent(code)])
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def test_modules_without_a_native_part_are_tornados_own():
    out = run(
        code="""
        import tornadoc.gen, tornadoc.escape, tornadoc.locks, tornado.gen, tornado.locks
        from tornadoc.options import define, options
        from tornado.options import options as same
        assert tornadoc.gen is tornado.gen and tornadoc.locks is tornado.locks and options is same
        assert tornado.gen.__spec__.name == tornado.gen.__name__ == "tornado.gen"
        print("ok")
        """
    )
    assert out == "ok\n"


@pytest.mark.parametrize("module", ["web", "httpserver", "httputil", "http1connection", "iostream", "routing", "websocket"])
def test_every_public_name_of_tornado_is_there(module):
    import importlib

    ours = importlib.import_module("tornadoc." + module)
    theirs = importlib.import_module("tornado." + module)
    missing = [name for name in dir(theirs) if not name.startswith("__") and not hasattr(ours, name)]
    assert missing == []


def test_unknown_modules_and_names_are_errors():
    with pytest.raises(ImportError):
        __import__("tornadoc.no_such_module")
    with pytest.raises(AttributeError):
        getattr(tornadoc, "no_such_" + "name")
    assert tornadoc.version == __import__("tornado").version


def test_classes_stand_ahead_of_tornados():
    import tornado.httpserver
    import tornado.web

    import tornadoc.httpserver
    import tornadoc.web

    for name in ("RequestHandler", "Application", "ErrorHandler", "RedirectHandler", "StaticFileHandler", "FallbackHandler"):
        assert issubclass(getattr(tornadoc.web, name), getattr(tornado.web, name))
    assert issubclass(tornadoc.httpserver.HTTPServer, tornado.httpserver.HTTPServer)


def test_install_and_uninstall():
    out = run(
        code="""
        import tornado.web
        before = tornado.web.RequestHandler
        class Early(before):
            def get(self): pass
        import tornadoc
        tornadoc.install()
        tornadoc.install()
        import tornado.testing, tornado.httpserver, tornado.routing, tornado.websocket
        assert tornado.web.RequestHandler is tornadoc.web.RequestHandler is not before
        assert tornado.testing.HTTPServer is tornado.httpserver.HTTPServer is tornadoc.httpserver.HTTPServer
        assert issubclass(tornado.websocket.WebSocketHandler, tornado.web.RequestHandler)
        rule = tornado.web.Application([("/", Early)]).wildcard_router.rules[0]
        assert rule.target is Early and issubclass(tornadoc.routing.accelerated(Early), tornado.web.RequestHandler)
        tornadoc.uninstall()
        assert tornado.web.RequestHandler is before and tornado.testing.HTTPServer is not tornadoc.httpserver.HTTPServer
        print("ok")
        """
    )
    assert out == "ok\n"


def test_command_line_runs_a_program(program):
    assert run("-m", "tornadoc", str(program), "a", "-b") == "hello from tornadoc ['a', '-b'] __main__\n"


def test_command_line_runs_a_module(program):
    assert run("-m", "tornadoc", "-m", "program", "a", cwd=program.parent) == "hello from tornadoc ['a'] __main__\n"


def test_the_same_program_without_tornadoc(program):
    assert run(str(program)) == "hello from tornado [] __main__\n"


def test_command_line_help_and_version():
    assert run("-m", "tornadoc", "--help").startswith("usage: python -m tornadoc")
    assert run("-m", "tornadoc", "--version") == f"tornadoc {tornadoc.__version__}\n"
    result = subprocess.run([sys.executable, "-m", "tornadoc"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 2 and "usage" in result.stdout


@pytest.mark.parametrize(
    "name, value, why", [("platform", "darwin", "darwin"), ("version_info", (3, 14, 0, "final", 0), "CPython 3.14 is not")]
)
def test_elsewhere_it_is_inactive_and_everything_is_tornados(name, value, why):
    out = run(
        code=f"""
        import sys, warnings
        import tornado.web  # before the change: the standard library looks at it, too
        sys.{name} = {value!r}
        import tornadoc, tornadoc.web, tornadoc.routing
        assert not tornadoc.active and {why!r} in tornadoc.why_inactive
        assert tornadoc.web is tornado.web and "tornadoc._native" not in sys.modules
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tornadoc.install()
        assert "inactive" in str(caught[0].message) and tornado.web.RequestHandler.__module__ == "tornado.web"
        print("ok")
        """
    )
    assert out == "ok\n"


def test_version_is_the_same_everywhere():
    from tornadoc import _native

    assert _native.__version__ == tornadoc.__version__
    assert _native.http_parser_version.startswith("2.")
