"""install(): tornadoc's classes under Tornado's names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import tornado
import tornado.httpserver
import tornado.httputil
import tornado.netutil
import tornado.tcpserver
import tornado.web
import tornado.websocket

from tornadoc import httpserver, httputil, loop, netutil, routing, tcpserver, web, websocket

#: Tornado's classes and functions, and what takes their place.
_REPLACEMENTS: dict[Any, Any] = {
    tornado.netutil.add_accept_handler: netutil.add_accept_handler,
    tornado.tcpserver.TCPServer: tcpserver.TCPServer,
    tornado.httputil.HTTPServerRequest: httputil.HTTPServerRequest,
    tornado.httpserver.HTTPServer: httpserver.HTTPServer,
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

#: Modules of Tornado that bind one of these names when they are imported.
_BINDING = ("tornado.auth", "tornado.routing", "tornado.testing", "tornado.wsgi")


def _tornado_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if module is not None and (name == "tornado" or name.startswith("tornado.")):
            yield module


def _rebind(mapping: dict[Any, Any]) -> None:
    for module in _tornado_modules():
        for name, value in list(vars(module).items()):
            if isinstance(value, (type, FunctionType)) and value in mapping:
                setattr(module, name, mapping[value])


def install() -> None:
    for name in _BINDING:
        importlib.import_module(name)
    _rebind(_REPLACEMENTS)
    loop.install_policy()


def uninstall() -> None:
    _rebind({new: old for old, new in _REPLACEMENTS.items()})
    loop.uninstall_policy()
