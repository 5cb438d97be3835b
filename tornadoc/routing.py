"""`tornado.routing`, and the compilation of an application's rules for the native router.

Rules, matchers and routers stay Tornado's objects, in Tornado's lists, and may be changed at any time: the compiled form is made
anew when a list holds other rules, or when an attribute of a rule, matcher or router was set. What is not of Tornado's own
classes (custom matchers, routers and targets) is asked in Python, in its place among the others.
"""

from __future__ import annotations

import re
import sys
import typing
from inspect import isclass
from typing import TYPE_CHECKING, Any

import tornado.routing as _tornado
from tornado.routing import *  # noqa: F403
from tornado.routing import AnyMatches, HostMatches, PathMatches, ReversibleRuleRouter, Rule, RuleRouter
from tornado.web import RequestHandler as _TornadoRequestHandler
from tornado.web import _ApplicationRouter as _TornadoApplicationRouter

from tornadoc import _native
from tornadoc._accelerate import accelerate
from tornadoc._originals import originals

if sys.version_info >= (3, 11):
    from re import _constants as sre_constants  # type: ignore[attr-defined]
    from re import _parser as sre_parse  # type: ignore[attr-defined]
else:
    import sre_constants
    import sre_parse

if TYPE_CHECKING:
    from tornadoc.web import Application
else:

    def __getattr__(name: str) -> Any:
        return getattr(_tornado, name)


# A compiled rule is (kind, pattern, prefix, target kind, target, target_kwargs); src/native/application.c has the meanings.
_ANY, _LITERAL, _PATH, _GROUPS, _NAMED, _HOST, _OPAQUE = range(7)
_HANDLER, _ROUTER, _ASK = range(3)
_CompiledRule = tuple[int, Any, bytes, int, Any, "dict[str, Any] | None"]


def _watch(cls: Any) -> None:
    """Have the native router told when an attribute of a rule, matcher or router is set: it must not look at each per request."""
    plain_set, plain_delete = cls.__setattr__, cls.__delattr__

    def __setattr__(self: Any, name: str, value: Any) -> None:
        _native.routes_changed()
        plain_set(self, name, value)

    def __delattr__(self: Any, name: str) -> None:
        _native.routes_changed()
        plain_delete(self, name)

    cls.__setattr__ = __setattr__
    cls.__delattr__ = __delattr__


for _cls in (Rule, RuleRouter, AnyMatches, HostMatches, PathMatches):
    _watch(_cls)


class ApplicationRouter(_TornadoApplicationRouter):
    """Tornado's router of an application, which knows handler classes also when they were defined before `tornadoc.install()`."""

    def get_target_delegate(self, target: Any, request: Any, **target_params: Any) -> Any:
        if isclass(target) and issubclass(target, _TornadoRequestHandler):
            return self.application.get_handler_delegate(request, target, **target_params)
        return super().get_target_delegate(target, request, **target_params)


_APPLICATION_ROUTERS = (_TornadoApplicationRouter, ApplicationRouter)
_ROUTERS = (RuleRouter, ReversibleRuleRouter, *_APPLICATION_ROUTERS)


def _definitions(cls: type, *names: str) -> tuple[Any, ...]:
    """The methods of a class; None for each that somebody patched before tornadoc was imported."""
    own = originals(*cls.__mro__[:-1])
    return tuple(own.get(name) for name in names)


#: What Tornado's classes do when nobody has patched them; the native router looks at the classes before each walk.
_MATCH = {cls: _definitions(cls, "match")[0] for cls in (AnyMatches, HostMatches, PathMatches)}
_ROUTE = {cls: _definitions(cls, "find_handler", "get_target_delegate") for cls in _ROUTERS}
ROUTE_CLASSES = (*_MATCH, *_ROUTE)


def literal_prefix(regex: re.Pattern[str]) -> tuple[str, bool]:
    """The text that every match of a pattern starts with, and whether a match is just that text up to the end of the path."""
    if regex.flags & ~re.UNICODE:
        return "", False
    text = []
    parsed = list(sre_parse.parse(regex.pattern))
    if parsed and parsed[0] == (sre_constants.AT, sre_constants.AT_BEGINNING):
        del parsed[0]
    for position, (code, value) in enumerate(parsed):
        if code is sre_constants.LITERAL:
            text.append(chr(value))
        else:
            # A request's path has no newline, so "$" is the end.
            exact = code is sre_constants.AT and value is sre_constants.AT_END and position == len(parsed) - 1
            return "".join(text), exact
    return "".join(text), False


def _compile_matcher(matcher: Any) -> tuple[int, Any, bytes]:
    if type(matcher).match is not _MATCH.get(type(matcher)) or "match" in vars(matcher):
        return _OPAQUE, None, b""
    if type(matcher) is AnyMatches:
        return _ANY, None, b""
    if type(matcher) is HostMatches and isinstance(matcher.host_pattern, re.Pattern):
        return _HOST, matcher.host_pattern, b""
    if type(matcher) is PathMatches and isinstance(matcher.regex, re.Pattern) and isinstance(matcher.regex.pattern, str):
        text, exact = literal_prefix(matcher.regex)
        try:
            prefix = text.encode("latin-1")
        except UnicodeEncodeError:
            # A request's path is latin-1: the pattern can't match, but that is for `re` to say.
            prefix, exact = b"", False
        if exact and not matcher.regex.groups:
            return _LITERAL, prefix, b""
        if not matcher.regex.groups:
            return _PATH, matcher.regex, prefix
        return (_NAMED if matcher.regex.groupindex else _GROUPS), matcher.regex, prefix
    return _OPAQUE, None, b""


class _Compiler:
    def __init__(self, application: Application) -> None:
        self.application = application
        self.lists: list[tuple[list[Rule], tuple[Rule, ...]]] = []
        self.open: list[Any] = []

    def router(self, router: Any) -> tuple[_CompiledRule, ...]:
        self.lists.append((router.rules, tuple(router.rules)))
        self.open.append(router)
        try:
            return tuple(self.rule(router, rule) for rule in router.rules)
        finally:
            self.open.pop()

    def rule(self, router: Any, rule: Rule) -> _CompiledRule:
        return (*_compile_matcher(rule.matcher), *self.target(router, rule))

    def target(self, router: Any, rule: Rule) -> tuple[int, Any, dict[str, Any] | None]:
        target = rule.target
        if isclass(target) and issubclass(target, _TornadoRequestHandler):
            if type(router) in _APPLICATION_ROUTERS and router.application is self.application:
                return _HANDLER, accelerated(target), rule.target_kwargs
        elif can_compile(target) and target not in self.open:
            return _ROUTER, self.router(target), None
        return _ASK, None, None


def can_compile(router: Any) -> bool:
    """Is it a router of Tornado's own classes, with its rules in a list and no method replaced on the object?"""
    return (
        type(router) in _ROUTERS
        and (type(router).find_handler, type(router).get_target_delegate) == _ROUTE[type(router)]
        and type(router.rules) is list
        and not any(name in vars(router) for name in ("find_handler", "get_target_delegate", "start_request"))
    )


def compile_routes(application: Application) -> tuple[tuple[_CompiledRule, ...], tuple[Any, ...]]:
    """The compiled rules of an application, and the lists that they were made from with what these held."""
    compiler = _Compiler(application)
    router = application.default_router
    if not can_compile(router):
        return ((_OPAQUE, None, b"", _ASK, None, None),), ()
    return compiler.router(router), tuple(compiler.lists)


def default_route(application: Application) -> tuple[type, dict[str, Any]]:
    """The handler of a request that no rule matches."""
    from tornadoc.web import ErrorHandler

    handler_class = application.settings.get("default_handler_class")
    if handler_class:
        return accelerated(handler_class), application.settings.get("default_handler_args") or {}
    return ErrorHandler, {"status_code": 404}


def accelerated(handler_class: type[_TornadoRequestHandler]) -> type[_TornadoRequestHandler]:
    """The class to make handlers of: the class itself if it has the native type, else one with the native type between it and
    Tornado's RequestHandler (see _accelerate.py), where that can be made."""
    if issubclass(handler_class, _native.RequestHandler):
        return handler_class
    return typing.cast("type[_TornadoRequestHandler]", accelerate(handler_class))
