"""HOOKS of streams whose methods a class of the application's overrides; see evil_stage.py."""

import errno

import evil_stream_deeds
from evil_stage import drain, soon
from evil_stream_deeds import MUCH, Hooks, open_stream, watch

HOOKS = Hooks()
hook = HOOKS.add
STAGE = evil_stream_deeds


def make_overridden(name, start, after):
    def overridden(world):
        base = world.module("iostream").IOStream
        armed = []

        def method(self, *args):
            if armed and not after and not world.fired:
                world.fire(name)
            result = getattr(base, name)(self, *args)
            if armed and after and not world.fired:
                world.fire(name)
            return result

        stream = open_stream(world, type("Overriding", (base,), {name: method}))
        armed.append(True)
        stream.set_close_callback(lambda: world.note("close callback"))
        start(world, stream)

    HOOKS.register(f"overridden_{name}{'_after' if after else ''}", overridden)


def read_something(world, stream):
    watch(world, "result", stream.read_bytes(4))
    soon(world, world.peer.send, b"some")


def write_something(world, stream):
    watch(world, "result", stream.write(b"x" * MUCH))
    drain(world)


def close_it(world, stream):
    watch(world, "result", stream.read_bytes(4))
    soon(world, stream.close)


def fail(world, stream):
    watch(world, "result", stream.read_bytes(4))
    watch(world, "written", stream.write(b"x" * MUCH))
    soon(world, world.peer.close)


OVERRIDDEN = {
    "read_from_fd": read_something,
    "write_to_fd": write_something,
    "close_fd": close_it,
    "fileno": read_something,
    "_handle_events": read_something,
    "_handle_read": read_something,
    "_handle_write": write_something,
    "_maybe_add_error_listener": read_something,
    "_is_connreset": fail,
    "_signal_closed": close_it,
    "_add_io_state": read_something,
}
for _name, _start in OVERRIDDEN.items():
    make_overridden(_name, _start, after=False)
    make_overridden(_name, _start, after=True)


def reading_fails(name, error):
    def make(world):
        base = world.module("iostream").IOStream

        def read_from_fd(self, buffer):
            if not world.fired:
                world.fire("read_from_fd")
            raise error

        stream = open_stream(world, type("Failing", (base,), {"read_from_fd": read_from_fd}))
        stream.set_close_callback(lambda: world.note(f"close callback {stream.error!r}"))
        world.closers.append(lambda: stream.set_close_callback(None))
        read_something(world, stream)

    HOOKS.register(name, make)


reading_fails("read_from_fd_resets", ConnectionResetError(errno.ECONNRESET, "reset"))
reading_fails("read_from_fd_fails", OSError(errno.EIO, "io"))
