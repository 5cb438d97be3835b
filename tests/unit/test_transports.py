"""Stream transports: the same observable behaviour as asyncio's own, which every test here runs against too."""

import asyncio
import contextvars
import gc
import logging
import select
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from transport_support import BIG, LOOPS, NativeLoop, run

from tornadoc._transports import NativeTransports, SocketTransport


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = LOOPS[request.param]()
    loop.reports = []
    loop.set_exception_handler(lambda _, context: loop.reports.append(context))
    yield loop
    if not loop.is_closed():
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    gc.collect()


class Recorder(asyncio.Protocol):
    """Notes what it is told; `on` has functions to call for an event."""

    def __init__(self, **on: Callable[..., Any]) -> None:
        self.events: list[Any] = []
        self.data = bytearray()
        self.on = on
        self.transport: Any = None
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def note(self, event: str, *args: Any) -> Any:
        self.events.append((event, *args))
        hook = self.on.get(event)
        result = hook(self, *args) if hook else None
        for entry in self.waiting[:]:
            if entry[0]():
                self.waiting.remove(entry)
                if not entry[1].done():
                    entry[1].set_result(None)
        return result

    async def until(self, condition: Callable[[], bool]) -> None:
        if not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append((condition, future))
            await future

    def named(self, *names: str) -> list[Any]:
        return [event for event in self.events if event[0] in names]

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.note("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data
        self.note("data", len(data))

    def eof_received(self) -> Any:
        return self.note("eof")

    def pause_writing(self) -> None:
        self.note("pause")

    def resume_writing(self) -> None:
        self.note("resume")

    def connection_lost(self, exc: BaseException | None) -> None:
        self.note("lost", type(exc))
        if not self.lost.done():
            self.lost.set_result(exc)


class Buffered(asyncio.BufferedProtocol):
    def __init__(self, size: int = 7) -> None:
        self.room = bytearray(size)
        self.data = bytearray()
        self.hints: list[int] = []
        self.lost: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> Any:
        self.hints.append(sizehint)
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.room[:nbytes]

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(exc)


async def pair(protocol: Any, family: int = socket.AF_INET) -> tuple[Any, socket.socket]:
    """A transport with the protocol, and the other end as a non-blocking socket."""
    loop = asyncio.get_running_loop()
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
    ours.setblocking(False)
    theirs.setblocking(False)
    transport, _ = await loop.create_connection(lambda: protocol, sock=ours)
    if isinstance(loop, NativeTransports):
        assert isinstance(transport, SocketTransport)
    assert isinstance(transport, asyncio.Transport)
    return transport, theirs


async def receive(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
        if not part:
            break
        data += part
    return bytes(data)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])


@FAMILIES
def test_a_connection_from_made_to_lost(loop: Any, family: int):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol, family)
        with peer:
            assert protocol.events == [("made",)]
            await loop.sock_sendall(peer, b"hello")
            await protocol.until(lambda: protocol.data == b"hello")
            transport.write(b"wor")
            transport.write(bytearray(b"l"))
            transport.write(memoryview(b"d"))
            assert await receive(peer, 5) == b"world"
            peer.shutdown(socket.SHUT_WR)
            assert await protocol.lost is None
            assert protocol.events == [("made",), ("data", 5), ("eof",), ("lost", type(None))]
            assert await loop.sock_recv(peer, 1) == b""
        assert transport.is_closing()

    run(loop, main)
    assert loop.reports == []


@FAMILIES
def test_much_data_both_ways(loop: Any, family: int):
    async def main() -> None:
        out, back = bytes(range(256)) * (BIG // 256), bytes(reversed(range(256))) * (BIG // 256)
        protocol = Recorder()
        transport, peer = await pair(protocol, family)
        with peer:
            transport.write(out)
            assert 0 < transport.get_write_buffer_size() < len(out)
            assert protocol.named("pause") == [("pause",)]
            sending = asyncio.ensure_future(loop.sock_sendall(peer, back))
            assert await receive(peer, len(out)) == out
            await sending
            await protocol.until(lambda: len(protocol.data) == len(back))
            assert protocol.data == back
            assert protocol.named("pause", "resume") == [("pause",), ("resume",)]
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.lost

    run(loop, main)


def test_what_is_written_can_be_changed_afterwards(loop: Any):
    """As in asyncio up to 3.11; later ones hold the buffer, which may be sent as it is by then."""

    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            data = bytearray(b"a" * BIG)
            transport.write(data)
            if isinstance(loop, NativeTransports):
                data[:] = b"b" * BIG
                data.clear()
            assert await receive(peer, BIG) == b"a" * BIG
            transport.abort()
            await protocol.lost

    run(loop, main)


def test_writelines(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            parts = [b"a", bytearray(b"b"), memoryview(b"c"), b"d" * BIG, b"", bytes(range(200))]
            parts += [b"%d" % i for i in range(300)]
            transport.writelines(parts)
            transport.write(b"end")
            whole = b"".join(parts) + b"end"
            assert await receive(peer, len(whole)) == whole
            with pytest.raises(TypeError):
                transport.writelines([b"x", 1])
            transport.writelines([])
            transport.write(b"y")
            assert await receive(peer, 1) == b"y"
            transport.write_eof()
            with pytest.raises(RuntimeError, match="after write_eof"):
                transport.writelines([b"x"])
            transport.close()
            await protocol.lost

    run(loop, main)


def test_an_empty_last_piece_of_writelines_does_not_hold_up_the_close(loop: Any):
    if not isinstance(loop, NativeTransports):
        pytest.skip("asyncio keeps the empty piece for ever, from 3.12 on")

    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            transport.writelines([b"x", b""])
            assert transport.get_write_buffer_size() == 0
            transport.close()
            await protocol.lost
            assert await receive(peer, 1) == b"x"
            assert await loop.sock_recv(peer, 1) == b""

    run(loop, main)


def test_refused_writes(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            for bad in ("text", 1, None, [b"x"]):
                with pytest.raises(TypeError, match=f"^data argument must be a bytes-like object, not '{type(bad).__name__}'$"):
                    transport.write(bad)
            transport.write(b"")
            assert transport.can_write_eof()
            transport.write_eof()
            transport.write_eof()
            with pytest.raises(RuntimeError, match=r"^Cannot call write\(\) after write_eof\(\)$"):
                transport.write(b"x")
            assert await loop.sock_recv(peer, 10) == b""
            transport.close()
            await protocol.lost

    run(loop, main)


def test_writes_after_the_connection_was_lost_are_dropped_and_logged_from_the_fifth_on(loop: Any, caplog: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer, caplog.at_level(logging.WARNING, "asyncio"):
            transport.abort()
            await protocol.lost
            for _ in range(7):
                transport.write(b"x")
            assert await loop.sock_recv(peer, 10) == b""

    run(loop, main)
    assert [r.getMessage() for r in caplog.records] == ["socket.send() raised exception."] * 3


def test_limits_of_the_write_buffer(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            assert transport.get_write_buffer_limits() == (16384, 65536)
            transport.set_write_buffer_limits(high=1000)
            assert transport.get_write_buffer_limits() == (250, 1000)
            transport.set_write_buffer_limits(low=10)
            assert transport.get_write_buffer_limits() == (10, 40)
            for wrong in ({"high": 1, "low": 2}, {"high": -1}, {"low": -1}):
                with pytest.raises(ValueError, match="must be >="):
                    transport.set_write_buffer_limits(**wrong)
            transport.set_write_buffer_limits(high=1 << 80, low=0)
            transport.write(b"x" * BIG)
            assert protocol.named("pause") == []
            transport.set_write_buffer_limits(high=0)
            transport.write(b"x")
            transport.write(b"x")
            assert protocol.named("pause") == [("pause",)]
            await receive(peer, BIG + 2)
            await protocol.until(lambda: protocol.named("resume") != [])
            transport.close()
            await protocol.lost

    run(loop, main)


def test_pausing_and_resuming_reading(loop: Any):
    async def main() -> None:
        protocol = Recorder(data=lambda self, size: self.transport.pause_reading())
        transport, peer = await pair(protocol)
        with peer:
            assert transport.is_reading()
            for byte in b"abc":
                await loop.sock_sendall(peer, bytes([byte]))
                await protocol.until(lambda: not transport.is_reading())
                transport.pause_reading()
                await loop.sock_sendall(peer, b"-")
                size = len(protocol.data)
                await turns()
                assert len(protocol.data) == size
                transport.resume_reading()
                transport.resume_reading()
                await protocol.until(lambda size=size: len(protocol.data) > size)
                assert not transport.is_reading()
                transport.resume_reading()
            assert protocol.data == b"a-b-c-"
            transport.pause_reading()
            peer.close()
            await turns()
            assert protocol.named("eof", "lost") == []
            transport.resume_reading()
            assert await protocol.lost is None
            transport.pause_reading()
            transport.resume_reading()
            assert not transport.is_reading()

    run(loop, main)


def test_pausing_before_anything_is_read(loop: Any):
    if sys.version_info < (3, 11) and not isinstance(loop, NativeTransports):
        pytest.skip("asyncio of Python 3.10 reads all the same")

    async def main() -> None:
        protocol = Recorder(made=lambda self: self.transport.pause_reading())
        transport, peer = await pair(protocol)
        with peer:
            await loop.sock_sendall(peer, b"early")
            await turns()
            assert protocol.data == b""
            transport.resume_reading()
            await protocol.until(lambda: protocol.data == b"early")
            transport.close()
            await protocol.lost

    run(loop, main)


def test_eof_received_keeps_the_connection_open(loop: Any):
    async def main() -> None:
        protocol = Recorder(eof=lambda self: True)
        transport, peer = await pair(protocol)
        with peer:
            peer.shutdown(socket.SHUT_WR)
            await protocol.until(lambda: protocol.named("eof") != [])
            await turns()
            assert protocol.events == [("made",), ("eof",)]
            assert not transport.is_closing()
            transport.write(b"x" * BIG)
            assert await receive(peer, BIG) == b"x" * BIG
            transport.close()
            assert await protocol.lost is None
            assert await loop.sock_recv(peer, 1) == b""

    run(loop, main)


def test_write_eof_comes_after_what_was_written(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            transport.write(b"x" * BIG)
            transport.write_eof()
            assert await receive(peer, BIG + 1) == b"x" * BIG
            await loop.sock_sendall(peer, b"still open")
            await protocol.until(lambda: protocol.data == b"still open")
            transport.close()
            await protocol.lost

    run(loop, main)


def test_close_sends_what_was_written(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            transport.write(b"x" * BIG)
            transport.close()
            transport.close()
            assert transport.is_closing() and not transport.is_reading()
            assert protocol.named("lost") == []
            assert len(await receive(peer, BIG)) == BIG
            assert await protocol.lost is None
        assert protocol.named("data", "lost") == [("lost", type(None))]
        assert transport._sock is None
        assert transport.get_protocol() is None
        if isinstance(loop, NativeTransports):
            # asyncio's own fails here, on its _sock that is None.
            transport.write(b"x")
            transport.abort()
        transport.close()

    run(loop, main)


def test_abort_drops_what_was_written(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            transport.write(b"x" * BIG)
            transport.abort()
            transport.abort()
            assert transport.get_write_buffer_size() == 0
            assert protocol.named("lost") == []
            assert await protocol.lost is None
            await turns()
            assert protocol.named("lost") == [("lost", type(None))]
            assert len(await receive(peer, BIG)) < BIG

    run(loop, main)


def test_a_reset_by_the_peer(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert isinstance(await protocol.lost, ConnectionResetError)
        assert protocol.named("eof") == []
        transport.write(b"x")

    run(loop, main)
    assert loop.reports == []


def test_writing_to_a_peer_that_is_gone(loop: Any):
    async def main() -> None:
        protocol = Recorder(made=lambda self: self.transport.pause_reading())
        transport, peer = await pair(protocol)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        reset = select.poll()
        reset.register(transport.get_extra_info("socket").fileno(), 0)
        assert reset.poll(20_000)
        for _ in range(3):
            transport.write(b"x")
        assert isinstance(await protocol.lost, ConnectionError)

    run(loop, main)
    assert loop.reports == []


def test_a_reset_while_output_waits(loop: Any):
    async def main() -> None:
        protocol = Recorder(made=lambda self: self.transport.pause_reading())
        transport, peer = await pair(protocol)
        transport.write(b"x" * BIG)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        peer.close()
        assert isinstance(await protocol.lost, ConnectionError)
        assert transport.get_write_buffer_size() == 0

    run(loop, main)


class Oops(Exception):
    pass


def oops(*args: Any) -> Any:
    raise Oops


@pytest.mark.parametrize("method", ["data_received", "eof_received"])
def test_exceptions_of_the_protocol_end_the_connection(loop: Any, method: str):
    async def main() -> None:
        protocol = Recorder(**{method.partition("_")[0]: oops})
        transport, peer = await pair(protocol)
        with peer:
            await loop.sock_sendall(peer, b"x")
            peer.shutdown(socket.SHUT_WR)
            assert isinstance(await protocol.lost, Oops)
        (report,) = loop.reports
        assert report["message"] == f"Fatal error: protocol.{method}() call failed."
        assert isinstance(report["exception"], Oops)
        assert report["transport"] is transport
        assert report["protocol"] is protocol

    run(loop, main)


@pytest.mark.parametrize("method", ["pause_writing", "resume_writing"])
def test_exceptions_of_flow_control_are_reported(loop: Any, method: str):
    async def main() -> None:
        protocol = Recorder(**{method.partition("_")[0]: oops})
        transport, peer = await pair(protocol)
        with peer:
            transport.write(b"x" * BIG)
            await receive(peer, BIG)
            transport.write(b"y")
            await receive(peer, 1)
            transport.close()
            assert await protocol.lost is None
        (report,) = loop.reports
        assert report["message"] == f"protocol.{method}() failed"

    run(loop, main)


@pytest.mark.parametrize("exception", [SystemExit, KeyboardInterrupt])
def test_an_exit_leaves_the_loop_and_nothing_else(loop: Any, exception: type[BaseException]):
    def leave(self: Recorder, size: int) -> None:
        self.on.clear()
        raise exception

    state: list[Any] = []

    async def start() -> None:
        protocol = Recorder(data=leave)
        transport, peer = await pair(protocol)
        state.extend((protocol, transport, peer))

    async def go_on() -> None:
        protocol, transport, peer = state
        with peer:
            await loop.sock_sendall(peer, b"more")
            await protocol.until(lambda: protocol.data == b"xmore")
            transport.close()
            await protocol.lost

    run(loop, start)
    state[2].send(b"x")
    with pytest.raises(exception):
        loop.run_forever()
    run(loop, go_on)


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_a_buffered_protocol(loop: Any, size: int):
    async def main() -> None:
        protocol = Buffered(size)
        _transport, peer = await pair(protocol)
        data = bytes(range(256)) * 40
        with peer:
            await loop.sock_sendall(peer, data)
        assert await protocol.lost is None
        assert protocol.data == data
        assert set(protocol.hints) == {-1}

    run(loop, main)


@pytest.mark.parametrize(
    ("method", "result", "message"),
    [
        ("get_buffer", oops, "Fatal error: protocol.get_buffer() call failed."),
        ("get_buffer", lambda hint: bytearray(), "Fatal error: protocol.get_buffer() call failed."),
        ("get_buffer", lambda hint: b"read-only", "Fatal read error on socket transport"),
        ("buffer_updated", oops, "Fatal error: protocol.buffer_updated() call failed."),
    ],
)
def test_faults_of_a_buffered_protocol(loop: Any, method: str, result: Any, message: str):
    async def main() -> None:
        protocol = Buffered()
        setattr(protocol, method, result)
        _transport, peer = await pair(protocol)
        with peer:
            await loop.sock_sendall(peer, b"x")
            assert isinstance(await protocol.lost, Exception)
        assert [report["message"] for report in loop.reports] == [message]

    run(loop, main)


def test_the_protocol_changes_its_kind_while_data_flows(loop: Any):
    async def main() -> None:
        buffered = Buffered(3)
        protocol = Recorder(data=lambda self, size: self.transport.set_protocol(buffered))
        transport, peer = await pair(protocol)
        with peer:
            await loop.sock_sendall(peer, b"one")
            await protocol.until(lambda: protocol.data == b"one")
            assert transport.get_protocol() is buffered
            await loop.sock_sendall(peer, b"two-three")
            while len(buffered.data) < 9:
                await asyncio.sleep(0)
            last = Recorder()
            transport.set_protocol(last)
            await loop.sock_sendall(peer, b"four")
            await last.until(lambda: last.data == b"four")
        assert await last.lost is None
        assert not buffered.lost.done() and not protocol.lost.done()

    run(loop, main)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_closing_from_a_callback_with_more_to_read(loop: Any, how: str):
    async def main() -> None:
        protocol = Recorder(data=lambda self, size: getattr(self.transport, how)())
        _transport, peer = await pair(protocol)
        with peer:
            peer.send(b"x" * 100_000)
            assert await protocol.lost is None
        assert len(protocol.named("data")) == 1

    run(loop, main)


def test_one_connection_does_not_keep_the_loop_to_itself(loop: Any):
    """A callback runs before a long input, read byte by byte, is at its end."""

    async def main() -> None:
        protocol = Buffered(1)
        transport, peer = await pair(protocol)
        transport.pause_reading()
        with peer:
            peer.send(b"x" * 20_000)
            seen: list[int] = []
            transport.resume_reading()
            while not protocol.data:
                await asyncio.sleep(0)
            loop.call_soon(lambda: seen.append(len(protocol.data)))
            while len(protocol.data) < 20_000:
                await asyncio.sleep(0)
            assert seen[0] < 20_000
        await protocol.lost

    run(loop, main)


def test_extra_information(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            info = transport.get_extra_info
            assert info("sockname") == peer.getpeername()
            assert info("peername") == peer.getsockname()
            assert type(info("socket")) is type(asyncio.trsock.TransportSocket(peer))
            assert info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
            assert info("nothing") is None
            assert info("nothing", 1) == 1
            name = info("peername")
            transport.close()
            await protocol.lost
            assert info("peername") == name

    run(loop, main)


def test_the_descriptor_belongs_to_the_transport(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            fd = transport.get_extra_info("socket").fileno()
            for method in (loop.add_reader, loop.add_writer):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    method(fd, print)
            transport.close()
            await protocol.lost

    run(loop, main)


def test_repr(loop: Any):
    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer:
            await turns()
            assert "read=polling write=<idle, bufsize=0>" in repr(transport)
            transport.pause_reading()
            assert "read=idle" in repr(transport)
            transport.write(b"x" * BIG)
            assert "write=<polling, bufsize=" in repr(transport)
            transport.abort()
            assert " closing fd=" in repr(transport)
            await protocol.lost
            assert " closed fd=" in repr(transport)

    run(loop, main)


def test_the_protocol_runs_in_the_context_of_the_transport(loop: Any):
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def main() -> None:
        seen = []

        def data(self: Recorder, size: int) -> None:
            seen.append(variable.get())
            variable.set("leaked")

        variable.set("first")
        first, peer_1 = await pair(Recorder(data=data))
        variable.set("second")
        second, peer_2 = await pair(Recorder(data=data))
        with peer_1, peer_2:
            for peer, protocol in ((peer_1, first.get_protocol()), (peer_2, second.get_protocol())):
                await loop.sock_sendall(peer, b"x")
                await protocol.until(lambda protocol=protocol: protocol.data == b"x")
            assert seen == ["first", "second"]
            assert variable.get() == "second"
            for transport in (first, second):
                protocol = transport.get_protocol()
                transport.close()
                await protocol.lost

    run(loop, main)


def test_an_unclosed_transport_is_warned_of(loop: Any):
    async def main() -> None:
        transport, peer = await pair(Recorder())
        peer.close()
        transport.pause_reading()

    run(loop, main)
    loop.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(w.message) for w in caught if "unclosed transport" in str(w.message)] != []


def test_using_a_transport_after_the_loop_was_closed(loop: Any):
    made = []

    async def main() -> None:
        made.extend(await pair(Recorder()))

    run(loop, main)
    transport, peer = made
    loop.close()
    with peer, pytest.raises(RuntimeError, match="Event loop is closed"):
        transport.close()
    transport._sock.close()
    transport._sock = None


def test_sendfile(loop: Any, tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 8192)

    async def main() -> None:
        protocol = Recorder()
        transport, peer = await pair(protocol)
        with peer, path.open("rb") as file:
            transport.write(b"head" * (1 << 20))
            sending = asyncio.ensure_future(loop.sendfile(transport, file))
            await turns()
            with pytest.raises(RuntimeError, match="sendfile is in progress"):
                transport.write(b"x")
            whole = b"head" * (1 << 20) + path.read_bytes()
            assert await receive(peer, len(whole)) == whole
            assert await sending == path.stat().st_size
            transport.write(b"tail")
            assert await receive(peer, 4) == b"tail"
            await loop.sock_sendall(peer, b"back")
            await protocol.until(lambda: protocol.data == b"back")
            transport.close()
            await protocol.lost

    run(loop, main)
    assert loop.reports == []


def test_streams(loop: Any):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100_000):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        for size in (1, 1000, 1 << 16, BIG):
            writer.write(b"x" * size)
            assert await reader.readexactly(size) == b"x" * size
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    run(loop, main)
    assert loop.reports == []


def transports() -> set[Any]:
    """All that there are: other tests may have left some."""
    return {o for o in gc.get_objects() if issubclass(type(o), asyncio.Transport)}


def test_no_cycle_stays_behind_a_closed_connection(loop: Any):
    async def main() -> None:
        for _ in range(2):
            protocol = Recorder()
            transport, peer = await pair(protocol)
            with peer:
                transport.write(b"x")
                transport.close()
                await protocol.lost
            protocol.transport = None
            del transport, protocol, peer
            await turns()
            gc.collect()
        assert transports() - before == set()

    gc.collect()
    before = transports()
    run(loop, main)


def test_sockets_of_ones_own_class_get_asyncios_transport():
    class Own(socket.socket):
        pass

    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            own = Own(fileno=left.detach())
            own.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=own)
            assert type(transport) is asyncio.selector_events._SelectorSocketTransport
            transport.close()
            await turns()

    loop = NativeLoop()
    run(loop, main)
    loop.close()


def test_a_transport_that_was_not_opened_is_closed():
    transport = SocketTransport.__new__(SocketTransport)
    transport.write(b"x")
    transport.writelines([b"x"])
    transport.write_eof()
    transport.close()
    transport.abort()
    transport.pause_reading()
    transport.resume_reading()
    transport._read_ready()
    transport._add_reader()
    assert transport.is_closing() and not transport.is_reading()
    assert transport.get_write_buffer_size() == 0


def test_who_awaits_a_connection_runs_before_its_first_input(loop: Any) -> None:
    events: list[str] = []

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            events.append("made")

        def data_received(self, data: bytes) -> None:
            events.append("data")

    async def main() -> None:
        one, other = socket.socketpair()
        other.send(b"early")
        transport, _ = await asyncio.get_running_loop().create_connection(Protocol, sock=one)
        events.append("awaited")
        while "data" not in events:
            await asyncio.sleep(0)
        transport.close()
        other.close()

    run(loop, main)
    assert events == ["made", "awaited", "data"]


@pytest.mark.parametrize("where", ["data", "eof"])
def test_input_behind_an_exception_that_leaves_the_loop_is_not_lost(loop: Any, where: str) -> None:
    events: list[str] = []

    class Protocol(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            events.append("data")
            if where == "data":
                raise KeyboardInterrupt

        def eof_received(self) -> None:
            events.append("eof")
            if where == "eof" and events.count("eof") == 1:
                raise KeyboardInterrupt

        def connection_lost(self, exc: BaseException | None) -> None:
            events.append("lost")
            loop.stop()

    one, other = socket.socketpair()
    loop.run_until_complete(loop.create_connection(Protocol, sock=one))
    other.send(b"x")
    other.close()
    with pytest.raises(KeyboardInterrupt):
        loop.run_forever()
    loop.call_later(60, loop.stop)
    loop.run_forever()
    assert events == (["data", "eof", "lost"] if where == "data" else ["data", "eof", "eof", "lost"])
