"""HOOKS of Tornado's streams and servers; see evil_stage_loop.py."""

import asyncio
import contextlib
import os
import pathlib
import socket
import ssl
import stat
import sys

HOOKS = {}
MORE_ACTIONS = {}
IMPLEMENTATIONS = ("reference", "engine", "tornadoc")
MUCH = 600_000  # bytes, more than the kernel takes
CERTIFICATES = pathlib.Path(__file__).resolve().parent.parent / "certs"


def register(name, function):
    """Hooks start in the loop."""

    async def start(world):
        try:
            function(world)
        except Exception as e:
            world.note(f"raised {describe(e)}")

    HOOKS[name] = lambda world: world.spawn(start(world))


def hook(function):
    register(function.__name__, function)
    return function


def tornadoc_only(function):
    """A hook of something that Tornado of today has not: the second implementation tells what has to be."""

    def unless_reference(world):
        if world.implementation == "reference":
            world.note("NOT APPLICABLE")
            world.fired = 1
        else:
            function(world)

    register(function.__name__, unless_reference)
    return function


def action(function):
    MORE_ACTIONS[function.__name__] = function
    return function


def subject(world):
    """The stream, unless the hook has none at that point."""
    if world.subject is None:
        raise sys.modules["evil_stage"].Skipped
    return world.subject


def watch(world, what, future):
    """What becomes of a future that an action has got."""

    def done(future):
        world.note(f"{what}: {'cancelled' if future.cancelled() else describe(future.exception() or future.result())}")

    asyncio.ensure_future(future, loop=world.loop).add_done_callback(done)


def describe(value):
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:12]}"
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    return "a stream" if hasattr(value, "read_until") else repr(value)


# -- actions on a stream --


@action
def close_with_error(world):
    subject(world).close(exc_info=(ValueError, ValueError("as its error"), None))


@action
def close_twice_and_write(world):
    subject(world).close()
    subject(world).close()
    watch(world, "written", subject(world).write(b"late"))


@action
def write(world):
    watch(world, "written", subject(world).write(b"written"))


@action
def write_much(world):
    watch(world, "written", subject(world).write(b"x" * MUCH))


@action
def write_much_and_close(world):
    watch(world, "written", subject(world).write(b"x" * MUCH))
    subject(world).close()


@action
def read(world):
    watch(world, "read", subject(world).read_bytes(4))


@action
def read_and_close(world):
    watch(world, "read", subject(world).read_bytes(4))
    subject(world).close()


@action
def read_until_close_and_peer_closes(world):
    watch(world, "read", subject(world).read_until_close())
    world.peer.close()


@action
def read_into_too(world):
    watch(world, "read", subject(world).read_into(bytearray(3)))


@action
def set_close_callback(world):
    subject(world).set_close_callback(lambda: world.note("closed"))


@action
def set_close_callback_and_close(world):
    subject(world).set_close_callback(lambda: world.note("closed"))
    subject(world).close()


@action
def peer_sends(world):
    world.peer.send(b"more")


@action
def peer_closes(world):
    world.peer.close()


@action
def peer_closes_and_write(world):
    world.peer.close()
    for _ in range(3):
        watch(world, "written", subject(world).write(b"into the void"))


@action
def take_read_buffer(world):
    """From here on Tornado's own methods work on the stream."""
    world.keep.append(subject(world)._read_buffer)


@action
def replace_hooks(world):
    stream = subject(world)
    for name in ("read_from_fd", "write_to_fd", "close_fd", "fileno"):
        if hasattr(stream, name):
            setattr(stream, name, getattr(stream, name))


@action
def replace_hooks_and_close(world):
    replace_hooks(world)
    subject(world).close()


@action
def shrink_limits(world):
    subject(world).max_buffer_size = 10
    subject(world).read_chunk_size = 1
    subject(world).max_write_buffer_size = 1


@action
def close_the_socket_itself(world):
    subject(world).socket.close()
    subject(world).close()


@action
def replace_descriptor(world):
    """Another stream gets the number at once."""
    stream = subject(world)
    number = stream.socket.fileno()
    stream.close()
    one, other = world.pair()
    if one.fileno() != number:
        os.dup2(one.fileno(), number)
        one = socket.socket(fileno=number)
        world.sockets.append(one)
    heir = world.module("iostream").IOStream(one)
    world.closers.append(heir.close)
    watch(world, "heir", heir.read_bytes(3))
    world.loop.call_soon(world.loop.call_soon, other.send, b"own")


@action
def new_stream(world):
    one, other = world.pair()
    stream = world.module("iostream").IOStream(one)
    world.closers.append(stream.close)
    watch(world, "new", stream.read_bytes(3))
    other.send(b"new")


# -- hooks --


def open_stream(world, cls=None, **options):
    """A stream over one end of a pair, whose other end is world.peer."""
    one, world.peer = world.pair()
    stream = (cls or world.module("iostream").IOStream)(one, **options)
    adopt(world, stream)
    return stream


def adopt(world, stream):
    world.subject = stream
    world.close = stream.close
    world.close_at_end(stream)


def fires_after(world, name, future, again=None):
    """Both what is called when the future is done, and who waits for it."""
    future = asyncio.ensure_future(future, loop=world.loop)

    def done(future):
        world.fire(f"{name} {'cancelled' if future.cancelled() else describe(future.exception() or future.result())}")

    async def wait():
        try:
            world.note(f"waiter: {describe(await future)}")
        except Exception as e:
            world.note(f"waiter: {e!r}")

    future.add_done_callback(done)
    world.spawn(wait())
    world.cancel = future.cancel
    world.again = again


def soon(world, function, *args):
    world.loop.call_soon(world.loop.call_soon, function, *args)


def drain(world, turns=30):
    """The peer takes whatever is there, for a while."""

    def step(left):
        try:
            while world.peer.recv(1 << 20):
                pass
        except OSError:
            pass
        if left:
            world.loop.call_soon(step, left - 1)

    world.loop.call_soon(step, turns)


READS = {
    "read_until": lambda stream: stream.read_until(b"\n"),
    "read_until_regex": lambda stream: stream.read_until_regex(b"[\n]"),
    "read_bytes": lambda stream: stream.read_bytes(5),
    "read_bytes_partial": lambda stream: stream.read_bytes(100, partial=True),
    "read_into": lambda stream: stream.read_into(bytearray(5)),
    "read_into_partial": lambda stream: stream.read_into(bytearray(100), partial=True),
}


def make_reading(name, start):
    def of_an_event(world):
        stream = open_stream(world)
        fires_after(world, name, start(stream), lambda: watch(world, "again", start(stream)))
        soon(world, world.peer.send, b"some\nrest")

    def at_once(world):
        stream = open_stream(world)
        world.peer.send(b"some\nrest\n")
        fires_after(world, name, start(stream), lambda: watch(world, "again", start(stream)))

    def before_the_end(world):
        stream = open_stream(world)
        stream.set_close_callback(lambda: world.note("close callback"))
        fires_after(world, name, start(stream))
        soon(world, lambda: (world.peer.send(b"some\n"), world.peer.shutdown(socket.SHUT_WR)))

    def closed(world):
        stream = open_stream(world)
        fires_after(world, name, start(stream))
        soon(world, world.peer.close)

    for function in (of_an_event, at_once, before_the_end, closed):
        register(f"{name}_{function.__name__}", function)


for _name, _start in READS.items():
    make_reading(_name, _start)


@hook
def read_until_close(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_until_close())
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@hook
def read_much(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_bytes(MUCH))
    left = [MUCH]

    def send():
        try:
            left[0] -= world.peer.send(b"x" * left[0])
        except OSError:
            pass
        if left[0] and not stream.closed():
            world.loop.call_soon(send)

    soon(world, send)


@hook
def read_limit(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_until(b"\n", max_bytes=3))
    soon(world, world.peer.send, b"something long")


@hook
def write_future(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x" * MUCH), lambda: watch(world, "again", stream.write(b"y")))
    drain(world)


@hook
def write_future_at_once(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x"), lambda: watch(world, "again", stream.write(b"y")))


@hook
def several_writes(world):
    stream = open_stream(world)
    watch(world, "first", stream.write(b"w" * MUCH))
    fires_after(world, "written", stream.write(b"x" * MUCH))
    watch(world, "third", stream.write(b"y" * MUCH))
    drain(world)


@hook
def write_reset(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


@hook
def both_directions(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_bytes(4))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.send, b"some")
    drain(world)


@hook
def close_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire("close callback"))
    watch(world, "read", stream.read_bytes(4))
    world.again = lambda: stream.set_close_callback(lambda: world.note("again"))
    soon(world, stream.close)


@hook
def close_callback_of_the_peers_end(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire("close callback"))
    soon(world, world.peer.close)


@hook
def close_callback_of_an_error(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire(f"close callback {stream.error!r}"))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


@hook
def finalizer_of_close_callback(world):
    class Callback:
        def __call__(self):
            world.note("called")

        def __del__(self):
            world.fire("finalizer")

    stream = open_stream(world)
    stream.set_close_callback(Callback())
    soon(world, stream.close)


@hook
def finalizer_of_stream(world):
    class Finalized(world.module("iostream").IOStream):
        def __del__(self):
            world.fire("finalizer")

    stream = open_stream(world, Finalized)
    world.subject = world.close = None
    watch(world, "read", stream.read_bytes(4))
    soon(world, stream.close)


# -- hooks that a class of the application's overrides --


def make_overridden(name, start):
    def overridden(world):
        base = world.module("iostream").IOStream
        armed = []

        def method(self, *args):
            if armed and not world.fired:
                world.fire(name)
            return getattr(base, name)(self, *args)

        stream = open_stream(world, type("Overriding", (base,), {name: method}))
        armed.append(True)
        stream.set_close_callback(lambda: world.note("close callback"))
        start(world, stream)

    register("overridden_" + name, overridden)


def read_something(world, stream):
    watch(world, "result", stream.read_bytes(4))
    soon(world, world.peer.send, b"some")


def write_something(world, stream):
    watch(world, "result", stream.write(b"x" * MUCH))
    drain(world)


def close_it(world, stream):
    watch(world, "result", stream.read_bytes(4))
    soon(world, stream.close)


def fail(world, stream):
    watch(world, "result", stream.read_bytes(4))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


make_overridden("read_from_fd", read_something)
make_overridden("write_to_fd", write_something)
make_overridden("close_fd", close_it)
make_overridden("fileno", read_something)
make_overridden("_handle_events", read_something)
make_overridden("_handle_read", read_something)
make_overridden("_handle_write", write_something)
make_overridden("_maybe_add_error_listener", read_something)
make_overridden("_is_connreset", fail)
make_overridden("_signal_closed", close_it)
make_overridden("_add_io_state", read_something)


# -- what is written, and read into --


class Chunk(bytearray):
    """Output that somebody notices the release of."""

    def __del__(self):
        self.world.fire("released")


@hook
def finalizer_of_output(world):
    stream = open_stream(world)
    watch(world, "first", stream.write(b"x" * MUCH))
    chunk = Chunk(b"chunk")
    chunk.world = world
    watch(world, "second", stream.write(memoryview(chunk)))
    del chunk
    if not world.fired:
        drain(world)


@hook
def finalizer_of_read_into(world):
    stream = open_stream(world)
    chunk = Chunk(4)
    chunk.world = world
    watch(world, "read", stream.read_into(chunk))
    del chunk
    soon(world, world.peer.send, b"some")


if sys.version_info >= (3, 12):

    class Exporter:
        def __init__(self, world, memory):
            self.world = world
            self.memory = memory

        def __buffer__(self, flags):
            return memoryview(self.memory)

        def __len__(self):
            return len(self.memory)

        def __release_buffer__(self, view):
            if not self.world.fired:
                self.world.fire("released")

    @hook
    def release_of_output(world):
        stream = open_stream(world)
        watch(world, "first", stream.write(b"x" * MUCH))
        watch(world, "second", stream.write(memoryview(Exporter(world, b"chunk"))))
        drain(world)

    @hook
    def release_of_much_output(world):
        stream = open_stream(world)
        watch(world, "first", stream.write(memoryview(Exporter(world, b"x" * MUCH))))
        drain(world)

    @hook
    def release_of_read_into(world):
        stream = open_stream(world)
        watch(world, "read", stream.read_into(memoryview(Exporter(world, bytearray(4)))))
        soon(world, world.peer.send, b"some")


# -- connecting and TLS --


@hook
def connect(world):
    connecting(world, accepts=True)


@hook
def connect_refused(world):
    connecting(world, accepts=False)


def connecting(world, accepts):
    listener = socket.create_server(("127.0.0.1", 0))
    world.sockets.append(listener)
    address = listener.getsockname()
    if not accepts:
        listener.close()
    sock = socket.socket()
    world.sockets.append(sock)
    _, world.peer = world.pair()
    stream = world.module("iostream").IOStream(sock)
    adopt(world, stream)
    stream.set_close_callback(lambda: world.note("close callback"))
    fires_after(world, "connected", stream.connect(address))


def contexts():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*(str(CERTIFICATES / name) for name in ("localhost.crt", "localhost.key")))
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return server, client


@hook
def start_tls(world):
    server, client = contexts()
    one, other = world.pair()
    iostream = world.module("iostream")
    ours, theirs = iostream.IOStream(one), iostream.IOStream(other)
    world.peer = other
    adopt(world, ours)
    fires_after(world, "secure", ours.start_tls(False, client))
    future = theirs.start_tls(True, server)
    watch(world, "their side", future)
    world.keep.append(future)


@hook
def wait_for_handshake(world):
    handshaking(world, lambda stream: fires_after(world, "handshake", stream.wait_for_handshake()))


@hook
def read_over_tls(world):
    handshaking(world, lambda stream: fires_after(world, "read", stream.read_bytes(4)), b"some")


@hook
def read_over_tls_before_the_end(world):
    handshaking(world, lambda stream: fires_after(world, "read", stream.read_until_close()), b"some", end=True)


@hook
def close_callback_over_tls(world):
    def start(stream):
        stream.set_close_callback(lambda: world.fire("close callback"))

    handshaking(world, start, end=True)


def handshaking(world, start, data=b"", end=False):
    server, client = contexts()
    one, other = world.pair()
    iostream = world.module("iostream")
    wrapped = server.wrap_socket(one, server_side=True, do_handshake_on_connect=False)
    world.sockets.append(wrapped)
    stream = iostream.SSLIOStream(wrapped)
    adopt(world, stream)
    start(stream)
    peer = client.wrap_socket(other, do_handshake_on_connect=False)
    world.sockets.append(peer)
    world.peer = peer

    async def play():
        for step in (peer.do_handshake, lambda: data and peer.send(data), lambda: end and peer.close()):
            for _ in range(100):
                try:
                    step()
                    break
                except ssl.SSLWantReadError:
                    await asyncio.sleep(0)
                except OSError:
                    return

    world.keep.append(world.loop.create_task(play()))


# -- callbacks as arguments, as before Tornado 6 --


@tornadoc_only
def callback_of_read_until(world):
    stream = open_stream(world)
    stream.read_until(b"\n", lambda data: world.fire(f"read {data}"))
    world.again = lambda: stream.read_until(b"\n", lambda data: world.note(f"again {data}"))
    soon(world, world.peer.send, b"some\nrest\n")


@tornadoc_only
def callback_of_read_bytes(world):
    stream = open_stream(world)
    stream.read_bytes(4, callback=lambda data: world.fire(f"read {data}"))
    soon(world, world.peer.send, b"some")


@tornadoc_only
def streaming_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.note("close callback"))
    stream.read_until_close(lambda data: world.note(f"end {data}"), lambda data: world.fire(f"piece {data}"))
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@tornadoc_only
def callback_of_write(world):
    stream = open_stream(world)
    stream.write(b"x" * MUCH, callback=lambda: world.fire("written"))
    drain(world)


@tornadoc_only
def callback_of_connect(world):
    listener = socket.create_server(("127.0.0.1", 0))
    sock = socket.socket()
    world.sockets += listener, sock
    _, world.peer = world.pair()
    stream = world.module("iostream").IOStream(sock)
    adopt(world, stream)
    stream.connect(listener.getsockname(), lambda: world.fire("connected"))


# -- several streams, servers --


@hook
def streams_of_one_batch(world):
    """All are due at once, and the first takes what the action does to all of them."""
    pairs = [world.pair() for _ in range(5)]
    world.peer = pairs[0][1]
    streams = []
    for i, (one, _) in enumerate(pairs):
        stream = world.module("iostream").IOStream(one)
        streams.append(stream)
        stream.set_close_callback(lambda i=i: world.note(f"closed {i}: close callback"))
        future = stream.read_bytes(4)
        future.add_done_callback(lambda future: world.fire("read") if future.exception() is None else None)
    soon(world, lambda: [other.send(b"some") for _, other in pairs])

    def close():
        for stream in streams:
            stream.close()

    world.close = close
    world.closers.append(close)


def succeed(world, victim, number):
    """Closes a stream; another one gets its number, and must see nothing of what was for the old one."""
    victim.close()
    one, other = world.pair()
    if one.fileno() != number:
        os.dup2(one.fileno(), number)
        one = socket.socket(fileno=number)
        world.sockets.append(one)
    heir = world.module("iostream").IOStream(one)
    world.closers.append(heir.close)
    watch(world, "heir", heir.read_bytes(3))
    soon(world, other.send, b"own")


@hook
def stale_event_of_a_stream(world):
    """A transport and a stream are due at once; while the first is served, the other is closed, and its number is a third's."""
    one, world.peer = world.pair()
    first, first_peer = world.pair()
    stream = world.module("iostream").IOStream(one)
    number = one.fileno()
    watch(world, "read", stream.read_bytes(4))

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport):
            world.closers.append(transport.abort)
            soon(world, lambda: (first_peer.send(b"first"), world.peer.send(b"stale")))

        def data_received(self, data):
            if not world.fired:
                succeed(world, stream, number)
                world.fire("data_received")

    world.spawn(world.loop.create_connection(Protocol, sock=first))


@hook
def stale_event_of_an_http_connection(world):
    """Two requests are there at once; while the first is served, the other connection is closed, and a stream gets its number."""
    web, httpserver = world.module("web"), world.module("httpserver")
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.sockets.append(listener)

    class Handler(web.RequestHandler):
        def get(self):
            if not world.fired:
                mine = self.request.connection.stream.socket.getpeername()
                for other in list(server._connections):
                    if other.stream.socket.getpeername() != mine:
                        succeed(world, other.stream, number_of[other.stream.socket.getpeername()])
                world.fire("handler")

    server = httpserver.HTTPServer(web.Application([("/", Handler)], log_function=lambda handler: None))
    server.add_socket(listener)
    world.refs.append(server)
    clients = [client(world, listener) for _ in range(2)]
    world.peer = clients[0]
    number_of = {}

    def connections():
        """{peer: number} of the accepted sockets."""
        found = {}
        for name in os.listdir("/proc/self/fd"):
            if os.path.exists(f"/proc/self/fd/{name}") and stat.S_ISSOCK(os.stat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as sock, contextlib.suppress(OSError):
                    found[sock.getpeername()] = int(name)
        return found

    async def send():
        while len(server._connections) < 2:
            await asyncio.sleep(0)
        number_of.update(connections())
        for sock in clients:
            sock.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async def stop():
        await server.close_all_connections()

    world.keep.append(world.loop.create_task(send()))
    world.closers.append(lambda: (server.stop(), world.keep.append(world.loop.create_task(stop()))))


def client(world, listener):
    sock = socket.create_connection(listener.getsockname())
    sock.setblocking(False)
    world.sockets.append(sock)
    return sock


@hook
def handle_stream(world):
    serve(world, lambda stream, address: world.fire("handle_stream"))


@hook
def handle_stream_coroutine(world):
    async def handle(stream, address):
        await asyncio.sleep(0)
        world.fire("handle_stream")

    serve(world, handle)


def serve(world, handle):
    class Server(world.module("tcpserver").TCPServer):
        def handle_stream(self, stream, address):
            if not world.fired:
                adopt(world, stream)
            return handle(stream, address)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.sockets.append(listener)
    server = Server()
    server.add_socket(listener)
    world.refs.append(server)
    world.closers.append(server.stop)
    world.cancel = server.stop
    world.again = lambda: client(world, listener)
    world.peer = client(world, listener)


@hook
def accept_handler(world):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.sockets.append(listener)

    def handler(connection, address):
        world.keep.append(connection)
        world.fire("accepted")

    remove = world.module("netutil").add_accept_handler(listener, handler)
    world.closers.append(remove)
    world.cancel = remove
    world.close = lambda: (remove(), listener.close())
    world.again = lambda: client(world, listener)
    world.peer = client(world, listener)
    client(world, listener)
