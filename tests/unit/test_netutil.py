"""add_accept_handler: Tornado's and tornadoc's do the same; the rest of netutil is Tornado's."""

import asyncio
import contextlib
import contextvars
import gc
import os
import resource
import socket
import weakref

import pytest
import tornado.netutil
from inprocess import PATIENCE, listening_socket, run, settle, until
from tornado.ioloop import IOLoop

import tornadoc.netutil


@pytest.fixture(params=["tornado", "tornadoc"])
def add_accept_handler(request):
    return (tornado if request.param == "tornado" else tornadoc).netutil.add_accept_handler


def is_native(function):
    return function is tornadoc.netutil.add_accept_handler


def connect(listening):
    sock = socket.create_connection(listening.getsockname(), timeout=PATIENCE)
    return sock


@contextlib.contextmanager
def uncaught_exceptions():
    """What callbacks let out, as the loop's exception handler is told."""
    found = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: found.append(context.get("exception")))
    try:
        yield found
    finally:
        loop.set_exception_handler(None)


def test_everything_else_is_tornados():
    for name in ("bind_sockets", "bind_unix_socket", "is_valid_ip", "Resolver", "ssl_wrap_socket", "ssl_options_to_context"):
        assert getattr(tornadoc.netutil, name) is getattr(tornado.netutil, name)
    assert tornadoc.netutil._DEFAULT_BACKLOG == tornado.netutil._DEFAULT_BACKLOG


@pytest.mark.parametrize("family", ["inet", "inet6", "unix"])
def test_a_connection_is_what_accept_gives(add_accept_handler, family, tmp_path):
    async def main():
        if family == "unix":
            listening = tornado.netutil.bind_unix_socket(str(tmp_path / "s"))
            client = socket.socket(socket.AF_UNIX)
        else:
            try:
                (listening,) = tornado.netutil.bind_sockets(0, "127.0.0.1" if family == "inet" else "::1")
            except OSError:
                pytest.skip("no IPv6 here")
            client = socket.socket(listening.family)
        accepted = []
        remove = add_accept_handler(listening, lambda *args: accepted.append(args))
        client.connect(listening.getsockname())
        await until(lambda: accepted)
        [(connection, address)] = accepted
        assert type(connection) is socket.socket
        assert connection.family == listening.family and connection.type == socket.SOCK_STREAM
        assert address == (client.getsockname() or address)
        assert connection.gettimeout() is None and not connection.get_inheritable()
        assert os.get_blocking(connection.fileno())
        connection.sendall(b"hello")
        assert client.recv(100) == b"hello"
        remove()
        for sock in (connection, client, listening):
            sock.close()

    run(main())


def test_removing_stops_accepting_at_once_and_may_be_repeated(add_accept_handler):
    async def main():
        listening = listening_socket()
        clients = [connect(listening) for _ in range(5)]
        accepted = []

        def callback(connection, address):
            accepted.append(connection)
            if len(accepted) == 2:
                assert remove() is None

        remove = add_accept_handler(listening, callback)
        await until(lambda: len(accepted) >= 2)
        await settle(20)
        assert len(accepted) == 2
        remove()
        remove()
        # The other clients wait for whoever accepts next.
        second = []
        remove = add_accept_handler(listening, lambda connection, address: second.append(connection))
        await until(lambda: len(second) == 3)
        remove()
        for sock in (*accepted, *second, *clients, listening):
            sock.close()

    run(main())


def test_at_most_128_are_accepted_before_others_have_their_turn(add_accept_handler):
    async def main():
        listening = listening_socket()
        clients = [connect(listening) for _ in range(150)]
        accepted, seen = [], []

        def callback(connection, address):
            if not accepted:
                asyncio.get_running_loop().call_soon(lambda: seen.append(len(accepted)))
            accepted.append(connection)

        remove = add_accept_handler(listening, callback)
        await until(lambda: len(accepted) == 150)
        assert seen[0] <= 128 * (4 if is_native(add_accept_handler) else 1)
        remove()
        for sock in (*accepted, *clients, listening):
            sock.close()

    run(main())


def test_an_exception_of_the_callback_is_reported_and_accepting_goes_on(add_accept_handler):
    async def main():
        listening = listening_socket()
        accepted = []

        def callback(connection, address):
            accepted.append(connection)
            raise ValueError(len(accepted))

        with uncaught_exceptions() as found:
            remove = add_accept_handler(listening, callback)
            clients = [connect(listening) for _ in range(3)]
            await until(lambda: len(accepted) == 3)
            await settle()
        assert [repr(e) for e in found] == ["ValueError(1)", "ValueError(2)", "ValueError(3)"]
        remove()
        for sock in (*accepted, *clients, listening):
            sock.close()

    run(main())


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit])
def test_an_exit_exception_leaves_the_loop(add_accept_handler, exception):
    loop = asyncio.new_event_loop()
    listening = listening_socket()

    def callback(connection, address):
        connection.close()
        raise exception

    async def start():
        return add_accept_handler(listening, callback)

    remove = loop.run_until_complete(start())
    client = connect(listening)
    with pytest.raises(exception):
        loop.run_until_complete(asyncio.wait_for(asyncio.Event().wait(), PATIENCE))
    remove()
    loop.run_until_complete(asyncio.sleep(0))
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    client.close()
    listening.close()


def test_callbacks_run_in_the_context_of_whoever_added_them(add_accept_handler):
    variable = contextvars.ContextVar("variable", default="none")

    async def main():
        listening = listening_socket()
        seen = []

        def callback(connection, address):
            seen.append(variable.get())
            variable.set("changed")
            connection.close()

        variable.set("adding")
        remove = add_accept_handler(listening, callback)
        variable.set("later")
        client = connect(listening)
        await until(lambda: seen)
        assert seen == ["adding"] and variable.get() == "later"
        remove()
        client.close()
        listening.close()

    run(main())


def test_a_socket_is_accepted_from_once(add_accept_handler):
    async def main():
        listening = listening_socket()
        remove = add_accept_handler(listening, lambda connection, address: None)
        with pytest.raises(ValueError, match=f"fd {listening.fileno()} added twice"):
            add_accept_handler(listening, lambda connection, address: None)
        remove()
        add_accept_handler(listening, lambda connection, address: None)()
        listening.close()

    run(main())


def test_what_is_no_socket_is_refused(add_accept_handler):
    async def main():
        with pytest.raises((TypeError, AttributeError, ValueError)):
            add_accept_handler(object(), print)

    run(main())


def test_closing_the_loop_with_its_descriptors_closes_the_socket(add_accept_handler):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    listening = listening_socket()

    async def start():
        add_accept_handler(listening, print)
        return IOLoop.current()

    loop.run_until_complete(start()).close(all_fds=True)
    asyncio.set_event_loop(None)
    assert listening.fileno() == -1


def test_a_removed_handler_keeps_nothing_alive(add_accept_handler):
    class Callback:
        def __call__(self, connection, address):
            pass

    async def main():
        listening = listening_socket()
        callback = Callback()
        remove = add_accept_handler(listening, callback)
        gone = weakref.ref(callback)
        del callback
        gc.collect()
        assert gone() is not None
        remove()
        del remove
        gc.collect()
        assert gone() is None
        listening.close()

    run(main())


def test_out_of_descriptors_accepting_pauses_with_one_report():
    """Tornado reports it without end."""

    async def main():
        listening = listening_socket()
        accepted = []
        with uncaught_exceptions() as found:
            remove = tornadoc.netutil.add_accept_handler(listening, lambda connection, address: accepted.append(connection))
            first = connect(listening)
            await until(lambda: accepted)
            second = connect(listening)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            highest = max(int(name) for name in os.listdir("/proc/self/fd"))
            filler = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
            try:
                with contextlib.suppress(OSError):
                    while True:
                        filler.append(os.dup(0))
                await until(lambda: found)
                await asyncio.sleep(0.1)
                assert len(accepted) == 1
            finally:
                for fd in filler:
                    os.close(fd)
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await until(lambda: len(accepted) == 2)
        assert 1 <= len(found) <= 2 and all(e.errno == 24 for e in found)
        remove()
        for sock in (*accepted, first, second, listening):
            sock.close()

    run(main())
