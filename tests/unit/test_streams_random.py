"""Random programs over a socketpair: the same outcomes from Tornado's IOStream and tornadoc's.

A program is a list of steps made from a seed. The raw end of the pair writes, reads, shuts down and closes; the stream
reads in every way, writes and closes. After each step the loop runs until nothing more can happen, so that a difference
in how many iterations something takes is no difference. TORNADOC_STREAM_PROGRAMS is the number of programs,
TORNADOC_STREAM_SEED the first seed.
"""

import asyncio
import os
import random
import re
import socket
import struct

import pytest
from stream_support import IMPLEMENTATIONS, logged, new_loops

PROGRAMS = int(os.environ.get("TORNADOC_STREAM_PROGRAMS", "400"))
FIRST_SEED = int(os.environ.get("TORNADOC_STREAM_SEED", "1"))
SETTLE = 12  # iterations after each step
WORDS = (b"a", b"b", b"\r", b"\n", b"\r\n", b"x1;", b"0123456789", b"zz", b"")
DELIMITERS = (b"\n", b"\r\n", b";", b"zz", b"ab\r\n", b"never")
PATTERNS = (rb"\d;", rb"\r?\n", rb"z+", rb"[ab]+x", rb"never", rb"")
SIZES = (0, 1, 2, 3, 7, 10, 64, 1000, 70000, 2**40)
LIMITS = (None, None, 0, 1, 5, 20, 2**40)


def words(choose):
    data = b"".join(choose.choice(WORDS) for _ in range(choose.randrange(1, 12)))
    return data * choose.choice((1, 1, 1, 1, 1, 3, 500, 5000))


def make_program(seed):
    """(options of the stream, steps)"""
    choose = random.Random(seed)
    options = {}
    if choose.random() < 0.3:
        options["max_buffer_size"] = choose.choice((16, 100, 5000, 200000))
    if choose.random() < 0.3:
        options["read_chunk_size"] = choose.choice((5000, 16384, 100000))
    if choose.random() < 0.2:
        options["max_write_buffer_size"] = choose.choice((10, 1000))
    makers = {
        "deliver": lambda: (words(choose),),
        "take": lambda: (),
        "read_until": lambda: (choose.choice(DELIMITERS), choose.choice(LIMITS)),
        "read_until_regex": lambda: (choose.choice(PATTERNS), choose.choice(LIMITS)),
        "read_bytes": lambda: (choose.choice(SIZES), choose.random() < 0.4),
        "read_into": lambda: (choose.choice(SIZES[:9]), choose.random() < 0.4),
        "read_until_close": lambda: (),
        "cancel": lambda: (),
        "write": lambda: (
            choose.choice((b"", b"x", words(choose), b"w" * 400000)),
            choose.choice((bytes, bytearray, memoryview)),
        ),
        "set_close_callback": lambda: (),
        "look": lambda: (),
        "close": lambda: (choose.random() < 0.3,),
        "shutdown": lambda: (),
        "hang_up": lambda: (),
        "reset": lambda: (),
    }
    weights = {"deliver": 30, "take": 6, "cancel": 2, "close": 1, "shutdown": 1, "hang_up": 1, "reset": 1, "read_until_close": 2}
    names = list(makers)
    steps = []
    for _ in range(choose.randrange(3, 25)):
        name = choose.choices(names, [weights.get(n, 7) for n in names])[0]
        # tornadoc's streams learn from the loop what the kernel has, Tornado's ask for it: what the peer does gets its turn.
        settled = name in ("deliver", "shutdown", "hang_up", "reset", "set_close_callback") or choose.random() < 0.85
        steps.append((name, makers[name](), settled))
    return options, steps


def describe(value):
    if isinstance(value, (bytes, bytearray)) and len(value) > 60:
        return (len(value), hash(bytes(value)))
    if isinstance(value, BaseException):
        real = getattr(value, "real_error", None)
        return (type(value).__name__, str(value), type(real).__name__, str(real))
    return value


def watch(future, label, events, buffer=None):
    def done(finished):
        if finished.cancelled():
            outcome = "cancelled"
        else:
            outcome = finished.exception() or finished.result()
        events.append((label, describe(outcome), describe(bytes(buffer[: finished.result()])) if outcome and buffer else None))

    future.add_done_callback(done)


async def settle():
    for _ in range(SETTLE):
        await asyncio.sleep(0)


async def play(iostreams, program):
    """What happened, step by step. Within one step the order of futures is left open."""
    options, steps = program
    ours, peer = socket.socketpair() if not any(s[0] == "reset" for s in steps) else tcp_pair()
    for end in (ours, peer):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    peer.setblocking(False)
    stream = iostreams.IOStream(ours, **options)
    history = []
    last_read = None
    taken = bytearray()
    given = bytearray()
    for index, (name, args, settled) in enumerate(steps):
        events = []
        try:
            if name == "deliver":
                # What the kernel does not take at once is lost to both.
                events.append(("sent", peer.send(args[0][:30000])))
            elif name == "take":
                while piece := take(peer):
                    taken += piece
                    await settle()
            elif name == "shutdown":
                peer.shutdown(socket.SHUT_WR)
            elif name == "hang_up":
                peer.close()
            elif name == "reset":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            elif name == "cancel":
                events.append(last_read is not None and last_read.cancel())
            elif name == "look":
                events.append((stream.reading(), stream.writing(), stream.closed(), describe(stream.error)))
            elif name == "set_close_callback":
                stream.set_close_callback(lambda i=index: history.append([("closed", i)]))
            elif name == "close":
                stream.close(OSError("on purpose") if args[0] else False)
            elif name == "write":
                watch(stream.write(args[1](args[0])), ("write", index), events)
                given += args[0]
            elif name == "read_into":
                buffer = bytearray(args[0])
                last_read = stream.read_into(buffer, partial=args[1])
                watch(last_read, (name, index), events, buffer)
            else:
                last_read = getattr(stream, name)(*args)
                watch(last_read, (name, index), events)
        except Exception as error:
            events.append(("raised", describe(error)))
        history.append(events)
        if settled:
            await settle()
            history.append([("state", stream.closed(), describe(stream.error))])
    await settle()
    history.append([("before the end", stream.closed(), stream.reading(), stream.writing())])
    assert given.startswith(taken)
    peer.close()
    stream.close()
    await settle()
    return [sorted(events, key=repr) for events in history]


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ends = client, server.accept()[0]
    for end in ends:
        # What is sent does not wait for the acknowledgement of what was sent before.
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ends


def take(peer):
    data = bytearray()
    try:
        while piece := peer.recv(1 << 20):
            data += piece
    except OSError:
        pass
    return data


def outcome(implementation, kind, program):
    loop = new_loops()[kind]()
    try:
        with logged() as records:
            history = loop.run_until_complete(asyncio.wait_for(play(IMPLEMENTATIONS[implementation], program), 60))
    finally:
        loop.close()
    return history, [(name, level, re.sub(r"Write error on \d+|fd=\d+", "", message)) for name, level, message in records]


@pytest.mark.parametrize("kind", new_loops())
def test_random_programs(kind):
    for seed in range(FIRST_SEED, FIRST_SEED + PROGRAMS):
        program = make_program(seed)
        expected = outcome("tornado", "asyncio", program)
        assert outcome("tornadoc", kind, program) == expected, f"seed {seed}: {program[0]} {program[1]!r:.3000}"
