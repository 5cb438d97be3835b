"""The ways in which Tornado's own suite is run on tornadoc, and what each module of it has to have used of tornadoc.

A level says how much of tornadoc stands in for Tornado's own:

everything: all of it
install: the classes of install(), on asyncio's loop
loop: the event loop and the IOLoop
httpserver: the HTTP server, by the option that Tornado has for it

The other variants are those that Tornado's maintainers run their suite in, with everything of tornadoc.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping

import tornado


@dataclasses.dataclass(frozen=True)
class Variant:
    level: str = "everything"
    #: Options of Tornado's runner.
    options: tuple[str, ...] = ()
    #: Options of Python.
    python: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: A module without which Tornado can't do that.
    needs: str | None = None

    def is_possible(self) -> bool:
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


VARIANTS = {
    "everything": Variant(),
    "install": Variant("install"),
    "loop": Variant("loop"),
    "httpserver": Variant("httpserver"),
    "optimized": Variant(python=("-O",)),
    "debug-of-asyncio": Variant(environment={"PYTHONASYNCIODEBUG": "1"}),
    "locale-C": Variant(environment={"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    "locale-UTF-8": Variant(environment={"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}),
    "curl": Variant(options=("--httpclient=tornado.curl_httpclient.CurlAsyncHTTPClient",), needs="pycurl"),
    "threaded-resolver": Variant(options=("--resolver=tornado.netutil.ThreadedResolver",)),
}


_SERVED = frozenset({"streams", "connections", "handled"})
_SINCE_6_6 = ["security_corpus_test"] if tornado.version_info >= (6, 6) else []

#: What has to be counted (_native.tally()) in each module where everything is tornadoc's; where a module is not named, nothing.
USES: dict[str, frozenset[str]] = {
    "all": _SERVED | {"loops", "delegated"},
    **dict.fromkeys(["httpserver_test", "simple_httpclient_test", "web_test", "routing_test"], _SERVED | {"loops", "delegated"}),
    **dict.fromkeys(
        ["asyncio_test", "auth_test", "circlerefs_test", "gen_test", "iostream_test", "testing_test", *_SINCE_6_6],
        _SERVED | {"loops"},
    ),
    "websocket_test": _SERVED | {"loops"},
    "wsgi_test": frozenset({"streams", "connections", "delegated", "loops"}),
    **dict.fromkeys(
        ["concurrent_test", "http1connection_test", "process_test", "tcpclient_test", "tcpserver_test"],
        frozenset({"streams", "loops"}),
    ),
    **dict.fromkeys(["ioloop_test", "locks_test", "netutil_test", "queues_test"], frozenset({"loops"})),
}

#: What is counted at each level.
_COUNTED = {
    "everything": _SERVED | {"loops", "delegated"},
    "install": _SERVED | {"delegated"},
    "loop": frozenset({"loops"}),
    "httpserver": frozenset({"connections", "delegated"}),
}


def unused(module: str, level: str, tally: Mapping[str, int]) -> list[str]:
    """A problem, if the tests of a module have not used what they must of tornadoc at a level."""
    expected = USES.get(module, frozenset()) & _COUNTED[level]
    if level == "httpserver" and "connections" in expected:
        # The handlers are Tornado's, and so is the Application.
        expected |= {"delegated"}
    missing = sorted(name for name in expected if not tally.get(name))
    return [f"of tornadoc there were no {' and no '.join(missing)}"] if missing else []
