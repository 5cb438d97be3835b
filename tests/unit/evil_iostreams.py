"""HOOKS of IOStreams and TCPServer: HOOKS[name](world) arranges for world.fire(name) to be called there."""

import asyncio
import contextlib
import errno
import gc
import os
import socket

HOOKS = {}
MORE_ACTIONS = {}
#: Forms of Tornado 2.x, which Tornado has no more: there is nothing to compare with.
ONLY_OURS = set()


def hook(function):
    HOOKS[function.__name__] = function
    return function


def action(function):
    MORE_ACTIONS[function.__name__] = function
    return function


# -- what is done to the stream --


def stream_of(world):
    from evil_world import need

    return need(getattr(world, "stream", None))


def tried(world, name, function):
    """Calls it; what it raises is told and goes no further. Futures that fail are told later."""
    try:
        result = function()
    except Exception as e:
        world.note(f"{name}: {type(e).__name__}")
        return
    if asyncio.isfuture(result):
        world.keep.append(result)
        result.add_done_callback(lambda future: tell(world, name, future))


def tell(world, name, future):
    if future.cancelled():
        world.note(f"{name}: cancelled")
    elif future.exception() is not None:
        world.note(f"{name}: {type(future.exception()).__name__}")
    else:
        result = future.result()
        world.note(f"{name}: {result[:12] if isinstance(result, bytes) else result!r}")


@action
def close_with_error(world):
    stream_of(world).close(exc_info=ValueError("given"))


@action
def close_while_handling(world):
    try:
        raise OSError(errno.EPIPE, "handled")
    except OSError:
        stream_of(world).close(exc_info=True)
    raise ValueError("after close")


@action
def close_descriptor(world):
    stream_of(world).close_fd()


@action
def read_more(world):
    stream = stream_of(world)
    tried(world, "read", lambda: stream.read_bytes(2))


@action
def read_until_close(world):
    stream = stream_of(world)
    tried(world, "read", lambda: stream.read_until_close())


@action
def read_twice(world):
    stream = stream_of(world)
    for i in range(2):
        tried(world, f"read {i}", lambda: stream.read_until(b"!"))


@action
def write(world):
    stream = stream_of(world)
    tried(world, "write", lambda: stream.write(b"more"))


@action
def write_much(world):
    stream = stream_of(world)
    for _ in range(3):
        with contextlib.suppress(Exception):
            world.keep.append(stream.write(b"x" * 2_000_000))  # how much of it goes out in time is not told


@action
def write_much_and_close(world):
    stream = stream_of(world)
    tried(world, "write", lambda: stream.write(b"x" * 5_000_000))
    stream.close()


@action
def write_read_close(world):
    stream = stream_of(world)
    tried(world, "write", lambda: stream.write(b"x" * 5_000_000))
    tried(world, "read", lambda: stream.read_bytes(100))
    stream.close()


@action
def close_callback(world):
    stream = stream_of(world)
    stream.set_close_callback(lambda: world.note("closed"))
    stream.close()


@action
def close_callback_that_raises(world):
    def fail():
        world.note("closed")
        raise ZeroDivisionError

    stream = stream_of(world)
    stream.set_close_callback(fail)
    stream.close()


@action
def close_callback_that_exits(world):
    def fail():
        world.note("closed")
        raise KeyboardInterrupt("closed")

    stream = stream_of(world)
    stream.set_close_callback(fail)
    stream.close()


@action
def no_close_callback(world):
    stream_of(world).set_close_callback(None)
    stream_of(world).close()


@action
def peer_closes(world):
    world.peer.close()


@action
def peer_sends_more(world):
    with contextlib.suppress(OSError):
        world.peer.send(b"more! from the peer")


@action
def replace_descriptor(world):
    """The stream is closed, and another one gets the descriptor's number at once."""
    stream = stream_of(world)
    stream.close()
    one, other = world.pair()
    heir = world.module("iostream").IOStream(one)
    tried(world, "heir", lambda: heir.read_bytes(3))
    world.closers.append(heir.close)
    world.loop.call_later(0.0005, other.send, b"own")


@action
def change_class(world):
    stream = stream_of(world)
    stream.__class__ = type("Other", (type(stream),), {})


@action
def private_names(world):
    """Programs touch these (the attributes that adapters look at)."""
    stream = stream_of(world)
    world.note(f"private {stream._write_buffer is None} {stream.closed()}")
    if stream._write_buffer is not None:
        stream._write_buffer.append(b"appended")
        stream._total_write_index += 8
        tried(world, "write", lambda: stream.write(b""))


@action
def smaller_limits(world):
    stream = stream_of(world)
    stream.max_buffer_size = 3
    stream.max_write_buffer_size = 3
    tried(world, "write", lambda: stream.write(b"x" * 10))


# -- streams --


def streamed(world, body=None, base="IOStream", **arguments):
    """A stream over one of a pair of sockets."""
    world.one, world.peer = world.pair()
    cls = getattr(world.module("iostream"), base)
    if body:
        cls = type("Victim", (cls,), body)
    world.stream = stream = cls(world.one, **arguments)
    world.close = stream.close
    world.again = lambda: tried(world, "again", lambda: stream.read_bytes(1))
    world.closers += [stream.close, lambda: setattr(world, "stream", None)]
    world.forget = lambda forget=world.forget: (forget(), setattr(world, "stream", None))
    return stream


def later(world, *steps):
    """Each step in a turn of its own."""

    def go(i):
        steps[i]()
        if i + 1 < len(steps):
            world.loop.call_soon(go, i + 1)

    if steps:
        world.loop.call_soon(go, 0)


def peer_sends(world, data=b"hello! and more"):
    def send():
        with contextlib.suppress(OSError):
            world.peer.send(data)

    return send


def drain(world, turns=20):
    """The peer reads all that it gets."""

    def go(left):
        with contextlib.suppress(OSError):
            while world.peer.recv(1 << 20):
                pass
        if left:
            world.loop.call_soon(go, left - 1)

    return lambda: go(turns)


def future_hook(name, operation, *steps, before=()):
    """The callback of the future that an operation returns."""

    def make(world):
        stream = streamed(world)

        def start():
            for step in before:
                step(world)()
            try:
                future = operation(stream)
            except Exception as e:
                world.fire(f"{name} raised {type(e).__name__}")
                return
            future.add_done_callback(done)
            world.refs.append(future)
            world.cancel = future.cancel

        def done(future):
            if future.cancelled():
                what = "cancelled"
            elif future.exception():
                what = type(future.exception()).__name__
            else:
                what = repr(future.result())[:30]
            world.fire(f"{name} {what}")

        world.loop.call_soon(start)
        later(world, *[step(world) for step in steps])

    HOOKS[name] = make


def peer_closes_it(world):
    return lambda: world.peer.close()


future_hook("read_bytes", lambda stream: stream.read_bytes(5), peer_sends)
future_hook("read_bytes_at_once", lambda stream: stream.read_bytes(5), before=[peer_sends])
future_hook("read_partial", lambda stream: stream.read_bytes(100, partial=True), peer_sends)
future_hook("read_until", lambda stream: stream.read_until(b"!"), peer_sends)
future_hook("read_until_regex", lambda stream: stream.read_until_regex(rb"l+o"), peer_sends)
future_hook("read_into", lambda stream: stream.read_into(bytearray(5)), peer_sends)
future_hook("read_until_closed", lambda stream: stream.read_until_close(), peer_sends, peer_closes_it)
future_hook("read_fails", lambda stream: stream.read_bytes(50), peer_sends, peer_closes_it)
future_hook("read_too_much", lambda stream: stream.read_until(b"never", max_bytes=4), peer_sends)
future_hook("written", lambda stream: stream.write(b"y" * 600_000), drain)
future_hook("write_fails", lambda stream: stream.write(b"y" * 9_000_000), peer_closes_it)


@hook
def close_callback_by_peer(world):
    stream = streamed(world)
    stream.set_close_callback(lambda: world.fire("closed"))
    tried(world, "read", lambda: stream.read_bytes(5))
    later(world, peer_closes_it(world))


@hook
def close_callback_by_close(world):
    stream = streamed(world)
    stream.set_close_callback(lambda: world.fire("closed"))
    tried(world, "read", lambda: stream.read_bytes(5))
    world.loop.call_soon(stream.close)


def overriding(name, before, *steps, start=None):
    """An overridden method, before or after what it overrides."""
    hook_name = f"{name}_{'before' if before else 'after'}"

    def make(world):
        def method(self, *args):
            if armed and before and not world.fired:
                world.fire(name)
            result = getattr(super(type_of[0], self), name)(*args)
            if armed and not before and not world.fired:
                world.fire(name)
            return result

        armed = []
        type_of = []
        stream = streamed(world, {name: method})
        type_of.append(type(stream))
        stream.set_close_callback(lambda: world.note("closed"))

        def go():
            armed.append(1)
            start(world, stream)

        world.loop.call_soon(go)
        later(world, *[step(world) for step in steps])

    HOOKS[hook_name] = make


def start_reading(world, stream):
    tried(world, "read", lambda: stream.read_bytes(7))


def start_writing(world, stream):
    tried(world, "write", lambda: stream.write(b"w" * 600_000))


def start_closing(world, stream):
    tried(world, "read", lambda: stream.read_bytes(7))
    stream.close()


for _before in (True, False):
    overriding("read_from_fd", _before, peer_sends, start=start_reading)
    overriding("write_to_fd", _before, drain, start=start_writing)
    overriding("close_fd", _before, start=start_closing)
    overriding("fileno", _before, peer_sends, start=start_reading)
    overriding("_maybe_add_error_listener", _before, peer_sends, start=start_reading)
    overriding("_handle_read", _before, peer_sends, start=start_reading)
    overriding("_handle_write", _before, drain, start=start_writing)


def reading_fails(name, error):
    def make(world):
        def read_from_fd(self, buffer):
            if not world.fired:
                world.fire("read_from_fd")
            raise error

        stream = streamed(world, {"read_from_fd": read_from_fd})
        stream.set_close_callback(lambda: world.note(f"closed {stream.error!r}"))
        world.closers.append(lambda: stream.set_close_callback(None))
        later(world, lambda: start_reading(world, stream), peer_sends(world))

    HOOKS[name] = make


reading_fails("read_from_fd_resets", ConnectionResetError(errno.ECONNRESET, "reset"))
reading_fails("read_from_fd_fails", OSError(errno.EIO, "io"))


class Written(bytearray):
    world = None

    def __del__(self):
        if self.world is not None:
            self.world.fire("finalizer of written data")


@hook
def finalizer_of_written_data(world):
    stream = streamed(world)

    def start():
        data = Written(b"w" * 300_000)
        data.world = world
        tried(world, "write", lambda: stream.write(data))

    later(world, start, drain(world))


@hook
def finalizer_of_dropped_data(world):
    stream = streamed(world)

    def start():
        tried(world, "first", lambda: stream.write(b"x" * 9_000_000))
        data = Written(b"w" * 300_000)
        data.world = world
        tried(world, "write", lambda: stream.write(data))

    later(world, start, stream.close)


@hook
def finalizer_of_future_callback(world):
    """The future holds the last reference, and the stream the future's."""
    stream = streamed(world)

    class Callback:
        def __call__(self, future):
            world.note("called")

        def __del__(self):
            world.fire("finalizer")

    def start():
        stream.read_bytes(5).add_done_callback(Callback())

    later(world, start, peer_sends(world))


@hook
def finalizer_of_close_callback(world):
    stream = streamed(world)

    class Callback:
        def __call__(self):
            world.note("closed")

        def __del__(self):
            world.fire("finalizer")

    stream.set_close_callback(Callback())
    world.loop.call_soon(stream.set_close_callback, None)


@hook
def read_into_object(world):
    """The buffer belongs to an object that ends with the read."""
    stream = streamed(world)

    def start():
        data = Written(5)
        data.world = world
        tried(world, "read", lambda: stream.read_into(data))

    later(world, start, peer_sends(world))


@hook
def connected(world):
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    client.setblocking(False)
    world.sockets += [listener, client]
    world.peer = listener
    world.stream = stream = world.module("iostream").IOStream(client)
    world.close = stream.close
    world.closers.append(stream.close)

    def start():
        future = stream.connect(listener.getsockname())
        future.add_done_callback(lambda future: world.fire(f"connected {type(future.exception()).__name__}"))
        world.cancel = future.cancel

    world.loop.call_soon(start)


@hook
def connect_refused(world):
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    listener.close()
    client = socket.socket()
    client.setblocking(False)
    world.sockets.append(client)
    world.peer = client
    world.stream = stream = world.module("iostream").IOStream(client)
    world.close = stream.close
    world.closers.append(stream.close)

    def start():
        future = stream.connect(address)
        future.add_done_callback(lambda future: world.fire(f"connected {type(future.exception()).__name__}"))

    world.loop.call_soon(start)


@hook
def pipe(world):
    reading, writing = os.pipe()
    world.stream = stream = world.module("iostream").PipeIOStream(reading)
    world.peer = world.pair()[0]
    world.close = stream.close
    world.closers += [stream.close, lambda: os.close(writing)]

    def start():
        future = stream.read_bytes(5)
        future.add_done_callback(lambda future: world.fire(f"read {type(future.exception()).__name__}"))
        world.cancel = future.cancel

    later(world, start, lambda: os.write(writing, b"hello"))


# -- servers --


def serving(world, make_server):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    world.sockets.append(listener)
    stop = make_server(listener)
    world.close = stop
    world.closers.append(stop)

    def connect():
        client = socket.create_connection(listener.getsockname())
        client.setblocking(False)
        world.sockets.append(client)
        world.peer = client

    world.again = connect
    world.loop.call_soon(connect)


@hook
def accept_handler(world):
    def make(listener):
        def handler(connection, address):
            world.sockets.append(connection)
            world.fire("accepted")

        remove = world.module("netutil").add_accept_handler(listener, handler)
        world.cancel = remove
        return remove

    async def run():
        serving(world, make)

    world.loop.run_until_complete(run())


def tcp_server(name, coroutine):
    def make(world):
        def make_server(listener):
            def handle_stream(self, stream, address):
                world.stream = stream
                world.closers.append(stream.close)
                world.fire("handle_stream")

            async def handle_stream_later(self, stream, address):
                handle_stream(self, stream, address)

            body = {"handle_stream": handle_stream_later if coroutine else handle_stream}
            server = type("Server", (world.module("tcpserver").TCPServer,), body)()
            server.add_sockets([listener])
            return server.stop

        async def run():
            serving(world, make_server)

        world.loop.run_until_complete(run())

    HOOKS[name] = make


tcp_server("handle_stream", False)
tcp_server("coroutine_handle_stream", True)


# -- callbacks of Tornado 2.x --


def old_hook(name, start, *steps):
    def make(world):
        stream = streamed(world)

        def callback(*args):
            world.fire(f"{name} {repr(args)[:30]}")

        later(world, lambda: start(stream, callback), *[step(world) for step in steps])

    HOOKS[name] = make
    ONLY_OURS.add(name)


old_hook("old_read_until", lambda stream, callback: stream.read_until(b"!", callback), peer_sends)
old_hook("old_read_bytes", lambda stream, callback: stream.read_bytes(5, callback), peer_sends)
old_hook("old_read_until_close", lambda stream, callback: stream.read_until_close(callback), peer_sends, peer_closes_it)
old_hook("old_write", lambda stream, callback: stream.write(b"y" * 600_000, callback), drain)
old_hook("old_write_at_once", lambda stream, callback: stream.write(b"y", callback))


@hook
def collected_while_reading(world):
    """Nothing but the loop holds the stream."""
    stream = streamed(world)

    def start():
        stream.read_bytes(5).add_done_callback(lambda future: world.fire("read"))

    def forget():
        world.close = world.again = None
        gc.collect()

    later(world, start, forget, peer_sends(world))
