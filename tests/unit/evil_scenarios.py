"""Python code that misbehaves while C is calling it.

Run as a program with the name of a hook, or hook/action: a hook is a place where C calls Python; in it, every action of ACTIONS
is tried on a fresh server. With EVIL_TLS in the environment, all of it goes over TLS. Lines of JSON for each scenario, so that
whoever started this knows where it crashed.
"""

import asyncio
import faulthandler
import gc
import inspect
import json
import logging
import os
import socket
import sys
import traceback
import warnings
import weakref

import tornado.httputil
import tornado.routing
import tornado.web
from inprocess import PATIENCE, Client, Running, request, settle, until
from tlsclient import client_context, server_context
from tornado.log import access_log, app_log, gen_log

import tornadoc
from tornadoc import _engine
from tornadoc.web import Application, RequestHandler

# -- what a callback does --

ACTIONS = {}


class Skipped(Exception):
    """There is nothing to do this action on."""


def action(function):
    ACTIONS[function.__name__] = function
    return function


def need(value):
    if value is None:
        raise Skipped
    return value


@action
def nothing(scene):
    pass


@action
def close_stream(scene):
    for connection in scene.victims():
        connection.stream.close()


@action
def close_connection(scene):
    need(scene.exchange).close()


@action
def detach(scene):
    scene.streams.append(need(scene.exchange).detach())


@action
def detach_and_raise(scene):
    scene.streams.append(need(scene.exchange).detach())
    raise ValueError("detached")


@action
def detach_and_answer(scene):
    stream = need(scene.exchange).detach()
    scene.streams.append(stream)
    stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@action
def stop_server(scene):
    scene.server.stop()


@action
def close_all_connections(scene):
    scene.tasks.append(asyncio.ensure_future(scene.server.close_all_connections()))


@action
def close_all_connections_at_once(scene):
    for connection in list(scene.server._connections):
        connection._close()


@action
def close_engine(scene):
    scene.engine.close()


@action
def close_engine_and_exit(scene):
    scene.engine.close()
    raise KeyboardInterrupt


@action
def finish_handler(scene):
    need(scene.handler).finish("early")


@action
def finish_connection(scene):
    need(scene.exchange).finish()


@action
def answer_raw(scene):
    exchange = need(scene.exchange)
    start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
    exchange.write_headers(start, tornado.httputil.HTTPHeaders({"Content-Length": "2"}), b"ok")
    exchange.finish()


@action
def write_more(scene):
    if scene.handler is not None:
        scene.handler.write(b"x" * 300000)
        scene.handler.flush()
    for connection in scene.victims():
        connection.stream.write(b"y" * 300000)


@action
def write_body_without_head(scene):
    need(scene.exchange).write(b"z" * 20000)


@action
def reenter(scene):
    for _ in range(3):
        scene.engine.run()


@action
def finish_and_reenter(scene):
    need(scene.handler).finish()
    scene.engine.run()
    scene.engine.run()


@action
def close_and_reenter(scene):
    close_stream(scene)
    scene.engine.run()


@action
def close_and_collect(scene):
    close_stream(scene)
    scene.forget()
    gc.collect()


@action
def drop_references(scene):
    scene.forget()
    scene.server._connections.clear()
    gc.collect()


@action
def abort_client(scene):
    """The peer's reset is there before the call returns."""
    scene.client.abort()
    scene.engine.run()


@action
def replace_attributes_of_handler(scene):
    handler = need(scene.handler)
    handler._headers = tornado.httputil.HTTPHeaders()
    handler._write_buffer = []
    handler._transforms = []
    handler.ui = {}
    handler.path_args = ("a",)
    handler.path_kwargs = {}
    handler._status_code = 299
    handler._reason = "odd\r\n"


SPOILT = ("_headers", "_write_buffer", "_transforms", "ui", "path_args", "path_kwargs", "_reason", "_new_cookie")


@action
def spoil_attributes_of_handler(scene):
    handler = need(scene.handler)
    for name in SPOILT:
        try:
            setattr(handler, name, 5)
        except (TypeError, AttributeError):
            pass


@action
def delete_attributes_of_handler(scene):
    handler = need(scene.handler)
    for name in (*SPOILT, "_status_code", "_finished"):
        try:
            delattr(handler, name)
        except (TypeError, AttributeError):
            pass


@action
def delete_application_of_handler(scene):
    del need(scene.handler).application


@action
def delete_request_of_handler(scene):
    del need(scene.handler).request


@action
def replace_request_of_handler(scene):
    need(scene.handler).request = tornado.httputil.HTTPServerRequest("GET", "/", headers=tornado.httputil.HTTPHeaders(Host="a"))


@action
def replace_application_of_handler(scene):
    need(scene.handler).application = object()


@action
def delete_attributes_of_request(scene):
    target = need(scene.request)
    for name in ("headers", "connection", "body", "method", "path", "host", "arguments", "server_connection", "_start_time"):
        try:
            delattr(target, name)
        except AttributeError:
            pass


@action
def spoil_attributes_of_request(scene):
    target = need(scene.request)
    for name in "headers connection body method path host host_name arguments files server_connection".split():
        setattr(target, name, 5)


@action
def spoil_server(scene):
    scene.server.conn_params = None
    scene.server.request_callback = None
    scene.server._connections = None
    scene.server.protocol = 5
    scene.restore_server = True


@action
def delete_attributes_of_server(scene):
    for name in ("conn_params", "request_callback", "_connections", "protocol", "xheaders"):
        delattr(scene.server, name)
    scene.restore_server = True


@action
def replace_rules(scene):
    router = scene.application.default_router
    router.rules[:] = list(router.rules)
    scene.application.add_handlers(".*", [("/more", RequestHandler)])


@action
def change_class_of_handler(scene):
    handler = need(scene.handler)
    handler.__class__ = type("Other", (type(handler),), {"on_finish": lambda self: None})


def raising(exception):
    def act(scene):
        raise exception("evil")

    act.__name__ = "raise_" + exception.__name__
    action(act)


for _exception in (
    ValueError,
    tornado.web.HTTPError,
    tornado.web.Finish,
    tornado.httputil.HTTPInputError,
    tornado.httputil.HTTPOutputError,
    asyncio.CancelledError,
    GeneratorExit,
    StopIteration,
    BaseException,
    MemoryError,
    RecursionError,
    KeyboardInterrupt,
    SystemExit,
):
    if _exception in (tornado.web.HTTPError, tornado.web.Finish):

        def _act(scene, exception=_exception):
            raise exception()

        _act.__name__ = "raise_" + _exception.__name__
        action(_act)
    else:
        raising(_exception)

EXITS = {"raise_KeyboardInterrupt", "raise_SystemExit"}
#: After these the server, or the bystander's connection, is gone by request.
NO_SERVICE = {"close_engine", "close_engine_and_exit"}
NO_BYSTANDER = {"close_all_connections", "close_all_connections_at_once", "drop_references"}


# -- the scene --


class Scene:
    """A server, a bystander's connection that must not suffer, and a victim's."""

    def __init__(self, act):
        self.act = act
        self.fired = 0
        self.skipped = False
        self.handler = self.request = self.exchange = None
        self.client = None
        self.streams = []
        self.tasks = []
        self.bystanders = weakref.WeakSet()
        self.restore_server = False

    def fire(self, handler=None, request=None, exchange=None):
        """Called from the hook under test; only the first call after arming acts."""
        if self.client is None or self.fired:
            return
        self.fired = 1
        self.handler = handler
        if request is None and handler is not None:
            request = getattr(handler, "request", None)
        self.request = request
        self.exchange = exchange if exchange is not None else getattr(request, "connection", None)
        del handler, request, exchange
        try:
            self.act(self)
        except Skipped:
            self.skipped = True
        except RuntimeError as e:
            # Python's own answer to what the action tried; the exception may not look like one of tornadoc's.
            if "another request" not in str(e):
                raise
            self.skipped = True

    def victims(self):
        found = [c for c in list(self.server._connections) if c not in self.bystanders]
        if not found:
            raise Skipped
        return found

    def forget(self):
        self.handler = self.request = self.exchange = None


class Bystander(RequestHandler):
    scene = None

    def get(self):
        if self.scene is not None:
            self.scene.bystanders.add(self.request.server_connection)
        self.write("unharmed")


async def play(scene, hook):
    plan = hook(scene)
    if "application" not in plan:
        rules = [("/unharmed", type("B", (Bystander,), {"scene": scene})), *plan.get("rules", ())]
        plan["application"] = Application(rules, **plan.get("settings", {}))
    scene.application = plan["application"]
    callback = plan.get("callback", scene.application)
    server_class = plan.get("server_class", tornadoc.httpserver.HTTPServer)
    options = dict(plan.get("options", {}))
    tls = None
    if "ssl_options" in options or os.environ.get("EVIL_TLS"):
        options.setdefault("ssl_options", server_context())
        tls = client_context()
    async with Running(callback, server_class, tls, **options) as running:
        scene.server = running.server
        scene.engine = _engine.current_engine()
        saved = dict(vars(scene.server))
        if "arrange" in plan:
            plan["arrange"]()
        bystander = await running.client()
        if plan.get("general"):
            # The raw server answers everything alike: the bystander is known by being first.
            bystander.send(request("/unharmed"))
            await bystander.answer()
            scene.bystanders.update(scene.server._connections)
        else:
            assert (await bystander.get("/unharmed")).body == b"unharmed"
        assert len(scene.bystanders) == 1
        name = scene.act.__name__
        client = scene.client = await Client.connect(running.port, None if plan.get("plain_client") else tls)
        running.clients.append(client)
        for piece in plan["send"]:
            if piece is ...:
                await until(lambda: scene.fired or plan["ready"](), "the hook's request made no progress")
            elif callable(piece):
                result = piece(client)
                if inspect.isawaitable(result):
                    await result
            else:
                client.send(piece)
                await settle()
        try:
            await until(lambda: scene.fired, "the hook was not called")
            await settle()
            for task in scene.tasks:
                await task
            if scene.restore_server:
                vars(scene.server).update(saved)
            if name not in NO_SERVICE and name not in NO_BYSTANDER:
                for _ in range(2):
                    bystander.send(request("/unharmed"))
                    assert (await bystander.answer()).body == b"unharmed", "the bystander suffered"
            if name not in NO_SERVICE and name != "stop_server":
                answer = await (await running.client()).get("/unharmed")
                assert answer.body == b"unharmed", "a new client is not served"
            client.close()
            await settle()
            gc.collect()
            if name not in NO_SERVICE and name not in NO_BYSTANDER:
                bystander.send(request("/unharmed"))
                assert (await bystander.answer()).body == b"unharmed", "the bystander suffered in the end"
            if name in NO_SERVICE:
                scene.server._sockets.clear()  # closed with the engine, which TCPServer.stop() does not expect
        finally:
            for stream in scene.streams:
                stream.close()
            if "cleanup" in plan:
                plan["cleanup"]()
            if scene.restore_server:
                vars(scene.server).update(saved)
            scene.forget()
            scene.client = None


def perform(hook, act):
    """One scenario in a loop of its own. What went wrong, or ""; and how often an exception left the loop."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda loop, context: None)
    scene = Scene(act)
    left = 0
    task = loop.create_task(asyncio.wait_for(play(scene, hook), 2 * PATIENCE))
    problem = ""
    while True:
        try:
            loop.run_until_complete(task)
        except (KeyboardInterrupt, SystemExit):
            if not task.done():
                left += 1
                continue
            problem = "the exit exception went to the wrong task"
        except BaseException as e:
            where = traceback.extract_tb(e.__traceback__)[-1]
            problem = f"{type(e).__name__}: {e} ({where.name}, line {where.lineno})"
        break
    skipped = scene.skipped
    try:
        pending = asyncio.all_tasks(loop)
        for other in pending:
            other.cancel()
        loop.run_until_complete(asyncio.wait_for(asyncio.gather(*pending, return_exceptions=True), PATIENCE))
    except BaseException as e:
        problem = problem or f"at the end: {type(e).__name__}: {e}"
    loop.close()
    asyncio.set_event_loop(None)
    del scene, task
    gc.collect()
    return problem, left, skipped


def main(names):
    import evil_hooks
    import evil_hooks_io  # noqa: F401
    import evil_hooks_tls  # noqa: F401

    faulthandler.enable()
    warnings.simplefilter("ignore")
    for logger in (access_log, app_log, gen_log, logging.getLogger("asyncio")):
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    access_log.setLevel(logging.CRITICAL)
    complaints = []

    def unraisable(info):
        complaints.append(f"{type(info.exc_value).__name__}: {info.exc_value} in {info.object!r}"[:200])

    sys.unraisablehook = unraisable
    hooks, _, only = names.partition("/")
    for act in ACTIONS.values():
        if only and act.__name__ != only:
            continue
        print(json.dumps({"begin": act.__name__}), flush=True)
        faulthandler.dump_traceback_later(3 * PATIENCE, exit=True)
        problem, left, skipped = perform(evil_hooks.HOOKS[hooks], act)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({"problem": problem, "left": left, "skipped": skipped, "unraisable": complaints[:5]}), flush=True)
        complaints.clear()
        if problem and act is nothing:
            break  # the hook itself is at fault: each action would only wait in vain


if __name__ == "__main__":
    # evil_hooks imports this module by its name.
    sys.modules["evil_scenarios"] = sys.modules["__main__"]
    socket.setdefaulttimeout(PATIENCE)
    main(sys.argv[1])
