"""TCPServer over native accept: Tornado's and tornadoc's do the same, also in several processes and with TLS."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import weakref

import pytest
import tornado.httpserver
import tornado.iostream
import tornado.netutil
import tornado.tcpserver
from inprocess import PATIENCE, ROOT, log_records, run, settle, until
from tlsclient import CERTS, client_context, server_context, ssl_options

import tornadoc.httpserver
import tornadoc.iostream
import tornadoc.netutil
import tornadoc.tcpserver


@pytest.fixture(params=["tornado", "tornadoc"])
def TCPServer(request):
    return (tornado if request.param == "tornado" else tornadoc).tcpserver.TCPServer


def echo_server(base, **options):
    class Echo(base):
        addresses = []

        async def handle_stream(self, stream, address):
            self.addresses.append(address)
            with contextlib.suppress(tornado.iostream.StreamClosedError):
                while True:
                    await stream.write(b"echo " + await stream.read_until(b"\n"))

    return Echo(**options)


def listen(server):
    (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
    server.add_sockets([sock])
    return sock.getsockname()[1]


async def ask(port, line=b"hello\n", **options):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    writer.write(line)
    answer = await asyncio.wait_for(reader.readuntil(b"\n"), PATIENCE)
    writer.close()
    return answer


def test_the_family_is_one():
    assert issubclass(tornadoc.tcpserver.TCPServer, tornado.tcpserver.TCPServer)
    assert issubclass(tornadoc.httpserver.HTTPServer, tornadoc.tcpserver.TCPServer)
    assert issubclass(tornadoc.httpserver.HTTPServer, tornado.httpserver.HTTPServer)
    assert tornadoc.tcpserver.bind_sockets is tornado.netutil.bind_sockets
    assert type(tornadoc.httpserver.HTTPServer(lambda request: None)) is tornadoc.httpserver.HTTPServer


def test_streams_echo(TCPServer):
    async def main():
        server = echo_server(TCPServer)
        port = listen(server)
        assert await ask(port) == b"echo hello\n"
        assert await ask(port, b"again\n") == b"echo again\n"
        assert [address[0] for address in server.addresses] == ["127.0.0.1"] * 2
        server.stop()
        await settle()

    run(main())


@pytest.mark.parametrize("options", [ssl_options, server_context])
def test_streams_echo_over_tls(TCPServer, options):
    async def main():
        server = echo_server(TCPServer, ssl_options=options())
        port = listen(server)
        assert await ask(port, ssl=client_context(), server_hostname="localhost") == b"echo hello\n"
        server.stop()
        await settle()

    run(main())


def test_ssl_options_are_checked_at_once(TCPServer):
    for options, error in [({}, KeyError), ({"certfile": "/nowhere"}, ValueError)]:
        with pytest.raises(error):
            TCPServer(ssl_options=options)
    with pytest.raises(ValueError):
        TCPServer(ssl_options={**ssl_options(), "keyfile": "/nowhere"})


def test_streams_have_the_servers_sizes(TCPServer):
    async def main():
        server = TCPServer(max_buffer_size=10000, read_chunk_size=100)
        streams = []
        server.handle_stream = lambda stream, address: streams.append(stream)
        port = listen(server)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await until(lambda: streams)
        [stream] = streams
        assert isinstance(stream, tornado.iostream.IOStream)
        assert (stream.max_buffer_size, stream.read_chunk_size) == (10000, 100)
        assert not os.get_blocking(stream.socket.fileno())
        stream.close()
        writer.close()
        server.stop()

    run(main())


def test_private_tables_know_the_listeners(TCPServer):
    async def main():
        server = echo_server(TCPServer)
        socks = [tornado.netutil.bind_sockets(0, "127.0.0.1")[0] for _ in range(2)]
        server.add_socket(socks[0])
        server.add_sockets(socks[1:])
        assert server._sockets == {sock.fileno(): sock for sock in socks}
        assert set(server._handlers) == set(server._sockets)
        assert all(callable(handler) for handler in server._handlers.values())
        for sock in socks:
            assert await ask(sock.getsockname()[1]) == b"echo hello\n"
        server.stop()
        assert [sock.fileno() for sock in socks] == [-1, -1] and server._handlers == {}
        server.stop()

    run(main())


def test_stopping_in_a_connections_handler(TCPServer):
    async def main():
        taken = []

        class Once(TCPServer):
            def handle_stream(self, stream, address):
                taken.append(stream)
                self.stop()

        server = Once()
        port = listen(server)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        await until(lambda: taken)
        await settle(20)
        assert len(taken) == 1
        taken[0].close()
        for client in clients:
            client.close()

    run(main())


@pytest.mark.parametrize("kind", ["plain", "coroutine", "not_implemented", "no_future"])
def test_failures_of_handle_stream_are_logged(TCPServer, kind):
    async def main():
        uncaught = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: uncaught.append(repr(context.get("exception"))))

        class Bad(TCPServer):
            if kind == "plain":

                def handle_stream(self, stream, address):
                    stream.close()
                    raise ValueError("plain")

            elif kind == "coroutine":

                async def handle_stream(self, stream, address):
                    await asyncio.sleep(0)
                    stream.close()
                    raise ValueError("coroutine")

            elif kind == "no_future":

                def handle_stream(self, stream, address):
                    stream.close()
                    return 5

        server = Bad()
        port = listen(server)
        with log_records("tornado.application") as records:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            await until(lambda: records or uncaught)
            await settle()
        writer.close()
        server.stop()
        gc.collect()
        return [message.split("\n")[0].split(" at 0x")[0] for _, _, message in records], uncaught

    found = run(main())
    if kind == "coroutine":
        # The loop's add_future, whose callback asks for the result.
        assert found[0] and found[0][0].startswith("Exception in callback functools.partial(") and found[1] == []
    else:
        assert found == (["Error in connection callback"], [])


def test_handle_connection_may_be_called_and_overridden(TCPServer):
    """By programs that pass sockets between processes."""

    async def main():
        server = echo_server(TCPServer)
        ours, theirs = socket.socketpair()
        server._handle_connection(ours, "somewhere")
        reader, writer = await asyncio.open_connection(sock=theirs)
        writer.write(b"pair\n")
        assert await reader.readuntil(b"\n") == b"echo pair\n"
        assert server.addresses == ["somewhere"]
        writer.close()

        handed = []

        class Passing(TCPServer):
            def _handle_connection(self, connection, address):
                handed.append((type(connection), address[0]))
                connection.sendall(b"by hand\n")
                connection.close()

        passing = Passing()
        assert await ask(listen(passing)) == b"by hand\n"
        assert handed == [(socket.socket, "127.0.0.1")]
        passing.stop()
        await settle()

    run(main())


def test_a_wrapped_tornado_method_is_called(monkeypatch):
    """A tracer's patch of Tornado's class reaches tornadoc's servers."""
    calls = []
    original = tornado.tcpserver.TCPServer._handle_connection

    def traced(self, connection, address):
        calls.append(address[0])
        original(self, connection, address)

    async def main():
        server = echo_server(tornadoc.tcpserver.TCPServer)
        port = listen(server)
        monkeypatch.setattr(tornado.tcpserver.TCPServer, "_handle_connection", traced)
        assert await ask(port) == b"echo hello\n"
        server.stop()
        await settle()

    run(main())
    assert calls == ["127.0.0.1"]


def test_a_server_is_freed_after_stop(TCPServer):
    async def main():
        server = echo_server(TCPServer)
        port = listen(server)
        assert await ask(port) == b"echo hello\n"
        server.stop()
        gone = weakref.ref(server)
        del server
        await until(lambda: gc.collect() >= 0 and gone() is None)

    run(main())


def test_ports_may_be_shared(TCPServer):
    async def main():
        first, second = echo_server(TCPServer), echo_server(TCPServer)
        first.listen(0, "127.0.0.1", reuse_port=True)
        (sock,) = first._sockets.values()
        port = sock.getsockname()[1]
        second.bind(port, "127.0.0.1", reuse_port=True)
        second.start()
        type(first).addresses = []
        type(second).addresses = []
        for _ in range(40):
            assert await ask(port) == b"echo hello\n"
        assert len(first.addresses) + len(second.addresses) == 40
        first.stop()
        assert await ask(port) == b"echo hello\n"
        second.stop()
        await settle()

    run(main())


def test_clients_that_leave_before_they_are_accepted_do_no_harm(TCPServer):
    """What the ssl module raises for them depends on its version."""

    async def main():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        server = echo_server(TCPServer, ssl_options=server_context())
        port = listen(server)
        with log_records("tornado.general", "tornado.application") as records:
            for _ in range(3):
                client = socket.create_connection(("127.0.0.1", port))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                client.close()
            assert await ask(port, ssl=client_context(), server_hostname="localhost") == b"echo hello\n"
        assert records == []
        server.stop()
        await settle()

    run(main())


# -- several processes --

PROGRAM = """
import asyncio, os, socket, sys
if sys.argv[1] == "tornadoc":
    import tornadoc
    tornadoc.install()
import tornado.httpserver, tornado.netutil, tornado.process, tornado.tcpserver, tornado.web

how, kind, tls = sys.argv[2:5]
ssl_options = {"certfile": tls + ".crt", "keyfile": tls + ".key"} if tls else None

class Who(tornado.web.RequestHandler):
    def get(self):
        self.write(f"{os.getpid()} {tornado.process.task_id()}\\n")

class Server(tornado.tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        await stream.read_until(b"\\r\\n\\r\\n")
        await stream.write(f"HTTP/1.0 200 OK\\r\\n\\r\\n{os.getpid()} {tornado.process.task_id()}\\n".encode())
        stream.close()

def make():
    if kind == "tcp":
        return Server(ssl_options=ssl_options)
    return tornado.httpserver.HTTPServer(tornado.web.Application([("/", Who)]), ssl_options=ssl_options)

async def forever():
    await asyncio.Event().wait()

if how == "start":
    server = make()
    server.bind(0, "127.0.0.1")
    print(server._pending_sockets[0].getsockname()[1], flush=True)
    server.start(2)
    import tornado.ioloop
    tornado.ioloop.IOLoop.current().start()
else:
    if how == "reuse_port":
        # Bound, so that the number is ours, but not listening.
        place = socket.socket()
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
        tornado.process.fork_processes(2)
        sockets = tornado.netutil.bind_sockets(port, "127.0.0.1", reuse_port=True)
    else:
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        port = sockets[0].getsockname()[1]
        tornado.process.fork_processes(2)
    os.write(1, b"%d\\n" % port)  # in one piece, between the other process's

    async def main():
        server = make()
        server.add_sockets(sockets)
        await forever()

    asyncio.run(main())
"""


def whoami(port, tls):
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        if tls:
            sock = stack.enter_context(client_context().wrap_socket(sock, server_hostname="localhost"))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := sock.recv(4096):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.split()[1] == b"200", data
    pid, task = body.split()
    return int(pid), task.decode()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["tcp", "http"])
@pytest.mark.parametrize("how", ["start", "fork", "reuse_port"])
@pytest.mark.parametrize("name", ["tornado", "tornadoc"])
def test_two_processes_serve_one_port(name, how, kind, tls):
    if how == "reuse_port" and (tls or name == "tornado"):
        pytest.skip("as the others")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, name, how, kind, str(CERTS / "localhost") if tls else ""],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        port = int(process.stdout.readline())
        if how != "start":
            assert int(process.stdout.readline()) == port
        found = {}
        for _ in range(300):
            pid, task = whoami(port, tls)
            found.setdefault(pid, task)
            if len(found) == 2:
                break
        assert process.pid not in found
        # Which process accepts is the kernel's choice, except that SO_REUSEPORT spreads them.
        assert set(found.values()) <= {"0", "1"} and len(set(found.values())) == len(found) >= (2 if how == "reuse_port" else 1)
        for pid in found:
            os.kill(pid, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
