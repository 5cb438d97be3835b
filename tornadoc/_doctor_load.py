"""Loads a program for the doctor: it runs as with `python -m tornadoc`, up to where it would serve.

What it asks to listen on is noted and not opened: `bind_sockets` gives it a socket on a free port of the loopback address that
nobody accepts from, `bind_unix_socket` as well, `fork_processes` does not fork. A moment after a server was given its sockets,
when the rest of its start-up has had a turn of the loop, the program is ended by a SystemExit; one that never listens is ended
after `PATIENCE` seconds. Whatever else the program does at its start, it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tornado.httpserver
import tornado.netutil
import tornado.process
import tornado.tcpserver
from tornado.ioloop import IOLoop

import tornadoc

#: Seconds that a program has to listen, and that it may go on afterwards.
PATIENCE = 10.0
AFTERWARDS = 0.05


class _Served(SystemExit):
    """Ends a program. A SystemExit, because event loops let that through."""


class Program:
    """What became of a program."""

    def __init__(self) -> None:
        self.servers: list[Any] = []
        self.loops: list[type] = []
        #: The exception that ended it, which keeps its namespace alive; None if it ended by itself.
        self.ended: BaseException | None = None
        self.namespace: dict[str, Any] = {}

    @property
    def error(self) -> BaseException | None:
        """The exception that says that it could not be loaded."""
        if self.ended is None or isinstance(self.ended, _Served):
            return None
        if isinstance(self.ended, SystemExit) and self.ended.code in (None, 0):
            return None
        return self.ended

    def note(self, server: Any, sockets: Iterable[socket.socket]) -> None:
        self.servers.append(server)
        for sock in sockets:
            server._sockets[sock.fileno()] = sock
            server._handlers[sock.fileno()] = lambda: None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = IOLoop.current().asyncio_loop  # type: ignore[attr-defined]
        self.loops.append(type(loop))
        loop.call_later(AFTERWARDS, self.end)

    def end(self, *ignored: Any) -> None:
        raise _Served(0)


def _every(name: str, wrapped: Callable[..., Any]) -> list[tuple[Any, str]]:
    """The modules of Tornado and tornadoc that bind a function."""
    return [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.partition(".")[0] in ("tornado", "tornadoc") and vars(module).get(name) is wrapped
    ]


def _server_classes() -> list[Any]:
    """The classes of Tornado and tornadoc that define `add_sockets`."""
    found: list[Any] = []
    queue: list[type] = [tornado.tcpserver.TCPServer]
    if tornadoc.active:
        from tornadoc import _overlay

        queue = [_overlay.original("tornado.tcpserver", "TCPServer")]
    while queue:
        cls = queue.pop()
        queue.extend(cls.__subclasses__())
        if "add_sockets" in vars(cls) and cls.__module__.partition(".")[0] in ("tornado", "tornadoc"):
            found.append(cls)
    return found


@contextlib.contextmanager
def _intercepted(program: Program) -> Iterator[None]:
    bind = tornado.netutil.bind_sockets

    def bind_sockets(*args: Any, **kwargs: Any) -> list[socket.socket]:
        return bind(0, "127.0.0.1")[:1]

    def bind_unix_socket(*args: Any, **kwargs: Any) -> socket.socket:
        return bind_sockets()[0]

    def fork_processes(*args: Any, **kwargs: Any) -> int:
        return 0

    def add_sockets(self: Any, sockets: Iterable[socket.socket]) -> None:
        program.note(self, sockets)

    changes: list[tuple[Any, str, Any]] = [(cls, "add_sockets", add_sockets) for cls in _server_classes()]
    for function in (bind_sockets, bind_unix_socket, fork_processes):
        home = tornado.process if function is fork_processes else tornado.netutil
        for module, name in _every(function.__name__, getattr(home, function.__name__)):
            changes.append((module, name, function))
    previous = [(owner, name, vars(owner)[name]) for owner, name, _ in changes]
    for owner, name, value in changes:
        setattr(owner, name, value)
    old_handler = signal.signal(signal.SIGALRM, program.end)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old_handler)
        for owner, name, value in previous:
            setattr(owner, name, value)


def load(arguments: list[str]) -> Program:
    """Run `program.py arguments...` or `-m module arguments...`; its standard output goes to standard error."""
    program = Program()
    with _intercepted(program), contextlib.redirect_stdout(sys.stderr):
        argv, path = sys.argv, sys.path[0]
        try:
            if arguments[0] == "-m":
                sys.argv = arguments[1:]
                sys.path[0] = os.getcwd()
                program.namespace = runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
            else:
                sys.argv = arguments
                sys.path[0] = os.path.dirname(os.path.abspath(arguments[0]))
                program.namespace = runpy.run_path(arguments[0], run_name="__main__")
        except (Exception, SystemExit) as e:
            program.ended = e
        finally:
            sys.argv, sys.path[0] = argv, path
    return program
