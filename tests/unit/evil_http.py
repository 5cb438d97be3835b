"""The stage for Python code that misbehaves while a server is calling it, and what it does there; see evil_stage.py.

A hook gets a Scene and arranges for scene.fire() to be called. It returns a plan, a dict: rules and settings of the application,
options of the server, `send` (pieces of input; ... waits until the scene has fired or `ready` says so; a function gets the
client), or a `callback` of its own (`general`: it is not an Application). With `tls`, all of it goes over TLS.

There is no reference: a deed may have any outcome for its own connection, and must not harm anybody else.
"""

import asyncio
import functools
import gc
import inspect
import logging
import socket
import sys
import traceback
import weakref

import evil_stage
import tornado.httputil
import tornado.routing
import tornado.web
from evil_stage import Registry, Skipped, need
from inprocess import PATIENCE, Client, Running, request, settle, until
from tlsclient import client_context, server_context
from tornado.log import access_log, app_log, gen_log

import tornadoc
from tornadoc import _engine
from tornadoc.web import Application, RequestHandler

#: "engine": the loop is asyncio's, and the engine joins it; "tornadoc": the engine is the loop.
IMPLEMENTATIONS = ("engine", "tornadoc")

# -- what a callback does --

DEEDS = Registry()
deed = DEEDS.add
for _name, _deed in evil_stage.DEEDS.items():
    # The others act on what a World has.
    if _name.startswith(("nothing", "raise_", "stop", "run_", "close_loop", "collect", "many_callbacks", "debug")):
        DEEDS[_name] = _deed
if sys.version_info[:3] == (3, 13, 0):
    # There, asyncio has no running loop any more once it has refused to run it again, or another one.
    del DEEDS["run_loop"], DEEDS["run_other_loop"]


@deed
def close_stream(scene):
    for connection in scene.victims():
        connection.stream.close()


@deed
def close_connection(scene):
    need(scene.exchange).close()


@deed
def detach(scene):
    scene.streams.append(need(scene.exchange).detach())


@deed
def detach_and_raise(scene):
    scene.streams.append(need(scene.exchange).detach())
    raise ValueError("detached")


@deed
def detach_and_answer(scene):
    stream = need(scene.exchange).detach()
    scene.streams.append(stream)
    stream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@deed
def stop_server(scene):
    scene.server.stop()


@deed
def close_all_connections(scene):
    scene.tasks.append(asyncio.ensure_future(scene.server.close_all_connections()))


@deed
def close_all_connections_at_once(scene):
    for connection in list(scene.server._connections):
        connection._close()


@deed
def close_engine(scene):
    scene.engine.close()


@deed
def close_engine_and_exit(scene):
    scene.engine.close()
    raise KeyboardInterrupt


@deed
def finish_handler(scene):
    need(scene.handler).finish("early")


@deed
def finish_connection(scene):
    need(scene.exchange).finish()


@deed
def answer_raw(scene):
    exchange = need(scene.exchange)
    start = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
    exchange.write_headers(start, tornado.httputil.HTTPHeaders({"Content-Length": "2"}), b"ok")
    exchange.finish()


@deed
def write_more(scene):
    if scene.handler is not None:
        scene.handler.write(b"x" * 300000)
        scene.handler.flush()
    for connection in scene.victims():
        connection.stream.write(b"y" * 300000)


@deed
def write_body_without_head(scene):
    need(scene.exchange).write(b"z" * 20000)


@deed
def reenter(scene):
    for _ in range(3):
        scene.engine.run()


@deed
def finish_and_reenter(scene):
    need(scene.handler).finish()
    scene.engine.run()
    scene.engine.run()


@deed
def close_and_reenter(scene):
    close_stream(scene)
    scene.engine.run()


@deed
def close_and_collect(scene):
    close_stream(scene)
    scene.forget()
    gc.collect()


@deed
def drop_references(scene):
    scene.forget()
    scene.server._connections.clear()
    gc.collect()


@deed
def abort_client(scene):
    """The peer's reset is there before the call returns."""
    scene.client.abort()
    scene.engine.run()


@deed
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


@deed
def spoil_attributes_of_handler(scene):
    handler = need(scene.handler)
    for name in SPOILT:
        try:
            setattr(handler, name, 5)
        except (TypeError, AttributeError):
            pass


@deed
def delete_attributes_of_handler(scene):
    handler = need(scene.handler)
    for name in (*SPOILT, "_status_code", "_finished"):
        try:
            delattr(handler, name)
        except (TypeError, AttributeError):
            pass


@deed
def delete_application_of_handler(scene):
    del need(scene.handler).application


@deed
def delete_request_of_handler(scene):
    del need(scene.handler).request


@deed
def replace_request_of_handler(scene):
    need(scene.handler).request = tornado.httputil.HTTPServerRequest("GET", "/", headers=tornado.httputil.HTTPHeaders(Host="a"))


@deed
def replace_application_of_handler(scene):
    need(scene.handler).application = object()


@deed
def delete_attributes_of_request(scene):
    target = need(scene.request)
    for name in ("headers", "connection", "body", "method", "path", "host", "arguments", "server_connection", "_start_time"):
        try:
            delattr(target, name)
        except AttributeError:
            pass


@deed
def spoil_attributes_of_request(scene):
    target = need(scene.request)
    for name in "headers connection body method path host host_name arguments files server_connection".split():
        setattr(target, name, 5)


@deed
def spoil_server(scene):
    scene.server.conn_params = None
    scene.server.request_callback = None
    scene.server._connections = None
    scene.server.protocol = 5
    scene.restore_server = True


@deed
def delete_attributes_of_server(scene):
    for name in ("conn_params", "request_callback", "_connections", "protocol", "xheaders"):
        delattr(scene.server, name)
    scene.restore_server = True


@deed
def replace_rules(scene):
    router = scene.application.default_router
    router.rules[:] = list(router.rules)
    scene.application.add_handlers(".*", [("/more", RequestHandler)])


@deed
def change_class_of_handler(scene):
    handler = need(scene.handler)
    handler.__class__ = type("Other", (type(handler),), {"on_finish": lambda self: None})


for _exception in (
    tornado.web.HTTPError,
    tornado.web.Finish,
    tornado.httputil.HTTPInputError,
    tornado.httputil.HTTPOutputError,
    BaseException,
    RecursionError,
):

    def _raise(scene, exception=_exception):
        raise exception(*(("evil",) if not issubclass(exception, (tornado.web.HTTPError, tornado.web.Finish)) else ()))

    DEEDS["raise_" + _exception.__name__] = _raise

#: These have to leave the loop.
EXITS = {"raise_KeyboardInterrupt", "raise_SystemExit", "stop_and_exit"}
#: After these the server, or the bystander's connection, is gone by request.
NO_SERVICE = {"close_engine", "close_engine_and_exit"}
NO_BYSTANDER = {"close_all_connections", "close_all_connections_at_once", "drop_references"}


# -- the scene --


class Scene:
    """A server, a bystander's connection that must not suffer, and a victim's."""

    def __init__(self, deed, loop):
        self.deed = deed
        self.loop = loop
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
            self.deed(self)
        except Skipped:
            self.skipped = True
        except RuntimeError as e:
            # Python's own answer to what the deed tried; the exception may not look like one of tornadoc's.
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

    def note(self, text):
        pass

    def new_loop(self):
        return type(self.loop)()


class Bystander(RequestHandler):
    scene = None

    def get(self):
        if self.scene is not None:
            self.scene.bystanders.add(self.request.server_connection)
        self.write("unharmed")


async def play(scene, hook, implementation):
    plan = hook(scene)
    if "application" not in plan:
        rules = [("/unharmed", type("B", (Bystander,), {"scene": scene})), *plan.get("rules", ())]
        plan["application"] = Application(rules, **plan.get("settings", {}))
    scene.application = plan["application"]
    callback = plan.get("callback", scene.application)
    server_class = plan.get("server_class", tornadoc.httpserver.HTTPServer)
    options = dict(plan.get("options", {}))
    tls = None
    if "ssl_options" in options or plan.get("tls"):
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
        name = scene.deed_name
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
            # One of the implementations sees the end of the stream, the other a reset.
            if implementation == "tornadoc":
                client.close()
            else:
                client.abort()
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


def prepare():
    """Before the first scenario."""
    for logger in (access_log, app_log, gen_log, logging.getLogger("asyncio")):
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    access_log.setLevel(logging.CRITICAL)
    socket.setdefaulttimeout(PATIENCE)


def perform(hook, deed, implementation, log):
    """One scenario in a loop of its own. `notes` are what Python could raise nowhere; `left` counts exits that left the loop."""
    loop = tornadoc.EventLoop() if implementation == "tornadoc" else asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    loop.set_exception_handler(lambda loop, context: None)
    notes = []
    sys.unraisablehook = functools.partial(evil_stage.unraisable, notes.append)
    scene = Scene(deed, loop)
    scene.deed_name = next(name for name, known in DEEDS.items() if known is deed)
    left = 0
    task = loop.create_task(asyncio.wait_for(play(scene, hook, implementation), 2 * PATIENCE))
    problem = ""
    while True:
        try:
            loop.run_until_complete(task)
        except (KeyboardInterrupt, SystemExit):
            left += 1
            if not task.done():
                continue
            problem = "the exit exception went to the wrong task"
        except BaseException as e:
            if not task.done() and str(e) == "Event loop stopped before Future completed.":
                continue
            where = traceback.extract_tb(e.__traceback__)[-1]
            problem = f"{type(e).__name__}: {e} ({where.name}, line {where.lineno})"
        break
    skipped = scene.skipped
    loop.set_debug(False)
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
    sys.unraisablehook = sys.__unraisablehook__
    return {"notes": notes[:5], "left": left, "skipped": skipped, "problem": problem}
