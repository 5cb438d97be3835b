"""Hands the Python objects that the native code works with to it, and names the classes that its fast path takes for granted."""

from __future__ import annotations

import _socket
import asyncio
import collections
import functools
import hashlib
import io
import logging
import re
import socket
import ssl
import sys
import time
import weakref

import tornado
import tornado.escape
import tornado.http1connection
import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.log
import tornado.platform.asyncio
import tornado.web
import tornado.websocket

from tornadoc import (
    _access_log,
    _engine,
    _json_text,
    _native,
    _run,
    _stream_callbacks,
    _tls,
    _transforms,
    _transports,
    _websocket,
    http1connection,
    httpserver,
    httputil,
    ioloop,
    iostream,
    loop,
    routing,
    web,
)
from tornadoc._originals import control_characters, function, originals, query_functions
from tornadoc.platform import asyncio as platform_asyncio

try:
    from _sha1 import sha1 as sha1_of_block  # type: ignore[import-not-found]
except ImportError:
    sha1_of_block = hashlib.sha1


_bound = False


def bind() -> None:
    """Called when tornadoc is imported. Once more when it is reloaded, maybe with its own classes under Tornado's names."""
    global _bound
    if _bound:
        return
    _bound = True
    _native.bind(
        # tornadoc's classes, which native code makes objects of
        HTTPHeaders=httputil.HTTPHeaders,
        HTTPServerRequest=httputil.HTTPServerRequest,
        HTTP1Connection=http1connection.NativeHTTP1Connection,
        HTTP1ServerConnection=http1connection.NativeHTTP1ServerConnection,
        # Tornado's
        httputil=tornado.httputil,
        tornado_HTTPHeaders=tornado.httputil.HTTPHeaders,
        tornado_RequestHandler=tornado.web.RequestHandler,
        HTTPError=tornado.web.HTTPError,
        HTTPInputError=tornado.httputil.HTTPInputError,
        HTTPOutputError=tornado.httputil.HTTPOutputError,
        StreamClosedError=tornado.iostream.StreamClosedError,
        RequestStartLine=tornado.httputil.RequestStartLine,
        ResponseStartLine=tornado.httputil.ResponseStartLine,
        gzip_delegate=tornado.http1connection._GzipMessageDelegate,
        app_log=tornado.log.app_log,
        gen_log=tornado.log.gen_log,
        escape=tornado.escape,
        web_globals=vars(tornado.web),
        responses=tornado.httputil.responses,  # type: ignore[attr-defined]
        server_version="TornadoServer/" + tornado.version,
        # the standard library's
        Future=asyncio.Future,
        CancelledError=asyncio.CancelledError,
        BufferedProtocol=asyncio.BufferedProtocol,
        SelectorEventLoop=asyncio.SelectorEventLoop,
        socket=socket.socket,
        socket_recv=_socket.socket.recv,
        socket_recv_into=_socket.socket.recv_into,
        socket_send=_socket.socket.send,
        sha1=hashlib.sha1,
        sha1_of_block=sha1_of_block,
        SSLEOFError=ssl.SSLEOFError,
        SSLError=ssl.SSLError,
        SSLWantReadError=ssl.SSLWantReadError,
        SSLZeroReturnError=ssl.SSLZeroReturnError,
        # functions of this package
        accepted_socket=_run.accepted_socket,
        adopt=iostream.adopt,
        let_go=iostream.let_go,
        flush_transformed=_transforms.flush,
        compile_routes=routing.compile_routes,
        create_task_function=asyncio.BaseEventLoop.create_task,
        create_task_code=getattr(asyncio.BaseEventLoop.create_task, "__code__", None),
        default_route=routing.default_route,
        engine_of=_engine.engine_of,
        extract_stack=loop.extract_stack,
        get_running_loop=asyncio._get_running_loop,
        futures=asyncio.futures,
        loop_keyword=("loop",),
        tasks=asyncio.tasks,
        log_io_loop=ioloop.log_callback,
        partial=functools.partial,
        time=time,
        watch_result=ioloop.watch_result,
        write_with_callback=http1connection.write_with_callback,
        WeakValueDictionary=weakref.WeakValueDictionary,
        write_access_line=_access_log.write_line,
        logger_methods=originals(*logging.Logger.__mro__[:-1]),
        logger_size=_access_log.LOGGER_SIZE,
        # None if something is replaced already
        json_parts=_json_text.find_parts(),
        hand_over=_run.hand_over,
        make_context=_run.make_context,
        log_callback=http1connection.log_callback,
        log_exception=http1connection.log_exception,
        log_message=http1connection.log_message,
        log_transport=_transports.log_transport,
        make_stream=iostream.make_stream,
        # streams
        deque=collections.deque,
        exc_info=sys.exc_info,
        FileIO=io.FileIO,
        IOLoop=tornado.ioloop.IOLoop,
        IOStream=iostream.IOStream,
        PipeIOStream=iostream.PipeIOStream,
        SSLIOStream=iostream.SSLIOStream,
        re_compile=re.compile,
        SSLSocket=ssl.SSLSocket,
        SSLWantWriteError=ssl.SSLWantWriteError,
        ssl_recv_into=ssl.SSLSocket.recv_into,
        ssl_send=ssl.SSLSocket.send,
        StreamBufferFullError=tornado.iostream.StreamBufferFullError,
        stream_engine=iostream.find_engine,
        stream_legacy=_stream_callbacks.call_with_callback,
        stream_log=iostream.log_stream,
        stream_silence=iostream.silence,
        tornado_BaseIOStream=iostream._BaseIOStream,
        tornado_IOStream=iostream._IOStream,
        tornado_PipeIOStream=iostream._PipeIOStream,
        tornado_SSLIOStream=iostream._SSLIOStream,
        UnsatisfiableReadError=tornado.iostream.UnsatisfiableReadError,
        make_ui=_run.make_ui,
        # None if somebody has wrapped it already
        parse_body=originals(tornado.httputil.HTTPServerRequest).get("_parse_body"),
        parse_body_arguments=function(vars(tornado.httputil), "parse_body_arguments", tornado.httputil.__file__),
        poll_socket=_transports.poll_socket,
        parse_query=_run.parse_query,
        query_functions=query_functions(),
        control_characters=control_characters(),
        raise_error=_run.raise_error,
        report_callback=loop.report_callback,
        report_slow=loop.report_slow,
        report_uncaught=_run.report_uncaught,
        reset_caches=_run.reset_caches,
        route_classes=routing.ROUTE_CLASSES,
        run_delegate=_run.run_delegate,
        delegate_task=_run.delegate_task,
        enter_task=_run.enter_task,
        leave_task=_run.leave_task,
        run_general=_run.run_general,
        split_host=_run.split_host,
        start_task=_run.start_task,
        warn_lost_write=_transports.warn_lost_write,
        tls_adopt=_tls.adopt,
        tls_context=_tls.context,
        tls_stream=_tls.make_stream,
        tls_wrap=_tls.wrap,
    )
    _native.guard(
        "handler",
        web.RequestHandler,
        tornado.web.RequestHandler,
        originals(tornado.web.RequestHandler),
    )
    _native.guard(
        "application",
        web.Application,
        tornado.web.Application,
        originals(*tornado.web.Application.__mro__[:-1]),
    )
    _native.guard(
        "server",
        httpserver.HTTPServer,
        tornado.httpserver.HTTPServer,
        originals(*tornado.httpserver.HTTPServer.__mro__[:-1]),
    )
    _native.guard(
        "exchange",
        http1connection.NativeHTTP1Connection,
        tornado.http1connection.HTTP1Connection,
        originals(tornado.http1connection.HTTP1Connection),
    )
    _native.guard("loop", loop.EventLoop, asyncio.SelectorEventLoop, originals(*asyncio.SelectorEventLoop.__mro__[:-1]))
    _native.guard(
        "io_loop",
        platform_asyncio.BaseAsyncIOLoop,
        tornado.platform.asyncio.BaseAsyncIOLoop,
        originals(*tornado.platform.asyncio.BaseAsyncIOLoop.__mro__[:-1]),
    )
    _native.guard(
        "websocket",
        _websocket.Protocol,
        tornado.websocket.WebSocketProtocol13,
        originals(tornado.websocket.WebSocketProtocol13),
    )
    for name, cls, original in (
        ("iostream", iostream.IOStream, iostream._IOStream),
        ("ssl_iostream", iostream.SSLIOStream, iostream._SSLIOStream),
        ("pipe_iostream", iostream.PipeIOStream, iostream._PipeIOStream),
    ):
        _native.guard(name, cls, original, originals(*original.__mro__[:-1]))  # type: ignore[arg-type]
    _native.guard("socket", socket.socket, _socket.socket, dict(vars(_socket.socket)))
