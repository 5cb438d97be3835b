"""install() before, amid and after a program's imports; the environment; run(); what accelerated classes say of themselves."""

import abc
import copy
import inspect
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
import typing
import zipfile
from pathlib import Path

import pytest
import tornado.httpserver
import tornado.httputil
import tornado.web
from sidebyside import compare, patched
from test_package import PROGRAM

import tornadoc.httpserver
import tornadoc.web
from tornadoc import _native
from tornadoc._accelerate import accelerate, program_class, stands_for
from tornadoc.routing import accelerated

ROOT = Path(__file__).resolve().parents[2]


def start(code, *, mode=None, arguments=(), cwd=None):
    """A fresh interpreter that runs code."""
    environment = {name: value for name, value in os.environ.items() if name != "TORNADOC"}
    if mode is not None:
        environment["TORNADOC"] = mode
    return subprocess.run(
        [sys.executable, *arguments, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env=environment,
        check=False,
    )


def output(code, **options):
    """Its standard output; it must end well and write no error."""
    result = start(code, **options)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout


SERVE = """
    import asyncio, tornado.netutil

    async def ask(server):
        listener, = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets([listener])
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        answer = (await reader.read()).rpartition(b"\\n")[2].decode()
        writer.close()
        server.stop()
        return answer
"""


# Names in Tornado's modules


def test_replacements_carry_tornado_s_labels_while_installed():
    out = output(
        """
        import inspect, pickle, sys
        import tornadoc
        import tornado.web, tornado.httpserver, tornado.httputil
        originals = [tornado.web.RequestHandler, tornado.web._ApplicationRouter, tornado.httpserver.HTTPServer]
        said = [(repr(cls), cls.__module__, cls.__qualname__, cls.__doc__) for cls in originals]
        source = inspect.getsource(tornado.web.RequestHandler)
        mine = repr(tornadoc.web.RequestHandler)
        tornadoc.install()
        new = [tornado.web.RequestHandler, tornado.web._ApplicationRouter, tornado.httpserver.HTTPServer]
        assert not any(one is other for one, other in zip(originals, new))
        assert said == [(repr(cls), cls.__module__, cls.__qualname__, cls.__doc__) for cls in new]
        assert inspect.getsource(tornado.web.RequestHandler) == source
        assert pickle.loads(pickle.dumps(tornado.web.RequestHandler)) is tornadoc.web.RequestHandler
        if tornado.version_info >= (6, 6):
            assert b"tornadoc" not in pickle.dumps(tornado.httputil.HTTPHeaders({"a": "b"}))
        tornadoc.uninstall()
        assert repr(tornadoc.web.RequestHandler) == mine and tornado.web.RequestHandler is originals[0]
        print("ok")
        """
    )
    assert out == "ok\n"


def test_a_module_that_is_executed_again_gets_the_replacements():
    out = output(
        """
        import importlib, sys
        import tornadoc
        tornadoc.install()
        import tornado.web
        importlib.reload(tornado.web)
        assert tornado.web.RequestHandler is tornadoc.web.RequestHandler
        assert tornado.web.HTTPServer is tornadoc.httpserver.HTTPServer
        del sys.modules["tornado.httpserver"]
        import tornado.httpserver
        assert tornado.httpserver.HTTPServer is tornadoc.httpserver.HTTPServer
        assert tornado.httpserver.__spec__.loader is tornado.httpserver.__loader__
        assert type(tornado.httpserver.__loader__).__name__ == "SourceFileLoader"
        tornadoc.uninstall()
        importlib.reload(tornado.web)
        assert tornado.web.RequestHandler.__module__ == "tornado.web"
        assert not issubclass(tornado.web.RequestHandler, tornadoc._native.RequestHandler)
        print("ok")
        """
    )
    assert out == "ok\n"


def test_classes_that_were_imported_by_name_before_make_native_objects():
    out = output(
        SERVE
        + """
    from tornado.httpserver import HTTPServer
    from tornado.web import Application, RequestHandler

    class Hello(RequestHandler):
        def get(self):
            self.write(str(self.__class__ is Hello))

    class MyApplication(Application):
        def __init__(self, *args, label, **settings):
            super().__init__(*args, **settings)
            self.label = label

    class MyServer(HTTPServer):
        pass

    import tornadoc
    tornadoc.install()
    from tornadoc import _native

    async def main():
        for make_application in (lambda: Application([("/", Hello)]), lambda: MyApplication([("/", Hello)], label="x")):
            for server_class in (HTTPServer, MyServer):
                application = make_application()
                server = server_class(application)
                native = isinstance(application, _native.Application) and isinstance(server, _native.HTTPServer)
                print(native, await ask(server), getattr(application, "label", None), type(server) == type(server).__mro__[0])

    asyncio.run(main())
    tornadoc.uninstall()
    assert not isinstance(Application(), _native.Application) and not isinstance(HTTPServer(Application()), _native.HTTPServer)
    """
    )
    assert out.splitlines() == ["True True None True"] * 2 + ["True True x True"] * 2


@pytest.mark.parametrize("made", ["tornado.web.Application()", "tornado.httpserver.HTTPServer(print)"])
def test_too_late_is_an_error_that_says_what_to_do(made):
    result = start(
        f"""
        import tornado.web, tornado.httpserver
        kept = {made}
        import tornadoc
        before = tornado.web.RequestHandler
        try:
            tornadoc.install()
        except tornadoc.LateInstallError as e:
            print(e)
        assert tornado.web.RequestHandler is before
        del kept
        tornadoc.install()
        assert tornado.web.RequestHandler is not before
        """
    )
    assert result.returncode == 0, result.stderr
    name = "Application" if "Application" in made else "HTTPServer"
    assert f"1 {name} of Tornado's own" in result.stdout and "python -m tornadoc" in result.stdout


# Where it can't run


@pytest.mark.parametrize(
    "prepare, why",
    [
        ("import tornado; tornado.version, tornado.version_info = '6.4.2', (6, 4, 2, 0)", "Tornado 6.4.2 is not among"),
        ("import tornado; tornado.version, tornado.version_info = '7.0', (7, 0, 0, 0)", "6.5.10 to 6.6.x"),
        ("import select, asyncio; del select.epoll", "epoll"),
        ("sys.modules['tornadoc._native'] = None", "native module"),
    ],
)
def test_elsewhere_it_warns_once_and_raises_where_it_is_required(prepare, why):
    out = output(
        f"""
        import sys, warnings
        {prepare}
        import tornadoc, tornadoc.web, tornado.web
        assert not tornadoc.active and tornadoc.web is tornado.web
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for attempt in range(2):
                tornadoc.install()
        assert [warning.category for warning in caught] == [RuntimeWarning], caught
        print(caught[0].message)
        try:
            tornadoc.install(require=True)
        except tornadoc.InactiveError as e:
            assert str(e) == str(caught[0].message)
            print("raised")
        """
    )
    assert out.endswith("raised\n") and why in out


def test_the_tested_versions_are_those_that_pip_is_asked_for():
    from tornadoc._support import TESTED, is_tested

    first, end = (".".join(map(str, version)) for version in TESTED)
    assert f'"tornado>={first},<{end}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert is_tested(tornado.version_info) and is_tested((6, 6, 9, 0))
    assert not is_tested((6, 5, 9, 0)) and not is_tested((6, 7, 0, -1))


# The environment

NATIVE = "import tornado.web, sys; print('tornadoc' in sys.modules and 'tornadoc._native' in sys.modules, end=' ')"
WHICH = NATIVE + "\nprint(any(c.__module__ == 'tornadoc._native' for c in tornado.web.RequestHandler.__mro__))"


@pytest.mark.parametrize("mode", [None, "", "off"])
def test_without_the_variable_a_process_has_nothing_of_it(mode):
    assert output(WHICH, mode=mode) == "False False\n"


@pytest.mark.parametrize("mode", ["auto", "require"])
@pytest.mark.parametrize("first", ["web", "httputil", "ioloop", "platform", "platform.asyncio", "gen", "websocket", "testing"])
def test_the_variable_installs_at_the_first_import_that_matters(mode, first):
    code = f"""
        import sys
        assert not any(name.startswith("torn") for name in sys.modules)
        import tornado.{first} as first, tornado.util
        assert first is sys.modules["tornado.{first}"] is tornado.{first}
        assert first.__spec__.name == "tornado.{first}" and hasattr(first.__spec__.loader, "get_source")
        assert tornado.httputil.HTTPServerRequest is tornadoc.httputil.HTTPServerRequest if "tornadoc" in dir() else True
        """
    assert output(textwrap.dedent(code) + WHICH, mode=mode) == "True True\n"


def test_the_variable_leaves_programs_alone_that_use_no_tornado():
    code = "import sys, asyncio, json; import tornado.util, tornado.escape; print('tornadoc' in sys.modules)"
    assert output(code, mode="auto") == "False\n"


def test_the_variable_reaches_child_processes(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    code = f"""
        import subprocess, sys, multiprocessing
        print(subprocess.check_output([sys.executable, {str(program)!r}], text=True), end="")
        """
    assert output(code, mode="auto").startswith("hello from tornadoc")
    assert output(code).startswith("hello from tornado ")


def test_importing_tornadoc_installs_too_where_the_variable_says_so():
    code = "import tornadoc, tornado.web; print(tornado.web.RequestHandler is tornadoc.web.RequestHandler)"
    assert (output(code, mode="auto"), output(code, mode="off"), output(code)) == ("True\n", "True\n", "False\n")


def test_off_forbids_it_without_a_warning(tmp_path):
    code = """
        import tornadoc, tornado.web
        tornadoc.install()
        print(tornadoc.active, tornadoc.why_inactive, tornadoc.web is tornado.web)
        """
    assert output(code, mode="off") == "False TORNADOC=off is in the environment True\n"
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    assert output(f"import runpy, sys; sys.argv[1:] = [{str(program)!r}]; runpy.run_module('tornadoc')", mode="off").startswith(
        "hello from tornado "
    )


BROKEN = "import tornado; tornado.version, tornado.version_info = '6.4.2', (6, 4, 2, 0)\n"


def test_require_is_an_error_at_the_first_import_where_it_can_t_run():
    result = start(BROKEN + "print('started')\nimport tornado.web", mode="require")
    assert result.returncode == 1 and result.stdout == "started\n"
    assert "ImportError: TORNADOC=require" in result.stderr and "Tornado 6.4.2 is not among" in result.stderr
    assert start(BROKEN + "import tornadoc; print(tornadoc.active)", mode="require").stdout == "False\n"


def test_auto_is_one_warning_where_it_can_t_run():
    result = start(BROKEN + "import tornado.web, tornado.websocket\n" + WHICH, mode="auto")
    assert (result.returncode, result.stdout) == (0, "False False\n")
    assert result.stderr.count("RuntimeWarning: tornadoc is inactive: Tornado 6.4.2") == 1


def test_an_unknown_value_is_said_once_and_ignored():
    result = start(WHICH, mode="yes")
    assert (result.returncode, result.stdout) == (0, "False False\n")
    assert result.stderr == "tornadoc: TORNADOC=yes is none of auto, require and off\n"


def test_an_isolated_interpreter_ignores_the_variable():
    assert output(WHICH, mode="auto", arguments=["-I"]) == "False False\n"


def test_a_damaged_installation_does_not_break_the_start(tmp_path):
    """The start-up file, without the module that it imports."""
    (tmp_path / "tornadoc.pth").write_text((ROOT / "tornadoc.pth").read_text("utf-8"))
    code = f"""
        import site, sys
        sys.modules["_tornadoc_startup"] = None
        site.addsitedir({str(tmp_path)!r})
        print("alive")
        """
    assert output(code, mode="auto") == output(code) == "alive\n"
    result = start(code, mode="require")
    assert result.returncode == 1 and "tornadoc: " in result.stderr and result.stdout == ""


def test_a_wheel_has_the_start_up_file(tmp_path):
    tree = tmp_path / "tree"
    names = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "tornadoc.pth", "_tornadoc_startup.py"]
    if not all((ROOT / name).exists() for name in names):
        pytest.skip("not a whole source tree")
    tree.mkdir()
    for name in names:
        shutil.copy(ROOT / name, tree)
    shutil.copytree(ROOT / "tornadoc", tree / "tornadoc", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for command in ("bdist_wheel", "editable_wheel"):
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", command, "--dist-dir", str(tmp_path / command)],
            cwd=tree,
            env={**os.environ, "TORNADOC_PURE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        (wheel,) = (tmp_path / command).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            assert archive.read("tornadoc.pth") == (ROOT / "tornadoc.pth").read_bytes()
            (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
            assert [line for line in archive.read(record).decode().splitlines() if line.startswith("tornadoc.pth,sha256=")]


# run()


def test_run_installs_and_runs_a_function_or_a_coroutine():
    out = output(
        """
        import asyncio
        import tornadoc

        async def main():
            import tornado.web
            return tornado.web.RequestHandler is tornadoc.web.RequestHandler, asyncio.get_running_loop().get_debug()

        async def fail():
            raise KeyError("through")

        print(tornadoc.run(main), tornadoc.run(main(), debug=True), tornadoc.run(lambda: main()))
        for wrong in (fail, 3, lambda: 3):
            try:
                tornadoc.run(wrong)
            except Exception as e:
                print(type(e).__name__)

        async def nested():
            try:
                tornadoc.run(main())
            except RuntimeError:
                print("nested")

        tornadoc.run(nested)
        """
    )
    assert out == "(True, False) (True, True) (True, False)\nKeyError\nTypeError\nTypeError\nnested\n"


# Classes that were defined before


class Counter(tornado.web.RequestHandler):
    """Counts."""

    served = 0
    seen: typing.ClassVar[dict] = {}
    subclasses: typing.ClassVar[list] = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Counter.subclasses.append(cls)

    def get(self):
        type(self).served += 1
        self.__class__.served += 1
        self.bump()
        if "cache" not in vars(type(self)):
            type(self).cache = []
        type(self).cache.append(1)
        Counter.seen[type(self)] = Counter.seen.get(type(self), 0) + 1
        self.write(f"{Counter.served} {len(Counter.cache)} {Counter.seen}")

    @classmethod
    def bump(cls):
        cls.served += 1

    def delete(self):
        del type(self).cache


class Abstract(tornado.web.RequestHandler, metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def text(self): ...

    def get(self):
        self.write(self.text())


class Concrete(Abstract):
    def text(self):
        return "concrete"


T = typing.TypeVar("T")


class Generic(tornado.web.RequestHandler, typing.Generic[T]):
    def get(self):
        self.write(repr(typing.get_type_hints(type(self))) + repr(type(self).__orig_bases__))


@pytest.fixture
def counter():
    yield
    Counter.served = 0
    Counter.seen.clear()
    Counter.subclasses.clear()
    if "cache" in vars(Counter):
        del Counter.cache


def test_counters_and_caches_of_a_class_are_the_program_s(counter):
    async def scenario(side):
        Counter.served = 0
        Counter.seen.clear()
        if "cache" in vars(Counter):
            del Counter.cache
        side.serve(side.Application([("/", Counter)]))
        answers = [await side.get() for _ in range(3)], await side.get(method="DELETE"), await side.get()
        return answers, Counter.served, Counter.cache, len(Counter.seen), Counter.subclasses

    assert compare(scenario).result[1:] == (12, [1], 1, [])


def test_what_an_accelerated_class_says_of_itself():
    made = accelerated(Counter)
    assert issubclass(made, _native.RequestHandler) and stands_for(made) is Counter is program_class(made)
    assert made == Counter and Counter == made and hash(made) == hash(Counter) and not made != Counter
    assert made != tornado.web.RequestHandler and len({made, Counter}) == 1
    assert (vars(made), made.__mro__, made.__bases__, made.__base__) == (
        vars(Counter),
        Counter.__mro__,
        Counter.__bases__,
        Counter.__base__,
    )
    assert inspect.getsource(made) == inspect.getsource(Counter) and inspect.getdoc(made) == "Counts."
    assert inspect.getmro(made) == Counter.__mro__ and made.__subclasses__() == []
    assert issubclass(Counter, made) and issubclass(made, Counter) and copy.copy(made) is copy.deepcopy(made) is made
    # Marks of the native path are the only ones.
    assert set(dir(made)) - set(dir(Counter)) <= set(dir(tornadoc.web.RequestHandler)) | {"_tornadoc_stands_for"}


def handler_of(cls):
    application = tornadoc.web.Application()
    line = tornado.httputil.RequestStartLine("GET", "/", "HTTP/1.1")
    headers = tornado.httputil.HTTPHeaders({"Host": "a"})
    request = tornado.httputil.HTTPServerRequest(start_line=line, headers=headers, connection=FakeConnection())
    return cls(application, request)


class FakeConnection:
    context = None

    def set_close_callback(self, callback):
        pass


def test_a_handler_says_that_it_is_of_the_program_s_class():
    handler = handler_of(accelerated(Counter))
    assert handler.__class__ is Counter and isinstance(handler, Counter)
    assert type(handler) == Counter  # noqa: E721
    assert isinstance(handler, type(handler)) and isinstance(object.__new__(Counter), type(handler))
    assert repr(handler).startswith("<test_install.Counter object at")


@pytest.mark.parametrize("base", [Counter, tornadoc.web.RequestHandler], ids=["before", "after"])
def test_class_assignment_takes_classes_from_before_and_after(base):
    """As JupyterHub does, which mixes a class in."""

    class Mixin:
        def hello(self):
            return "mixed in"

    class Second:
        pass

    handler = handler_of(accelerated(base))
    mixed = type(handler.__class__.__name__, (Mixin, handler.__class__), {})
    handler.__class__ = mixed
    assert handler.__class__ is mixed and handler.hello() == "mixed in" and isinstance(handler, _native.RequestHandler)
    handler.__class__ = type("Other", (Second, type(handler)), {})
    assert handler.__class__.__name__ == "Other" and isinstance(handler, mixed)
    with pytest.raises(TypeError):
        handler.__class__ = 3
    with pytest.raises(TypeError):
        handler.__class__ = Second


def test_bases_may_be_assigned():
    """As JupyterHub does to the base class of all handlers."""

    class Base(tornado.web.RequestHandler):
        pass

    class Handler(Base):
        pass

    class Mixin:
        def hello(self):
            return "mixed in"

    made = accelerated(Handler)
    Base.__bases__ = (Mixin, *Base.__bases__)
    assert made.hello(None) == "mixed in" and made.__mro__ == Handler.__mro__

    class After(tornadoc.web.RequestHandler):
        pass

    After.__bases__ = (Mixin, *After.__bases__)
    assert handler_of(After).hello() == "mixed in"

    class Other:
        pass

    made.__bases__ = (Other, *made.__bases__)
    assert Handler.__bases__ == (Other, Base) and issubclass(made, Other) and issubclass(made, _native.RequestHandler)


def test_a_class_derived_from_an_accelerated_one_is_a_class_of_its_own():
    class Child(accelerated(Counter)):
        own = 1

    handler = handler_of(Child)
    assert stands_for(Child) is None and accelerated(Child) is Child and handler.__class__ is Child
    Child.own += 1
    assert "own" in vars(Child) and not hasattr(Counter, "own") and Child != Counter and Child.__mro__[0] is Child
    Counter.subclasses.clear()


def test_a_class_that_was_copied_with_its_dict_is_not_taken_for_the_other():
    accelerated(Concrete)
    twin = type("Twin", Concrete.__bases__, dict(vars(Concrete)))
    made = accelerated(twin)
    assert stands_for(made) is twin and accelerated(twin) is made and stands_for(accelerated(Concrete)) is Concrete


def test_abstract_and_generic_classes():
    async def scenario(side):
        side.serve(side.Application([("/concrete", Concrete), ("/abstract", Abstract), ("/generic", Generic)]))
        answers = [await side.get(path) for path in ("/concrete", "/abstract", "/generic")]
        return answers, isinstance(handler_of(accelerated(Concrete)), Abstract)

    compare(scenario)
    Concrete.register(int)
    assert isinstance(3, Concrete) and issubclass(int, Abstract) and not issubclass(str, Concrete)
    assert not issubclass(str, accelerated(Concrete)) and not isinstance("", accelerated(Concrete))


def test_slots_of_a_class_defined_before_leave_it_to_tornado():
    class Slotted(tornado.web.RequestHandler):
        __slots__ = ("held",)

    assert accelerate(Slotted) is Slotted is accelerate(Slotted)

    class After(tornadoc.web.RequestHandler):
        __slots__ = ("held",)

    handler = handler_of(After)
    handler.held = 3
    assert handler.held == 3 and "held" not in vars(handler)


def test_a_hook_that_is_set_on_the_program_s_class_later_is_seen():
    async def scenario(side):
        class Handler(tornado.web.RequestHandler):
            def get(self):
                self.write("plain")

        side.serve(side.Application([("/", Handler)]))
        before = await side.get()
        with patched(Handler, "set_default_headers", lambda self: self.set_header("X-Patched", "1")):
            during = await side.get()
        type(handler_of(accelerated(Handler))).prepare = lambda self: self.write("prepared ")
        return before, during, await side.get(), "prepare" in vars(Handler), await side.is_fast()

    compare(scenario)


@pytest.mark.parametrize("base", [Counter, tornadoc.web.RequestHandler], ids=["before", "after"])
def test_a_handler_can_be_copied(base):
    handler = handler_of(accelerated(base))
    handler.set_status(418)
    handler.set_header("X-A", "1")
    handler.write("part")
    handler.mine = [1]
    twin = copy.copy(handler)
    assert twin.__class__ is handler.__class__ and twin.mine is handler.mine and twin.request is handler.request
    assert (twin._status_code, twin._headers["X-A"], twin._write_buffer) == (418, "1", [b"part"])
    twin.set_status(200)
    assert handler.get_status() == 418


class Picklable(tornado.web.RequestHandler):
    def __reduce__(self):
        return Picklable, (self.application, self.request)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_class_that_says_how_it_is_pickled_is_asked(protocol):
    handler = handler_of(accelerated(Picklable))
    assert handler.__reduce_ex__(protocol) == (Picklable, (handler.application, handler.request))


def test_a_handler_is_pickled_under_the_program_s_class():
    function, arguments, state = handler_of(accelerated(Counter)).__reduce_ex__(4)[:3]
    assert arguments == (Counter,) and arguments[0] is Counter and state["_status_code"] == 200
    assert object.__new__(Counter).__class__ is Counter and function(*arguments).__class__ is Counter
