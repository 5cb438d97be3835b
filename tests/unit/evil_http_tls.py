"""HOOKS of connections over TLS; see evil_http.py. The victim's client is a plain one, whose bytes are made here."""

import asyncio

import evil_http
import evil_http_connections
import evil_http_handlers
from evil_http_connections import logging_hook
from evil_http_handlers import plan, simple
from evil_stage import Registry
from inprocess import request
from tlsclient import TLSClient, client_context, server_context
from tornado.log import gen_log

STAGE = evil_http
HOOKS = Registry()
hook = HOOKS.add

#: Hooks of the other files that are tried over TLS as well.
OVER_TLS = """method method_after_flush method_pipelined coroutine_method future_of_flush streaming_data streaming_close
    delegate_start delegate_headers delegate_data delegate_close write_before finish_after on_finish_after
    flush_after initialize_before on_connection_close close_callback stream_close_callback server_on_close
    logging_access logging_malformed""".split()


def secure(made, context=None):
    made["options"] = {"ssl_options": context or server_context()}
    made["plain_client"] = True
    return made


def over(client):
    return TLSClient(client.reader, client.writer, client_context())


async def say_hello(scene, client):
    """A handshake and a request, as far as they go."""
    tls = over(client)
    handshake = asyncio.ensure_future(tls.handshake())
    while not handshake.done() and not (scene.fired and scene.deed_name in evil_http.NO_SERVICE):
        # Without the engine that it shares with the server, the client would hear of nothing.
        await asyncio.wait([handshake], timeout=0.1)
    handshake.cancel()
    try:
        await handshake
        tls.send(request("/v"))
    except (OSError, asyncio.TimeoutError, asyncio.CancelledError):
        pass  # the connection is gone, or its handshake failed


@hook
def tls_server_name(scene):
    """The callback that a context calls in the middle of a handshake."""
    context = server_context()
    context.sni_callback = lambda sock, name, context: scene.fire()

    return secure(plan(simple(), send=[lambda client: say_hello(scene, client)]), context)


@hook
def tls_server_name_late(scene):
    """The same, where the context has its callback only after the connection was accepted."""
    context = server_context()
    made = plan(simple())

    async def hello(client):
        context.sni_callback = lambda sock, name, context: scene.fire()
        await say_hello(scene, client)

    made["send"] = [hello]
    return secure(made, context)


logging_hook("tls_handshake", gen_log, lambda box: secure(plan(simple(), send=[request("/v")])), HOOKS)


async def _spoiled(client):
    tls = over(client)
    await tls.handshake()
    data = bytearray(tls.seal(request("/v")))
    data[-1] ^= 1
    tls.send_raw(bytes(data))


async def _spoiled_behind(client):
    tls = over(client)
    await tls.handshake()
    good = tls.seal(request("/v"))
    data = bytearray(tls.seal(request("/v")))
    data[-1] ^= 1
    tls.send_raw(good + bytes(data))


logging_hook("tls_read", gen_log, lambda box: secure(plan(simple(), send=[_spoiled])), HOOKS)
logging_hook("tls_read_behind", gen_log, lambda box: secure(plan(simple(), send=[_spoiled_behind])), HOOKS)

for _name in OVER_TLS:
    _hook = evil_http_handlers.HOOKS.get(_name) or evil_http_connections.HOOKS[_name]
    HOOKS[_name + "_over_tls"] = lambda scene, hook=_hook: {**hook(scene), "tls": True}
