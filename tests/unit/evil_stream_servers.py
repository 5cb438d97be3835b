"""HOOKS of streams that connect, use TLS, are many at once, or are served; see evil_stage.py."""

import asyncio
import contextlib
import os
import pathlib
import socket
import ssl
import stat

import evil_stream_deeds
from evil_stage import soon
from evil_stream_deeds import Hooks, adopt, fires_after, heir, watch

CERTIFICATES = pathlib.Path(__file__).resolve().parent.parent / "certs"

HOOKS = Hooks()
hook = HOOKS.add
STAGE = evil_stream_deeds


# -- connecting and TLS --


@hook
def connect(world):
    connecting(world, accepts=True)


@hook
def connect_refused(world):
    connecting(world, accepts=False)


def connecting(world, accepts):
    # A port that is bound and not listened on refuses; one that is free might be another process's by then.
    listener, sock = socket.socket(), socket.socket()
    world.sockets += listener, sock
    listener.bind(("127.0.0.1", 0))
    if accepts:
        listener.listen()
    _, world.peer = world.pair()
    stream = world.module("iostream").IOStream(sock)
    adopt(world, stream)
    stream.set_close_callback(lambda: world.note("close callback"))
    fires_after(world, "connected", stream.connect(listener.getsockname()))


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


@HOOKS.add_ours
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
    soon(world, heir(world, number).send, b"own")


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


@hook
def handle_stream_coroutine_at_once(world):
    async def handle(stream, address):
        world.fire("handle_stream")

    serve(world, handle)


@hook
def pipe(world):
    reading, writing = os.pipe()
    _, world.peer = world.pair()
    stream = world.module("iostream").PipeIOStream(reading)
    adopt(world, stream)
    world.closers.append(lambda: os.close(writing))
    fires_after(world, "read", stream.read_bytes(4))
    soon(world, os.write, writing, b"some")
