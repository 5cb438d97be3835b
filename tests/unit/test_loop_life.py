"""The event loop beside other threads, signals, forks, the collector and the interpreter's end."""

import asyncio
import contextlib
import functools
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import weakref

import pytest

import tornadoc


@pytest.fixture
def loop():
    with contextlib.closing(tornadoc.EventLoop()) as loop:
        yield loop


#: The debug mode that comes with -X dev tells of callbacks that took long, as each may on a busy machine. And what a script
#: starts in the background ignores SIGINT.
CALM = """
import logging, signal
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing"))
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def run_program(source, send=None, **options):
    """The output and errors of a program; `send`: a signal, once it has written a line."""
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", CALM + textwrap.dedent(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    with process:
        try:
            if send is not None:
                assert process.stdout.readline() == "ready\n"
                process.send_signal(send)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return process.returncode, out, err


def endless(loop):
    """Starts callbacks that call no Python code, so that the interpreter never offers the GIL by itself."""
    again = functools.partial(print)
    again.__setstate__((loop.call_soon, (again,), {}, None))
    again()
    return again


def test_other_threads_run_beside_callbacks_in_c(loop):
    again = endless(loop)
    threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,)).start()
    loop.run_forever()
    again.__setstate__((print, (), {}, None))


def test_signal_interrupts_callbacks_in_c(loop):
    again = endless(loop)

    class Alarm(Exception):
        pass

    def on_alarm(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        # From within the loop: it must not come before.
        loop.call_soon(signal.setitimer, signal.ITIMER_REAL, 0.01)
        with pytest.raises(Alarm):
            loop.run_forever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    again.__setstate__((print, (), {}, None))
    assert not loop.is_running()


def test_signal_handler_that_returns_does_not_end_a_wait_for_ever(loop):
    seen = []

    def on_alarm(number, frame):
        seen.append(number)
        loop.call_soon(loop.stop)

    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        loop.run_forever()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [signal.SIGALRM]


def test_keyboard_interrupt_ends_a_wait():
    status, out, err = run_program(
        """
        import asyncio, tornadoc
        loop = tornadoc.EventLoop()
        try:
            print("ready", flush=True)
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running())
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        """,
        send=signal.SIGINT,
    )
    assert (status, out, err) == (0, "interrupted False\n", "")


def test_keyboard_interrupt_cancels_the_main_task_of_a_runner():
    if sys.version_info < (3, 11):
        pytest.skip("asyncio.Runner")
    status, out, err = run_program(
        """
        import asyncio, tornadoc
        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                print("cancelled")
                raise
        try:
            with asyncio.Runner(loop_factory=tornadoc.EventLoop) as runner:
                runner.run(main())
        except KeyboardInterrupt:
            print("interrupted")
        """,
        send=signal.SIGINT,
    )
    assert (status, out, err) == (0, "cancelled\ninterrupted\n", "")


def test_loops_in_many_threads():
    done = []

    pairs = [socket.socketpair() for _ in range(6)]

    def run_with(pair):
        async def main():
            _, writer = await asyncio.open_connection(sock=pair[0])
            for number in range(50):
                writer.write(b"%3d" % number)
                assert await asyncio.to_thread(pair[1].recv, 3) == b"%3d" % number
            writer.close()
            await writer.wait_closed()
            return True

        with contextlib.closing(tornadoc.EventLoop()) as loop:
            done.append(loop.run_until_complete(main()))
            loop.run_until_complete(loop.shutdown_default_executor())

    threads = [threading.Thread(target=run_with, args=(pair,)) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pair in pairs:
        pair[1].close()
    assert done == [True] * 6


def test_callbacks_from_many_threads_all_run(loop):
    seen = []
    per_thread = 2000

    def work(number):
        for i in range(per_thread):
            loop.call_soon_threadsafe(seen.append, (number, i))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]

    def finish():
        for thread in threads:
            thread.join()
        loop.call_soon_threadsafe(loop.stop)

    for thread in threads:
        thread.start()
    threading.Thread(target=finish).start()
    loop.run_forever()
    assert len(seen) == 4 * per_thread
    for number in range(4):
        assert [i for who, i in seen if who == number] == list(range(per_thread))


def test_child_of_a_fork_closes_its_copy_and_the_parents_goes_on():
    status, out, err = run_program(
        """
        import os, signal, socket, threading, tornadoc
        loop = tornadoc.EventLoop()
        a, b = socket.socketpair()
        loop.add_reader(a, lambda: (print(a.recv(1)), loop.stop()))
        loop.add_signal_handler(signal.SIGUSR1, lambda: (print("signal"), loop.stop()))
        timer = loop.call_later(1000, print)
        child = os.fork()
        if child == 0:
            try:
                timer.cancel()
                loop.close()
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        b.send(b"x")
        loop.run_forever()
        loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
        loop.run_forever()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(loop.stop,))
        thread.start()
        loop.run_forever()
        thread.join()
        loop.close()
        a.close()
        b.close()
        """
    )
    assert (status, out, err) == (0, "b'x'\nsignal\n", "")


def test_new_loop_in_the_child_of_a_fork():
    status, out, err = run_program(
        """
        import asyncio, os, tornadoc
        async def main():
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    # As multiprocessing does: the child starts over.
                    asyncio.events._set_running_loop(None)
                    other = tornadoc.EventLoop()
                    status = other.run_until_complete(asyncio.sleep(0, 9))
                    other.close()
                finally:
                    os._exit(status)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        loop = tornadoc.EventLoop()
        print(loop.run_until_complete(main()))
        loop.close()
        """
    )
    assert (status, out, err) == (0, "9\n", "")


@pytest.mark.parametrize(
    "end", ["", "del loop", "gc.collect(); gc.freeze()", "sys.exit(0)", "loop.call_soon(sys.exit); loop.run_forever()"]
)
def test_interpreter_ends_with_a_loop_full_of_work(end):
    status, _, err = run_program(
        f"""
        import asyncio, gc, socket, sys, warnings
        import tornadoc
        warnings.simplefilter("ignore", ResourceWarning)
        loop = tornadoc.EventLoop()
        asyncio.set_event_loop(loop)
        a, b = socket.socketpair()
        class Thing:
            def __init__(self):
                self.loop = loop
                self.handle = loop.call_soon(self.work)
                self.timer = loop.call_later(1000, self.work)
            def work(self): pass
            def __del__(self): pass
        things = [Thing() for _ in range(300)]
        loop.add_reader(a, things[0].work)
        loop.add_writer(b, things[1].work)
        loop.add_signal_handler(10, things[0].work)
        async def waits():
            await asyncio.sleep(1000)
        loop.call_soon(loop.stop)
        loop.run_forever()
        for thing in things:
            thing.handle = loop.call_soon(thing.work)
        loop.leftover = things
        {end}
        """
    )
    assert (status, err) == (0, "")


def test_daemon_thread_runs_a_loop_while_the_interpreter_ends():
    status, _, err = run_program(
        """
        import threading, tornadoc
        loop = tornadoc.EventLoop()
        started = threading.Event()
        loop.call_soon(started.set)
        def tick():
            loop.call_later(0, tick)
        loop.call_soon(tick)
        threading.Thread(target=loop.run_forever, daemon=True).start()
        started.wait()
        """
    )
    assert (status, err) == (0, "")


def alive(kinds):
    gc.collect()
    return {kind: sum(type(thing).__name__ == kind for thing in gc.get_objects()) for kind in kinds}


def test_scheduling_and_cancelling_leaves_nothing(loop):
    kinds = ("Handle", "TimerHandle", "Context", "Thing")

    class Thing:
        def work(self, *args):
            pass

    def cycle(count):
        a, b = socket.socketpair()
        with a, b:
            for number in range(count):
                thing = Thing()
                loop.call_soon(thing.work, number)
                loop.call_soon(thing.work, number).cancel()
                loop.call_later(1000, thing.work, number).cancel()
                loop.call_at(0, thing.work)
                loop.add_reader(a, thing.work)
                loop.add_writer(a, thing.work)
                loop.remove_reader(a)
                loop.remove_writer(a)
                if number % 100 == 0:
                    loop.call_soon(loop.stop)
                    loop.run_forever()
            del thing
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.call_soon(loop.stop)
        loop.run_forever()

    cycle(1000)
    before = alive(kinds)
    descriptors = len(os.listdir("/proc/self/fd"))
    blocks = sys.getallocatedblocks()
    cycle(20000)
    assert alive(kinds) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    # The collector's own lists, and counters in caches of code.
    assert sys.getallocatedblocks() - blocks < 2000


@pytest.mark.parametrize("what", ["call_soon", "call_later", "add_reader"])
def test_dropped_loop_is_collected_with_what_refers_to_it(what):
    a, b = socket.socketpair()

    class Thing:
        def __init__(self, loop):
            self.loop = loop
            if what == "add_reader":
                loop.add_reader(a, self.work)
            elif what == "call_later":
                self.handle = loop.call_later(1000, self.work)
            else:
                self.handle = loop.call_soon(self.work)

        def work(self):
            pass

    with a, b:
        loop = tornadoc.EventLoop()
        epoll_fd = loop._engine.fileno()
        references = [weakref.ref(Thing(loop)), weakref.ref(loop)]
        with pytest.warns(ResourceWarning, match="unclosed event loop"):
            del loop
            gc.collect()
        assert [reference() for reference in references] == [None, None]
        with pytest.raises(OSError):
            select.epoll.fromfd(epoll_fd).poll(0)


def test_create_task_takes_asyncios_arguments(loop):
    async def work():
        return asyncio.current_task().get_name()

    async def main():
        names = [await loop.create_task(work(), name="named"), await loop.create_task(coro=work(), name="keyword")]
        if sys.version_info >= (3, 11):
            import contextvars

            variable = contextvars.ContextVar("variable", default="outside")
            context = contextvars.copy_context()
            context.run(variable.set, "inside")

            async def look():
                return variable.get()

            names.append(await loop.create_task(look(), context=context))
            names.append(await loop.create_task(look(), name=None, context=None))
        with pytest.raises(TypeError):
            loop.create_task(work(), wrong=1)
        with pytest.raises(TypeError):
            loop.create_task()
        with pytest.raises(TypeError):
            loop.create_task(5)
        assert isinstance(loop.create_future(), asyncio.Future)
        return names

    with pytest.warns(RuntimeWarning, match="never awaited"):
        names = loop.run_until_complete(main())
        gc.collect()
    assert names == ["named", "keyword", "inside", "outside"][: len(names)] and len(names) in (2, 4)


def test_task_factory_is_asked(loop):
    made = []

    def factory(loop, coro, **kwargs):
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5
    assert len(made) == 1
    loop.set_task_factory(None)
    assert loop.run_until_complete(asyncio.sleep(0, 5)) == 5
    assert len(made) == 1


def test_patched_task_class_is_used(loop, monkeypatch):
    class Task(asyncio.Task):
        pass

    monkeypatch.setattr(asyncio.tasks, "Task", Task)

    async def main():
        return asyncio.current_task()

    assert type(loop.run_until_complete(main())) is Task
