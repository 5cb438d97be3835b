"""Handler classes of every shape, defined before and after install(), are answered as by Tornado. Run by test_late_programs.py.

    python handler_shapes.py plain | early | late
"""

# Each class shows what it is about in its answer.
# ruff: noqa: E402, E702

import abc
import asyncio
import dataclasses
import functools
import json
import logging
import sys
import types
import typing

WHEN = sys.argv[1]

if WHEN == "early":
    import tornadoc

    tornadoc.install()

import tornado.httpserver
import tornado.netutil
import tornado.web
import tornado.websocket
from tornado.web import RequestHandler

SHAPES = {}


def shape(cls):
    SHAPES[cls.__name__] = cls
    return cls


class Mixin:
    def get(self): self.write("mixin " + self.extra())

    def extra(self): return "m"


@shape
class MixinBefore(Mixin, RequestHandler):
    pass


@shape
class MixinBehind(RequestHandler, Mixin):
    get = Mixin.get


class Cooperative:
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cooperative = 1


@shape
class CooperativeInit(Cooperative, RequestHandler):
    def get(self): self.write(f"{self.cooperative}")


class Meta(type):
    seen = []

    def __new__(mcs, name, bases, namespace):
        Meta.seen.append(name)
        cls = super().__new__(mcs, name, bases, namespace)
        cls.tag = name
        return cls

    def __call__(cls, *args, **kwargs):
        made = super().__call__(*args, **kwargs)
        made.called = True
        return made


@shape
class WithMetaclass(RequestHandler, metaclass=Meta):
    def get(self): self.write(f"{self.tag} {self.called} {type(self).__name__}")


@shape
class Abstract(RequestHandler, metaclass=abc.ABCMeta):
    @abc.abstractmethod
    def what(self): ...

    def get(self): self.write("abstract " + self.what())


@shape
class Concrete(Abstract):
    def what(self): return "x"


T = typing.TypeVar("T")


@shape
class Generic(RequestHandler, typing.Generic[T]):
    def get(self): self.write("generic")


@shape
class OfInt(Generic[int]):
    pass


class Registering(RequestHandler):
    registry = []

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Registering.registry.append(cls.__name__)


@shape
class Registered(Registering):
    def get(self): self.write(",".join(Registering.registry))


@shape
class Slots(RequestHandler):
    __slots__ = ("held",)

    def get(self): self.held = 3; self.write(f"{self.held}")


@shape
class EmptySlots(RequestHandler):
    __slots__ = ()

    def get(self): self.write("empty slots")


shape(type("ByType", (RequestHandler,), {"get": lambda self: self.write("by type()")}))
shape(types.new_class("NewClass", (RequestHandler,), {}, lambda namespace: namespace.update(get=lambda self: self.write("made"))))


def decorator(cls):
    class Wrapped(cls):
        def prepare(self): self.write("decorated ")

    return functools.update_wrapper(Wrapped, cls, updated=())


@shape
@decorator
class Decorated(RequestHandler):
    def get(self): self.write(self.__class__.__name__)


@shape
@dataclasses.dataclass(init=False, eq=False)
class DataClass(RequestHandler):
    x: int = 5

    def get(self): self.write(f"{self.x} {[field.name for field in dataclasses.fields(self)]}")


@shape
class EarlyAttribute(RequestHandler):
    def __init__(self, *args, **kwargs):
        self.early = 1
        super().__init__(*args, **kwargs)

    def get(self): self.write(f"{self.early} {'early' in vars(self)}")


@shape
class GetAttr(RequestHandler):
    def __getattr__(self, name):
        if name.startswith("dynamic_"):
            return name
        raise AttributeError(name)

    def get(self): self.write(self.dynamic_x)


@shape
class SetAttr(RequestHandler):
    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "mark":
            super().__setattr__("marked", True)

    def get(self): self.mark = 1; self.write(f"{self.marked}")


@shape
class New(RequestHandler):
    def __new__(cls, *args, **kwargs):
        made = super().__new__(cls)
        made.made = "by __new__"
        return made

    def get(self): self.write(self.made)


@shape
class Falsy(RequestHandler):
    def __eq__(self, other): return True

    def __hash__(self): return 1

    def __len__(self): return 0

    def get(self): self.write("falsy")


class First(RequestHandler):
    def prepare(self): super().prepare(); self.write("first ")


class Second(RequestHandler):
    def prepare(self): super().prepare(); self.write("second ")


@shape
class Diamond(First, Second):
    def get(self): self.write(",".join(cls.__name__ for cls in type(self).__mro__ if cls.__module__ == "__main__"))


@shape
class OfWebSocketHandler(tornado.websocket.WebSocketHandler):
    async def get(self): self.write("no handshake")


@shape
class Descriptors(RequestHandler):
    @classmethod
    def of_class(cls): return cls

    @functools.cached_property
    def cached(self): return "cached"

    def get(self): self.write(f"{self.of_class().__name__} {self.cached} {'cached' in vars(self)}")


@shape
class PartialMethod(RequestHandler):
    get = functools.partialmethod(lambda self, text: self.write(text), "partialmethod")


@shape
class Coroutine(RequestHandler):
    async def get(self): await asyncio.sleep(0); self.write(type(self).__name__)


@shape
class Annotated(RequestHandler):
    request: tornado.httputil.HTTPServerRequest

    def get(self): self.write(str(sorted(typing.get_type_hints(type(self)))))


@shape
class OwnExecute(RequestHandler):
    async def _execute(self, transforms, *args, **kwargs):
        self.write("own ")
        await super()._execute(transforms, *args, **kwargs)

    def get(self): self.write("_execute")


@shape
class HiddenRequest(RequestHandler):
    request = None
    application = None
    path_args = ()
    ui = None

    def get(self): self.write(f"{self.request.path} {self.application is not None} {self.path_args} {self.ui is not None}")


@shape
@tornado.web.stream_request_body
class Streaming(RequestHandler):
    def data_received(self, chunk): pass

    def get(self): self.write("streaming")


if WHEN == "late":
    import tornadoc

    tornadoc.install()


async def ask(cls):
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/.*", cls)]))
    (listener,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets([listener])
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(b"GET /path HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    server.stop()
    return answer.partition(b"\r\n")[0].decode() + " | " + answer.partition(b"\r\n\r\n")[2].decode()


async def main():
    return {name: await ask(cls) for name, cls in SHAPES.items()}


logging.getLogger("tornado").setLevel(logging.CRITICAL + 1)
answers = asyncio.run(main())
answers["what the metaclass saw"] = Meta.seen
answers["what registered"] = Registering.registry
tally = {}
if WHEN != "plain":
    from tornadoc import _native

    tally = _native.tally()
print(json.dumps({"answers": answers, "tally": tally}))
