"""tornadoc: Tornado's request path in C.

Three ways to use it::

    python -m tornadoc app.py            # an unmodified Tornado program

    import tornadoc                      # the same from inside, before the application is imported
    tornadoc.install()

    from tornadoc.web import Application, RequestHandler   # a program that names it

``tornadoc.X`` is ``tornado.X`` for every module X that tornadoc does not replace. Where the native module can't run (another
system than Linux, or an installation without it), ``tornadoc.active`` is False, every ``tornadoc.X`` is ``tornado.X``, and
``tornadoc.why_inactive`` says why.
"""

from __future__ import annotations

import sys

from tornadoc import _alias

__version__ = "0.1.0"

why_inactive: str | None = None

if not sys.platform.startswith("linux"):
    why_inactive = "tornadoc needs Linux (epoll); this is " + sys.platform
else:
    try:
        from tornadoc import _native  # noqa: F401
    except ImportError as e:
        why_inactive = f"the native module could not be loaded: {e}"

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


def install() -> None:
    """Put the native classes in Tornado's place, for every module that imports them from now on, and make tornadoc's event loop
    the one that asyncio makes (it sets the event loop policy).

    Call it before the application's modules are imported: a class that was derived from ``tornado.web.RequestHandler`` before is
    accelerated only as a handler of an ``Application`` made afterwards. A second call does nothing. Where tornadoc is inactive,
    it warns (RuntimeWarning) and leaves Tornado alone.
    """
    if not active:
        import warnings

        warnings.warn(f"tornadoc is inactive: {why_inactive}", RuntimeWarning, stacklevel=2)
        return
    from tornadoc import _overlay

    _overlay.install()


def uninstall() -> None:
    """Give Tornado its own classes back, and asyncio its policy. Classes that were derived meanwhile keep their bases."""
    if active:
        from tornadoc import _overlay

        _overlay.uninstall()


def __getattr__(name: str) -> object:
    if name == "EventLoopPolicy":
        # Where tornadoc is inactive; looked up late because later versions of CPython warn about it.
        import asyncio

        return asyncio.DefaultEventLoopPolicy
    # tornado.version and tornado.version_info, for programs that only change the name of the package.
    if name in ("version", "version_info"):
        import tornado

        return getattr(tornado, name)
    raise AttributeError(f"module 'tornadoc' has no attribute {name!r}")
