"""What hooks of Tornado's streams are made of, and what is done in them; see evil_stage.py."""

import asyncio
import contextlib
import errno
import os
import socket

from evil_stage import Registry, Skipped, soon

IMPLEMENTATIONS = ("reference", "engine", "tornadoc")
MORE_DEEDS = Registry()
MUCH = 600_000  # bytes, more than the kernel takes

deed = MORE_DEEDS.add


class Hooks(Registry):
    """Hooks that start in the loop."""

    def register(self, name, function):
        async def start(world):
            try:
                function(world)
            except Exception as e:
                world.note(f"raised {describe(e)}")

        self[name] = lambda world: world.spawn(start(world))

    def add(self, function):
        self.register(function.__name__, function)
        return function

    def add_ours(self, function):
        """A hook of something that Tornado of today has not: the second implementation tells what has to be."""

        def unless_reference(world):
            if world.implementation == "reference":
                world.note("NOT APPLICABLE")
                world.fired = 1
            else:
                function(world)

        self.register(function.__name__, unless_reference)
        return function


def subject(world):
    """The stream, unless the hook has none at that point."""
    if world.subject is None:
        raise Skipped
    return world.subject


def watch(world, what, future):
    """What becomes of a future that an action has got."""

    def done(future):
        world.note(f"{what}: {'cancelled' if future.cancelled() else describe(future.exception() or future.result())}")

    asyncio.ensure_future(future, loop=world.loop).add_done_callback(done)


def tried(world, what, function):
    """As watch, for a call that may raise at once, after which the deed goes on."""
    try:
        future = function()
    except Exception as e:
        world.note(f"{what}: raised {type(e).__name__}")
    else:
        watch(world, what, future)


def describe(value):
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value[:12]}"
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    return "a stream" if hasattr(value, "read_until") else repr(value)


# -- what hooks are made of --


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


def heir(world, number):
    """A stream over the descriptor of that number, which is free. Its peer."""
    one, other = world.pair()
    if one.fileno() != number:
        os.dup2(one.fileno(), number)
        one = socket.socket(fileno=number)
        world.sockets.append(one)
    stream = world.module("iostream").IOStream(one)
    world.closers.append(stream.close)
    watch(world, "heir", stream.read_bytes(3))
    return other


# -- deeds --


@deed
def close_with_error(world):
    subject(world).close(exc_info=(ValueError, ValueError("as its error"), None))


@deed
def close_twice_and_write(world):
    subject(world).close()
    subject(world).close()
    watch(world, "written", subject(world).write(b"late"))


@deed
def write(world):
    watch(world, "written", subject(world).write(b"written"))


@deed
def write_much(world):
    watch(world, "written", subject(world).write(b"x" * MUCH))


@deed
def write_much_and_close(world):
    watch(world, "written", subject(world).write(b"x" * MUCH))
    subject(world).close()


@deed
def read(world):
    watch(world, "read", subject(world).read_bytes(4))


@deed
def read_and_close(world):
    watch(world, "read", subject(world).read_bytes(4))
    subject(world).close()


@deed
def read_until_close_and_peer_closes(world):
    watch(world, "read", subject(world).read_until_close())
    world.peer.close()


@deed
def read_into_too(world):
    watch(world, "read", subject(world).read_into(bytearray(3)))


@deed
def set_close_callback(world):
    subject(world).set_close_callback(lambda: world.note("closed"))


@deed
def set_close_callback_and_close(world):
    subject(world).set_close_callback(lambda: world.note("closed"))
    subject(world).close()


@deed
def peer_sends(world):
    with contextlib.suppress(OSError):
        world.peer.send(b"more")


@deed
def peer_closes(world):
    world.peer.close()


@deed
def peer_closes_and_write(world):
    world.peer.close()
    for _ in range(3):
        watch(world, "written", subject(world).write(b"into the void"))


@deed
def take_read_buffer(world):
    """From here on Tornado's own methods work on the stream."""
    world.keep.append(subject(world)._read_buffer)


@deed
def replace_hooks(world):
    stream = subject(world)
    for name in ("read_from_fd", "write_to_fd", "close_fd", "fileno"):
        if hasattr(stream, name):
            setattr(stream, name, getattr(stream, name))


@deed
def replace_hooks_and_close(world):
    replace_hooks(world)
    subject(world).close()


@deed
def shrink_limits(world):
    subject(world).max_buffer_size = 10
    subject(world).read_chunk_size = 1
    subject(world).max_write_buffer_size = 1


@deed
def close_the_socket_itself(world):
    subject(world).socket.close()
    subject(world).close()


@deed
def replace_descriptor(world):
    """Another stream gets the number at once."""
    stream = subject(world)
    if not getattr(stream, "socket", None):
        raise Skipped  # a pipe's
    number = stream.socket.fileno()
    stream.close()
    soon(world, heir(world, number).send, b"own")


@deed
def new_stream(world):
    one, other = world.pair()
    stream = world.module("iostream").IOStream(one)
    world.closers.append(stream.close)
    watch(world, "new", stream.read_bytes(3))
    other.send(b"new")


@deed
def close_with_exception(world):
    subject(world).close(exc_info=ValueError("given"))


@deed
def close_while_handling(world):
    try:
        raise OSError(errno.EPIPE, "handled")
    except OSError:
        subject(world).close(exc_info=True)
    raise ValueError("after close")


@deed
def close_descriptor(world):
    subject(world).close_fd()


@deed
def read_until_close(world):
    tried(world, "read", subject(world).read_until_close)


@deed
def read_twice(world):
    stream = subject(world)
    for i in range(2):
        tried(world, f"read {i}", lambda: stream.read_until(b"!"))


@deed
def write_thrice(world):
    stream = subject(world)
    for _ in range(3):
        with contextlib.suppress(Exception):
            world.keep.append(stream.write(b"x" * 2_000_000))  # how much of it goes out in time is not told


@deed
def write_read_and_close(world):
    stream = subject(world)
    tried(world, "write", lambda: stream.write(b"x" * 5_000_000))
    tried(world, "read", lambda: stream.read_bytes(100))
    stream.close()


@deed
def close_callback_that_raises(world):
    def fail():
        world.note("closed")
        raise ZeroDivisionError

    subject(world).set_close_callback(fail)
    subject(world).close()


@deed
def close_callback_that_exits(world):
    def fail():
        world.note("closed")
        raise KeyboardInterrupt("closed")

    subject(world).set_close_callback(fail)
    subject(world).close()


@deed
def no_close_callback(world):
    subject(world).set_close_callback(None)
    subject(world).close()


@deed
def change_class(world):
    stream = subject(world)
    stream.__class__ = type("Other", (type(stream),), {})


@deed
def private_names(world):
    """Programs touch these (the attributes that adapters look at)."""
    stream = subject(world)
    world.note(f"private {stream._write_buffer is None} {stream.closed()}")
    if stream._write_buffer is not None:
        stream._write_buffer.append(b"appended")
        stream._total_write_index += 8
        tried(world, "write", lambda: stream.write(b""))


@deed
def shrink_limits_and_write(world):
    stream = subject(world)
    stream.max_buffer_size = 3
    stream.max_write_buffer_size = 3
    tried(world, "write", lambda: stream.write(b"x" * 10))
