"""Every private name that programs are known to touch, touched in every way: Tornado's result and tornadoc's are the same.

`NAMES` is the list: what is touched, on which object. The ways are in `WAYS`.
"""

import asyncio

import pytest
import tornado
import tornado.web
from sidebyside import compare, get, patched
from test_overrides import brief
from tornado.httputil import HTTPHeaders

#: Object -> names that are data. Each is touched while a request is handled.
NAMES = {
    "handler": """
        application request _headers _headers_written _finished _auto_finish _prepared_future _transforms _write_buffer
        _status_code _reason _new_cookie _xsrf_token _current_user path_args path_kwargs ui
    """,
    "request": """
        method uri version headers body remote_ip protocol host host_name files connection server_connection _start_time
        _finish_time path query arguments query_arguments body_arguments _body_future _cookies
    """,
    "connection": """
        no_keep_alive context params stream is_client _request_start_line _request_headers _response_start_line
        _chunking_output _disconnect_on_finish _write_finished _read_finished _max_body_size _body_timeout
    """,
    "context": "remote_ip protocol address address_family _orig_remote_ip _orig_protocol trusted_downstream",
    "application": """
        settings transforms default_host ui_modules ui_methods wildcard_router default_router elasticapm_client
    """,
    "server": """
        request_callback xheaders protocol conn_params ssl_options _sockets _handlers _pending_sockets _started _stopped
        max_buffer_size read_chunk_size _connections trusted_downstream
    """,
    "params": "no_keep_alive chunk_size max_header_size header_timeout max_body_size body_timeout decompress",
    "rule": "matcher target target_kwargs name regex handler_class kwargs",
    "matcher": "regex _path _group_count",
}
#: Object -> names that are methods.
METHODS = {
    "handler": """
        _execute _log _handle_request_exception _request_summary _unimplemented_method _convert_header_value
        _clear_representation_headers _break_cycles _ui_module _ui_method get_status on_finish on_connection_close log_exception
        flush finish write clear set_status set_header add_header clear_header compute_etag set_etag_header check_etag_header
        prepare decode_argument send_error write_error set_default_headers initialize _get_argument _get_arguments get_argument
    """,
    "request": "_parse_body full_url request_time get_ssl_certificate",
    "connection": """
        write_headers write finish set_close_callback detach close set_max_body_size set_body_timeout read_response
    """,
    "context": "_apply_xheaders _unapply_xheaders",
    "application": "log_request find_handler get_handler_delegate reverse_url add_handlers start_request",
    "server": "handle_stream _handle_connection start_request on_close close_all_connections listen add_sockets stop",
    "matcher": "match reverse _find_groups",
}

#: What README names as different: attributes that can't be assigned or deleted.
READ_ONLY = {("connection", name) for name in ("context", "params", "stream")}
#: And those that can't be deleted, because objects have them in C.
NOT_DELETED = {
    *(("handler", name) for name in "_headers _headers_written _finished _auto_finish _prepared_future ui".split()),
    *(("handler", name) for name in "_write_buffer _status_code _reason".split()),
    *(("connection", name) for name in "no_keep_alive _max_body_size _body_timeout".split()),
}
if tornado.version_info < (6, 6):
    # Tornado's classes have None under these names, which is seen again behind what is deleted.
    NOT_DELETED |= {("handler", name) for name in "_transforms path_args path_kwargs".split()}
    NOT_DELETED |= {("request", name) for name in "path query".split()}

#: The state of Tornado's connection while it runs, which nothing is known to assign: there is no such state here.
INTERNAL = {
    ("connection", name)
    for name in """
        is_client _request_start_line _request_headers _response_start_line _chunking_output _disconnect_on_finish
        _write_finished _read_finished
    """.split()
}


def objects(handler, server):
    request = handler.request
    rule = handler.application.wildcard_router.rules[0]
    connection = request.connection
    return {
        "handler": handler,
        "request": request,
        "connection": connection,
        "context": connection.context,
        "application": handler.application,
        "server": server,
        "params": server.conn_params,
        "rule": rule,
        "matcher": rule.matcher,
    }


def told(value):
    """A value as far as both sides must agree on it."""
    if isinstance(value, float):
        return "float"
    if isinstance(value, bytes) and value.startswith(b"2|"):
        return "a masked token"
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "127.0.0.1":
        return "an address"
    if isinstance(value, HTTPHeaders):
        return sorted(name for name in value if name != "Date")
    kind = type(value).__name__.replace("Native", "").replace("ConnectionStream", "IOStream")
    return (
        kind
        if kind in ("PathMatches", "dict", "set")
        else brief(value)
        if isinstance(value, (list, tuple))
        else (repr(value) if isinstance(value, (str, bytes, int, type(None))) else kind)
    )


def fresh(value):
    """An equal object, where such things have one."""
    if isinstance(value, HTTPHeaders):
        return HTTPHeaders(value)
    if isinstance(value, (list, dict, set)):
        return type(value)(value) if type(value) in (list, dict, set) else value.copy()
    return value


def read(side, thing, name):
    try:
        side.note(name, told(getattr(thing, name)))
    except AttributeError:
        side.note(name, "is not there")


def assign(side, thing, name):
    try:
        value = getattr(thing, name)
    except AttributeError:
        value = None
    setattr(thing, name, value)
    side.note(name, getattr(thing, name) == value)


def replace(side, thing, name):
    value = fresh(getattr(thing, name, None))
    setattr(thing, name, value)
    side.note(name, getattr(thing, name) == value, told(value))


def delete(side, thing, name):
    """Taken off, and put back: without some, no answer could be given."""
    missing = object()
    value = getattr(thing, name, missing)
    try:
        delattr(thing, name)
    except AttributeError:
        side.note(name, "can't be deleted")
        return
    side.note(name, hasattr(thing, name))
    if value is not missing:
        setattr(thing, name, value)


WAYS = {"read": read, "assigned": assign, "replaced": replace, "deleted": delete}
COOKIE = "Cookie: _xsrf=x; e=f"  # without one, a random one is set
REQUESTS = [
    get("/a/b?c=d", COOKIE),
    get("/a/chunks", COOKIE, close=False) + get("/a/b", COOKIE),
    get("/a/later", COOKIE),
    get("/a/fails", COOKIE),
    get("/a/b", COOKIE, "Content-Type: application/x-www-form-urlencoded", method="POST", body=b"c=d"),
]


def make_handler(side, touched):
    class Handler(side.RequestHandler):
        def get(self, what):
            self.xsrf_token  # noqa: B018
            self.current_user  # noqa: B018
            self.set_cookie("g", "h")
            if what == "chunks":
                self.write("one")
                self.flush()
            touched(self)
            if what == "later":
                return self.later()
            if what == "fails":
                raise ValueError("wanted")
            self.write("text")
            return None

        async def later(self):
            await asyncio.sleep(0)
            self.write("later")

        def post(self, what):
            touched(self)
            self.write(self.get_argument("c"))

    return Handler


async def served(side, touched, requests=REQUESTS):
    """The answers of a server whose handlers call touched(handler, server)."""
    server = None
    handler = make_handler(side, lambda handler: touched(handler, server))
    server = side.serve(side.Application([side.routing.URLSpec("/a/(.*)", handler, {}, name="a")]))
    return [await side.fetch(request) for request in requests]


DATA = [(thing, name) for thing, names in NAMES.items() for name in names.split()]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("thing, name", DATA)
def test_data(thing, name, way):
    refused = {"read": set(), "deleted": NOT_DELETED | INTERNAL | READ_ONLY}.get(way, INTERNAL | READ_ONLY)
    if (thing, name) in refused:
        pytest.skip("README says that it can't be, or nothing is known to do it")

    async def scenario(side):
        before = {}

        def touched(handler, server):
            target = objects(handler, server)[thing]
            if thing not in ("handler", "request", "connection") and id(target) not in before:
                before[id(target)] = target, dict(vars(target))
            WAYS[way](side, target, name)

        try:
            return await served(side, touched)
        finally:
            for target, state in before.values():
                for each, value in state.items():
                    if each != "_connections":  # the one in use knows which have ended
                        setattr(target, each, value)

    compare(scenario)


#: What Tornado's connection calls on itself: the native one closes and reads without it.
OWN_BUSINESS = {("connection", "close"), ("connection", "read_response")}
#: What Tornado takes when it starts to listen; tornadoc, when somebody connects.
TAKEN_EARLY = {("server", "_handle_connection")}

CALLABLE = [(thing, name) for thing, names in METHODS.items() for name in names.split()]


def wrapped(side, name, call):
    """A function in the place of a method, which notes its calls and goes on to it."""

    def method(*args, **kwargs):
        what = name, [type(arg).__name__ for arg in args if isinstance(arg, (str, bytes, int))], sorted(kwargs)
        # Tornado asks for a delegate as soon as it could read another request, tornadoc when there is one.
        if name not in ("start_request", "on_close") or what not in side.noted:
            side.note(*what)
        return call(*args, **kwargs)

    return method


@pytest.mark.parametrize("thing, name", [each for each in CALLABLE if each not in OWN_BUSINESS | TAKEN_EARLY])
def test_a_method_wrapped_on_the_object(thing, name):
    async def scenario(side):
        undo = []

        def touched(handler, server):
            target = objects(handler, server)[thing]
            if name not in vars(target):
                setattr(target, name, wrapped(side, name, getattr(target, name)))
                if thing not in ("handler", "request", "connection"):
                    undo.append(target)

        answers = await served(side, touched)
        for target in undo:
            delattr(target, name)
        return answers, [await side.fetch(request) for request in REQUESTS[:2]]

    compare(scenario)


@pytest.mark.parametrize("thing, name", [each for each in CALLABLE if each not in OWN_BUSINESS])
def test_a_method_set_on_the_type_and_taken_off_again(thing, name):
    async def scenario(side):
        kinds = {}

        def look(handler, server):
            kinds.update({key: type(target) for key, target in objects(handler, server).items()})

        first = await served(side, look)
        kind = kinds[thing]
        with patched(kind, name, wrapped(side, name, getattr(kind, name))):
            during = [await side.fetch(request) for request in REQUESTS]
            during += await served(side, lambda handler, server: None)
        after = [await side.fetch(request) for request in REQUESTS]
        return first, during, after

    if (thing, name) == ("handler", "initialize"):
        pytest.skip("the class's own is bound at the first object")
    compare(scenario)


HIDDEN = "application request _headers _headers_written _finished _auto_finish ui _write_buffer _status_code _reason".split()
HIDDEN += ["_transforms", "path_args", "path_kwargs", "_prepared_future"]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("where", ["mixin", "class", "base later"])
def test_a_class_attribute_of_the_name(name, where):
    """As mixins have them for type checkers: the object's own attribute is what counts."""

    async def scenario(side):
        seen = lambda handler, server: side.note(name, told(getattr(handler, name)))  # noqa: E731
        handler = make_handler(side, lambda handler: seen(handler, None))
        if where == "mixin":
            handler = type("Handler", (type("Mixin", (), {name: None}), handler), {})
        elif where == "class":
            setattr(handler, name, None)
        side.serve(side.Application([("/a/(.*)", handler)]))
        answers = [await side.fetch(request) for request in REQUESTS]
        if where == "base later":
            with patched(side.RequestHandler, name, None):
                answers += [await side.fetch(request) for request in REQUESTS]
            answers += [await side.fetch(request) for request in REQUESTS]
        return answers

    compare(scenario)


@pytest.mark.parametrize("name", HIDDEN)
def test_a_property_of_the_name(name):
    async def scenario(side):
        def getter(self):
            return vars(self)["kept " + name]

        def setter(self, value):
            side.note("set", told(value))
            vars(self)["kept " + name] = value

        class Handler(make_handler(side, lambda handler: side.note(told(getattr(handler, name))))):
            pass

        setattr(Handler, name, property(getter, setter))
        side.serve(side.Application([("/a/(.*)", Handler)]))
        return [await side.fetch(request) for request in REQUESTS]

    assert compare(scenario).noted


@pytest.mark.parametrize("name", ["settings", "transforms", "default_router", "wildcard_router", "ui_methods", "default_host"])
def test_a_class_attribute_of_an_application(name):
    async def scenario(side):
        cls = type("Application", (type("Mixin", (), {name: None}), side.Application), {})
        handler = make_handler(side, lambda handler: side.note(name, told(getattr(handler.application, name))))
        side.serve(cls([("/a/(.*)", handler)], xsrf_cookies=True))
        return [await side.fetch(request) for request in REQUESTS]

    compare(scenario)


def test_the_unimplemented_method_is_one_function():
    """It is compared by identity, to tell which methods a handler has."""

    async def scenario(side):
        base = side.RequestHandler

        class Handler(base):
            def get(self):
                self.write(repr([name for name in self.SUPPORTED_METHODS if self.has(name.lower())]))

            def has(self, name):
                return getattr(type(self), name) is not base._unimplemented_method

        side.serve(side.Application([("/", Handler)]))
        return (
            base.get is base._unimplemented_method,
            base._unimplemented_method is tornado.web.RequestHandler._unimplemented_method,
            await side.get(),
        )

    assert compare(scenario).result[2].endswith(b"['GET']")
