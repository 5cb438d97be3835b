"""tornadoc: Tornado's request path in C.

Four ways to use it::

    python -m tornadoc app.py            # an unmodified Tornado program

    TORNADOC=auto python app.py          # the same, and for every Python process that it starts

    import tornadoc                      # the same from inside, before the application is imported
    tornadoc.install()

    from tornadoc.web import Application, RequestHandler   # a program that names it

``tornadoc.X`` is ``tornado.X`` for every module X that tornadoc does not replace. Where the native module can't run (another
system than Linux, a version of Tornado outside the tested range, an installation without the extension), ``tornadoc.active`` is
False, every ``tornadoc.X`` is ``tornado.X``, and ``tornadoc.why_inactive`` says why.

For `pytest -p tornadoc`, which would warn where it is imported already: PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tornadoc import _alias, _support
from tornadoc._support import InactiveError, LateInstallError

__all__ = [
    "EventLoop",
    "EventLoopPolicy",
    "InactiveError",
    "LateInstallError",
    "active",
    "doctor",
    "install",
    "new_event_loop",
    "run",
    "uninstall",
    "why_inactive",
]

__version__ = "0.1.0"

# What `pytest -p tornadoc` loads with this module.
pytest_plugins = ("tornadoc._pytest_plugin",)

_T = TypeVar("_T")

#: Could a program have made objects of Tornado's classes before tornadoc was imported?
_late = "tornado.web" in sys.modules or "tornado.httpserver" in sys.modules

why_inactive: str | None = _support.why_not()

#: Is the native request path in use?
active: bool = why_inactive is None

_alias.install(everything=not active)

if active:
    from tornadoc import _bind
    from tornadoc.loop import EventLoop, EventLoopPolicy, new_event_loop

    _bind.bind()
else:
    import asyncio

    EventLoop = asyncio.SelectorEventLoop  # type: ignore[misc, assignment]
    new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]


def install(*, require: bool = False) -> None:
    """Put the native classes in Tornado's place, for every module that imports them from now on, and make tornadoc's event loop
    the one that asyncio makes (it sets the event loop policy).

    Call it before the application makes its objects, best before its modules are imported. Of what was imported or defined
    before, Tornado's own modules get the new names, handler classes are accelerated where an ``Application`` routes to them, and
    the classes ``Application`` and ``HTTPServer``, also derived ones, make native objects from now on. A second call does
    nothing.

    Raises `LateInstallError` if an ``Application`` or ``HTTPServer`` of Tornado's own exists already: nothing can make that
    native. Where tornadoc is inactive it warns (RuntimeWarning) and leaves Tornado alone; with ``require``, or with
    ``TORNADOC=require`` in the environment, it raises `InactiveError`. ``TORNADOC=off`` is obeyed without a warning.
    """
    if active:
        from tornadoc import _overlay

        _overlay.install(late=_late)
        return
    message = f"tornadoc is inactive: {why_inactive}"
    if require or _support.mode() == "require":
        raise InactiveError(message)
    if _support.mode() != "off":
        import warnings

        warnings.warn(message, RuntimeWarning, stacklevel=2)


def uninstall() -> None:
    """Give Tornado its own classes back, and asyncio its policy. Classes that were derived meanwhile keep their bases, objects
    their classes."""
    if active:
        from tornadoc import _overlay

        _overlay.uninstall()


def run(main: Callable[[], Coroutine[Any, Any, _T]] | Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """`install()`, and then `asyncio.run()` of a coroutine, or of what a function without parameters returns.

    A function is called after the installation and inside the loop, so what it imports finds tornadoc installed. Returns what
    the coroutine returns; its exception goes through. As with ``asyncio.run``, the loop is new and is closed in the end, the
    tasks that are left are cancelled, and it is a RuntimeError if a loop runs in this thread already.
    """
    import asyncio
    import inspect

    coroutine: Coroutine[Any, Any, _T]
    if inspect.iscoroutine(main):
        coroutine = main
    elif callable(main):
        coroutine = _call(main)
    else:
        raise TypeError(f"a coroutine or a function that returns one is required, not {type(main).__name__}")
    try:
        install()
        result: _T = asyncio.run(coroutine, debug=debug)
        return result
    finally:
        # Of one that has run this does nothing; of one that could not it prevents a warning.
        coroutine.close()


async def _call(main: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    return await main()


def doctor(*applications: Any) -> dict[str, Any]:
    """What of this process, and of these ``Application`` objects, runs natively, what does not, and why: the report that
    ``python -m tornadoc doctor --json`` prints. Without arguments it is about the installation alone. Changes nothing."""
    from tornadoc import _doctor

    return _doctor.examine(applications or None)


def __getattr__(name: str) -> object:
    if name == "EventLoopPolicy":
        # Where tornadoc is inactive; looked up late because later versions of CPython warn about it.
        import asyncio

        return asyncio.DefaultEventLoopPolicy
    # For programs that only change the name of the package.
    import tornado

    if name in ("version", "version_info"):
        return getattr(tornado, name)
    if name in vars(tornado)["__all__"]:
        import importlib

        return importlib.import_module("tornadoc." + name)
    raise AttributeError(f"module 'tornadoc' has no attribute {name!r}")


if active and _support.mode() in ("auto", "require"):
    install()
