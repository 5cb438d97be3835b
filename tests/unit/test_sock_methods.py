"""sock_recv() and its kin: the same observable behaviour as asyncio's own, which every test here runs against too."""

import asyncio
import collections.abc
import gc
import inspect
import os
import select
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from transport_support import BIG, LOOPS, run

from tornadoc import EventLoop


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = LOOPS[request.param]()
    reports: list[Any] = []
    loop.set_exception_handler(lambda _, context: reports.append(context))
    yield loop
    loop.close()
    gc.collect()
    assert reports == []


@pytest.fixture(params=["mixed", "native"])
def native(request: pytest.FixtureRequest) -> Iterator[Any]:
    loop = LOOPS[request.param]()
    yield loop
    loop.close()
    gc.collect()


def pair(family: int = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        left, right = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            left = socket.create_connection(listener.getsockname())
            right, _ = listener.accept()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


async def started(coroutine: Any) -> asyncio.Task[Any]:
    """A task of it that waits."""
    task = asyncio.get_running_loop().create_task(coroutine)
    await asyncio.sleep(0)
    assert not task.done()
    return task


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
@pytest.mark.parametrize("size", [1, 1000, 100_000, BIG])
def test_echo(loop: Any, family: int, size: int):
    async def serve(sock: socket.socket) -> None:
        while data := await loop.sock_recv(sock, 200_000):
            await loop.sock_sendall(sock, data)

    async def main() -> None:
        left, right = pair(family)
        with left, right:
            serving = asyncio.ensure_future(serve(right))
            for _ in range(3):
                sending = asyncio.ensure_future(loop.sock_sendall(left, b"x" * size))
                data = bytearray()
                while len(data) < size:
                    data += await loop.sock_recv(left, 65536)
                assert data == b"x" * size
                assert await sending is None
            left.shutdown(socket.SHUT_WR)
            await serving

    run(loop, main)


def test_end_of_input(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            task = await started(loop.sock_recv(left, 10))
            right.shutdown(socket.SHUT_WR)
            assert await task == b""
            assert await loop.sock_recv(left, 10) == b""
            assert await loop.sock_recv_into(left, bytearray(4)) == 0

    run(loop, main)


def test_receiving_into_a_buffer(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            room = bytearray(8)
            task = await started(loop.sock_recv_into(left, memoryview(room)[2:6]))
            right.send(b"abcdef")
            assert await task == 4
            assert room == b"\0\0abcd\0\0"
            assert await loop.sock_recv_into(left, room) == 2
            room.clear()  # nobody holds the buffer any more
            for wrong in (b"read-only", "text"):
                with pytest.raises(TypeError):
                    await loop.sock_recv_into(left, wrong)

    run(loop, main)


def test_sending_any_buffer(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            for data in (b"a", bytearray(b"b"), memoryview(b"c"), memoryview(b"-d-")[1:2], b""):
                assert await loop.sock_sendall(left, data) is None
            got = b""
            while len(got) < 4:
                got += await loop.sock_recv(right, 10)
            assert got == b"abcd"
            with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
                await loop.sock_sendall(left, "text")

    run(loop, main)


def test_accepting(loop: Any):
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            for _ in range(3):
                task = await started(loop.sock_accept(listener))
                with socket.create_connection(listener.getsockname()) as client:
                    accepted, address = await task
                    with accepted:
                        assert type(accepted) is socket.socket
                        assert address == client.getsockname()
                        assert accepted.gettimeout() == 0
                        assert not accepted.get_inheritable()

    run(loop, main)


def test_errors(loop: Any):
    async def main() -> None:
        left, right = pair()
        task = await started(loop.sock_recv(left, 10))
        right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        right.close()
        with pytest.raises(ConnectionResetError):
            await task
        with pytest.raises(BrokenPipeError):
            await loop.sock_sendall(left, b"x")
        left.close()
        for operation in (loop.sock_recv(left, 1), loop.sock_recv_into(left, bytearray(1)), loop.sock_sendall(left, b"x")):
            with pytest.raises(OSError, match="Bad file descriptor"):
                await operation

    run(loop, main)


def test_a_blocked_sender_learns_of_a_reset(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left:
            task = await started(loop.sock_sendall(left, b"x" * BIG))
            right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            right.close()
            with pytest.raises(ConnectionError):
                await task

    run(loop, main)


def test_receiving_and_sending_at_once(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            sending = await started(loop.sock_sendall(left, b"x" * BIG))
            receiving = await started(loop.sock_recv(left, 10))
            right.send(b"hello")
            assert await receiving == b"hello"
            assert not sending.done()
            count = 0
            while count < BIG:
                count += len(await loop.sock_recv(right, 1 << 20))
            await sending

    run(loop, main)


def test_cancelling(loop: Any):
    """What arrives later is for the next who waits."""

    async def main() -> None:
        left, right = pair()
        with left, right:
            for operation in (
                loop.sock_recv(left, 10),
                loop.sock_recv_into(left, bytearray(9)),
                loop.sock_sendall(left, b"x" * BIG),
            ):
                task = await started(operation)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            right.send(b"abc")
            assert await loop.sock_recv(left, 10) == b"abc"
            task = await started(loop.sock_recv(left, 10))
            right.send(b"def")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await loop.sock_recv(left, 10) == b"def"
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_recv(left, 10), 0.001)

    run(loop, main)


def test_a_descriptor_that_is_closed_and_used_again(loop: Any):
    async def main() -> None:
        numbers = set()
        for _ in range(5):
            left, right = pair()
            numbers.add(left.fileno())
            task = await started(loop.sock_recv(left, 10))
            right.send(b"x")
            assert await task == b"x"
            left.close()
            right.close()
        assert len(numbers) < 5

    run(loop, main)


def test_a_socket_that_is_dropped_is_closed(loop: Any):
    async def main() -> None:
        left, right = pair()
        with right:
            task = await started(loop.sock_recv(left, 10))
            right.send(b"x")
            await task
            del task
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                del left
                gc.collect()
            assert await loop.sock_recv(right, 1) == b""

    run(loop, main)


def test_a_descriptor_taken_by_another_socket_object(loop: Any):
    """socket.detach() hands the descriptor over while the kernel goes on watching it."""

    async def main() -> None:
        left, right = pair()
        with right:
            for _ in range(3):
                task = await started(loop.sock_recv(left, 10))
                right.send(b"x")
                assert await task == b"x"
                left = socket.socket(fileno=left.detach())
            left.close()

    run(loop, main)


def test_a_duplicate_keeps_the_old_registration_in_the_kernel(loop: Any):
    async def main() -> None:
        left, right = pair()
        with right:
            task = await started(loop.sock_recv(left, 10))
            right.send(b"x")
            await task
            number = left.fileno()
            copy = os.dup(number)
            left.close()
            other, far = pair()
            with far:
                if other.fileno() != number:
                    os.dup2(other.fileno(), number)
                    other.close()
                    other = socket.socket(fileno=number)
                with other as reused:
                    task = await started(loop.sock_recv(reused, 10))
                    right.send(b"for the copy")
                    await asyncio.sleep(0)
                    far.send(b"right")
                    assert await task == b"right"
            os.close(copy)

    run(loop, main)


def test_a_transport_of_a_socket_that_was_waited_for(loop: Any):
    async def main() -> None:
        left, right = pair()
        with right:
            task = await started(loop.sock_recv(left, 10))
            right.send(b"hello")
            assert await task == b"hello"
            reader, writer = await asyncio.open_connection(sock=left)
            right.send(b"again")
            assert await reader.readexactly(5) == b"again"
            for operation in (loop.sock_recv(left, 10), loop.sock_sendall(left, b"x" * BIG), loop.sock_accept(left)):
                with pytest.raises((RuntimeError, OSError)):
                    await operation
            writer.close()
            await writer.wait_closed()

    run(loop, main)


def test_add_reader_on_a_socket_that_was_waited_for(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            task = await started(loop.sock_recv(left, 10))
            right.send(b"x")
            await task
            seen = asyncio.Event()
            loop.add_reader(left, seen.set)
            right.send(b"y")
            await seen.wait()
            assert loop.remove_reader(left)
            assert await loop.sock_recv(left, 10) == b"y"
            room = asyncio.Event()
            loop.add_writer(left, room.set)
            task = await started(loop.sock_recv(left, 10))
            await room.wait()
            assert loop.remove_writer(left)
            right.send(b"z")
            assert await task == b"z"

    run(loop, main)


def test_input_that_nobody_waits_for(loop: Any):
    async def main() -> None:
        left, right = pair(socket.AF_UNIX)
        with left, right:
            task = await started(loop.sock_recv(left, 1))
            for _ in range(50):
                right.send(b"x")
                await asyncio.sleep(0)
            await task
            data = await loop.sock_recv(left, 100)
            assert data == b"x" * 49
            for _ in range(3):
                task = await started(loop.sock_recv(left, 100))
                right.send(b"y")
                assert await task == b"y"

    run(loop, main)


def test_debug_mode_refuses_blocking_sockets(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            loop.set_debug(True)
            for timeout in (None, 1.0):
                left.settimeout(timeout)
                for operation in (
                    loop.sock_recv(left, 1),
                    loop.sock_recv_into(left, bytearray(1)),
                    loop.sock_sendall(left, b"x"),
                    loop.sock_accept(left),
                ):
                    with pytest.raises(ValueError, match=r"^the socket must be non-blocking$"):
                        await operation
            loop.set_debug(False)

    run(loop, main)


def test_other_kinds_of_sockets(loop: Any):
    class Own(socket.socket):
        def recv(self, size: int, flags: int = 0) -> bytes:
            return b"own"

    async def main() -> None:
        left, right = pair()
        with right, Own(fileno=left.detach()) as own:
            assert await loop.sock_recv(own, 10) == b"own"
            await loop.sock_sendall(own, b"x")
            assert await loop.sock_recv(right, 10) == b"x"
            secure = ssl.create_default_context().wrap_socket(socket.socket(), do_handshake_on_connect=False, server_hostname="x")
            with secure:
                for operation in (loop.sock_recv(secure, 1), loop.sock_sendall(secure, b"x"), loop.sock_accept(secure)):
                    with pytest.raises(TypeError, match="Socket cannot be of type SSLSocket"):
                        await operation

    run(loop, main)


def test_a_patched_socket_method_is_called(loop: Any, monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        left, right = pair()
        with left, right:
            monkeypatch.setattr(socket.socket, "recv", lambda self, size: b"patched", raising=False)
            assert await loop.sock_recv(left, 10) == b"patched"
            monkeypatch.undo()
            right.send(b"x")
            assert await loop.sock_recv(left, 10) == b"x"

    run(loop, main)


def test_odd_arguments(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            right.send(b"abc")
            assert await loop.sock_recv(left, n=1) == b"a"
            assert await loop.sock_recv(sock=left, n=True) == b"b"
            assert await loop.sock_recv(left, 0) == b""
            with pytest.raises(ValueError, match="negative"):
                await loop.sock_recv(left, -1)
            with pytest.raises(TypeError):
                await loop.sock_recv(left, "1")
            with pytest.raises(TypeError):
                loop.sock_recv(left)
            with pytest.raises(TypeError):
                loop.sock_recv(left, 1, 2)
            with pytest.raises((TypeError, AttributeError)):
                await loop.sock_recv(None, 1)
            assert await loop.sock_recv(left, 10) == b"c"
            await loop.sock_sendall(sock=right, data=b"d")
            assert await loop.sock_recv(left, 10) == b"d"

    run(loop, main)


def test_nothing_happens_before_it_is_awaited(loop: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            right.send(b"x")
            operation = loop.sock_recv(left, 10)
            with pytest.warns(RuntimeWarning, match="sock_recv' was never awaited"):
                del operation
                gc.collect()
            closed = loop.sock_recv(left, 10)
            closed.close()
            with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
                await closed
            assert await loop.sock_recv(left, 10) == b"x"

    run(loop, main)


def test_it_is_a_coroutine(loop: Any, monkeypatch: pytest.MonkeyPatch):
    async def main() -> None:
        left, right = pair()
        with left, right:
            operation = loop.sock_recv(left, 10)
            assert asyncio.iscoroutine(operation)
            assert inspect.isawaitable(operation)
            assert isinstance(operation, collections.abc.Coroutine)
            right.send(b"ab")
            assert select.select([left], [], [], 20)[0]
            with pytest.raises(StopIteration) as stopped:
                operation.send(None)
            assert stopped.value.value == b"ab"
            with pytest.raises(RuntimeError):
                operation.send(None)
            operation = loop.sock_recv(left, 10)
            future = operation.send(None)
            assert asyncio.isfuture(future)
            with pytest.raises(KeyError):
                operation.throw(KeyError("thrown"))
            operation = loop.sock_recv(left, 10)
            with pytest.raises(KeyError):
                operation.throw(KeyError("thrown"))
            operation.close()
            busy = loop.sock_accept(left)
            monkeypatch.setattr(socket.socket, "accept", lambda self: busy.close())
            with pytest.raises(ValueError, match="coroutine already executing"):
                await busy
            monkeypatch.undo()
            first, second = await asyncio.gather(loop.sock_recv(left, 10), loop.sock_sendall(right, b"both"))
            assert (first, second) == (b"both", None)
            task = await started(loop.sock_recv(left, 10))
            assert "sock_recv" in repr(task)
            task.print_stack()
            right.send(b"c")
            assert await task == b"c"

    run(loop, main)


def test_the_loop_is_closed_under_an_operation(loop: Any):
    left, right = pair()
    with left, right:
        operation = loop.sock_recv(left, 10)
        loop.call_soon(loop.stop)
        loop.call_soon(lambda: operation.send(None))
        loop.run_forever()
        loop.close()
        right.send(b"x")
        operation.close()


# -- what asyncio has no answer to --


def test_several_wait_in_turn(native: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            tasks = [await started(native.sock_recv(left, 1)) for _ in range(4)]
            tasks.pop(1).cancel()
            right.send(b"abc")
            assert await asyncio.gather(*tasks) == [b"a", b"b", b"c"]

    run(native, main)


def test_a_transport_takes_the_descriptor_of_a_wait(native: Any):
    async def main() -> None:
        left, right = pair()
        with left, right:
            receiving = await started(native.sock_recv(left, 10))
            sending = await started(native.sock_sendall(left, b"x" * BIG))
            alias = socket.socket(fileno=left.fileno())
            reader, writer = await asyncio.open_connection(sock=alias)
            for task in (receiving, sending):
                with pytest.raises(RuntimeError, match="is used by transport"):
                    await task
            right.send(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.transport.abort()
            await asyncio.sleep(0)
            left.detach()

    run(native, main)


def test_waiting_for_a_descriptor_that_something_else_of_the_engine_watches(native: Any):
    """The wait then goes by add_reader() and add_writer()."""

    async def main() -> None:
        left, right = pair()
        with right:
            transport, _ = await native.create_connection(asyncio.Protocol, sock=left)
            transport.pause_reading()
            del native._transports[left.fileno()]
            for _ in range(2):
                receiving = await started(native.sock_recv(left, 10))
                right.send(b"hello")
                assert await receiving == b"hello"
            receiving = await started(native.sock_recv(left, 10))
            receiving.cancel()
            sending = await started(native.sock_sendall(left, b"x" * BIG))
            count = 0
            while count < BIG:
                count += len(await native.sock_recv(right, 1 << 20))
            await sending
            assert not native.remove_reader(left)
            assert not native.remove_writer(left)
            transport.abort()
            await asyncio.sleep(0)

    run(native, main)


def test_a_wait_whose_socket_is_closed(native: Any):
    async def main() -> None:
        left, right = pair()
        with right:
            number = left.fileno()
            task = await started(native.sock_recv(left, 10))
            left.close()
            other, far = pair()
            with other, far:
                if other.fileno() != number:
                    os.dup2(other.fileno(), number)
                    other.close()
                    other = socket.socket(fileno=number)
                with other:
                    waiting = await started(native.sock_recv(other, 100))
                    far.send(b"not for the first")
                    assert await waiting == b"not for the first"
                    with pytest.raises(OSError, match="Bad file descriptor"):
                        await task

    run(native, main)


def test_operations_may_end_while_another_is_told_to_go_on_without_the_watch() -> None:
    class Loop(EventLoop):
        hook: Callable[[], None] | None = None

        def call_soon(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
            hook, self.hook = self.hook, None
            if hook is not None:
                hook()
            return super().call_soon(callback, *args, **kwargs)

    loop = Loop()
    left, right = pair()
    operations: list[Any] = [loop.sock_recv(left, 10) for _ in range(5)]
    for operation in operations:
        operation.send(None)

    def end_others() -> None:
        for operation in operations[2:0:-1]:
            operation.close()
        operations.clear()
        gc.collect()

    with left, right:
        loop.hook = end_others
        loop.add_reader(left, list)  # takes the descriptor over
        assert loop.hook is None and operations == []
        loop.remove_reader(left)
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
