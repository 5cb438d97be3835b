"""Servers of the event loop accept as asyncio's do, except that a lack of descriptors or memory is told once for each pause."""

import asyncio
import errno
import socket
from asyncio import constants

import pytest

from tornadoc import EventLoop

LOOPS = {"asyncio": asyncio.SelectorEventLoop, "native": EventLoop}
SHORT = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


class Listener(socket.socket):
    """accept() fails as `failures` say; None stands for a real one."""

    def __init__(self):
        super().__init__()
        self.bind(("127.0.0.1", 0))
        self.setblocking(False)
        self.failures = []
        self.accepts = 0

    def accept(self):
        self.accepts += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        return super().accept()


class Protocol(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


@pytest.fixture(params=LOOPS)
def loop(request, monkeypatch):
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.01)
    loop = LOOPS[request.param]()
    loop.reports = []
    loop.set_exception_handler(lambda _, context: loop.reports.append(context))
    yield loop
    loop.close()


def serve(loop, listener, main):
    async def run():
        server = await asyncio.get_running_loop().create_server(Protocol, sock=listener, backlog=5)
        try:
            return await asyncio.wait_for(main(server), 60)
        finally:
            server.close()

    return loop.run_until_complete(run())


async def greeting(address):
    reader, writer = await asyncio.open_connection(*address)
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("number", SHORT)
def test_accepting_pauses_and_goes_on(loop, number):
    listener = Listener()
    failures = [OSError(number, "nothing left") for _ in range(3)]

    async def main(server):
        listener.failures += failures
        # A pause of asyncio's that ends when the server is closed is reported as well: not in these.
        return await greeting(listener.getsockname()), list(loop.reports)

    answer, reports = serve(loop, listener, main)
    assert answer == b"hello"
    assert {*map(frozenset, reports)} == {frozenset(("message", "exception", "socket"))}
    assert {report["message"] for report in reports} == {"socket.accept() out of system resource"}
    assert [report["exception"] for report in reports] == failures
    if isinstance(loop, EventLoop):
        # Three failures, the connection, and nothing more; in asyncio one event has the rest of the backlog.
        assert listener.accepts == 5
        assert loop.reports == reports


def test_every_pause_is_reported_once(monkeypatch):
    """And nothing is tried meanwhile: the loop is idle."""
    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 3600)
    loop = EventLoop()
    listener = Listener()
    turns = []
    loop.reports = []

    def report(_, context):
        loop.reports.append(context)
        loop.call_soon(turns.append, listener.accepts)

    async def main(server):
        listener.failures += [OSError(errno.EMFILE, "nothing left")] * 100
        client = socket.create_connection(listener.getsockname())
        while not turns:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert listener.accepts == 1
        client.close()

    loop.set_exception_handler(report)
    serve(loop, listener, main)
    loop.close()
    assert len(loop.reports) == 1
    assert turns == [1]


def test_a_server_that_is_closed_in_a_pause_stays_closed(loop):
    listener = Listener()

    async def main(server):
        listener.failures += [OSError(errno.EMFILE, "nothing left")]
        client = socket.create_connection(listener.getsockname())
        while not loop.reports:
            await asyncio.sleep(0)
        server.close()
        await asyncio.sleep(0.05)
        client.close()

    serve(loop, listener, main)
    if isinstance(loop, EventLoop):
        assert len(loop.reports) == 1


def test_accepting_again_may_fail_for_a_while(monkeypatch):
    loop = EventLoop()
    loop.reports = []
    loop.set_exception_handler(lambda _, context: loop.reports.append(context))
    listener = Listener()
    start = loop._start_serving
    failures = [OSError(errno.ENOSPC, "no watch left"), OSError(errno.ENOMEM, "nothing left")]

    def start_serving(*args):
        if listener.accepts and failures:
            raise failures.pop()
        return start(*args)

    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.01)
    loop._start_serving = start_serving

    async def main(server):
        listener.failures += [OSError(errno.EMFILE, "nothing left")]
        return await greeting(listener.getsockname())

    assert serve(loop, listener, main) == b"hello"
    loop.close()
    assert [report["exception"].errno for report in loop.reports] == [errno.EMFILE, errno.ENOMEM, errno.ENOSPC]


@pytest.mark.parametrize("failure", [BlockingIOError, InterruptedError, ConnectionAbortedError])
def test_a_connection_that_is_gone_is_no_failure(loop, failure):
    listener = Listener()

    async def main(server):
        listener.failures += [failure(), None, failure()]
        return await greeting(listener.getsockname())

    assert serve(loop, listener, main) == b"hello"
    assert loop.reports == []


def test_other_failures_are_those_of_a_callback(loop):
    listener = Listener()

    async def main(server):
        listener.failures += [OSError(errno.EPERM, "a firewall"), ValueError("odd")]
        return await greeting(listener.getsockname())

    assert serve(loop, listener, main) == b"hello"
    assert [str(report["exception"]) for report in loop.reports] == [f"[Errno {errno.EPERM}] a firewall", "odd"]
    assert all(report["message"].startswith("Exception in callback") and "handle" in report for report in loop.reports)


def test_a_batch_is_as_long_as_the_backlog(loop):
    """Others have their turn between two batches."""
    listener = Listener()
    seen = []

    async def main(server):
        seen.append(listener.accepts)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(5)]
        while listener.accepts == 0:
            await asyncio.sleep(0)
        seen.append(listener.accepts)
        for client in clients:
            client.close()

    serve(loop, listener, main)
    assert seen == [0, 5]


def test_debug_mode_tells_of_connections(loop, caplog):
    loop.set_debug(True)
    listener = Listener()

    async def main(server):
        return await greeting(listener.getsockname())

    with caplog.at_level("DEBUG", "asyncio"):
        assert serve(loop, listener, main) == b"hello"
    assert [record for record in caplog.records if "got a new connection from ('127.0.0.1'" in record.getMessage()]
