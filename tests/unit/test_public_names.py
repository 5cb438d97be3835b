"""The names that programs rely on are there, with Tornado's signatures, defaults and kinds."""

import importlib
import inspect
import types

import pytest
import tornado
import tornado.httpserver
import tornado.web

from tornadoc import _overlay

#: Module -> names, and Class -> attributes of it, that README's users are promised.
NAMES = {
    "ioloop": "IOLoop PeriodicCallback",
    "ioloop.IOLoop": """
        current instance start stop run_sync add_callback add_timeout call_later call_at remove_timeout add_handler update_handler
        remove_handler add_future run_in_executor time spawn_callback close make_current clear_current configure split_fd close_fd
        add_callback_from_signal set_default_executor READ WRITE ERROR
    """,
    "platform.asyncio": "AsyncIOLoop AsyncIOMainLoop BaseAsyncIOLoop AddThreadSelectorEventLoop to_asyncio_future",
    "iostream": """
        BaseIOStream IOStream SSLIOStream PipeIOStream StreamClosedError UnsatisfiableReadError StreamBufferFullError
    """,
    "iostream.IOStream": """
        read_until read_until_regex read_bytes read_into read_until_close write close closed set_close_callback set_nodelay
        connect start_tls reading writing fileno close_fd read_from_fd write_to_fd get_fd_error
    """,
    "iostream.SSLIOStream": "wait_for_handshake",
    "tcpserver": "TCPServer",
    "tcpserver.TCPServer": "listen add_sockets add_socket bind start stop handle_stream _handle_connection",
    "httpserver": "HTTPServer",
    "httpserver.HTTPServer": "initialize start_request on_close close_all_connections configurable_base configurable_default",
    "http1connection": "HTTP1Connection HTTP1ServerConnection HTTP1ConnectionParameters",
    "http1connection.HTTP1Connection": """
        write_headers write finish detach close set_close_callback set_max_body_size set_body_timeout read_response
    """,
    "httputil": """
        HTTPHeaders HTTPServerRequest HTTPFile HTTPConnection HTTPMessageDelegate HTTPServerConnectionDelegate RequestStartLine
        ResponseStartLine HTTPInputError HTTPOutputError parse_body_arguments parse_multipart_form_data parse_cookie url_concat
        format_timestamp split_host_and_port qs_to_qsl responses
    """,
    "routing": """
        Router RuleRouter ReversibleRuleRouter Rule URLSpec Matcher HostMatches PathMatches AnyMatches DefaultHostMatches
    """,
    "web": """
        RequestHandler Application HTTPError Finish MissingArgumentError StaticFileHandler RedirectHandler ErrorHandler
        FallbackHandler authenticated addslash removeslash stream_request_body OutputTransform GZipContentEncoding UIModule
        create_signed_value decode_signed_value URLSpec url _has_stream_request_body
    """,
    "web.Application": """
        listen add_handlers find_handler get_handler_delegate log_request reverse_url start_request on_close __call__
    """,
    "websocket": """
        WebSocketHandler WebSocketProtocol13 websocket_connect WebSocketClientConnection WebSocketClosedError
    """,
    "netutil": "bind_sockets bind_unix_socket add_accept_handler is_valid_ip ssl_wrap_socket",
    "process": "fork_processes task_id Subprocess",
    "gen": "convert_yielded with_timeout coroutine",
    "concurrent": "Future future_set_result_unless_cancelled chain_future",
    "log": "access_log app_log gen_log",
}
if tornado.version_info >= (6, 6):
    NAMES["httputil"] += " set_parse_body_config"


def resolve(package, dotted):
    """`package.dotted`, where the end may be a class of the module."""
    module, _, name = dotted.rpartition(".")
    if name[:1].isupper():
        return getattr(importlib.import_module(f"{package}.{module}"), name)
    return importlib.import_module(f"{package}.{dotted}")


PAIRS = [(place, name) for place, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize("place, name", PAIRS)
def test_a_name_is_there_and_of_the_same_kind(place, name):
    expected, found = (getattr(resolve(package, place), name) for package in ("tornado", "tornadoc"))
    if isinstance(expected, type):
        assert isinstance(found, type) and issubclass(found, expected)
    elif not callable(expected):
        assert found == expected
    else:
        assert callable(found)


#: Tornado's classes and functions, and tornadoc's in their place.
REPLACED = [pair for names in _overlay.table().values() for pair in names.values()]
#: Arguments that came with Tornado before 6 are taken as well; and what Tornado's method gets is handed on as it came.
ACCEPTS_MORE = {
    "connect",
    "wait_for_handshake",
    "BaseIOStream",
    "get_handler_delegate",
    "add_accept_handler",
    "PeriodicCallback",
    "HTTP1Connection.write",
}


def parameters(thing):
    """Names, kinds and defaults; whether `self` has a name says only if a method is written in C."""
    given = list(inspect.signature(thing).parameters.values())
    return [(p.name, str(p.kind), p.default) for p in given if p.name != "self"]


def attributes():
    for old, new in REPLACED:
        if isinstance(old, type):
            for name in dir(old):
                if not name.startswith("__"):
                    yield pytest.param(old, new, name, id=f"{old.__name__}.{name}")


@pytest.mark.parametrize("old, new", [pytest.param(*pair, id=pair[0].__name__) for pair in REPLACED])
def test_signatures_of_what_is_replaced(old, new):
    if old.__name__ not in ACCEPTS_MORE:
        assert parameters(new) == parameters(old)


@pytest.mark.parametrize("old, new, name", list(attributes()))
def test_attributes_of_what_is_replaced(old, new, name):
    expected, found = inspect.getattr_static(old, name), inspect.getattr_static(new, name)
    if isinstance(expected, property):
        assert isinstance(found, (property, types.GetSetDescriptorType))
        assert found.__doc__ or not expected.__doc__
    elif isinstance(expected, (types.FunctionType, staticmethod, classmethod)):
        assert callable(getattr(new, name))
        if name not in ACCEPTS_MORE and not name.startswith("_"):
            assert parameters(getattr(new, name)) == parameters(getattr(old, name))
    elif expected is None and tornado.version_info < (6, 6):
        # What Tornado 6.6 only annotates: here the objects have it.
        assert found is None or isinstance(found, (types.GetSetDescriptorType, types.MemberDescriptorType))
    elif isinstance(expected, (int, str, tuple, bool, type(None))):
        assert found == expected
    else:
        assert hasattr(new, name)


def test_methods_of_connections_have_the_same_signatures():
    from tornadoc.http1connection import NativeHTTP1Connection

    for name in NAMES["http1connection.HTTP1Connection"].split():
        expected = parameters(getattr(tornado.http1connection.HTTP1Connection, name))
        if f"HTTP1Connection.{name}" not in ACCEPTS_MORE:
            assert parameters(getattr(NativeHTTP1Connection, name)) == expected, name
