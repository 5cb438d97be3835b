"""HOOKS of the event loop, and of IOLoop on it; see evil_stage.py."""

import asyncio
import concurrent.futures
import contextvars
import gc
import os
import signal
import threading

from evil_stage import Finalized, Registry, need

HOOKS = Registry()
MORE_DEEDS = Registry()

deed = MORE_DEEDS.add


def hook(function):
    """There is other work for the loop as well, before and after that of the hook."""

    def make(world):
        crowd(world)
        function(world)
        crowd(world)

    HOOKS[function.__name__] = make
    return function


def crowd(world):
    """Something of everything that a loop has to do."""
    for i in range(3):
        for sock in world.pair():
            world.loop.add_reader(sock, int, i)
            world.loop.add_writer(sock, world.loop.remove_writer, sock.fileno())
    for i in range(25):
        world.keep += world.loop.call_soon(int, i), world.loop.call_later(0, int, i), world.loop.call_later(1000, int, i)


def io_loop_of(world):
    if world.io_loop is None:
        world.io_loop = world.module("platform.asyncio").AsyncIOLoop(make_current=False, asyncio_loop=world.loop)
    return world.io_loop


def remove(world, sockets):
    for sock in sockets:
        if sock.fileno() >= 0:
            world.loop.remove_reader(sock)
            world.loop.remove_writer(sock)


# -- deeds --


@deed
def run_once(world):
    world.loop._run_once()


@deed
def release(world):
    """What close() calls, in tornadoc's loop."""
    getattr(world.loop, "_release", world.loop.close)()


@deed
def drop_everything(world):
    """The bystander's handle is gone as well, and the one that ends the run."""
    world.keep.clear()
    if world.implementation == "reference":
        world.loop._ready.clear()
        world.loop._scheduled.clear()
    else:
        world.loop._ready = ()
        world.loop._scheduled = ()
    gc.collect()
    world.loop.stop()


@deed
def cancel_everything(world):
    for handle in (*world.loop._ready, *world.loop._scheduled):
        handle.cancel()
    world.loop.stop()


@deed
def remove_everything(world):
    remove(world, world.sockets[2:])  # without the bystander's
    if world.io_loop is not None:
        for fd in list(world.io_loop.handlers):
            world.io_loop.remove_handler(fd)


@deed
def replace_everything(world):
    remove_everything(world)
    crowd(world)


@deed
def close_and_reopen(world):
    """Descriptors are closed while the loop watches them, and their numbers used again."""
    numbers = {sock.fileno() for sock in world.sockets[2:]}
    for sock in world.sockets[2:]:
        sock.close()
    count = len(world.sockets)
    for _ in range(2, count, 2):
        one, other = world.pair()
        world.loop.add_reader(one, int)
        world.loop.add_reader(other, int)
    assert numbers & {sock.fileno() for sock in world.sockets[count:]}


@deed
def forget_io_loop(world):
    io_loop = need(world.io_loop)
    for name in ("handlers", "readers", "writers"):
        setattr(io_loop, name, type(getattr(io_loop, name))())


@deed
def thousands_of_callbacks(world):
    for _ in range(3000):
        world.loop.call_soon(int)
        world.loop.call_later(0, int)


# -- hooks --


def scheduled(world, schedule):
    """The hook of a callback that schedule(callback) makes a handle for."""

    def callback():
        world.fire("callback")

    def again():
        world.refs.append(schedule(lambda: world.note("again")))

    def cancel():
        for handle in list(world.refs):
            handle.cancel()

    world.refs.append(schedule(callback))
    world.again = again
    world.cancel = cancel


@hook
def call_soon(world):
    scheduled(world, world.loop.call_soon)


@hook
def call_soon_before_others(world):
    """What is due in the same turn already."""
    scheduled(world, world.loop.call_soon)
    others = [world.loop.call_soon(world.note, f"other {i}") for i in range(3)]
    cancel = world.cancel

    def cancel_others():
        cancel()
        others[1].cancel()

    world.cancel = cancel_others


@hook
def call_soon_threadsafe(world):
    scheduled(world, world.loop.call_soon_threadsafe)


@hook
def call_soon_from_thread(world):
    def callback():
        world.fire("callback")

    thread = threading.Thread(target=world.loop.call_soon_threadsafe, args=(callback,))
    thread.start()
    thread.join()
    world.again = lambda: world.loop.call_soon_threadsafe(world.note, "again")


@hook
def call_soon_in_context(world):
    context = contextvars.copy_context()
    scheduled(world, lambda callback: world.loop.call_soon(callback, context=context))


@hook
def call_later(world):
    scheduled(world, lambda callback: world.loop.call_later(0, callback))


@hook
def call_later_negative(world):
    scheduled(world, lambda callback: world.loop.call_later(-5, callback))


@hook
def call_at(world):
    """With others that are due in the same turn."""
    when = world.loop.time() - 1
    scheduled(world, lambda callback: world.loop.call_at(when, callback))
    others = [world.loop.call_at(when + (i + 1) / 1000, world.note, f"other {i}") for i in range(3)]
    cancel = world.cancel

    def cancel_others():
        cancel()
        others[1].cancel()

    world.cancel = cancel_others


@hook
def debug_mode(world):
    """Handles remember where they were made, and arguments are looked at."""
    world.loop.set_debug(True)
    scheduled(world, world.loop.call_soon)


@HOOKS.add
def slow_callback(world):
    """Debug mode reports the callback, for which it takes its repr."""

    class Callback:
        def __call__(self):
            world.note("called")

        def __repr__(self):
            world.loop.slow_callback_duration = 1000  # what is done next need not be told of
            world.fire("repr")
            return "<slow>"

    world.loop.set_debug(True)
    world.loop.slow_callback_duration = -1
    world.loop.call_soon(Callback())
    world.closers.append(lambda: setattr(world.loop, "slow_callback_duration", 1))


def readable(world, add="add_reader", remove="remove_reader"):
    one, other = world.pair()
    other.send(b"x")

    def callback(name="callback"):
        if world.fired > 3:
            return getattr(world.loop, remove)(one)
        world.fired += bool(world.fired)
        world.fire(name)
        if world.fired > 2 and one.fileno() >= 0:
            getattr(world.loop, remove)(one)
        return None

    def close():
        world.note(f"removed {getattr(world.loop, remove)(one)}")
        one.close()

    getattr(world.loop, add)(one, callback)
    world.again = lambda: getattr(world.loop, add)(one, callback, "again")
    world.cancel = lambda: world.note(f"removed {getattr(world.loop, remove)(one)}")
    world.close = close


@hook
def add_reader(world):
    readable(world)


@hook
def add_writer(world):
    readable(world, "add_writer", "remove_writer")


@hook
def reader_and_writer(world):
    """Both are due at once."""
    one, other = world.pair()
    other.send(b"x")
    count = [0]

    def reader():
        world.fire("reader")
        done()

    def writer():
        world.fire("writer")
        done()

    def done():
        count[0] += 1
        if count[0] >= 4:
            cancel()

    def cancel():
        if one.fileno() >= 0:
            world.note(f"removed {world.loop.remove_reader(one)} {world.loop.remove_writer(one)}")

    def close():
        cancel()
        one.close()

    world.loop.add_reader(one, reader)
    world.loop.add_writer(one, writer)
    world.cancel = cancel
    world.close = close
    world.again = lambda: (world.loop.add_reader(one, reader), world.loop.add_writer(one, writer))
    world.closers.append(cancel)


@hook
def readers_of_one_batch(world):
    """All are due at once, and the first takes what the action does to all of them."""
    pairs = [world.pair() for _ in range(5)]

    def callback(i):
        world.loop.remove_reader(pairs[i][0])
        world.fire("callback")

    def cancel():
        for one, _ in pairs:
            if one.fileno() >= 0:
                world.loop.remove_reader(one)

    def close():
        cancel()
        for one, _ in pairs:
            one.close()

    def again():
        for i, (one, _) in enumerate(pairs):
            if one.fileno() >= 0:
                world.loop.add_reader(one, callback, i)

    for i, (one, other) in enumerate(pairs):
        world.loop.add_reader(one, callback, i)
        other.send(b"x")
    world.cancel, world.close, world.again = cancel, close, again
    world.closers.append(cancel)


def replace_descriptor(world, old, new):
    """Closes `old` and gives its number to `new`."""
    number = old.fileno()
    old.close()
    os.dup2(new.fileno(), number)
    return number


@hook
def stale_event_of_reused_descriptor(world):
    """Both are due at once; the callback of the first one replaces the other, whose number another socket gets."""
    pairs = [world.pair(), world.pair()]
    heir, heirs_peer = world.pair()

    def callback(i):
        world.loop.remove_reader(pairs[i][0])
        other = pairs[1 - i][0]
        world.loop.remove_reader(other)
        number = replace_descriptor(world, other, heir)
        world.loop.add_reader(number, read, number)
        world.closers.append(lambda: (world.loop.remove_reader(number), os.close(number)))
        world.fire("callback")
        world.loop.call_soon(world.loop.call_soon, send)

    def read(number):
        world.note(f"heir reads {os.read(number, 10)}")

    def send():
        heirs_peer.send(b"own")

    for i, (one, other) in enumerate(pairs):
        world.loop.add_reader(one, callback, i)
        other.send(b"stale")
    world.again = world.cancel = lambda: None


@hook
def stale_event_in_the_other_direction(world):
    """As above, where the heir watches for something else."""
    pairs = [world.pair(), world.pair()]
    heir, _ = world.pair()

    def callback(i):
        world.loop.remove_reader(pairs[i][0])
        other = pairs[1 - i][0]
        world.loop.remove_reader(other)
        number = replace_descriptor(world, other, heir)

        def write():
            world.note("writable")
            world.loop.remove_writer(number)

        world.loop.add_reader(number, world.note, "stale")
        world.loop.add_writer(number, write)
        world.closers.append(lambda: (world.loop.remove_reader(number), os.close(number)))
        world.fire("callback")

    for i, (one, other) in enumerate(pairs):
        world.loop.add_reader(one, callback, i)
        other.send(b"stale")


@hook
def fileno_method(world):
    """add_reader and its like ask the object for its descriptor."""
    one, other = world.pair()

    class Object:
        def fileno(self):
            if not world.fired:  # how often it is asked is nobody's business
                world.fire("fileno")
            return one.fileno()

    thing = Object()

    def register():
        try:
            world.loop.add_reader(thing, world.note, "readable")
            world.loop.add_writer(thing, world.note, "writable")
        finally:
            world.loop.remove_reader(one)
            world.loop.remove_writer(one)
            world.note("removed")

    world.loop.call_soon(register)
    world.close = lambda: (one.close(), other.close())


@hook
def finalizer_of_replaced_reader(world):
    one, _ = world.pair()

    world.loop.add_reader(one, Finalized(world))

    def replace():
        world.loop.add_reader(one, world.note, "replaced")
        world.loop.remove_reader(one)

    world.close = lambda: world.loop.remove_reader(one)
    world.again = lambda: world.loop.add_reader(one, world.note, "again")
    world.closers.append(world.close)
    world.loop.call_soon(replace)


@hook
def finalizer_of_removed_reader(world):
    one, _ = world.pair()

    world.loop.add_reader(one, Finalized(world))
    world.again = lambda: world.loop.add_reader(one, world.note, "again")
    world.closers.append(lambda: world.loop.remove_reader(one))
    world.loop.call_soon(lambda: world.note(str(world.loop.remove_reader(one))))


@hook
def finalizer_of_callback(world):
    world.loop.call_soon(Finalized(world))
    world.again = lambda: world.loop.call_soon(world.note, "again")


@hook
def finalizer_of_argument(world):
    world.loop.call_soon(lambda argument: world.note("called"), Finalized(world))
    world.again = lambda: world.loop.call_soon(world.note, "again")


@hook
def finalizer_of_cancelled_timer(world):
    handle = world.loop.call_later(1000, Finalized(world))
    world.again = lambda: world.loop.call_later(0, world.note, "again")
    world.loop.call_soon(handle.cancel)


@hook
def finalizers_of_many_cancelled_timers(world):
    """So many that the loop clears its heap of them."""
    handles = [world.loop.call_later(1000 + i, int, Finalized(world) if i == 150 else None) for i in range(300)]

    def cancel():
        while handles:
            handles.pop().cancel()

    world.again = lambda: world.loop.call_later(0, world.note, "again")
    world.loop.call_soon(cancel)


@hook
def repr_of_callback(world):
    """An exception is logged with the callback's repr."""

    class Callback:
        def __call__(self):
            raise ValueError("wanted")

        def __repr__(self):
            world.fire("repr")
            return "<callback>"

    world.loop.call_soon(Callback())
    world.again = lambda: world.loop.call_soon(world.note, "again")


@hook
def exception_handler(world):
    def handler(loop, context):
        world.fire(f"handler {context['message'][:22]} {context.get('exception')!r}")

    def fail():
        raise ValueError("wanted")

    world.loop.set_exception_handler(handler)
    world.loop.call_soon(fail)
    world.again = lambda: world.loop.call_exception_handler({"message": "again"})


@hook
def overridden_call_exception_handler(world):
    """A subclass's, or an instance's."""

    def fail():
        raise ValueError("wanted")

    world.loop.call_exception_handler = lambda context: world.fire("called")
    world.loop.call_soon(fail)


@hook
def signal_handler(world):
    world.loop.add_signal_handler(signal.SIGUSR1, lambda: world.fire("signal"))

    def remove():
        world.note(f"removed {world.loop.remove_signal_handler(signal.SIGUSR1)}")

    world.cancel = world.close = remove
    world.again = lambda: world.loop.add_signal_handler(signal.SIGUSR1, world.note, "again")
    world.loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    world.closers.append(lambda: world.loop.remove_signal_handler(signal.SIGUSR1))


@hook
def python_signal_handler(world):
    """One that Python runs wherever the interpreter is, in the middle of a callback."""
    signal.signal(signal.SIGUSR1, lambda number, frame: world.fire("signal"))

    def kill():
        os.kill(os.getpid(), signal.SIGUSR1)
        world.note("after the signal")

    world.loop.call_soon(kill)
    world.again = lambda: os.kill(os.getpid(), signal.SIGUSR1)
    world.closers.append(lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN))


@hook
def task_factory(world):
    def factory(loop, coroutine, **kwargs):
        try:
            world.fire("factory")
        except BaseException:
            coroutine.close()
            raise
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    async def run():
        world.note("task")

    def make():
        world.loop.create_task(run())

    world.loop.set_task_factory(factory)
    world.loop.call_soon(make)
    world.cancel = lambda: world.loop.set_task_factory(None)
    world.again = make


@hook
def task_step(world):
    async def run():
        await asyncio.sleep(0)
        try:
            world.fire("step")
        finally:
            world.note("leaving")
        await asyncio.sleep(0)
        world.note("task ends")

    task = world.loop.create_task(run())
    task.add_done_callback(lambda task: world.note(f"done {task.cancelled() or task.exception()!r}"))
    world.refs.append(task)
    world.cancel = task.cancel
    world.again = lambda: world.loop.create_task(run())


@hook
def future_callback(world):
    future = world.loop.create_future()
    future.add_done_callback(lambda future: world.fire(f"done {future.result()}"))
    future.add_done_callback(lambda future: world.note("second"))
    world.loop.call_soon(future.set_result, 1)
    world.again = lambda: future.add_done_callback(lambda future: world.note("again"))
    world.refs.append(future)


@hook
def executor(world):
    world.loop.set_default_executor(executor := concurrent.futures.ThreadPoolExecutor(1))
    future = world.loop.run_in_executor(None, int)
    future.add_done_callback(lambda future: world.fire("executed"))
    # The world's patience is counted in turns. What runs after that in the only thread shows that it is done.
    executor.submit(int).result(20)
    world.again = lambda: world.loop.run_in_executor(None, int) and executor.submit(int).result(20)


@hook
def delay_object(world):
    """A number of another type is added to the loop's time."""

    class Delay:
        def __radd__(self, other):
            world.fire("added")
            return other

        def __add__(self, other):
            world.fire("added")
            return other

    world.loop.call_soon(lambda: world.loop.call_later(Delay(), world.note, "later") and None)
    world.again = lambda: world.loop.call_later(0, world.note, "again")


@hook
def overridden_time(world):
    time = world.loop.time
    armed = []

    def evil_time():
        if armed:
            armed.clear()
            world.fire("time")
        return time()

    world.loop.time = evil_time
    world.loop.call_soon(armed.append, 1)
    world.loop.call_later(0, world.note, "later")
    world.keep.append(world.loop.call_later(1000, int))  # a loop without timers need not look at the time
    world.again = lambda: world.loop.call_later(0, world.note, "again")
    world.closers.append(lambda: world.loop.__dict__.pop("time", None))


@hook
def overridden_call_soon(world):
    """Tasks and futures go by the loop's call_soon."""
    call_soon = world.loop.call_soon
    armed = []

    def evil_call_soon(*args, **kwargs):
        if armed:
            armed.clear()
            world.fire("call_soon")
        return call_soon(*args, **kwargs)

    def resolve():
        armed.append(1)
        future.set_result(1)

    future = world.loop.create_future()
    future.add_done_callback(lambda future: world.note("done"))
    world.loop.call_soon = evil_call_soon
    call_soon(resolve)
    world.closers.append(lambda: world.loop.__dict__.pop("call_soon", None))


@hook
def asyncgen_finalizer(world):
    """The loop closes generators that were dropped half-way."""

    async def generate():
        try:
            yield 1
        finally:
            world.fire("finally")

    async def use():
        generator = generate()
        await generator.__anext__()
        del generator

    world.refs.append(world.loop.create_task(use()))


@hook
def call_soon_context_run(world):
    """A context that runs already can't be entered again."""
    context = contextvars.copy_context()

    def outer():
        world.loop.call_soon(world.note, "in the context", context=context)
        world.fire("outer")

    world.loop.call_soon(outer, context=context)
    world.again = lambda: world.loop.call_soon(world.note, "again", context=context)


# -- what else dies, is printed or is asked --


@hook
def finalizer_of_removed_writer(world):
    one, _ = world.pair()
    world.loop.add_writer(one, Finalized(world))
    world.closers.append(lambda: world.loop.remove_writer(one))
    world.loop.call_soon(world.loop.remove_writer, one)


@hook
def finalizer_of_watched_file(world):
    """The loop may hold the object that it was given for a descriptor."""
    one, _ = world.pair()

    class File(Finalized):
        def fileno(self):
            return one.fileno()

    world.loop.add_reader(File(world), int)
    world.loop.call_soon(world.loop.remove_reader, one.fileno())


@hook
def repr_of_cancelled_callback(world):
    """Debug mode keeps it."""

    class Callback:
        def __call__(self):
            world.note("called")

        def __repr__(self):
            world.fire("repr")
            return "<callback>"

    world.loop.set_debug(True)
    handle = world.loop.call_later(1000, Callback())
    world.loop.call_soon(handle.cancel)


# -- IOLoop --


@hook
def io_loop_callback(world):
    io_loop = io_loop_of(world)
    io_loop.add_callback(lambda *args: world.fire(f"callback {args}"), 1, 2)
    world.again = lambda: io_loop.add_callback(world.note, "again")


@hook
def io_loop_timeout(world):
    io_loop = io_loop_of(world)
    timeout = io_loop.call_later(0, lambda: world.fire("timeout"))
    world.cancel = lambda: io_loop.remove_timeout(timeout)
    world.again = lambda: world.refs.append(io_loop.call_later(0, world.note, "again"))


@hook
def io_loop_handler(world):
    io_loop = io_loop_of(world)
    one, _ = world.pair()

    def remove():
        if one.fileno() in io_loop.handlers:
            io_loop.remove_handler(one.fileno())

    def handler(fd, events):
        if world.fired:
            remove()
        world.fire(f"handler {events}")

    io_loop.add_handler(one, handler, io_loop.WRITE)
    world.close = world.cancel = remove
    world.again = lambda: io_loop.update_handler(one, io_loop.READ | io_loop.WRITE)
    world.closers.append(remove)


@hook
def fileno_method_for_io_loop(world):
    io_loop = io_loop_of(world)
    one, _ = world.pair()

    class File:
        def fileno(self):
            world.fire("fileno")
            return one.fileno()

        def close(self):
            one.close()

    def start():
        io_loop.add_handler(File(), lambda fd, events: None, io_loop.READ)

    world.closers.append(lambda: io_loop.remove_handler(one.fileno()))
    world.loop.call_soon(start)
