"""Where tornadoc can run: the one place that names the versions of Tornado and of CPython it is tested with."""

from __future__ import annotations

import os
import select
import sys

#: From the first of these versions, up to but not including the second. pyproject.toml asks pip for the same.
TESTED = ((6, 5, 10), (6, 7))
TESTED_TEXT = "6.5.10 to 6.6.x"

#: The same of CPython: the native code knows what lies within its objects. setup.py leaves the extension out elsewhere.
TESTED_PYTHON = ((3, 10), (3, 14))
TESTED_PYTHON_TEXT = "3.10 to 3.13"

#: The environment variable that installs tornadoc, demands it or forbids it, and its values.
VARIABLE = "TORNADOC"
MODES = ("auto", "require", "off")


class InactiveError(RuntimeError):
    """tornadoc was required, and can't run here; the message says why."""


class LateInstallError(RuntimeError):
    """install() was called when objects existed already that can't become native; the message says what to do."""


def mode() -> str | None:
    """What the environment asks for: "auto", "require", "off", or None. Anything else counts as None."""
    value = os.environ.get(VARIABLE)
    return value if value in MODES else None


def is_tested(version_info: tuple[int, ...]) -> bool:
    """Is a `tornado.version_info` one that tornadoc is tested with?"""
    first, end = TESTED
    return first <= tuple(version_info) < end


def why_not() -> str | None:
    """Why the native request path can't be used in this interpreter; None if it can. Loads the native module."""
    if mode() == "off":
        return f"{VARIABLE}=off is in the environment"
    if not sys.platform.startswith("linux") or not hasattr(select, "epoll"):
        return "tornadoc needs Linux (epoll); this is " + sys.platform
    if sys.implementation.name != "cpython" or "t" in getattr(sys, "abiflags", ""):
        return "tornadoc needs CPython with the GIL"
    if not TESTED_PYTHON[0] <= sys.version_info[:2] < TESTED_PYTHON[1]:
        return "CPython %d.%d is not among the tested versions (%s)" % (*sys.version_info[:2], TESTED_PYTHON_TEXT)
    import tornado

    if not is_tested(tornado.version_info):
        return f"Tornado {tornado.version} is not among the tested versions ({TESTED_TEXT})"
    try:
        from tornadoc import _native  # noqa: F401
    except ImportError as e:
        return f"the native module could not be loaded: {e}"
    return None
