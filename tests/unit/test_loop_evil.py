"""Whatever the event loop calls does the worst at the worst moment: it stays usable, and nothing is read after it was freed.

`make asan` shows the second half.
"""

import asyncio
import contextlib
import gc
import os
import socket

import pytest

import tornadoc
from tornadoc.platform.asyncio import AsyncIOLoop


class Scene:
    """A loop with something of everything, and an evil deed to be done once."""

    def __init__(self, action):
        self.loop = tornadoc.EventLoop()
        self.io_loop = AsyncIOLoop(make_current=False, asyncio_loop=self.loop)
        self.errors = []
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(context.get("exception")))
        self.sockets = [sock for _ in range(4) for sock in socket.socketpair()]
        for sock in self.sockets:
            sock.setblocking(False)
        self.handles = []
        self.done = 0
        self.action = action

    def close(self):
        if not self.loop.is_closed():
            self.io_loop.close()
        for sock in self.sockets:
            sock.close()

    def fill(self):
        """Work around the deed, before and after it."""
        for number, sock in enumerate(self.sockets[2:]):
            self.loop.add_reader(sock, self.nothing, number)
            self.loop.add_writer(sock, self.nothing, number)
        for number in range(50):
            self.handles.append(self.loop.call_soon(self.nothing, number))
            self.handles.append(self.loop.call_later(0, self.nothing, number))
            self.handles.append(self.loop.call_later(1000, self.nothing, number))

    def nothing(self, *args):
        pass

    def act(self, *args):
        if not self.done:
            self.done = 1
            ACTIONS[self.action](self)

    def turn(self, count=3):
        for _ in range(count):
            self.loop.call_soon(self.loop.stop)
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt) as e:
                self.errors.append(e)


def raise_error(scene):
    raise ValueError("evil")


def exit_interpreter(scene):
    raise SystemExit(3)


def close_loop(scene):
    with pytest.raises(RuntimeError):
        scene.loop.close()
    with pytest.raises(RuntimeError):
        scene.loop._release()


def run_again(scene):
    with pytest.raises(RuntimeError):
        scene.loop.run_forever()
    scene.loop._run_once()
    scene.loop.stop()  # CPython 3.13.0 forgets that it has to when run_forever() is refused


def stop(scene):
    scene.loop.stop()


def collect(scene):
    gc.collect()


def drop_everything(scene):
    scene.handles.clear()
    scene.loop._ready = ()
    scene.loop._scheduled = ()
    gc.collect()
    scene.loop.stop()  # what would have called it is gone as well


def cancel_everything(scene):
    for handle in (*scene.loop._ready, *scene.loop._scheduled, *scene.handles):
        handle.cancel()
    scene.loop.stop()


def remove_everything(scene):
    for sock in scene.sockets:
        scene.loop.remove_reader(sock)
        scene.loop.remove_writer(sock)
    for fd in list(scene.io_loop.handlers):
        scene.io_loop.remove_handler(fd)


def replace_everything(scene):
    remove_everything(scene)
    scene.fill()


def close_and_reopen(scene):
    numbers = [sock.fileno() for sock in scene.sockets[2:]]
    for sock in scene.sockets[2:]:
        sock.close()
    new = [sock for _ in numbers for sock in socket.socketpair()]
    scene.sockets[2:] = new
    for sock in new:
        sock.setblocking(False)
        scene.loop.add_reader(sock, scene.nothing)
    assert {sock.fileno() for sock in new} & set(numbers)


def forget_ioloop(scene):
    for name in ("handlers", "readers", "writers"):
        setattr(scene.io_loop, name, type(getattr(scene.io_loop, name))())


def many_more(scene):
    for _ in range(3000):
        scene.loop.call_soon(scene.nothing)
        scene.loop.call_later(0, scene.nothing)


ACTIONS = {
    action.__name__: action
    for action in (
        raise_error,
        exit_interpreter,
        close_loop,
        run_again,
        stop,
        collect,
        drop_everything,
        cancel_everything,
        remove_everything,
        replace_everything,
        close_and_reopen,
        forget_ioloop,
        many_more,
    )
}


class Deed:
    """Does it when it dies, is printed, or is asked for its descriptor."""

    def __init__(self, scene, how):
        self.scene, self.how = scene, how

    def __call__(self, *args):
        pass

    def __del__(self):
        if self.how == "del":
            self.scene.act()

    def __repr__(self):
        if self.how == "repr":
            self.scene.act()
        return "<Deed>"

    def fileno(self):
        if self.how == "fileno":
            self.scene.act()
        return self.scene.sockets[0].fileno()


def in_call_soon(scene):
    scene.loop.call_soon(scene.act)


def in_call_later(scene):
    scene.loop.call_later(0, scene.act)


def in_reader(scene):
    scene.sockets[1].send(b"x")
    scene.loop.add_reader(scene.sockets[0], scene.act)


def in_writer(scene):
    scene.loop.add_writer(scene.sockets[0], scene.act)


def in_exception_handler(scene):
    scene.loop.set_exception_handler(scene.act)
    scene.loop.call_soon(divmod, 1, 0)


def in_add_callback(scene):
    scene.io_loop.add_callback(scene.act, 1, 2)


def in_timeout_of_ioloop(scene):
    scene.io_loop.call_later(0, scene.act)


def in_handler_of_ioloop(scene):
    scene.io_loop.add_handler(scene.sockets[0], scene.act, scene.io_loop.WRITE)


def in_time(scene):
    clock = scene.loop.time

    def time():
        if scene.loop.is_running():
            scene.act()
        return clock()

    scene.loop.time = time


def in_death_of_a_callback(scene):
    scene.loop.call_soon(Deed(scene, "del"))


def in_death_of_a_cancelled_timer(scene):
    handle = scene.loop.call_later(1000, Deed(scene, "del"))
    scene.loop.call_soon(handle.cancel)


def in_death_of_a_replaced_reader(scene):
    scene.loop.add_reader(scene.sockets[0], Deed(scene, "del"))
    scene.loop.call_soon(scene.loop.add_reader, scene.sockets[0], scene.nothing)


def in_death_of_a_removed_writer(scene):
    scene.loop.add_writer(scene.sockets[0], Deed(scene, "del"))
    scene.loop.call_soon(scene.loop.remove_writer, scene.sockets[0])


def in_death_of_a_file(scene):
    scene.loop.add_reader(Deed(scene, "del"), scene.nothing)
    scene.loop.call_soon(scene.loop.remove_reader, scene.sockets[0].fileno())


def in_fileno(scene):
    scene.loop.call_soon(lambda: scene.loop.add_reader(Deed(scene, "fileno"), scene.nothing))


def in_fileno_for_ioloop(scene):
    scene.loop.call_soon(lambda: scene.io_loop.add_handler(Deed(scene, "fileno"), scene.nothing, scene.io_loop.READ))


def in_repr_of_a_cancelled_callback(scene):
    scene.loop.set_debug(True)
    handle = scene.loop.call_later(1000, Deed(scene, "repr"))
    scene.loop.call_soon(handle.cancel)


def in_task_factory(scene):
    def factory(loop, coro, **kwargs):
        scene.act()
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def work():
        pass

    def start():
        coro = work()
        try:
            scene.loop.create_task(coro)
        except BaseException:
            coro.close()
            raise

    scene.loop.set_task_factory(factory)
    scene.loop.call_soon(start)


PLACES = {
    place.__name__: place
    for place in (
        in_call_soon,
        in_call_later,
        in_reader,
        in_writer,
        in_exception_handler,
        in_add_callback,
        in_timeout_of_ioloop,
        in_handler_of_ioloop,
        in_time,
        in_death_of_a_callback,
        in_death_of_a_cancelled_timer,
        in_death_of_a_replaced_reader,
        in_death_of_a_removed_writer,
        in_death_of_a_file,
        in_fileno,
        in_fileno_for_ioloop,
        in_repr_of_a_cancelled_callback,
        in_task_factory,
    )
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_deed(place, action):
    scene = Scene(action)
    with contextlib.closing(scene):
        PLACES[place](scene)
        scene.fill()
        try:
            scene.turn()
        except ValueError:
            # From time(), which leaves the loop.
            assert place == "in_time"
        if place == "in_time":
            del scene.loop.time
        assert scene.done
        # Still a loop like any other.
        remove_everything(scene)
        scene.loop.set_exception_handler(None)
        scene.loop.set_task_factory(None)
        seen = []
        a, b = socket.socketpair()
        with a, b:
            b.send(b"x")
            scene.loop.add_reader(a, lambda: seen.append(a.recv(1)))
            scene.loop.call_soon(seen.append, "soon")
            scene.loop.call_later(0, seen.append, "later")
            scene.turn()
            scene.loop.remove_reader(a)
        assert set(seen) == {b"x", "soon", "later"}


def test_event_of_a_descriptor_that_was_closed_in_the_same_batch_is_dropped():
    with contextlib.closing(tornadoc.EventLoop()) as loop:
        pairs = [socket.socketpair() for _ in range(2)]
        seen = []
        heirs = []

        def first(mine, other):
            # Whichever comes first closes the other one, whose event waits in the batch, and its number gets an heir.
            seen.append("first")
            loop.remove_reader(mine)
            loop.remove_reader(other)
            number = other.fileno()
            other.close()
            heir = socket.socketpair()
            if heir[0].fileno() != number:
                os.dup2(heir[0].fileno(), number)
                heirs.append(socket.socket(fileno=number))
            heirs.extend(heir)
            loop.add_reader(number, seen.append, "stale")

        for (a, _), (b, _) in (pairs, pairs[::-1]):
            loop.add_reader(a, first, a, b)
        for _, sender in pairs:
            sender.send(b"x")
        for _ in range(3):
            loop.call_soon(loop.stop)
            loop.run_forever()
        assert seen == ["first"]
        for sock in (*heirs, *pairs[0], *pairs[1]):
            sock.close()
