"""What a process tells about itself when it ends: did it use Tornado, and was tornadoc in front of it?

The environments of `make compat` import this at the start of every Python process (a .pth file does it), so child processes of
tests are heard as well. Where COMPAT_REPORT is not set it does nothing. It imports nothing that costs time or changes what a
program finds in sys.modules.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any

#: Either of these says that a process uses Tornado to serve or to wait.
_TELLING = ("tornado.ioloop", "tornado.web", "tornado.httpserver")


def measure() -> dict[str, Any]:
    """What is true of this process at this moment."""
    tornadoc = sys.modules.get("tornadoc")
    overlay = sys.modules.get("tornadoc._overlay")
    server = getattr(sys.modules.get("tornado.httpserver"), "HTTPServer", None)
    # Tornado's own way to another server: HTTPServer.configure().
    configured = server is not None and server.configured_class().__module__.startswith("tornadoc.")
    return {
        "pid": os.getpid(),
        "uses_tornado": any(name in sys.modules for name in _TELLING),
        "in_front": configured or (overlay is not None and overlay.is_installed()),
        "tornadoc": getattr(tornadoc, "__version__", None) if getattr(tornadoc, "active", False) else None,
        "environment": os.environ.get("TORNADOC"),
    }


class Counts:
    """Counts the native loops that are made in this process from now on, and tells of each socket that a native HTTPServer
    listens on, at once: tests serve in forked processes, too, that end without a word. tornadoc has to be installed."""

    def __init__(self) -> None:
        import suite_recording

        import tornadoc
        from tornadoc import _native

        self._loops, self._others = suite_recording.count_loops(tornadoc.EventLoop)
        listen: Any = _native.HTTPServer._listen

        def counting(server: Any, *args: Any) -> Any:
            append(os.environ["COMPAT_REPORT"], {"listens": os.getpid()})
            return listen(server, *args)

        _native.HTTPServer._listen = counting  # type: ignore[method-assign]

    def as_event(self) -> dict[str, Any]:
        return {"loops": sum(self._loops.values()), "other_loops": dict(self._others)}


def append(path: str, event: dict[str, Any]) -> None:
    """Add a line to a report that several processes write to."""
    import json

    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, (json.dumps(event) + "\n").encode())
    finally:
        os.close(descriptor)


def _at_exit(path: str, started: int) -> None:
    # A child that was forked inherits this, and mostly ends without calling it.
    state = measure()
    if state["uses_tornado"]:
        append(path, {"process": state["pid"], "forked": os.getpid() != started, "argv": sys.argv[:3], **state})


if os.environ.get("COMPAT_REPORT"):
    atexit.register(_at_exit, os.environ["COMPAT_REPORT"], os.getpid())
