"""Python code that misbehaves while the event loop, a transport, a stream or a server is calling it.

A hook is a place where that code is called, a deed is what it does there. Run as a program with the name of a module of hooks
and an implementation, every deed is done in every hook, on a fresh loop each; a line of JSON for each tells what was seen.
evil_judge.py runs this program and judges what it tells.

A module of hooks has HOOKS, and a STAGE unless it is one itself: a module with MORE_DEEDS, beside the DEEDS of this module, and
with IMPLEMENTATIONS. Where hooks need another stage than a World, that has DEEDS of its own, `perform` in place of the function
of this module, and `prepare`, which is called first.

Implementations: "reference" (the standard library's loop, Tornado's classes), "engine" (tornadoc's classes on the standard
library's loop), "tornadoc" (both).
"""

import asyncio
import contextlib
import faulthandler
import functools
import gc
import importlib
import io
import json
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
import weakref

PATIENCE = 60.0  # seconds before something that should happen counts as never happening


class Skipped(Exception):
    """There is nothing to do this deed on."""


class Evil(BaseException):
    """Neither an Exception nor one of the two that ask the process to end."""


class Registry(dict):
    """Functions by their names."""

    def add(self, function):
        self[function.__name__] = function
        return function


def need(value):
    if value is None:
        raise Skipped
    return value


#: What is done in every hook.
DEEDS = Registry()
deed = DEEDS.add


@deed
def nothing(world):
    pass


for _exception in (
    ValueError,
    asyncio.CancelledError,
    StopIteration,
    GeneratorExit,
    MemoryError,
    ConnectionResetError,
    BlockingIOError,
    Evil,
    KeyboardInterrupt,
    SystemExit,
):

    def _raise(world, exception=_exception):
        raise exception("evil")

    DEEDS["raise_" + _exception.__name__] = _raise


@deed
def stop(world):
    world.loop.stop()


@deed
def stop_and_raise(world):
    world.loop.stop()
    raise ValueError("stopped")


@deed
def stop_and_exit(world):
    world.loop.stop()
    raise KeyboardInterrupt("stopped")


@deed
def close_loop(world):
    world.loop.close()


@deed
def run_loop(world):
    world.loop.run_forever()


@deed
def run_other_loop(world):
    other = world.new_loop()
    try:
        other.run_until_complete(asyncio.sleep(0))
    finally:
        other.close()


@deed
def collect(world):
    gc.collect()


@deed
def forget(world):
    world.forget()
    gc.collect()


@deed
def forget_and_raise(world):
    world.forget()
    gc.collect()
    raise ValueError("forgotten")


@deed
def close(world):
    need(world.close)()


@deed
def close_and_raise(world):
    need(world.close)()
    raise ValueError("closed")


@deed
def close_and_exit(world):
    need(world.close)()
    raise SystemExit("closed")


@deed
def close_and_stop(world):
    need(world.close)()
    world.loop.stop()


@deed
def close_and_forget(world):
    need(world.close)()
    world.forget()
    gc.collect()


@deed
def cancel(world):
    need(world.cancel)()


@deed
def again(world):
    need(world.again)()


@deed
def again_and_again(world):
    for _ in range(3):
        need(world.again)()


@deed
def cancel_and_again(world):
    need(world.cancel)()
    need(world.again)()


@deed
def close_and_again(world):
    need(world.close)()
    need(world.again)()


@deed
def many_callbacks(world):
    for i in range(300):
        world.loop.call_soon(world.note, f"callback {i}") if i % 100 == 0 else world.loop.call_soon(int)


@deed
def many_timers(world):
    handles = [world.loop.call_later(1000 + i, int) for i in range(300)]
    for handle in handles[::2]:
        handle.cancel()
    world.keep.append(handles)


@deed
def many_descriptors(world):
    """Whatever table descriptors are in has to grow."""
    for _ in range(100):
        one, _ = world.pair()
        world.loop.add_reader(one, int)
        world.closers.append(functools.partial(world.loop.remove_reader, one.fileno()))


@deed
def thread_calls(world):
    thread = threading.Thread(target=world.loop.call_soon_threadsafe, args=(world.note, "from a thread"))
    thread.start()
    thread.join()


@deed
def debug(world):
    world.loop.set_debug(not world.loop.get_debug())


@deed
def no_exception_handler_and_raise(world):
    world.loop.set_exception_handler(lambda loop, context: world.note(normal(f"handled: {context.get('exception')}")))
    raise ValueError("handled")


@deed
def evil_exception_handler_and_raise(world):
    def handler(loop, context):
        world.note("handler")
        raise ZeroDivisionError("in the handler")

    world.loop.set_exception_handler(handler)
    raise ValueError("mishandled")


@deed
def exit_from_exception_handler(world):
    def handler(loop, context):
        world.loop.set_exception_handler(None)
        raise KeyboardInterrupt("in the handler")

    world.loop.set_exception_handler(handler)
    raise ValueError("mishandled")


class World:
    """A loop, a bystander that must not suffer, and what has been seen."""

    def __init__(self, implementation, deed):
        self.implementation = implementation
        self.deed = deed
        self.loop = self.new_loop()
        self.loop.slow_callback_duration = 1000  # a busy machine is no news
        asyncio.set_event_loop(self.loop)
        self.notes = []
        self.fired = 0
        self.skipped = False
        self.run_number = 0
        self.keep = []  # what stays until the end, whatever is forgotten
        self.closers = []  # called in the end
        self.sockets = []
        # What deeds act on, set by the hook.
        self.close = self.cancel = self.again = None
        self.refs = []
        self.subject = self.peer = self.io_loop = None
        self.late = []  # what is logged when the garbage collector finds it
        one, self.bystander = self.pair()
        self.loop.add_reader(one, lambda: self.note("bystander: " + one.recv(10).decode()))

    def new_loop(self):
        if self.implementation == "tornadoc":
            import tornadoc

            return tornadoc.EventLoop()
        return asyncio.SelectorEventLoop()

    def module(self, name):
        """tornado.NAME, or what stands ahead of it."""
        return importlib.import_module(("tornado." if self.implementation == "reference" else "tornadoc.") + name)

    def note(self, text):
        self.notes.append(text)

    def pair(self):
        pair = socket.socketpair()
        for sock in pair:
            sock.setblocking(False)
        self.sockets += pair
        return pair

    def fire(self, name):
        """Called from the hook under test; the first call acts."""
        self.note(name)
        if self.fired:
            return
        self.fired = 1
        try:
            self.deed(self)
        except Skipped:
            self.skipped = True

    def spawn(self, coroutine):
        """A task that `forget` forgets."""
        task = self.loop.create_task(coroutine)
        self.refs.append(task)
        return task

    def close_at_end(self, thing, method="close"):
        """Calls the method if the thing is still there: nobody is kept alive."""
        reference = weakref.ref(thing)

        def closer():
            if reference() is not None:
                getattr(reference(), method)()

        self.closers.append(closer)

    def forget(self):
        self.refs.clear()
        self.close = self.cancel = self.again = self.subject = None

    def run(self, turns=6):
        """Lets the loop run what is due, again after whatever leaves it. With more than six turns, it also waits a little."""
        for _ in range(30):
            self.run_number += 1
            self.finished = False
            self.loop.call_soon(self.turn, self.run_number, turns)
            try:
                self.loop.run_forever()
            except BaseException as e:
                self.note(f"left: {type(e).__name__}: {e}")
            else:
                if not self.finished:
                    self.note("stopped")
            if self.finished:
                return
        self.note("does not end")

    def turn(self, number, left):
        if number != self.run_number:
            return  # of a run that was left
        if left == 0:
            self.finished = True
            self.loop.stop()
        elif left == 7:
            self.loop.call_later(0.001, self.turn, number, left - 1)
        else:
            self.loop.call_soon(self.turn, number, left - 1)

    def end(self):
        """The loop still works; then everything is closed."""
        for what in ("still", "served"):
            self.bystander.send(what.encode())
            self.run()
        for closer in self.closers:
            # asyncio's abort() fails so on a transport that has just been closed.
            with contextlib.suppress(OSError, RuntimeError, ValueError, AttributeError):
                closer()
        self.forget()
        self.run()
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        self.run()
        self.note("end")
        gc.collect()
        self.notes += sorted(self.late)
        self.loop.set_debug(False)
        self.loop.set_exception_handler(None)
        for sock in self.sockets:
            with contextlib.suppress(OSError, ValueError):
                self.loop.remove_reader(sock)
        self.loop.close()
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.close()
        asyncio.set_event_loop(None)


class Finalized:
    """A callback whose end is the hook."""

    def __init__(self, world):
        self.world = world

    def __call__(self, *args):
        self.world.note("called")

    def __del__(self):
        self.world.fire("finalizer")


def soon(world, function, *args):
    world.loop.call_soon(world.loop.call_soon, function, *args)


def drain(world, turns=30):
    """The peer takes whatever is there, for a while."""

    def step(left):
        with contextlib.suppress(OSError):
            while world.peer.recv(1 << 20):
                pass
        if left:
            world.loop.call_soon(step, left - 1)

    world.loop.call_soon(step, turns)


#: Records of what is there in one implementation only. Debug mode may find the machinery of this module slow, or asyncio's;
#: asyncio's writer goes on without output, and closes twice, after a callback that has raised or closed.
NOT_COMPARED = r"World\.|_read_from_self|Exception in callback \w+\._(write_(ready|sendmsg|send)|call_connection_lost)\("


class Log(logging.Handler):
    world = None

    def emit(self, record):
        if self.world is not None and not re.search(NOT_COMPARED, record.getMessage()):
            exception = record.exc_info and record.exc_info[1]
            error = f" ({type(exception).__name__}: {exception})" if exception else ""
            message = record.getMessage().partition("\n")[0]
            late = "never retrieved" in message or "was destroyed" in message
            note = self.world.late.append if late else self.world.note
            note(normal(f"{record.name} {record.levelname}: {message}{error}"))


def normal(text):
    """Without what differs from one run, or one implementation, to the next."""
    text = re.sub(r"0x[0-9a-f]+", "0xN", text)
    text = re.sub(r"\bwhen=[\d.]+", "when=N", text)
    text = re.sub(r"\b(fd|proto)=\d+", r"\1=N", text)
    text = re.sub(r"_handle_events\(\d+, ", "_handle_events(N, ", text)
    text = re.sub(r"\('127\.0\.0\.1', \d+\)", "ADDRESS", text)
    text = re.sub(r"callback (BaseAsyncIOLoop\._handle_events\((N, 1)?\)|None\(\))", "accept handler", text)
    text = re.sub(r"callback \w*IOLoop\._(run_callback|run_call|handle_events)\(.*\) \(", "accept handler (", text)
    text = re.sub(r"\(KeyError: \d+\)", "(KeyError: N)", text)
    text = re.sub(r"\.\.\.[x0-9a-f]+>", "...>", text)
    text = re.sub(r"\b\w+\.close\(\)", "close()", text)
    text = re.sub(r"(_Selector|)SocketTransport\b", "SocketTransport", text)
    text = re.sub(r"<(_SelectorSoc|SocketTransp)\.\.\.[^>]*>", "<SocketTransport>", text)
    text = re.sub(r"\b(fd|on) \d+\b", r"\1 N", text)
    text = re.sub(r"\bTask-\d+", "Task-N", text)
    text = re.sub(r"(_UnixSelector|tornadoc\.|)EventLoop\b", "EventLoop", text)
    text = re.sub(r"took \d+\.\d+ seconds", "took N seconds", text)
    text = re.sub(r"[^\s']*/([\w.]+):\d+", r"\1:N", text)
    return text


def unraisable(note, info):
    note(normal(f"unraisable: {type(info.exc_value).__name__}: {info.exc_value}"))


def perform(hook, deed, implementation, log):
    """One scenario: what was seen, and whether there was nothing to do."""
    world = log.world = World(implementation, deed)
    sys.unraisablehook = functools.partial(unraisable, world.note)
    problem = ""
    try:
        hook(world)
        world.run(14)
        if not world.fired:
            world.note("NOT FIRED")
        world.end()
    except BaseException as e:
        where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(e.__traceback__)[-3:]]
        problem = f"{type(e).__name__}: {e} ({', '.join(where)})"
    notes, skipped = world.notes, world.skipped
    log.world = None
    del world
    sys.unraisablehook = sys.__unraisablehook__
    gc.collect()
    return {"notes": notes, "skipped": skipped, "problem": problem}


def main(module, implementation, only="", after=""):
    """`only` is HOOK/DEED or HOOK,HOOK...; `after` names a scenario to start behind."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(log := Log())
    logging.getLogger().setLevel(logging.WARNING)
    logging.raiseExceptions = False
    if implementation == "engine":
        import tornadoc  # noqa: F401
    subject = importlib.import_module(module)
    stage = stage_of(subject)
    play = getattr(stage, "perform", perform)
    getattr(stage, "prepare", int)()
    gc.collect()
    gc.freeze()  # what is imported need not be looked at again
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = io.StringIO()
    chosen = only.split(",") if only else subject.HOOKS
    armed = -PATIENCE
    first = True
    for name, hook in subject.HOOKS.items():
        for deed_name, deed in deeds_of(subject).items():
            scenario = f"{name}/{deed_name}"
            if after:
                after = "" if after == scenario else after
                continue
            if name not in chosen and scenario not in chosen:
                continue
            lines.write(json.dumps({"begin": scenario}) + "\n")
            if time.monotonic() - armed > PATIENCE / 4:
                armed = time.monotonic()
                faulthandler.dump_traceback_later(PATIENCE, exit=True)  # costs a thread each time
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            outcome = play(hook, deed, implementation, log)
            if first:
                first = False
                gc.freeze()  # nor what the first scenario has imported
            lines.write(json.dumps({"scenario": scenario, **outcome}) + "\n")
            if outcome["problem"] and deed is nothing:
                break  # the hook itself is at fault: each deed would only wait in vain


def stage_of(subject):
    return getattr(subject, "STAGE", subject)


def deeds_of(subject):
    stage = stage_of(subject)
    return getattr(stage, "DEEDS", None) or {**DEEDS, **getattr(stage, "MORE_DEEDS", {})}


if __name__ == "__main__":
    sys.modules["evil_stage"] = sys.modules["__main__"]
    main(*sys.argv[1:])
