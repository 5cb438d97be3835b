"""What the native request path leaves to Python: tasks for handlers that wait, and the calls into Tornado's cold code."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import inspect
import socket
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import tornado.httputil
import tornado.web
from tornado import gen
from tornado.concurrent import Future
from tornado.httpserver import _HTTPRequestContext
from tornado.log import app_log
from tornado.util import ObjectDict

from tornadoc import _native

if TYPE_CHECKING:
    from tornadoc.web import RequestHandler

STAGE_PREPARE, STAGE_METHOD = range(2)

_EAGER = sys.version_info >= (3, 12)
#: Can a task be made to run in a given context?
_CONTEXTS = sys.version_info >= (3, 11)
#: Tornado 6.6 turns a CancelledError that nobody asked the task for into an error page; earlier ones let it end the task.
_CAUGHT: tuple[type[BaseException], ...] = (
    (Exception, asyncio.CancelledError) if hasattr(asyncio.Task, "cancelling") else (Exception,)
)


def start_task(handler: RequestHandler, awaitable: Any, stage: int, context: contextvars.Context) -> None:
    """Go on with a request in a task, from the awaitable that prepare() or the method gave, in the context of the request.

    TypeError if it is none: what the handler has left for the loop to do comes behind the error page.
    """
    if type(awaitable) is not types.CoroutineType and not inspect.isawaitable(awaitable):
        _wait(awaitable).send(None)
    _spawn(_continue(handler, awaitable, stage), context).add_done_callback(_retrieve)


def run_general(handler: Any, transforms: list[Any], args: tuple[Any, ...] | None, kwargs: dict[str, Any] | None) -> None:
    """Run Tornado's (or the application's) own _execute: the path of handlers that change it, and of foreign classes."""
    future = gen.convert_yielded(handler._execute(transforms, *(args or ()), **(kwargs or {})))
    future.add_done_callback(_retrieve)


async def _wait(awaitable: Awaitable[Any]) -> None:
    await awaitable


def _spawn(coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    if not _CONTEXTS or loop.get_task_factory() is not None:
        # Of the task's own making: a copy. Factories need not know of contexts.
        return context.run(loop.create_task, coroutine)
    if _EAGER:
        return asyncio.Task(coroutine, loop=loop, eager_start=True, context=context)  # type: ignore[call-arg]
    return loop.create_task(coroutine, context=context)


def _retrieve(future: Future[None]) -> None:
    if not future.cancelled():
        future.result()


async def _continue(handler: RequestHandler, awaitable: Awaitable[Any], stage: int) -> None:
    """The rest of RequestHandler._execute."""
    try:
        await awaitable
        if stage == STAGE_PREPARE:
            if handler._finished:
                return
            assert handler.request.method is not None
            method = getattr(handler, handler.request.method.lower())
            result = method(*handler.path_args, **handler.path_kwargs)
            if result is not None:
                await result
        if handler._auto_finish and not handler._finished:
            handler.finish()
    except _CAUGHT as e:
        task = asyncio.current_task()
        if isinstance(e, asyncio.CancelledError) and task is not None and task.cancelling():
            if not handler._finished:
                try:
                    handler.send_error(500)
                except Exception:
                    app_log.error("Exception in exception handler", exc_info=True)
            raise
        try:
            handler._handle_request_exception(e)
        except Exception:
            app_log.error("Exception in exception handler", exc_info=True)
    finally:
        # The traceback refers to this frame: nothing of the request may stay in it.
        del awaitable


def raise_error(error: BaseException) -> None:
    """Raise an exception from a Python frame: what applications show or send of an error has a traceback."""
    try:
        raise error
    finally:
        # The traceback has this frame.
        del error
async def _wait_for_the_end() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()


def delegate_task() -> asyncio.Task[None]:
    """A connection's Task, the current one while its delegates are called, as in Tornado. It is cancelled when the connection
    has ended."""
    task = asyncio.get_running_loop().create_task(_wait_for_the_end())
    # A loop may be closed while clients are connected.
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    return task


def enter_task(task: asyncio.Task[Any]) -> asyncio.Task[Any] | None:
    """Make a task the current one; returns the one that was."""
    loop = task.get_loop()
    previous = asyncio.current_task(loop)
    if previous is not None:
        asyncio.tasks._leave_task(loop, previous)
    asyncio.tasks._enter_task(loop, task)
    return previous


def leave_task(task: asyncio.Task[Any], previous: asyncio.Task[Any] | None) -> None:
    """Undo enter_task(), with what it returned."""
    loop = task.get_loop()
    asyncio.tasks._leave_task(loop, task)
    if previous is not None:
        asyncio.tasks._enter_task(loop, previous)


def run_delegate(
    awaitable: Awaitable[Any], connection: _native.HTTP1ServerConnection, context: contextvars.Context
) -> Future[Any] | None:
    """Have the connection read on when the result of a delegate's method is there. Returns the future if it is there already."""
    future = context.run(gen.convert_yielded, awaitable)
    if future.done():
        return future
    future.add_done_callback(connection._resumed)
    return None


def report_uncaught(message: str, exception: BaseException | None) -> None:
    """An exception of a callback, as asyncio reports it."""
    context: dict[str, Any] = {"message": message}
    if exception is not None:
        context["exception"] = exception
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # CPython 3.13.0: a refused run_forever() within a callback leaves no loop running.
        asyncio.log.logger.error(message, exc_info=exception)
    else:
        loop.call_exception_handler(context)


def parse_query(query: str) -> tuple[dict[str, list[bytes]], dict[str, list[bytes]]]:
    """HTTPServerRequest.arguments and query_arguments of a query string; HTTPInputError if it has too many, or is bad."""
    try:
        arguments = tornado.httputil.parse_qs_bytes(  # type: ignore[attr-defined]
            query,
            keep_blank_values=True,
            max_num_fields=tornado.httputil._DEFAULT_PARSE_BODY_CONFIG.urlencoded.max_arguments,
        )
    except Exception as e:
        raise tornado.httputil.HTTPInputError(f"Invalid query string: {e}") from e
    return arguments, copy.deepcopy(arguments)


def split_host(host: str) -> str:
    """HTTPServerRequest.host_name."""
    return tornado.httputil.split_host_and_port(host.lower())[0]


def make_ui(handler: RequestHandler) -> ObjectDict:
    """RequestHandler.ui: the application's UI methods and modules, bound to a handler."""
    application = handler.application
    ui = ObjectDict((name, handler._ui_method(method)) for name, method in application.ui_methods.items())
    ui["_tt_modules"] = tornado.web._UIModuleNamespace(handler, application.ui_modules)
    ui["modules"] = ui["_tt_modules"]
    return ui


def make_context(address: Any, family: int, server: Any, protocol: str) -> _HTTPRequestContext:
    """The context of a connection. family 0 stands for a unix socket; server is None once the connection is closed."""
    peer = types.SimpleNamespace(socket=types.SimpleNamespace(family=socket.AddressFamily(family or socket.AF_UNIX)))
    return _HTTPRequestContext(
        peer,  # type: ignore[arg-type]
        address,
        protocol,
        getattr(server, "trusted_downstream", None),
    )


def accepted_socket(listening: socket.socket, fd: int) -> socket.socket:
    """What ``listening.accept()`` gives for a descriptor; the socket then owns that."""
    return socket.socket(listening.family, listening.type, listening.proto, fileno=fd)


def hand_over(server: Any, fd: int, address: Any) -> None:
    """An accepted socket for a server whose connections are Tornado's own (overridden methods)."""
    connection = socket.socket(fileno=fd)
    connection.setblocking(True)  # as accept() leaves it
    handle: Callable[[socket.socket, Any], object] = server._handle_connection
    handle(connection, address)


def reset_caches(application: Any) -> None:
    """Forget templates and static hashes where the settings (debug) ask for it."""
    settings = application.settings
    if not settings.get("compiled_template_cache", True):
        with tornado.web.RequestHandler._template_loader_lock:
            for loader in tornado.web.RequestHandler._template_loaders.values():
                loader.reset()
    if not settings.get("static_hash_cache", True):
        settings.get("static_handler_class", tornado.web.StaticFileHandler).reset()
