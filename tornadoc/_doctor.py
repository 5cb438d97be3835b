"""`python -m tornadoc doctor` and `tornadoc.doctor()`: what of an application runs natively, what does not, and why.

The report is a dict of what JSON has; README describes it.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import re
import resource
import sys
import traceback
import types
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from inspect import isclass
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

import tornado

import tornadoc
from tornadoc import _support

USAGE = """\
usage: python -m tornadoc doctor [--json] [program.py [arguments] | -m module [arguments]]

Tells which parts of tornadoc are in use, and for each handler class of a program which path its requests take and why. The
program runs up to where it would serve; nothing listens.

exit status: 0 everything is native, 1 something is not, 2 wrong usage or a program that can't be loaded"""

FAST, PARTLY, GENERAL = "fast", "partly", "general"
_PATHS = (FAST, PARTLY, GENERAL)

#: What a changed hook of a handler costs. Those that are not here are called in their place on the fast path.
_HANDLER_HOOKS = {
    "_execute": (GENERAL, "its _execute runs in a Task"),
    "__init__": (PARTLY, "Tornado's __init__"),
    "flush": (PARTLY, "its flush()"),
    "add_header": (PARTLY, "Tornado's flush()"),
} | dict.fromkeys(
    (
        "compute_etag",
        "set_etag_header",
        "check_etag_header",
        "set_status",
        "set_header",
        "clear_header",
        "_should_not_send_content",
        "_clear_representation_headers",
        "_convert_header_value",
    ),
    (PARTLY, "Tornado's finish()"),
)
_DELEGATE = "Tornado's delegate calls"
_APPLICATION_HOOKS = {
    "start_request": (GENERAL, _DELEGATE),
    "find_handler": (GENERAL, _DELEGATE),
    "get_handler_delegate": (GENERAL, _DELEGATE),
    "log_request": (PARTLY, "its log_request() writes the access log"),
}
_SERVER_HOOKS = {
    "handle_stream": (GENERAL, "Tornado's own connection"),
    "_handle_connection": (GENERAL, "Tornado's own connection"),
    "start_request": (GENERAL, _DELEGATE),
}

#: What is native: a name for people, and the object of Tornado that is replaced.
_PARTS = (
    ("HTTP server", "tornado.httpserver", "HTTPServer"),
    ("requests", "tornado.httputil", "HTTPServerRequest"),
    ("headers", "tornado.httputil", "HTTPHeaders"),
    ("routing", "tornado.web", "Application"),
    ("handlers", "tornado.web", "RequestHandler"),
    ("WebSockets", "tornado.websocket", "WebSocketHandler"),
    ("TCP servers", "tornado.tcpserver", "TCPServer"),
    ("accepting", "tornado.netutil", "add_accept_handler"),
    ("streams", "tornado.iostream", "IOStream"),
)

Report = dict[str, Any]


#: Of an accelerated class, too, which passes for the program's.
_mro_of = type.__dict__["__mro__"].__get__


def name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


# -- the installation --


def _parts() -> Iterator[Report]:
    from tornadoc import _overlay

    table = _overlay.table()
    for label, module, name in _PARTS:
        why = None
        known = table.get(module, {}).get(name)
        if known is None:
            why = f"tornadoc {tornadoc.__version__} does not replace it with Tornado {tornado.version}"
        elif not _overlay.is_installed():
            why = "install() was not called"
        elif getattr(sys.modules[module], name) is not known[1]:
            why = f"something else has replaced {module}.{name}"
        yield {"part": label, "name": f"{module}.{name}", "native": why is None, "available": known is not None, "why": why}
    tls = find_spec("tornadoc._tls") is not None
    why = None if tls else f"tornadoc {tornadoc.__version__} leaves it to Tornado"
    yield {"part": "TLS", "name": "ssl_options", "native": tls, "available": tls, "why": why}


def _loop_report(cls: type) -> Report:
    ours = getattr(tornadoc, "EventLoop", None) if tornadoc.active else None
    native = ours is not None and issubclass(cls, ours)
    why = None
    if not native:
        why = "the engine joins this loop" if ours is None else "the program or its environment chose this loop"
    return {"class": name_of(cls), "native": native, "available": ours is not None, "why": why}


def _default_loop() -> type:
    """The class of the loop that runs here, or that asyncio would make."""
    import asyncio

    try:
        return type(asyncio.get_running_loop())
    except RuntimeError:
        loop = asyncio.new_event_loop()
        loop.close()
        return type(loop)


def _native_report() -> Report | None:
    if not tornadoc.active:
        return None
    from tornadoc import _native

    return {"http_parser": _native.http_parser_version, "build_flags": dict(_native.build_flags)}


def _installation(loop: type | None) -> Report:
    from_overlay = list(_parts()) if tornadoc.active else []
    installed = False
    if tornadoc.active:
        from tornadoc import _overlay

        installed = _overlay.is_installed()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        "tornadoc": {
            "version": tornadoc.__version__,
            "active": tornadoc.active,
            "why_inactive": tornadoc.why_inactive,
            "installed": installed,
            "environment": os.environ.get(_support.VARIABLE),
        },
        "tornado": {
            "version": tornado.version,
            "tested": _support.TESTED_TEXT,
            "is_tested": _support.is_tested(tornado.version_info),
        },
        "python": {"implementation": platform.python_implementation(), "version": platform.python_version()},
        "kernel": {"system": platform.system(), "release": platform.release(), "machine": platform.machine()},
        "native": _native_report(),
        "loop": _loop_report(loop or _default_loop()),
        "open_files": {"soft": soft, "hard": hard},
        "parts": from_overlay,
    }


# -- the application --


def _defined_in(cls: type, name: str) -> str:
    for base in _mro_of(cls):
        if name in vars(base):
            return name_of(base)
    return name_of(cls)


def _native_attributes(cls: type) -> set[str]:
    """The attributes that objects of a class have in C."""
    kinds = (GetSetDescriptorType, MemberDescriptorType)
    bases = (base for base in _mro_of(cls) if base.__module__ == "tornadoc._native")
    return {name for base in bases for name, value in vars(base).items() if isinstance(value, kinds)}


def _changed(kind: str, thing: Any, cls: type, costs: dict[str, tuple[str, str]]) -> Iterator[Report]:
    """The reasons that the changed hooks of a class, and of an object of it, are."""
    from tornadoc import _native

    names = _native.changed_hooks(kind, cls)  # type: ignore[arg-type]
    for name in names:
        path, effect = costs.get(name, (None, None))
        if path is None and name in _native_attributes(cls):
            path, effect = GENERAL, "Tornado's methods: a class attribute hides that of its objects"
        if path is not None:
            yield {"path": path, "what": name, "where": _defined_in(cls, name), "effect": effect}
    for name in vars(thing) if thing is not None else ():
        if name in costs and name not in names:
            path, effect = costs[name]
            yield {"path": path, "what": name, "where": "the object", "effect": effect}


def _handler_reasons(cls: type) -> Iterator[Report]:
    from tornadoc import _native
    from tornadoc._accelerate import accelerate

    made = accelerate(cls)
    if _native.RequestHandler not in type.__dict__["__mro__"].__get__(made):
        effect = "served by Tornado's class: __slots__ or a base are in the way of the native type; call install() before"
        yield {"path": GENERAL, "what": "class", "where": name_of(cls), "effect": effect}
        return
    if getattr(cls, "_stream_request_body", False):
        yield {"path": GENERAL, "what": "stream_request_body", "where": name_of(cls), "effect": _DELEGATE}
    yield from _changed("handler", None, made, _HANDLER_HOOKS)


def _worst(reasons: Iterable[Report]) -> str:
    return max((reason["path"] for reason in reasons), key=_PATHS.index, default=FAST)


def _pattern(matcher: Any) -> str:
    for attribute in ("regex", "host_pattern"):
        regex = getattr(matcher, attribute, None)
        if isinstance(regex, re.Pattern):
            return str(regex.pattern)
    return type(matcher).__name__


def _rules(application: Any, router: Any, reasons: list[Report]) -> Iterator[tuple[str, type]]:
    """(pattern, handler class) of all rules; what Python must be asked about is added to the reasons."""
    from tornadoc import _overlay, routing

    original = _overlay.original("tornado.web", "RequestHandler")
    if not routing.can_compile(router):
        reasons.append({"path": GENERAL, "what": "router", "where": name_of(type(router)), "effect": _DELEGATE})
    for rule in getattr(router, "rules", ()):
        pattern = _pattern(rule.matcher)
        if routing._compile_matcher(rule.matcher)[0] == routing._OPAQUE:
            reasons.append({"path": GENERAL, "what": "matcher", "where": name_of(type(rule.matcher)), "effect": _DELEGATE})
        if isclass(rule.target) and issubclass(rule.target, original):
            yield pattern, rule.target
        elif hasattr(rule.target, "rules"):
            yield from _rules(application, rule.target, reasons)
        else:
            reasons.append({"path": GENERAL, "what": "target", "where": f"{pattern}: {rule.target!r}", "effect": _DELEGATE})


def _application_report(application: Any) -> tuple[Report, list[tuple[str, type]]]:
    from tornadoc import _native

    cls = type(application)
    if not isinstance(application, _native.Application):
        effect = "made before install(): " + _DELEGATE
        reasons = [{"path": GENERAL, "what": "class", "where": name_of(cls), "effect": effect}]
    else:
        reasons = list(_changed("application", application, cls, _APPLICATION_HOOKS))
    for transform in application.transforms:
        reasons.append({"path": PARTLY, "what": "transforms", "where": name_of(transform), "effect": "Tornado's flush()"})
    if application.settings.get("log_function"):
        effect = "Python writes the access log"
        reasons.append({"path": PARTLY, "what": "log_function", "where": "the settings", "effect": effect})
    routes = list(_rules(application, application.default_router, reasons))
    default = application.settings.get("default_handler_class")
    if isclass(default):
        routes.append(("(no rule matches)", default))
    return {"class": name_of(cls), "path": _worst(reasons), "reasons": reasons}, routes


def _server_report(server: Any) -> Report:
    from tornadoc import _native

    cls = type(server)
    if not issubclass(cls, _native.HTTPServer):
        effect = "made before install(), or not an HTTPServer"
        reasons = [{"path": GENERAL, "what": "class", "where": name_of(cls), "effect": effect}]
    else:
        reasons = list(_changed("server", server, cls, _SERVER_HOOKS))
        kind = type(server.request_callback)
        is_function = issubclass(kind, (types.FunctionType, types.MethodType, types.BuiltinFunctionType))
        if not issubclass(kind, _native.Application) and (server.conn_params.decompress or not is_function):
            where = f"{kind.__module__}.{kind.__qualname__}"
            reasons.append({"path": GENERAL, "what": "request_callback", "where": where, "effect": _DELEGATE})
        if server.ssl_options is not None and find_spec("tornadoc._tls") is None:
            effect = "Tornado's own connection"
            reasons.append({"path": GENERAL, "what": "ssl_options", "where": "the server", "effect": effect})
        if server.conn_params.decompress:
            effect = _DELEGATE + " for compressed bodies"
            reasons.append({"path": PARTLY, "what": "decompress_request", "where": "the server", "effect": effect})
    return {"class": name_of(cls), "path": _worst(reasons), "reasons": reasons}


def _defined_handlers() -> list[type]:
    """Handler classes of programs: all but Tornado's and tornadoc's own."""
    from tornadoc import _overlay
    from tornadoc._accelerate import stands_for

    found: dict[int, type] = {}
    queue: list[type] = [_overlay.original("tornado.web", "RequestHandler")]
    while queue:
        subclasses: list[type] = type.__subclasses__(queue.pop())
        for cls in subclasses:
            if id(cls) not in found:
                found[id(cls)] = cls
                queue.append(cls)
    own = ("tornado", "tornadoc")
    return [cls for cls in found.values() if cls.__module__.partition(".")[0] not in own and stands_for(cls) is None]


def _existing_applications() -> list[Any]:
    from tornadoc import _overlay

    base = _overlay.original("tornado.web", "Application")
    return [thing for thing in gc.get_objects() if issubclass(type(thing), base)]


def _program_report(applications: list[Any], servers: list[Any]) -> Report:
    routed: dict[int, tuple[type, list[str]]] = {}
    application_reports = []
    for application in applications:
        report, routes = _application_report(application)
        application_reports.append(report)
        for pattern, cls in routes:
            routed.setdefault(id(cls), (cls, []))[1].append(pattern)
    classes = [(cls, patterns) for cls, patterns in routed.values()]
    classes += [(cls, []) for cls in _defined_handlers() if id(cls) not in routed]
    handlers = []
    for cls, patterns in classes:
        reasons = list(_handler_reasons(cls))
        handlers.append({"class": name_of(cls), "routes": patterns, "path": _worst(reasons), "reasons": reasons})
    return {
        "servers": [_server_report(server) for server in servers],
        "applications": application_reports,
        "handlers": sorted(handlers, key=lambda handler: (not handler["routes"], handler["class"])),
    }


def _problems(report: Report) -> Iterator[str]:
    about = report["tornadoc"]
    if not about["active"]:
        yield f"tornadoc is inactive: {about['why_inactive']}"
        return
    for part in report["parts"]:
        if part["available"] and not part["native"]:
            yield f"{part['part']}: {part['why']}"
    if report["loop"]["available"] and not report["loop"]["native"]:
        yield f"the event loop is {report['loop']['class']}: {report['loop']['why']}"
    program = report["program"]
    if program is None:
        return
    for kind in ("servers", "applications", "handlers"):
        for thing in program[kind]:
            # A class that nothing routes to may be a base of others; without an Application it is all there is to see.
            if kind == "handlers" and program["applications"] and not thing["routes"]:
                continue
            for reason in thing["reasons"]:
                yield f"{thing['class']}: {reason['what']} ({reason['where']}): {reason['effect']}"


def examine(applications: Iterable[Any] | None = None, servers: Iterable[Any] = (), loop: type | None = None) -> Report:
    """The report on this process, and on these applications and servers; None: on no application."""
    report = _installation(loop)
    report["program"] = None
    if applications is not None and tornadoc.active:
        report["program"] = _program_report(list(applications), list(servers))
    report["problems"] = list(dict.fromkeys(_problems(report)))
    report["all_native"] = not report["problems"]
    return report


# -- for people --


def _lines(report: Report) -> Iterator[str]:
    about, tornado_, python, kernel = report["tornadoc"], report["tornado"], report["python"], report["kernel"]
    state = "active" if about["active"] else "inactive: " + str(about["why_inactive"])
    yield f"tornadoc     {about['version']}, {state}"
    tested = "tested" if tornado_["is_tested"] else "not tested"
    yield f"Tornado      {tornado_['version']}, {tested} (tested: {tornado_['tested']})"
    yield f"Python       {python['implementation']} {python['version']}"
    yield f"kernel       {kernel['system']} {kernel['release']} {kernel['machine']}"
    if report["native"] is not None:
        flags = report["native"]["build_flags"]
        words = [flags["compiler"]] + [word for word in ("optimized", "assertions", "sanitizers") if flags[word]]
        yield f"build        http-parser {report['native']['http_parser']} ({flags['http_parser']}), {', '.join(words)}"
    loop = report["loop"]
    yield f"event loop   {loop['class']}" + (", native" if loop["native"] else f": {loop['why']}")
    yield f"open files   {report['open_files']['soft']} (could be raised to {report['open_files']['hard']})"
    if report["parts"]:
        yield ""
        yield "parts"
    for part in report["parts"]:
        yield f"  {'native' if part['native'] else 'Tornado':<8} {part['part']}" + (f": {part['why']}" if part["why"] else "")
    program = report["program"]
    for kind in ("servers", "applications", "handlers") if program else ():
        if program[kind]:
            yield ""
            yield kind
        for thing in program[kind]:
            routes = thing.get("routes")
            where = "" if routes is None else "  " + (" ".join(routes) or "(no route)")
            yield f"  {thing['path']:<8} {thing['class']}{where}"
            for reason in thing["reasons"]:
                yield f"           {reason['what']} ({reason['where']}): {reason['effect']}"
    yield ""
    if report["all_native"]:
        yield "All that this version of tornadoc can serve natively is native."
    else:
        yield "Not native:"
        for problem in report["problems"]:
            yield f"  {problem}"


def text(report: Report) -> str:
    """The report for people."""
    return "\n".join(_lines(report)) + "\n"


def main(arguments: list[str]) -> int:
    """`python -m tornadoc doctor arguments...`; returns the exit status."""
    as_json = False
    while arguments and arguments[0].startswith("-") and arguments[0] != "-m":
        option = arguments.pop(0)
        if option in ("-h", "--help"):
            print(USAGE)
            return 0
        if option != "--json":
            print(f"{USAGE}\n\nunknown option: {option}", file=sys.stderr)
            return 2
        as_json = True
    if arguments == ["-m"]:
        print(USAGE, file=sys.stderr)
        return 2
    if tornadoc.active:
        tornadoc.install()
    program = None
    if arguments:
        from tornadoc import _doctor_load

        program = _doctor_load.load(arguments)
        if program.error is not None:
            traceback.print_exception(program.error)
            print(f"tornadoc doctor: {' '.join(arguments)} could not be loaded", file=sys.stderr)
            return 2
    if program is None:
        report = examine()
    else:
        applications = _existing_applications() if tornadoc.active else []
        report = examine(applications, program.servers, program.loops[-1] if program.loops else None)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print(text(report), end="")
    return 0 if report["all_native"] else 1
