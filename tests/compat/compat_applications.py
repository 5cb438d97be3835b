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
    #: Arguments of its pytest. Paths are relative to the root of its source distribution.
    tests: tuple[str, ...] = ()
    #: Other arguments of its pytest.
    options: tuple[str, ...] = ()
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
