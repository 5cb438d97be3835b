"""HOOKS of stream transports and of the loop's sock_* methods; see evil_stage.py."""

import asyncio
import os
import socket
import sys

from evil_stage import Registry, Skipped, drain, soon

HOOKS = Registry()
MORE_DEEDS = Registry()
MUCH = 600_000  # bytes, more than the kernel takes

hook = HOOKS.add
deed = MORE_DEEDS.add


def subject(world):
    """The transport, unless the hook has none at that point."""
    if world.subject is None:
        raise Skipped
    return world.subject


# -- deeds --


@deed
def abort(world):
    subject(world).abort()


@deed
def abort_and_raise(world):
    subject(world).abort()
    raise ValueError("aborted")


@deed
def write(world):
    subject(world).write(b"written")


@deed
def write_much(world):
    subject(world).write(b"x" * MUCH)


@deed
def write_much_and_close(world):
    subject(world).write(b"x" * MUCH)
    subject(world).close()


@deed
def write_eof(world):
    subject(world).write_eof()


@deed
def pause_reading(world):
    subject(world).pause_reading()
    soon(world, subject(world).resume_reading)


@deed
def pause_and_resume(world):
    subject(world).pause_reading()
    subject(world).resume_reading()


@deed
def set_protocol(world):
    subject(world).set_protocol(Protocol(world, "", "other: "))


@deed
def set_buffered_protocol(world):
    subject(world).set_protocol(Buffered(world, "", "other: "))


@deed
def set_protocol_and_raise(world):
    subject(world).set_protocol(Protocol(world, "", "other: "))
    raise ValueError("another protocol")


@deed
def peer_sends(world):
    world.peer.send(b"more")


@deed
def peer_closes(world):
    world.peer.close()


@deed
def peer_closes_and_write(world):
    world.peer.close()
    for _ in range(3):
        subject(world).write(b"into the void")


@deed
def close_the_socket_itself(world):
    subject(world)._sock.close()
    subject(world).abort()


@deed
def replace_descriptor(world):
    """Another socket gets the number, and a transport of its own."""
    transport = subject(world)
    number = transport.get_extra_info("socket").fileno()
    transport.abort()
    one, other = world.pair()

    def replace():
        os.dup2(one.fileno(), number)
        heir = socket.socket(fileno=number)
        heir.setblocking(False)
        world.sockets.append(heir)
        world.spawn(world.loop.create_connection(lambda: Protocol(world, "", "heir: "), sock=heir))
        other.send(b"for the heir")

    # Its connection_lost closes it first.
    soon(world, replace)


@deed
def new_connection(world):
    one, other = world.pair()
    world.spawn(world.loop.create_connection(lambda: Protocol(world, "", "new: "), sock=one))
    other.send(b"for the new one")


# -- protocols --


class Protocol(asyncio.Protocol):
    def __init__(self, world, fires, name=""):
        self.world = world
        self.fires = fires
        self.name = name

    def seen(self, event, detail=""):
        (self.world.fire if event == self.fires else self.world.note)(f"{self.name}{event}{detail}")

    def connection_made(self, transport):
        if self.world.subject is None and self.fires:
            self.world.subject = transport
            self.world.close = transport.close
        self.world.close_at_end(transport, "abort")
        self.seen("connection_made")

    def data_received(self, data):
        self.seen("data_received", f" {len(data)} {data[:12]}")

    def eof_received(self):
        self.seen("eof_received")

    def pause_writing(self):
        self.seen("pause_writing")

    def resume_writing(self):
        self.seen("resume_writing")

    def connection_lost(self, exc):
        self.seen("connection_lost", f" {exc!r}")


class StaysOpen(Protocol):
    def eof_received(self):
        self.seen("eof_received")
        return True


class Buffered(Protocol, asyncio.BufferedProtocol):
    def connection_made(self, transport):
        self.buffer = bytearray(100000)
        super().connection_made(transport)

    def get_buffer(self, hint):
        if not hasattr(self, "buffer"):
            self.buffer = bytearray(100000)
        if self.fires == "get_buffer" and not self.world.fired:
            self.world.fire("get_buffer")
        return self.buffer

    def buffer_updated(self, count):
        self.seen("buffer_updated", f" {count} {bytes(self.buffer[:12])}")


def connect(world, fires, protocol=Protocol, then=None):
    """A transport over one end of a pair, whose other end is world.peer."""
    one, world.peer = world.pair()

    async def open_connection():
        transport, _ = await world.loop.create_connection(lambda: protocol(world, fires), sock=one)
        if then is not None:
            then(transport)

    task = world.spawn(open_connection())
    task.add_done_callback(lambda task: world.note(f"opened {task.cancelled() or task.exception()!r}"))
    world.cancel = task.cancel
    return world.peer


@hook
def protocol_factory(world):
    one, world.peer = world.pair()

    def factory():
        world.fire("factory")
        return Protocol(world, "")

    def again():
        other, _ = world.pair()
        world.spawn(world.loop.create_connection(factory, sock=other))

    world.again = again
    task = world.spawn(world.loop.create_connection(factory, sock=one))
    task.add_done_callback(lambda task: world.note(f"opened {task.cancelled() or task.exception()!r}"))
    world.cancel = task.cancel


@hook
def server_protocol_factory(world):
    server(world, "factory")


@hook
def server_connection_made(world):
    server(world, "connection_made")


@hook
def server_data_received(world):
    server(world, "data_received")


def server(world, fires):
    count = iter(range(1, 100))

    def factory():
        name = f"connection {next(count)}: "
        if fires == "factory":
            world.fire(name + "factory")
        return Protocol(world, fires, name)

    listener = socket.create_server(("127.0.0.1", 0))
    world.sockets.append(listener)

    async def start():
        world.refs.append(await world.loop.create_server(factory, sock=listener))

    def client():
        sock = socket.create_connection(listener.getsockname())
        sock.setblocking(False)
        world.sockets.append(sock)
        sock.send(b"hello")
        return sock

    world.loop.run_until_complete(start())
    served = world.refs[-1]
    world.peer = client()
    world.again = client
    world.cancel = served.close
    world.close_at_end(served)


@hook
def connection_made(world):
    connect(world, "connection_made").send(b"early")


@hook
def data_received(world):
    peer = connect(world, "data_received")
    peer.send(b"some")
    world.again = lambda: peer.send(b"more")


@hook
def data_received_before_the_end(world):
    peer = connect(world, "data_received")
    peer.send(b"some")
    peer.shutdown(socket.SHUT_WR)


@hook
def data_received_with_output_waiting(world):
    connect(world, "data_received", then=lambda transport: (transport.write(b"x" * MUCH), world.peer.send(b"some")))


@hook
def much_data_received(world):
    """Several reads, of which the first one fires."""
    connect(world, "data_received")
    for _ in range(6):
        world.peer.send(b"x" * 30000)


@hook
def get_buffer(world):
    connect(world, "get_buffer", Buffered).send(b"some")


@hook
def buffer_updated(world):
    peer = connect(world, "buffer_updated", Buffered)
    peer.send(b"some")
    world.again = lambda: peer.send(b"more")


@hook
def buffer_updated_before_the_end(world):
    peer = connect(world, "buffer_updated", Buffered)
    peer.send(b"some")
    peer.shutdown(socket.SHUT_WR)


@hook
def buffer_with_a_length_of_its_own(world):
    class Sized(bytearray):
        def __len__(self):
            world.fire("len")
            return super().__len__()

    class Odd(Buffered):
        def get_buffer(self, hint):
            if not world.fired:
                self.buffer = Sized(1000)
                return self.buffer
            return super().get_buffer(hint)

    connect(world, "", Odd).send(b"some")


@hook
def eof_received(world):
    connect(world, "eof_received").shutdown(socket.SHUT_WR)


@hook
def eof_received_and_stays_open(world):
    connect(world, "eof_received", StaysOpen).shutdown(socket.SHUT_WR)


@hook
def eof_received_with_output_waiting(world):
    connect(world, "eof_received", then=lambda transport: (transport.write(b"x" * MUCH), world.peer.shutdown(socket.SHUT_WR)))
    drain(world, 30)


@hook
def truth_of_eof_received(world):
    class Truth:
        def __bool__(self):
            world.fire("bool")
            return True

    class Odd(Protocol):
        def eof_received(self):
            return Truth()

    connect(world, "", Odd).shutdown(socket.SHUT_WR)


@hook
def connection_lost(world):
    connect(world, "connection_lost", then=lambda transport: transport.close())


@hook
def connection_lost_by_abort(world):
    connect(world, "connection_lost", then=lambda transport: (transport.write(b"x" * MUCH), transport.abort()))


@hook
def connection_lost_by_the_peer(world):
    connect(world, "connection_lost").close()


@hook
def connection_lost_by_a_reset(world):
    """The peer leaves with input unread."""
    connect(world, "connection_lost", then=lambda transport: (transport.write(b"unread"), world.peer.close()))


@hook
def pause_writing(world):
    connect(world, "pause_writing", then=lambda transport: transport.write(b"x" * MUCH))
    world.again = lambda: world.subject.write(b"y" * MUCH)


@hook
def pause_writing_of_writelines(world):
    connect(world, "pause_writing", then=lambda transport: transport.writelines([b"x" * MUCH, b"y", b"z" * MUCH]))
    world.again = lambda: world.subject.writelines([b"y" * MUCH, b"z"])


@hook
def resume_writing(world):
    connect(world, "resume_writing", then=lambda transport: (transport.write(b"x" * MUCH), drain(world, 50)))
    world.again = lambda: world.subject.write(b"y" * MUCH)


@hook
def resume_writing_before_the_close(world):
    def start(transport):
        transport.write(b"x" * MUCH)
        transport.write_eof()
        drain(world, 50)

    connect(world, "resume_writing", then=start)


@hook
def connection_task_ends(world):
    one, world.peer = world.pair()

    async def open_connection():
        await world.loop.create_connection(lambda: Protocol(world, ""), sock=one)
        world.peer.send(b"some")
        world.fire("opened")
        world.note("goes on")

    world.cancel = world.spawn(open_connection()).cancel


@hook
def repr_of_protocol(world):
    """It is logged with an exception of the protocol's."""

    class Shown(Protocol):
        def data_received(self, data):
            raise ValueError("wanted")

        def __repr__(self):
            world.fire("repr")
            return "<protocol>"

    connect(world, "", Shown).send(b"some")


@hook
def exception_handler_of_transport(world):
    class Failing(Protocol):
        def data_received(self, data):
            raise ValueError("wanted")

    world.loop.set_exception_handler(lambda loop, context: world.fire(f"handler {context['message']}"))
    connect(world, "", Failing).send(b"some")


@hook
def finalizer_of_protocol(world):
    class Finalized(Protocol):
        def __del__(self):
            world.fire("finalizer")

    connect(world, "", Finalized, then=lambda transport: transport.close())


@hook
def finalizer_of_replaced_protocol(world):
    class Finalized(Protocol):
        def __del__(self):
            world.fire("finalizer")

    connect(world, "", Finalized, then=lambda transport: transport.set_protocol(Protocol(world, "", "other: ")))


class Chunk(bytearray):
    """Output that somebody notices the release of."""

    def __del__(self):
        self.world.fire("released")


@hook
def finalizer_of_output(world):
    def start(transport):
        transport.write(b"x" * MUCH)
        chunk = Chunk(b"chunk")
        chunk.world = world
        transport.write(chunk)
        del chunk
        drain(world, 50)

    connect(world, "", then=start)


if sys.version_info >= (3, 12):

    @hook
    def release_of_output(world):
        """An object that is told when its memory is given back."""

        class Source:
            def __buffer__(self, flags):
                return memoryview(b"chunk")

            def __release_buffer__(self, view):
                world.fire("released") if not world.fired else None

        def start(transport):
            transport.write(b"x" * MUCH)
            transport.write(memoryview(Source()))
            drain(world, 50)

        connect(world, "", then=start)

    @hook
    def release_of_input(world):
        memory = bytearray(1000)

        class Source:
            def __buffer__(self, flags):
                return memoryview(memory)

            def __len__(self):
                return len(memory)

            def __release_buffer__(self, view):
                world.fire("released") if not world.fired else None

        class Odd(Buffered):
            def get_buffer(self, hint):
                self.buffer = memory
                return super().get_buffer(hint) if world.fired else Source()

        connect(world, "", Odd).send(b"some")


@hook
def transports_of_one_batch(world):
    """All are due at once, and the first takes what the action does to all of them."""
    pairs = [world.pair() for _ in range(5)]
    transports = []

    async def open_connections():
        for one, _ in pairs:
            transport, _ = await world.loop.create_connection(lambda: Protocol(world, "data_received"), sock=one)
            transports.append(transport)
        world.peer = pairs[0][1]
        for _, other in pairs:
            other.send(b"at once")

    def close():
        while transports:
            transports.pop().abort()

    world.spawn(open_connections())
    world.closers.append(close)
    world.loop.run_until_complete(asyncio.sleep(0))
    world.cancel = close


@hook
def stale_event_of_a_transport(world):
    """Two are due at once; the first closes the other one, whose number a third gets."""
    pairs = [world.pair() for _ in range(2)]
    transports = []

    class Replacing(Protocol):
        def data_received(self, data):
            if not world.fired:
                (victim,) = (transport for transport in transports if transport is not self.transport)
                number = victim.get_extra_info("socket").fileno()
                victim.set_protocol(Protocol(world, "", "victim: "))
                victim.abort()
                victim._sock.close()
                one, other = world.pair()
                if one.fileno() != number:
                    os.dup2(one.fileno(), number)
                    one = socket.socket(fileno=number)
                    one.setblocking(False)
                    world.sockets.append(one)
                soon(world, start, one, other)
            super().data_received(data)

        def connection_made(self, transport):
            self.transport = transport
            super().connection_made(transport)

    def start(one, other):
        world.spawn(world.loop.create_connection(lambda: Protocol(world, "", "heir: "), sock=one))
        world.loop.call_later(0, other.send, b"own")

    async def open_connections():
        for one, _ in pairs:
            transport, _ = await world.loop.create_connection(lambda: Replacing(world, "data_received"), sock=one)
            transports.append(transport)
        for _, other in pairs:
            other.send(b"at once")

    world.peer = pairs[0][1]
    world.spawn(open_connections())


# -- sock_* methods --


def operation(world, name, start, sock, before=None):
    """A task that waits for start(sock), after whose result the hook fires."""

    async def run():
        try:
            result = await start()
        except asyncio.CancelledError:
            world.note("cancelled")
            raise
        except OSError as e:
            result = e
        world.fire(f"{name} {result!r}"[:60] if not isinstance(result, tuple) else name)
        world.note("goes on")

    task = world.spawn(run())
    task.add_done_callback(lambda task: world.note(f"done {task.cancelled() or task.exception()!r}"))
    world.cancel = task.cancel
    world.close = sock.close
    world.again = lambda: world.spawn(start())
    soon(world, before)


@hook
def sock_recv(world):
    one, world.peer = world.pair()
    operation(world, "received", lambda: world.loop.sock_recv(one, 100), one, lambda: world.peer.send(b"some"))


@hook
def sock_recv_at_once(world):
    one, world.peer = world.pair()
    world.peer.send(b"some")
    operation(world, "received", lambda: world.loop.sock_recv(one, 100), one, int)


@hook
def sock_recv_into(world):
    one, world.peer = world.pair()
    memory = bytearray(100)
    operation(world, "received", lambda: world.loop.sock_recv_into(one, memory), one, lambda: world.peer.send(b"some"))


@hook
def sock_recv_reset(world):
    one, world.peer = world.pair()
    one.send(b"unread")
    operation(world, "received", lambda: world.loop.sock_recv(one, 100), one, world.peer.close)


@hook
def sock_sendall(world):
    one, world.peer = world.pair()
    operation(world, "sent", lambda: world.loop.sock_sendall(one, b"x" * MUCH), one, lambda: drain(world, 50))


@hook
def sock_sendall_reset(world):
    one, world.peer = world.pair()
    operation(world, "sent", lambda: world.loop.sock_sendall(one, b"x" * MUCH), one, world.peer.close)


@hook
def sock_accept(world):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.sockets.append(listener)

    def connect():
        world.peer = socket.create_connection(listener.getsockname())
        world.sockets.append(world.peer)

    operation(world, "accepted", lambda: world.loop.sock_accept(listener), listener, connect)


@hook
def sock_connect(world):
    listener = socket.create_server(("127.0.0.1", 0))
    sock = socket.socket()
    sock.setblocking(False)
    world.sockets += listener, sock
    world.peer = listener
    operation(world, "connected", lambda: world.loop.sock_connect(sock, listener.getsockname()), sock, int)


@hook
def sock_recv_by_hand(world):
    """The coroutine's future has a callback of somebody else's."""
    one, world.peer = world.pair()
    waiting = world.loop.sock_recv(one, 100)
    future = waiting.send(None)
    world.refs.append(waiting)

    def finish(future):
        try:
            waiting.send(None)
        except StopIteration as e:
            world.note(f"received {e.value}")
        except BaseException as e:
            world.note(f"failed {e!r}")

    def fire(future):
        world.fire(f"done {future.cancelled() or future.exception()!r}")

    future.add_done_callback(fire)
    future.add_done_callback(finish)
    world.cancel = future.cancel
    world.close = one.close
    world.again = lambda: future.add_done_callback(lambda future: world.note("again"))
    world.peer.send(b"some")


@hook
def two_operations(world):
    """Both directions of one socket."""
    one, world.peer = world.pair()
    memory = bytearray(100)

    async def receive():
        try:
            world.fire(f"received {await world.loop.sock_recv_into(one, memory)}")
        except OSError as e:
            world.fire(f"received {e!r}")

    async def send():
        try:
            await world.loop.sock_sendall(one, b"x" * MUCH)
            world.fire("sent")
        except OSError as e:
            world.fire(f"sent {e!r}")

    tasks = [world.spawn(receive()), world.spawn(send())]

    def cancel():
        for task in tasks:
            task.cancel()

    def start():
        world.peer.send(b"some")
        drain(world, 50)

    world.cancel = cancel
    world.close = one.close
    soon(world, start)


@hook
def finalizer_of_data(world):
    one, world.peer = world.pair()
    chunk = Chunk(MUCH)
    chunk.world = world
    task = world.spawn(world.loop.sock_sendall(one, chunk))
    del chunk
    world.cancel = task.cancel
    world.close = one.close
    drain(world, 50)
