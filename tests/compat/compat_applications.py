"""The applications whose tests `make compat` runs: what to install, which tests, how long they may take.

The versions are ranges inside of which the names of tests and files are stable; the grid tells which version it was.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Application:
    """A project on the package index with a test suite."""

    #: What the command line and the grid call it, and its name on the index.
    name: str
    #: The versions, as pip wants them behind the name.
    versions: str
    #: What its tests need besides its own dependencies.
    requirements: tuple[str, ...] = ()
    #: Arguments of its pytest. Paths are relative to the root of its source distribution, or to ``own_tests``.
    tests: tuple[str, ...] = ()
    #: Other arguments of its pytest.
    options: tuple[str, ...] = ()
    #: A folder beside this file, whose tests stand in for those of a source distribution that has none.
    own_tests: str = ""
    #: Take the tests from its wheel in place of its source distribution?
    wheel: bool = False
    #: Names and values; {source} is the root of its source distribution.
    environment: tuple[tuple[str, str], ...] = ()
    #: Files of the root of its source distribution to write: names and contents.
    files: tuple[tuple[str, str], ...] = ()
    #: Debian's source package with its sources, if its source distribution leaves out the tests; `versions` is then Debian's.
    debian: str = ""
    #: Seconds for the suite, once.
    limit: int = 900
    #: Does it serve HTTP in the process of the tests? Then tornadoc counts as active only if its server was in use there.
    serves: bool = True
    #: Tests that have to fail with tornadoc, and why. For Tornado's own tests/suite/suite_exclusions.py has more.
    exclusions: tuple[tuple[str, str], ...] = ()
    #: What the grid says about the choice of tests.
    note: str = ""

    @property
    def requirement(self) -> str:
        return self.name + self.versions


_PYTEST = ("pytest>=8,<10", "pytest-timeout>=2.3,<3")

#: How tornadoc comes into Tornado's own tests: the name of a level -> what the grid calls it.
TORNADO_LEVELS = {
    "httpserver": "tornado, --httpserver",
    "install": "tornado, install()",
    "loop": "tornado, install(), native loop",
}

_DOCTEST = (
    "doctest looks for examples in the own dict of a class, and the native methods are inherited; tests/unit/test_headers.py "
    "runs the same examples"
)

_SNAPSHOT = (
    "lists the Python functions in each class's own dict: methods in C are none, and are inherited; the classes of routing have "
    "a __setattr__"
)

#: The hub starts a proxy, a program of node in most installations; the index has one that is an application of Tornado. It, and
#: the servers that the hub starts with few of its variables, are to have tornadoc and to tell of it.
_JUPYTERHUB_CONFTEST = """\
import os
import pathlib
import sys

from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import Spawner

ConfigurableHTTPProxy.command.default_value = [sys.executable, str(pathlib.Path(__file__).with_name("proxy.py"))]

get_env = Spawner.get_env
kept = {name: value for name, value in os.environ.items() if name in ("TORNADOC", "COMPAT_REPORT", "JUPYTER_CONFIG_PATH")}
Spawner.get_env = lambda spawner: {**kept, **get_env(spawner)}
"""

_JUPYTERHUB_PROXY = """\
import functools
import signal
import sys
import urllib.parse

import configurable_http_proxy.cli

# It is ended by a signal, and tells at its end whether it had tornadoc.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
# It would send /%40/ on for /@/, with which all paths of the hub's tests begin.
urllib.parse.quote = functools.partial(urllib.parse.quote, safe="/@:!$&'()*+,;=~")
configurable_http_proxy.cli.main()
"""

#: The package beside the tests lacks its parts in C, which are in the one that is installed.
_THUMBOR_CONFTEST = """\
import pathlib
import sys

beside = sys.path[:]
sys.path[:] = [folder for folder in beside if folder != str(pathlib.Path(__file__).parent)]
import thumbor

sys.path[:] = beside
"""

APPLICATIONS = (
    # Its tests are in the package. Of the version that tornadoc is tested with: pip finds that out from tornadoc's wheel.
    Application(
        "tornado",
        "",
        limit=1200,
        exclusions=(
            ("tornado.httputil.HTTPHeaders.parse", _DOCTEST),
            ("tornado.httputil.HTTPHeaders.parse_line", _DOCTEST),
            ("api_test.APISnapshotTest.test_api_snapshot", _SNAPSHOT),
        ),
    ),
    Application("terminado", ">=0.18.1,<0.19", _PYTEST, ("tests",)),
    Application("flower", ">=2.0,<3", (*_PYTEST, "redis>=5,<7"), ("tests/unit",)),
    Application(
        "luigi",
        ">=3.6,<4",
        (
            *_PYTEST,
            "mock>=5,<6",
            "sqlalchemy>=2,<3",
            "psutil",
            "requests>=2.28,<2.32",
            "requests-unixsocket>=0.3,<0.4",
            "urllib3<2",
        ),
        ("test/server_test.py", "test/rpc_test.py", "test/custom_metrics_test.py", "test/worker_scheduler_com_test.py"),
        # Its clients wait half a minute after a refusal.
        files=(("luigi.cfg", "[core]\nrpc-retry-wait = 1\n"),),
        note="server, remote scheduler",
    ),
    Application(
        "pyzmq",
        ">=26,<28",
        (*_PYTEST, "pytest-asyncio>=0.24,<2"),
        ("tests/test_zmqstream.py", "tests/test_ioloop.py", "tests/test_future.py", "tests/test_asyncio.py"),
        serves=False,
        note="zmqstream, ioloop, futures",
    ),
    Application(
        "jupyter-server-proxy",
        ">=4.4,<5",
        (*_PYTEST, "jupyter-server-proxy[test,lab]"),
        ("tests",),
        # The acceptance tests drive a browser. At times a server does not end, with Tornado alone as well.
        ("--ignore=tests/acceptance", "--timeout=120"),
        # It starts servers, which refuse to run as root otherwise.
        environment=(("JUPYTER_CONFIG_PATH", "{source}/settings"),),
        files=(("settings/jupyter_config.json", '{"ServerApp": {"allow_root": true}}'),),
        limit=1800,
    ),
    Application(
        "sentry-sdk",
        ">=2.20,<3",
        (
            *_PYTEST,
            "pytest-cov",
            "pytest-asyncio>=0.24,<2",
            "pytest-forked",
            "jsonschema",
            "responses",
            "pyrsistent",
            "executing",
        ),
        ("tests/integrations/tornado",),
        note="Tornado integration",
    ),
    Application(
        "opentelemetry-instrumentation-tornado",
        ">=0.60b0,<1",
        (*_PYTEST, "opentelemetry-test-utils", "opentelemetry-sdk", "requests", "http-server-mock"),
        ("tests",),
    ),
    Application("newrelic", ">=11,<15", _PYTEST, ("check_newrelic.py",), own_tests="agents", note="what it records"),
    Application("ddtrace", ">=4,<5", _PYTEST, ("check_ddtrace.py",), own_tests="agents", note="what it records"),
    Application("elastic-apm", ">=6.20,<7", _PYTEST, ("check_elastic_apm.py",), own_tests="agents", note="what it records"),
    Application(
        "jupyter_server",
        ">=2.15,<3",
        (*_PYTEST, "jupyter_server[test]"),
        ("tests",),
        # Tornado 6.6 deprecates what its tests use, and they take every warning for an error.
        (
            "-W",
            "ignore:The method, uri, and version arguments to HTTPServerRequest:DeprecationWarning",
            "-W",
            "ignore:The start_line argument to HTTPServerRequest:DeprecationWarning",
        ),
        limit=2400,
    ),
    Application(
        "jupyterhub",
        ">=6.1,<7",
        (
            *_PYTEST,
            "configurable-http-proxy>=0.4,<0.5",
            "beautifulsoup4[html5lib]",
            "cryptography",
            "jsonschema",
            "jupyterlab>=4,<5",
            "nbclassic",
            "pytest-asyncio>=1.1,<2",
            "pytest-cov",
            "pytest-rerunfailures",
            "pytest-xdist>=3.6,<4",
            "requests-mock",
        ),
        # All of them take more than ten minutes on each side. Those about internal TLS need more of the proxy than this one has.
        (
            "jupyterhub/tests/test_api.py",
            "jupyterhub/tests/test_pages.py",
            "jupyterhub/tests/test_proxy.py",
            "jupyterhub/tests/test_services.py",
        ),
        # They wait most of the time. test_login_fail wants two tokens to be the same, which tell the second they were made in.
        ("--timeout=120", "--numprocesses=2", "--dist=loadfile"),
        # It starts servers, which refuse to run as root otherwise.
        environment=(("JUPYTER_CONFIG_PATH", "{source}/settings"),),
        files=(
            ("conftest.py", _JUPYTERHUB_CONFTEST),
            ("proxy.py", _JUPYTERHUB_PROXY),
            ("settings/jupyter_config.json", '{"ServerApp": {"allow_root": true}}'),
        ),
        limit=1800,
        note="API, pages, proxy, services",
    ),
    Application(
        "jupyter_kernel_gateway",
        ">=3,<4",
        (*_PYTEST, "jupyter_kernel_gateway[test]"),
        ("tests",),
    ),
    Application(
        "thumbor",
        ">=7.7,<8",
        (*_PYTEST, "thumbor[all]", "preggy>=1.4,<2", "pyssim>=0.7,<1", "pytest-asyncio", "redis>=5,<6", "sentry-sdk>=2,<3"),
        ("tests",),
        # It wants a package more, and a server of Redis.
        ("--ignore=tests/detectors/test_queued_detector.py",),
        files=(("conftest.py", _THUMBOR_CONFTEST),),
    ),
    # Bokeh's server, WebSockets and client, sessions and autoreload: Bokeh's own tests are in no archive of the index. To fetch
    # Panel's source distribution pip has to build its JavaScript; its wheel has the tests as well.
    Application(
        "panel",
        ">=1.9,<1.10",
        (*_PYTEST, "panel[tests]", "pytest-asyncio>=0.24,<2", "watchfiles"),
        ("panel/tests/test_server.py", "panel/tests/test_auth.py", "panel/tests/command", "panel/tests/io"),
        # It wants a compiler of JavaScript.
        ("--ignore=panel/tests/command/test_compile.py", "--timeout=120"),
        wheel=True,
        # As in its repository.
        files=(("pytest.ini", "[pytest]\nasyncio_mode = auto\n"),),
        note="server, serve, io",
    ),
    # Streams over coroutines of both kinds, TCP and HTTP servers as sources, clusters of distributed. Some of its tests allow
    # themselves four milliseconds.
    Application(
        "streamz",
        ">=0.6.6,<0.7",
        (*_PYTEST, "distributed", "flaky", "networkx", "pandas", "pytest-asyncio>=0.24,<2", "requests", "websockets"),
        ("streamz/tests",),
        # It wants a program that draws graphs.
        ("--ignore=streamz/tests/test_graph.py", "--timeout=60"),
    ),
    # TCP, TLS and WebSockets over Tornado's streams and servers, HTTP in each worker, and a dashboard that is a Bokeh server.
    Application(
        "distributed",
        "==2024.12.1",
        # Of Bokeh, cloudpickle and pandas those of its time: with later ones some of its pages are a 500, and tracebacks differ.
        (
            *_PYTEST,
            "aiohttp",
            "bokeh>=3.1,<3.7",
            "cloudpickle>=3,<3.1.2",
            "cryptography",
            "pandas>=2,<3",
            "prometheus-client",
            "pytest<9",
            "requests",
        ),
        debian="dask.distributed",
        tests=(
            "distributed/comm",
            "distributed/http",
            "distributed/dashboard",
            "distributed/tests/test_asyncio.py",
            "distributed/tests/test_asyncprocess.py",
            "distributed/tests/test_batched.py",
            "distributed/tests/test_client_executor.py",
            "distributed/tests/test_client_loop.py",
            "distributed/tests/test_core.py",
            "distributed/tests/test_preload.py",
            "distributed/tests/test_scheduler.py",
            "distributed/tests/test_security.py",
            "distributed/tests/test_tls_functional.py",
            "distributed/tests/test_utils.py",
            "distributed/tests/test_utils_comm.py",
            "distributed/tests/test_versions.py",
            "distributed/tests/test_worker.py",
        ),
        options=(
            # Its own options want plugins that run failed tests again, or measure coverage, and the marks of the former.
            "--override-ini=addopts=",
            "-W",
            "ignore::pytest.PytestUnknownMarkWarning",
            # There is no way out of the network of the tests.
            "-W",
            "ignore:Couldn't detect a suitable IP address:RuntimeWarning",
            # As its own CI does: else a test that hangs ends them all.
            "--timeout-method=signal",
        ),
        # The package without tests would be in front of that of the sources: pytest imports it for the filters of warnings.
        environment=(("PYTHONPATH", "{source}"),),
        note="comm, HTTP, dashboard, scheduler, worker",
    ),
    # Two libraries of asyncio, for the event loop.
    Application(
        "aiohttp",
        ">=3.14.5,<3.15",
        (
            *_PYTEST,
            "blockbuster",
            "brotli",
            "freezegun",
            "gunicorn",
            "isal",
            "proxy.py",
            "pytest-codspeed",
            "pytest-cov",
            "pytest-mock",
            "pytest-xdist>=3.6,<4",
            "python-on-whales",
            "trustme",
            "zlib_ng",
        ),
        ("tests",),
        # Benchmarks and the type checker's tests are not about loops; what is marked internal inspects aiohttp's own files.
        (
            "--numprocesses=2",
            "--no-cov",
            "-m",
            "not dev_mode and not internal and not autobahn",
            "--ignore-glob=*/test_benchmarks_*",
        ),
        limit=2400,
        serves=False,
        note="loop",
    ),
    Application(
        "anyio",
        ">=4.16,<4.17",
        (*_PYTEST, "blockbuster", "hypothesis", "psutil", "pytest-mock", "pytest-xdist>=3.6,<4", "trustme", "truststore"),
        ("tests",),
        ("--numprocesses=2", "-m", "not network", "-k", "not trio and not uvloop"),
        limit=2400,
        serves=False,
        note="loop",
    ),
)


def find(names: list[str]) -> list[Application]:
    """The applications of these names, or all. Raises KeyError."""
    known = {application.name: application for application in APPLICATIONS}
    return [known[name] for name in names] if names else list(APPLICATIONS)
