"""install(): tornadoc's classes under Tornado's names."""

from __future__ import annotations

import copyreg
import gc
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, ModuleType
from typing import Any

import tornado
import tornado.http1connection
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.netutil
import tornado.platform.asyncio
import tornado.tcpserver
import tornado.web
import tornado.websocket

from tornadoc import (
    _native,
    http1connection,
    httpserver,
    httputil,
    ioloop,
    iostream,
    loop,
    netutil,
    routing,
    stack_context,
    tcpserver,
    tornado2,
    web,
    websocket,
)
from tornadoc._accelerate import accelerate
from tornadoc._support import LateInstallError
from tornadoc.platform import asyncio as platform_asyncio

#: Tornado's classes and functions, and what takes their place. Where each stands is read off it: `__module__` and `__name__`.
_REPLACEMENTS: dict[Any, Any] = {
    tornado.netutil.add_accept_handler: netutil.add_accept_handler,
    tornado.platform.asyncio.BaseAsyncIOLoop: platform_asyncio.BaseAsyncIOLoop,
    tornado.platform.asyncio.AsyncIOMainLoop: platform_asyncio.AsyncIOMainLoop,
    tornado.platform.asyncio.AsyncIOLoop: platform_asyncio.AsyncIOLoop,
    # Tornado 6.6 makes it when it is asked for.
    platform_asyncio.AnyThreadEventLoopPolicy.__base__: platform_asyncio.AnyThreadEventLoopPolicy,
    tornado.ioloop.PeriodicCallback: ioloop.PeriodicCallback,
    tornado.tcpserver.TCPServer: tcpserver.TCPServer,
    tornado.httputil.HTTPServerRequest: httputil.HTTPServerRequest,
    tornado.httpserver.HTTPServer: httpserver.HTTPServer,
    tornado.iostream.BaseIOStream: iostream.BaseIOStream,
    tornado.iostream.IOStream: iostream.IOStream,
    tornado.iostream.PipeIOStream: iostream.PipeIOStream,
    tornado.iostream.SSLIOStream: iostream.SSLIOStream,
    tornado.web.Application: web.Application,
    tornado.web._ApplicationRouter: routing.ApplicationRouter,
    tornado.web.RequestHandler: web.RequestHandler,
    tornado.web.ErrorHandler: web.ErrorHandler,
    tornado.web.RedirectHandler: web.RedirectHandler,
    tornado.web.StaticFileHandler: web.StaticFileHandler,
    tornado.web.FallbackHandler: web.FallbackHandler,
    tornado.websocket.WebSocketHandler: websocket.WebSocketHandler,
}

if tornado.version_info >= (6, 6):
    # Earlier ones accept folded lines, which their HTTP client may rely on.
    _REPLACEMENTS[tornado.httputil.HTTPHeaders] = httputil.HTTPHeaders

_Handler: Any = tornado.web.RequestHandler
_Headers: Any = tornado.httputil.HTTPHeaders

#: Names that Tornado had in earlier versions: module -> name -> what is there while tornadoc is installed.
_EARLIER: dict[str, dict[str, Any]] = {
    "tornado.web": {"asynchronous": tornado2.asynchronous},
    "tornado.gen": {name: getattr(tornado2, name) for name in tornado2.__all__ if name != "asynchronous"},
    "tornado.httpserver": {"HTTPConnection": httpserver.HTTPConnection},
}
#: A module that Tornado had.
_EARLIER_MODULES: dict[str, ModuleType] = {"tornado.stack_context": stack_context}
#: Classes that programs meet objects of, but make none: they are called as Tornado's are.
_ALIKE: dict[type, type] = {
    tornado.http1connection.HTTP1Connection: http1connection.NativeHTTP1Connection,
    tornado.http1connection.HTTP1ServerConnection: http1connection.NativeHTTP1ServerConnection,
    tornado.iostream.IOStream: iostream.ConnectionStream,
}

#: Modules of Tornado that bind one of these names when they are imported.
_BINDING = (
    "tornado.auth",
    "tornado.process",
    "tornado.routing",
    "tornado.simple_httpclient",
    "tornado.tcpclient",
    "tornado.tcpserver",
    "tornado.testing",
    "tornado.wsgi",
)

#: Classes that a program may have imported by name before install(), and that it makes objects of itself.
_CONSTRUCTED: dict[type, type] = {
    tornado.web.Application: _native.Application,
    tornado.httpserver.HTTPServer: _native.HTTPServer,
}


def table() -> dict[str, dict[str, tuple[Any, Any]]]:
    """What is replaced: module of Tornado -> name -> (Tornado's object, tornadoc's)."""
    modules: dict[str, dict[str, tuple[Any, Any]]] = {}
    for old, new in _REPLACEMENTS.items():
        modules.setdefault(old.__module__, {})[old.__name__] = (old, new)
    return modules


def original(module: str, name: str) -> Any:
    """Tornado's own object of that name, replaced or not."""
    known = table().get(module, {}).get(name)
    return getattr(sys.modules[module], name) if known is None else known[0]


def is_installed() -> bool:
    """Are tornadoc's classes in Tornado's place?"""
    return _finder in sys.meta_path


# -- the names in Tornado's modules --


def _tornado_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if isinstance(module, ModuleType) and (name == "tornado" or name.startswith("tornado.")):
            yield module


def _rebind(module: ModuleType, mapping: dict[int, Any]) -> None:
    for name, value in list(vars(module).items()):
        if id(value) in mapping:
            setattr(module, name, mapping[id(value)])


def _add_earlier(module: ModuleType) -> None:
    for name, value in _EARLIER.get(module.__name__, {}).items():
        if not hasattr(module, name):
            setattr(module, name, value)


def _remove_earlier() -> None:
    for module_name, names in _EARLIER.items():
        module = sys.modules[module_name]
        for name, value in names.items():
            if vars(module).get(name) is value:
                delattr(module, name)
    for module_name, module in _EARLIER_MODULES.items():
        if sys.modules.get(module_name) is module:
            del sys.modules[module_name]
        vars(tornado).pop(module_name.partition(".")[2], None)


class _EarlierLoader(importlib.abc.Loader):
    """Gives a module that Tornado had: tornadoc's, as it is."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = _EARLIER_MODULES[spec.name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put another spec on it.
        module.__spec__ = self._spec


class _Loader(importlib.abc.Loader):
    """Lets a module of Tornado execute, and puts the replacements into its namespace."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for name, (_, new) in table().get(module.__name__, {}).items():
            setattr(module, name, new)
        _add_earlier(module)
        _rebind(module, {id(old): new for old, new in _REPLACEMENTS.items()})


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of Tornado that something is replaced in, for when one is executed again: they are loaded once before
    install() is done, so that all others import the replacements from them. Also finds modules that Tornado had earlier."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith("tornado."):
            return None
        if fullname in _EARLIER_MODULES:
            return importlib.machinery.ModuleSpec(fullname, _EarlierLoader())
        if fullname not in table():
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(fullname, path, target) if finder is not self else None
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader)
                return spec
        return None


_finder = _Finder()


# -- what a class says about itself --

_own_labels: dict[Any, dict[str, Any]] = {}


def _labels(of: Any) -> dict[str, Any]:
    """What repr, pickle, logging, help() and inspect read off a class or a function."""
    labels = {name: getattr(of, name) for name in ("__module__", "__name__", "__qualname__", "__doc__")}
    if "__firstlineno__" in vars(of):  # classes of Python 3.13
        labels["__firstlineno__"] = vars(of)["__firstlineno__"]
    return labels


def _label(new: Any, labels: dict[str, Any]) -> None:
    for name, value in labels.items():
        setattr(new, name, value)


# -- objects that are made of Tornado's own classes --


def _divert(cls: type, native: type) -> None:
    """Have a class that was imported by name make native objects while tornadoc is installed, and classes derived from it too."""
    plain: Callable[..., Any] = cls.__new__

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        if is_installed() and not issubclass(cls, native):
            made = accelerate(cls)
            if made is not cls:
                return made.__new__(made, *args, **kwargs)
        return plain(cls) if plain is object.__new__ else plain(cls, *args, **kwargs)

    __new__.__qualname__ = cls.__qualname__ + ".__new__"
    # What inspect.signature() reads.
    __new__.__wrapped__ = cls.__init__ if plain is object.__new__ else plain  # type: ignore[attr-defined, misc]
    # It stays there for good: CPython does not forget that a class once had a __new__.
    cls.__new__ = __new__  # type: ignore[assignment, method-assign]


_diverted = False


def _check_lateness() -> None:
    """Raise LateInstallError if there are objects that nothing can make native any more."""

    def existing() -> dict[str, int]:
        found: dict[str, int] = {}
        for thing in gc.get_objects():
            cls = type(thing)
            for tornado_class, native in _CONSTRUCTED.items():
                if issubclass(cls, tornado_class) and not issubclass(cls, native):
                    found[tornado_class.__name__] = found.get(tornado_class.__name__, 0) + 1
        return found

    found = existing()
    if found:
        gc.collect()
        found = existing()
    if found:
        objects = " and ".join(f"{count} {name}" for name, count in sorted(found.items()))
        raise LateInstallError(
            f"tornadoc.install() came too late: {objects} of Tornado's own exist already and would not be accelerated. Call it "
            "before they are made, run the program with 'python -m tornadoc', or set TORNADOC=auto in the environment"
        )


# -- functions that ask for the class of a handler --


def _stream_request_body(cls: Any) -> Any:
    # It runs with the names of tornado.web.
    from tornadoc._overlay import _Handler

    if not issubclass(cls, _Handler):
        raise TypeError("expected subclass of RequestHandler, got %r" % cls)
    cls._stream_request_body = True
    return cls


def _has_stream_request_body(cls: Any) -> Any:
    from tornadoc._overlay import _Handler

    if not issubclass(cls, _Handler):
        raise TypeError("expected subclass of RequestHandler, got %r" % cls)
    return cls._stream_request_body


#: Functions of tornado.web that take no class that was derived from Tornado's RequestHandler before, while the name is bound to
#: tornadoc's. They stay the objects that they are, which programs have imported: it is their code that is exchanged.
_EXCHANGED: list[tuple[Any, Any]] = [
    (tornado.web.stream_request_body, _stream_request_body),
    (tornado.web._has_stream_request_body, _has_stream_request_body),
]


def _exchange_code() -> None:
    for function, other in _EXCHANGED:
        # One that a program has wrapped is a function of the program's.
        while not isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if isinstance(function, FunctionType):
            function.__code__, other.__code__ = other.__code__, function.__code__


# -- HTTPHeaders that a program makes by the name that it has imported, or has made before --


def _divert_headers() -> None:
    """Have the class make native objects: its __init__ asks for objects of the class that has its name."""
    new = _REPLACEMENTS[_Headers]

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:
        return new.__new__(new) if cls is _Headers and is_installed() else object.__new__(cls)

    __new__.__qualname__ = _Headers.__qualname__ + ".__new__"
    __new__.__wrapped__ = _Headers.__init__  # type: ignore[attr-defined]
    _Headers.__new__ = __new__


def _reduce_headers(headers: Any) -> Any:
    # Pickle finds the native class under the name.
    return _REPLACEMENTS[_Headers], (), vars(headers)


# -- install() and uninstall() --


def install(late: bool) -> None:
    """late: Tornado was loaded before tornadoc, so that a program may have made objects of its classes."""
    global _diverted
    if is_installed():
        return
    if late and not _diverted:
        _check_lateness()
    for name in _BINDING:
        importlib.import_module(name)
    if not _diverted:
        for cls, native in _CONSTRUCTED.items():
            _divert(cls, native)
        if _Headers in _REPLACEMENTS:
            _divert_headers()
        _diverted = True
    for old, new in [*_REPLACEMENTS.items(), *_ALIKE.items()]:
        _own_labels[new] = _labels(new)
        _label(new, _labels(old))
    mapping = {id(old): new for old, new in _REPLACEMENTS.items()}
    for module in _tornado_modules():
        _rebind(module, mapping)
        _add_earlier(module)
    _exchange_code()
    if _Headers in _REPLACEMENTS:
        copyreg.pickle(_Headers, _reduce_headers)
    loop.install_policy()
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    if not is_installed():
        return
    sys.meta_path.remove(_finder)
    mapping = {id(new): old for old, new in _REPLACEMENTS.items()}
    for module in _tornado_modules():
        _rebind(module, mapping)
    for new, labels in _own_labels.items():
        _label(new, labels)
    _own_labels.clear()
    _exchange_code()
    copyreg.dispatch_table.pop(_Headers, None)
    _remove_earlier()
    loop.uninstall_policy()
