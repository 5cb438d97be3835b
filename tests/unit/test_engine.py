"""The engine below asyncio loops: several of them, of several kinds, that stop, close, fork and come again."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import weakref

import pytest
import tornado.httpserver
import tornado.netutil
from inprocess import (
    PATIENCE,
    Client,
    Running,
    fetch_blocking,
    listening_socket,
    log_records,
    request,
    run,
    run_python,
    settle,
    thread_server,
    until,
)
from tornado.ioloop import IOLoop

import tornadoc
from tornadoc import _engine, _native
from tornadoc.httpserver import HTTPServer
from tornadoc.web import Application, RequestHandler


class Hello(RequestHandler):
    def get(self):
        self.write("hello")


class Slow(RequestHandler):
    async def get(self):
        self.application.waiting.append(self)
        await asyncio.sleep(3600)

    def on_connection_close(self):
        self.application.told.append(self)


def hello():
    application = Application([("/", Hello), ("/slow", Slow)])
    application.waiting, application.told = [], []
    return application


CLOSING = request("/", headers=["Connection: close"])


def test_several_servers_and_applications_share_a_loop():
    async def main():
        one, two = hello(), Application([("/", type("Two", (RequestHandler,), {"get": lambda self: self.write("two")}))])
        async with Running(one) as a, Running(two) as b, Running(one, tornado.httpserver.HTTPServer) as c:
            for _ in range(3):
                assert [(await server.fetch("/")).body for server in (a, b, c)] == [b"hello", b"two", b"hello"]
        return len({id(_engine.current_engine()) for _ in range(3)})

    assert run(main()) == 1


def test_application_on_two_loops_in_two_threads():
    application = hello()
    with thread_server(lambda: application) as one, thread_server(lambda: application) as two:
        bodies = []

        def work(port):
            bodies.extend(fetch_blocking(port, CLOSING).endswith(b"hello") for _ in range(50))

        threads = [threading.Thread(target=work, args=(port,)) for port in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert bodies == [True] * 200


def test_uvloop_serves():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        async with Running(hello()) as server:
            client = await server.client()
            for _ in range(3):
                assert (await client.get("/")).body == b"hello"
            client.send(request("/") * 5)
            for _ in range(5):
                assert (await client.answer()).body == b"hello"

    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
    gc.collect()


def descriptors():
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("ending", ["stopped", "dropped", "closed", "engine"])
def test_loop_closed_with_open_connections_leaks_nothing(ending):
    # In a subprocess: descriptors of other tests must not disturb.
    code = f"""
import logging, warnings
warnings.simplefilter("ignore")
import test_engine
logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
for round in range(3):
    test_engine.serve_and_leave({ending!r})
    if round == 0:
        before = test_engine.descriptors()
after = test_engine.descriptors()
assert len(after) == len(before), (before, after)
print("fine")
"""
    result = run_python("-c", code)
    assert result.stdout == "fine\n", result.stderr
    assert result.stderr == ""


def serve_and_leave(ending):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    sock = listening_socket()
    port = sock.getsockname()[1]
    clients = [socket.socket() for _ in range(4)]

    async def main():
        application = hello()
        server = HTTPServer(application)
        server.add_sockets([sock])
        for client, path in zip(clients, ("/", "/slow", "/", None)):
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", port))
            if path:
                await loop.sock_sendall(client, request(path))
        await loop.sock_recv(clients[0], 1000)
        await until(lambda: len(application.waiting) == 1 and len(server._connections) == 4)
        # Scheduled, but the loop does not come to it any more.
        next(iter(server._connections)).stream.close()
        if ending == "stopped":
            server.stop()
        elif ending == "engine":
            _engine.current_engine().close()

    loop.run_until_complete(main())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(asyncio.sleep(0))
    if ending == "closed":
        # Of the loop's IOLoop, as tornado.testing does it.
        async def io_loop():
            return IOLoop.current()

        loop.run_until_complete(io_loop()).close(all_fds=True)
    else:
        loop.close()
    asyncio.set_event_loop(None)
    for client in clients:
        client.close()
    sock.close()
    main = None
    loop = None
    # The IOLoops of closed loops are forgotten when the next one is made.
    other = asyncio.new_event_loop()
    other.run_until_complete(_make_io_loop())
    other.close()
    gc.collect()


async def _make_io_loop():
    IOLoop.current()


def test_server_that_nobody_refers_to_goes_on_serving():
    async def main():
        sock = listening_socket()
        port = sock.getsockname()[1]
        HTTPServer(hello()).add_sockets([sock])
        del sock
        gc.collect()
        client = await Client.connect(port)
        assert (await client.get("/")).body == b"hello"
        gc.collect()
        assert (await client.get("/")).body == b"hello"
        client.send(request("/", "POST", ["Content-Length: 4"]) + b"bo")
        await settle()
        gc.collect()
        client.send(b"dy")
        with log_records():
            assert (await client.answer()).code == 405
        client.close()
        await settle()
        _engine.current_engine().close()

    run(main())


def test_connections_go_on_after_stop_and_without_references_to_the_server():
    async def main():
        sock = listening_socket()
        port = sock.getsockname()[1]
        server = HTTPServer(hello())
        server.add_sockets([sock])
        client = await Client.connect(port)
        assert (await client.get("/")).body == b"hello"
        server.stop()
        reference = weakref.ref(server)
        del server, sock
        with socket.socket() as held:  # or another process might listen there by then
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", port))
            gc.collect()
            assert (await client.get("/")).body == b"hello"
            with pytest.raises(ConnectionRefusedError):
                await Client.connect(port)
        client.close()
        await until(lambda: gc.collect() >= 0 and reference() is None, "the server is kept for ever")

    run(main())


@pytest.mark.parametrize("path", ["/", "/slow"])
def test_close_all_connections_with_requests_in_flight(path):
    async def main():
        application = hello()
        with log_records():
            async with Running(application) as server:
                clients = [await server.client() for _ in range(5)]
                for client in clients:
                    client.send(request(path))
                await until(lambda: path == "/" or len(application.waiting) == 5)
                await settle()
                server.server.stop()
                await asyncio.wait_for(server.server.close_all_connections(), PATIENCE)
                assert not server.server._connections
                for client in clients:
                    await client.rest()
        assert len(application.told) == (5 if path == "/slow" else 0)

    run(main())


def test_close_all_connections_leaves_the_loop_running():
    """Other work of the loop goes on meanwhile."""

    async def main():
        async with Running(hello()) as server:
            clients = [await server.client() for _ in range(20)]
            for client in clients:
                await client.get("/")
            await asyncio.wait_for(asyncio.gather(server.server.close_all_connections(), settle()), PATIENCE)
            assert (await server.fetch("/")).body == b"hello"

    run(main())


def test_engine_closed_in_a_handler():
    async def main():
        class Closes(RequestHandler):
            def get(self):
                _engine.current_engine().close()
                self.write("never seen")

        with log_records():
            server = Running(Application([("/", Closes)]))
            await server.__aenter__()
            client, other = await server.client(), await server.client()
            client.send(request("/"))
            assert await client.rest() == b""
            assert await other.rest() == b""
            assert not server.server._connections
            engine = _engine.current_engine()
            engine.close()
            assert engine.run() is None
            assert engine.fileno() == -1
            with pytest.raises((RuntimeError, OSError)), contextlib.closing(listening_socket()) as sock:
                HTTPServer(hello()).add_sockets([sock])

    run(main())


def test_engine_by_itself():
    engine = _native.Engine()
    assert engine.run() is None
    assert engine.run(1, 2) is None
    assert engine.fileno() >= 0
    engine.close()
    engine.close()
    with pytest.raises(TypeError):
        _native.Engine(1)
    for kind in ("Listener",):
        with pytest.raises((TypeError, AttributeError)):
            getattr(_native, kind)()


def test_loop_that_stops_and_starts_again_serves_on():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        server = Running(hello())
        loop.run_until_complete(server.__aenter__())
        client = loop.run_until_complete(server.client())
        for _ in range(3):
            assert loop.run_until_complete(client.get("/")).body == b"hello"
        client.send(request("/"))
        loop.call_soon(loop.stop)
        loop.run_forever()
        assert loop.run_until_complete(client.answer()).body == b"hello"
        loop.run_until_complete(server.__aexit__())
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def test_unix_socket(tmp_path):
    path = str(tmp_path / "socket")

    async def main():
        seen = []

        class Looks(RequestHandler):
            def get(self):
                seen.append(
                    (self.request.remote_ip, self.request.connection.context.address, str(self.request.connection.context))
                )
                self.write("unix")

        results = []
        for http_server in (tornado.httpserver.HTTPServer, HTTPServer):
            server = http_server(Application([("/", Looks)]))
            server.add_sockets([tornado.netutil.bind_unix_socket(path)])
            client = Client(*await asyncio.open_unix_connection(path))
            for _ in range(2):
                results.append((await client.get("/")).body)
            client.close()
            server.stop()
            await server.close_all_connections()
        assert results == [b"unix"] * 4
        assert seen[:2] == seen[2:]

    run(main())


def test_processes_forked_before_the_loop_started():
    code = """
import asyncio, os, signal, sys
import tornado.netutil, tornado.process
import inprocess
from tornadoc.httpserver import HTTPServer
from tornadoc.web import Application, RequestHandler

class Pid(RequestHandler):
    def get(self):
        self.write(str(os.getpid()))

sock = inprocess.listening_socket()
port = sock.getsockname()[1]
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        async def main():
            HTTPServer(Application([("/", Pid)])).add_sockets([sock])
            await asyncio.sleep(60)
        asyncio.run(main())
        os._exit(1)
    children.append(child)
pids = set()
try:
    for _ in range(200):
        answer = inprocess.fetch_blocking(port, inprocess.request("/", headers=["Connection: close"]))
        pids.add(int(answer.split(b"\\r\\n\\r\\n")[1]))
finally:
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
assert pids and pids <= set(children), (pids, children)
print("fine")
"""
    result = run_python("-c", code)
    assert result.stdout == "fine\n", result.stderr


def test_listening_socket_closed_behind_the_servers_back():
    async def main():
        with log_records():
            server = Running(hello())
            await server.__aenter__()
            client = await server.client()
            assert (await client.get("/")).body == b"hello"
            for sock in server.server._sockets.values():
                os.close(sock.detach())
            assert (await client.get("/")).body == b"hello"
            client.close()
            await server.server.close_all_connections()

    run(main())


def test_descriptors_that_ran_out_do_not_stop_the_server():
    code = """
import asyncio, logging, resource, socket
import inprocess
from test_engine import hello
for name in ("asyncio", "tornado.application"):
    logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger(name).propagate = False

async def main():
    async with inprocess.Running(hello()) as server:
        first = await server.client()
        await first.get("/")
        clients = [socket.socket() for _ in range(20)]
        for client in clients:
            client.setblocking(False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(client.fileno() for client in clients)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))
        loop = asyncio.get_running_loop()
        for client in clients:
            await loop.sock_connect(client, ("127.0.0.1", server.port))
            await loop.sock_sendall(client, inprocess.request("/"))
        for _ in range(50):
            await asyncio.sleep(0.002)
        assert (await first.get("/")).body == b"hello"
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for client in clients:
            assert (await asyncio.wait_for(loop.sock_recv(client, 1000), 20)).endswith(b"hello")
            client.close()

inprocess.run(main())
print("fine")
"""
    result = run_python("-c", code)
    assert result.stdout == "fine\n", result.stderr


def test_keyboard_interrupt_in_a_signal_handler_leaves_the_loop_and_it_serves_again():
    code = """
import asyncio, os, signal
import inprocess
from test_engine import Hello, Application, RequestHandler

class Interrupts(RequestHandler):
    def get(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a script starts in the background
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
server = inprocess.Running(Application([("/", Hello), ("/interrupt", Interrupts)]))
loop.run_until_complete(server.__aenter__())
client, other = loop.run_until_complete(server.client()), loop.run_until_complete(server.client())
client.send(inprocess.request("/interrupt"))
other.send(inprocess.request("/"))
try:
    loop.run_forever()
except KeyboardInterrupt:
    print("left")
assert loop.run_until_complete(other.answer()).body == b"hello"
loop.run_until_complete(server.__aexit__())
loop.close()
"""
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "left\n"


def test_interpreter_exits_with_a_server_that_was_never_stopped():
    code = """
import asyncio
import inprocess
from test_engine import hello
async def main():
    server = await inprocess.Running(hello()).__aenter__()
    client = await server.client()
    assert (await client.get("/")).body == b"hello"
    client.send(inprocess.request("/slow"))
    await inprocess.settle()
    globals()["kept"] = server, client
asyncio.run(main())
"""
    result = run_python("-W", "ignore", "-c", code)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr, result.stderr


def test_signal_wakes_a_loop_that_only_serves():
    async def main():
        loop = asyncio.get_running_loop()
        seen = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, seen.set)
        try:
            async with Running(hello()) as server:
                await server.fetch("/")
                os.kill(os.getpid(), signal.SIGUSR1)
                await asyncio.wait_for(seen.wait(), PATIENCE)
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    run(main())


def test_tornadoc_is_active():
    assert tornadoc.active
