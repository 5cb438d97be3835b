"""HOOKS of streams: reading, writing, closing, what is given back; see evil_stage.py."""

import gc
import socket
import sys

import evil_stream_deeds
from evil_stage import Finalized, drain, soon
from evil_stream_deeds import MUCH, Hooks, fires_after, open_stream, watch

HOOKS = Hooks()
hook = HOOKS.add
STAGE = evil_stream_deeds


READS = {
    "read_until": lambda stream: stream.read_until(b"\n"),
    "read_until_regex": lambda stream: stream.read_until_regex(b"[\n]"),
    "read_bytes": lambda stream: stream.read_bytes(5),
    "read_bytes_partial": lambda stream: stream.read_bytes(100, partial=True),
    "read_into": lambda stream: stream.read_into(bytearray(5)),
    "read_into_partial": lambda stream: stream.read_into(bytearray(100), partial=True),
}


def make_reading(name, start):
    def of_an_event(world):
        stream = open_stream(world)
        fires_after(world, name, start(stream), lambda: watch(world, "again", start(stream)))
        soon(world, world.peer.send, b"some\nrest")

    def at_once(world):
        stream = open_stream(world)
        world.peer.send(b"some\nrest\n")
        fires_after(world, name, start(stream), lambda: watch(world, "again", start(stream)))

    def before_the_end(world):
        stream = open_stream(world)
        stream.set_close_callback(lambda: world.note("close callback"))
        fires_after(world, name, start(stream))
        soon(world, lambda: (world.peer.send(b"some\n"), world.peer.shutdown(socket.SHUT_WR)))

    def closed(world):
        stream = open_stream(world)
        fires_after(world, name, start(stream))
        soon(world, world.peer.close)

    for function in (of_an_event, at_once, before_the_end, closed):
        HOOKS.register(f"{name}_{function.__name__}", function)


for _name, _start in READS.items():
    make_reading(_name, _start)


@hook
def read_cut_short(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_bytes(50))
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@hook
def read_until_close(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_until_close())
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@hook
def read_much(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_bytes(MUCH))
    left = [MUCH]

    def send():
        try:
            left[0] -= world.peer.send(b"x" * left[0])
        except OSError:
            pass
        if left[0] and not stream.closed():
            world.loop.call_soon(send)

    soon(world, send)


@hook
def read_limit(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_until(b"\n", max_bytes=3))
    soon(world, world.peer.send, b"something long")


@hook
def write_future(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x" * MUCH), lambda: watch(world, "again", stream.write(b"y")))
    drain(world)


@hook
def write_future_at_once(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x"), lambda: watch(world, "again", stream.write(b"y")))


@hook
def several_writes(world):
    stream = open_stream(world)
    watch(world, "first", stream.write(b"w" * MUCH))
    fires_after(world, "written", stream.write(b"x" * MUCH))
    watch(world, "third", stream.write(b"y" * MUCH))
    drain(world)


@hook
def write_reset(world):
    stream = open_stream(world)
    fires_after(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


@hook
def both_directions(world):
    stream = open_stream(world)
    fires_after(world, "read", stream.read_bytes(4))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.send, b"some")
    drain(world)


@hook
def close_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire("close callback"))
    watch(world, "read", stream.read_bytes(4))
    world.again = lambda: stream.set_close_callback(lambda: world.note("again"))
    soon(world, stream.close)


@hook
def close_callback_of_the_peers_end(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire("close callback"))
    soon(world, world.peer.close)


@hook
def close_callback_of_an_error(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.fire(f"close callback {stream.error!r}"))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


@hook
def finalizer_of_close_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(Finalized(world))
    soon(world, stream.close)


@hook
def finalizer_of_stream(world):
    class Finalized(world.module("iostream").IOStream):
        def __del__(self):
            world.fire("finalizer")

    stream = open_stream(world, Finalized)
    world.subject = world.close = None
    watch(world, "read", stream.read_bytes(4))
    soon(world, stream.close)


@hook
def finalizer_of_replaced_close_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(Finalized(world))
    soon(world, stream.set_close_callback, None)


@hook
def finalizer_of_future_callback(world):
    """The future holds the last reference, and the stream the future's."""

    stream = open_stream(world)
    stream.read_bytes(4).add_done_callback(Finalized(world))
    soon(world, world.peer.send, b"some")


@hook
def collected_while_reading(world):
    """Nothing but the loop holds the stream."""
    open_stream(world).read_bytes(4).add_done_callback(lambda future: world.fire("read"))
    world.forget()
    soon(world, gc.collect)
    soon(world, world.peer.send, b"some")


@hook
def hash_of_regex(world):
    """re.compile() looks the pattern up."""

    class Pattern(bytes):
        def __hash__(self):
            world.fire("hash")
            return bytes.__hash__(self)

    stream = open_stream(world)
    watch(world, "read", stream.read_until_regex(Pattern(b"[m]")))
    soon(world, world.peer.send, b"some")


# -- what is written, and read into --


class Chunk(bytearray):
    """Output that somebody notices the release of."""

    def __del__(self):
        self.world.fire("released")


@hook
def finalizer_of_output(world):
    stream = open_stream(world)
    watch(world, "first", stream.write(b"x" * MUCH))
    chunk = Chunk(b"chunk")
    chunk.world = world
    watch(world, "second", stream.write(memoryview(chunk)))
    del chunk
    if not world.fired:
        drain(world)


@hook
def finalizer_of_read_into(world):
    stream = open_stream(world)
    chunk = Chunk(4)
    chunk.world = world
    watch(world, "read", stream.read_into(chunk))
    del chunk
    soon(world, world.peer.send, b"some")


if sys.version_info >= (3, 12):

    class Exporter:
        def __init__(self, world, memory):
            self.world = world
            self.memory = memory

        def __buffer__(self, flags):
            return memoryview(self.memory)

        def __len__(self):
            return len(self.memory)

        def __release_buffer__(self, view):
            if not self.world.fired:
                self.world.fire("released")

    @hook
    def release_of_output(world):
        stream = open_stream(world)
        watch(world, "first", stream.write(b"x" * MUCH))
        watch(world, "second", stream.write(memoryview(Exporter(world, b"chunk"))))
        drain(world)

    @hook
    def release_of_much_output(world):
        stream = open_stream(world)
        watch(world, "first", stream.write(memoryview(Exporter(world, b"x" * MUCH))))
        drain(world)

    @hook
    def release_of_read_into(world):
        stream = open_stream(world)
        watch(world, "read", stream.read_into(memoryview(Exporter(world, bytearray(4)))))
        soon(world, world.peer.send, b"some")


@hook
def finalizer_of_written_object(world):
    """The object itself is the output, not a view of it."""
    chunk = Chunk(b"x" * MUCH)
    chunk.world = world
    stream = open_stream(world)
    watch(world, "written", stream.write(chunk))
    del chunk
    drain(world)


@hook
def finalizer_of_dropped_output(world):
    stream = open_stream(world)
    watch(world, "first", stream.write(b"x" * MUCH))
    chunk = Chunk(b"chunk" * 60_000)
    chunk.world = world
    watch(world, "second", stream.write(chunk))
    del chunk
    soon(world, stream.close)


# -- callbacks as arguments, as before Tornado 6 --


@HOOKS.add_ours
def callback_of_read_until(world):
    stream = open_stream(world)
    stream.read_until(b"\n", lambda data: world.fire(f"read {data}"))
    world.again = lambda: stream.read_until(b"\n", lambda data: world.note(f"again {data}"))
    soon(world, world.peer.send, b"some\nrest\n")


@HOOKS.add_ours
def callback_of_read_bytes(world):
    stream = open_stream(world)
    stream.read_bytes(4, callback=lambda data: world.fire(f"read {data}"))
    soon(world, world.peer.send, b"some")


@HOOKS.add_ours
def streaming_callback(world):
    stream = open_stream(world)
    stream.set_close_callback(lambda: world.note("close callback"))
    stream.read_until_close(lambda data: world.note(f"end {data}"), lambda data: world.fire(f"piece {data}"))
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@HOOKS.add_ours
def callback_of_write(world):
    stream = open_stream(world)
    stream.write(b"x" * MUCH, callback=lambda: world.fire("written"))
    drain(world)


@HOOKS.add_ours
def callback_of_read_until_close(world):
    stream = open_stream(world)
    stream.read_until_close(lambda data: world.fire(f"read {data}"))
    soon(world, lambda: (world.peer.send(b"some"), world.peer.close()))


@HOOKS.add_ours
def callback_of_write_at_once(world):
    stream = open_stream(world)
    stream.write(b"y", callback=lambda: world.fire("written"))
