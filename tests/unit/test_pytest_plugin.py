"""`pytest -p tornadoc`: installed before conftest files and tests are imported, and said in the header."""

import os
import subprocess
import sys
import textwrap

import pytest
import tornado

import tornadoc

CONFTEST = """
    import tornado.web

    class Early(tornado.web.RequestHandler):
        pass
"""

TEST = """
    import asyncio
    import tornado.testing, tornado.web
    from conftest import Early

    def native(cls):
        return any(base.__module__ == "tornadoc._native" for base in type.mro(cls))

    def test_classes():
        assert native(Early) and native(tornado.web.Application)

    class Hello(tornado.web.RequestHandler):
        def get(self):
            self.write("native" if native(type(self)) else "Tornado's")

    class Requests(tornado.testing.AsyncHTTPTestCase):
        def get_app(self):
            return tornado.web.Application([("/", Hello)])

        def test_answer(self):
            assert self.fetch("/").body == b"native"
"""


def run(folder, *arguments, mode=None, conftest=CONFTEST):
    (folder / "conftest.py").write_text(textwrap.dedent(conftest))
    (folder / "test_it.py").write_text(textwrap.dedent(TEST))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TORNADOC", "PYTEST_"))}
    if mode is not None:
        environment["TORNADOC"] = mode
    environment["ASYNC_TEST_TIMEOUT"] = "60"
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments, "test_it.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env=environment, check=False)


ACTIVE = f"tornadoc: {tornadoc.__version__}, active, in front of Tornado {tornado.version}\n"


@pytest.mark.parametrize("mode", [None, "auto", "require"])
def test_other_plugins_may_have_imported_tornado_before(tmp_path, mode):
    """Those of packages come first in pytest 9, and with the variable tornadoc with them: no warning that it is not rewritten."""
    (tmp_path / "first.py").write_text("import tornado.web\n")
    result = run(tmp_path, "-p", "first", "-p", "tornadoc", mode=mode)
    assert result.returncode == 0 and ACTIVE in result.stdout and "2 passed" in result.stdout, result


@pytest.mark.parametrize("mode", [None, "auto", "require"])
def test_it_installs_and_says_so(tmp_path, mode):
    result = run(tmp_path, "-p", "tornadoc", mode=mode)
    assert result.returncode == 0 and ACTIVE in result.stdout and "2 passed" in result.stdout, result


def test_workers_of_xdist_have_it_too(tmp_path):
    pytest.importorskip("xdist")
    result = run(tmp_path, "-p", "tornadoc", "-n", "2")
    assert result.returncode == 0 and ACTIVE in result.stdout and "2 passed" in result.stdout, result


def test_a_conftest_file_may_name_it(tmp_path):
    result = run(tmp_path, conftest='pytest_plugins = ("tornadoc",)\n' + textwrap.dedent(CONFTEST))
    # The class of the conftest file itself was defined before.
    assert ACTIVE in result.stdout and "1 failed, 1 passed" in result.stdout, result


def test_without_it_tests_run_on_tornado(tmp_path):
    result = run(tmp_path)
    assert "2 failed" in result.stdout and "tornadoc:" not in result.stdout


def test_where_it_is_inactive_the_header_says_why(tmp_path):
    result = run(tmp_path, "-p", "tornadoc", mode="off")
    line = f"tornadoc: {tornadoc.__version__}, inactive: TORNADOC=off is in the environment\n"
    assert line in result.stdout and "2 failed" in result.stdout, result
