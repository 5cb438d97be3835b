import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import support


@pytest.fixture(scope="session")
def static(tmp_path_factory):
    return support.harness.make_static(tmp_path_factory.mktemp("static"))


@pytest.fixture(scope="module")
def server(static):
    """The application under tornadoc. One process for all tests of a module."""
    process = support.Server(static)
    process.start()
    yield process
    status = process.stop()
    assert status == 0, "exit status %s\n%s" % (status, process.errors[-3000:])
    assert process.errors == ""


@pytest.fixture(autouse=True)
def quiet(server):
    """Every test starts with an empty log and a server that answers, and leaves one that does."""
    server.start()
    server.records()
    yield
    server.healthy()
