"""WebSockets, on both sides, by what raw clients send: frames, what handlers see of them, how connections end."""

import asyncio
import contextlib
import gc
import inspect
import json
import random
import re
import socket
import struct
import zlib
from fractions import Fraction
from unittest import mock

import pytest
import tornado
import tornado.iostream
import tornado.websocket
from sidebyside import compare, functions_called, get, run

import tornadoc._websocket
import tornadoc.websocket

PATIENCE = 20
MASK = b"\x37\xfa\x21\x3d"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
UPGRADE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


def masked(data, mask=MASK):
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=MASK, length=None):
    """The bytes of a client's frame. ``length``: how many bytes the length takes (1, 3 or 9), where not the least."""
    if isinstance(payload, str):
        payload = payload.encode()
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if mask else 0
    size = len(payload)
    length = length or (1 if size < 126 else 3 if size < 65536 else 9)
    head = {1: lambda: struct.pack("!BB", first, bit | size),
            3: lambda: struct.pack("!BBH", first, bit | 126, size),
            9: lambda: struct.pack("!BBQ", first, bit | 127, size)}[length]()  # fmt: skip
    return head + (mask + masked(payload, mask) if mask else payload)


def closing(code=None, reason=""):
    return frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason.encode())


def deflated(data, compressor=None):
    compressor = compressor or zlib.compressobj(6, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frames(data):
    """The server's frames: a list of first byte and payload; what is left of a torn one comes last."""
    found = []
    while data:
        if len(data) < 2 or data[1] & 0x80:
            return [*found, data]
        size, at = data[1] & 0x7F, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        found.append((data[0], data[at : at + size]))
        data = data[at + size :]
    return found


def module(side):
    return tornadoc.websocket if side.native else tornado.websocket


def echo(side, **methods):
    """A handler class that notes all it hears and echoes messages, with other methods in place of these."""

    class Echo(module(side).WebSocketHandler):
        def open(self, *args, **kwargs):
            side.note("open", args, kwargs, self.selected_subprotocol)

        def on_message(self, message):
            side.note("message", message if len(message) < 200 else (type(message), len(message), hash(message)))
            self.write_message(message, binary=isinstance(message, bytes))

        def on_ping(self, data):
            side.note("ping", data)

        def on_pong(self, data):
            side.note("pong", data)

        def on_close(self):
            side.note("close", self.close_code, self.close_reason)
            if side.closed is not None and not side.closed.done():
                side.closed.set_result(None)

    for name, method in methods.items():
        setattr(Echo, name, method)
    return Echo


class Client:
    """A connection whose handshake was made."""

    @classmethod
    async def connect(cls, side, *headers, path="/ws", early=b"", upgrade=UPGRADE):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", side.port)
        self.writer.write(get(path, *upgrade, *headers, close=False) + early)
        try:
            head = await self.wait(self.reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as e:
            head = e.partial
        self.head = re.sub(rb"\r\nDate: [^\r]*", b"", head)
        return self

    @staticmethod
    def wait(awaitable):
        return asyncio.wait_for(awaitable, PATIENCE)

    async def send(self, *pieces):
        """Sends each piece on its own, and lets the server have it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.003)

    async def frame(self):
        first, size = await self.wait(self.reader.readexactly(2))
        if size >= 126:
            size = int.from_bytes(await self.wait(self.reader.readexactly(2 if size == 126 else 8)), "big")
        return first, await self.wait(self.reader.readexactly(size))

    async def rest(self):
        """The frames until the server closes."""
        found = []
        with contextlib.suppress(ConnectionResetError):
            found = frames(await self.wait(self.reader.read(-1)))
        self.close()
        return found

    def close(self):
        self.writer.close()

    def reset(self):
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def serve(side, handler, **settings):
    side.closed = asyncio.get_running_loop().create_future()
    side.serve(side.Application([("/ws(?:/(.*))?", handler)], **settings))


leaves_open_before_6_6 = pytest.mark.skipif(
    tornado.version_info < (6, 6), reason="Tornado before 6.6 leaves the connection open after such an exception"
)


async def has_closed(side):
    """Waits for on_close. Before Tornado 6.6 it is not called if an exception has ended the receiving."""
    if tornado.version_info >= (6, 6):
        await asyncio.wait_for(side.closed, PATIENCE)
    else:
        await asyncio.wait([side.closed], timeout=0.5)
        for _ in range(20):  # where the machine stood still for the time, what it left out
            await asyncio.sleep(0)


async def converse(side, *pieces, headers=(), handler=None, path="/ws", **settings):
    """The head and the frames that come for these pieces, until the server closes; waits for on_close."""
    serve(side, handler or echo(side), **settings)
    client = await Client.connect(side, *headers, path=path)
    await client.send(*pieces)
    rest = await client.rest()
    await has_closed(side)
    return client.head, rest


def scenario_of(*pieces, **options):
    async def scenario(side):
        return await converse(side, *pieces, **options)

    return scenario


SMILE = "\N{GRINNING FACE}\u00e9\u4e2d".encode()
END = closing(1000, "bye")

#: Conversations whose bytes, notes and records have to be Tornado's.
TALKS = {
    "text": [frame(TEXT, "hello"), END],
    "binary": [frame(BINARY, bytes(range(256))), END],
    "empty messages": [frame(TEXT) + frame(BINARY), END],
    "other masks": [frame(TEXT, "one", mask=bytes(4)) + frame(TEXT, "two", mask=b"\xff\0\xff\0"), END],
    "sizes": [*(frame(TEXT, "x" * size) for size in (1, 7, 8, 9, 124, 125, 126, 127, 128, 65534, 65535, 65536, 70000)), END],
    "long ways to say a length": [frame(TEXT, "short", length=3) + frame(TEXT, "short", length=9), END],
    "many in one packet": [b"".join(frame(TEXT, str(i)) for i in range(500)) + END],
    "all in one": [frame(TEXT, "a") + frame(PING, "p") + frame(PONG, "q") + frame(BINARY, "b") + END],
    "utf-8": [frame(TEXT, SMILE), END],
    "fragments": [frame(TEXT, "one ", fin=False), frame(0, "two ", fin=False), frame(0, "three"), END],
    "fragments of a character": [frame(TEXT, SMILE[:1], fin=False) + frame(0, SMILE[1:5], fin=False) + frame(0, SMILE[5:]), END],
    "binary fragments": [frame(BINARY, "a", fin=False) + frame(0, "", fin=False) + frame(0, b"\xff"), frame(BINARY, "b"), END],
    "empty fragments": [frame(TEXT, "", fin=False), frame(0, "", fin=False), frame(0, ""), END],
    "control frames between fragments": [
        frame(TEXT, "one ", fin=False) + frame(PING, "p"),
        frame(PONG, "q") + frame(0, "two", fin=False) + frame(PING),
        frame(0, "three"),
        END,
    ],
    "close between fragments": [frame(TEXT, "one ", fin=False) + END],
    "pings": [frame(PING), frame(PING, "x" * 125), frame(PING, "a") + frame(PING, "b") + frame(PING, "c"), END],
    "pongs": [frame(PONG), frame(PONG, "x" * 125), END],
    "close without a code": [closing()],
    "close with half a code": [frame(CLOSE, "\x03")],
    "close with a code": [closing(3456)],
    "close with a reason": [closing(4000, "r\u00e9ason")],
    "close with a long reason": [closing(1001, "x" * 123)],
    "close with code 0": [closing(0)],
    "close with code 65535": [closing(65535)],
    "more after the close": [END + frame(TEXT, "too late")],
}  # fmt: skip


@pytest.mark.parametrize("name", TALKS)
def test_conversation(name):
    compare(scenario_of(*TALKS[name]))


@pytest.mark.parametrize("name", [name for name in TALKS if name != "sizes" and "many" not in name])
def test_conversation_byte_by_byte(name):
    data = b"".join(TALKS[name])

    async def scenario(side):
        serve(side, echo(side))
        client = await Client.connect(side)
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # What follows the close frame comes with its last byte: later, the server has closed, and its reset overtakes the answer.
        end = data.index(END) + len(END) if END in data else len(data)
        for piece in [*(bytes([byte]) for byte in data[: end - 1]), data[end - 1 :]]:
            client.writer.write(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        rest = await client.rest()
        await has_closed(side)
        return rest

    compare(scenario)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 8, 11, 14, 100, 65535, 65540])
def test_a_large_message_in_two_packets(cut):
    data = frame(BINARY, b"0123456789abcdef" * 8192)
    compare(scenario_of(data[:cut], data[cut:] + frame(TEXT, "next"), END))


def test_frames_that_come_with_the_handshake():
    async def scenario(side):
        serve(side, echo(side))
        client = await Client.connect(side, early=frame(TEXT, "early") + frame(PING, "p") + frame(TEXT, "half")[:5])
        await client.send(frame(TEXT, "half")[5:], END)
        return client.head, await client.rest()

    compare(scenario)


def test_messages_of_several_megabytes():
    data = bytes(range(256)) * 16 * 1024

    async def scenario(side):
        serve(side, echo(side))
        client = await Client.connect(side)
        await client.send(frame(BINARY, data))
        answers = [await client.frame()]
        await client.send(frame(BINARY, data, fin=False), frame(0, data))
        answers.append(await client.frame())
        await client.send(END)
        return answers == [(0x82, data), (0x82, 2 * data)], await client.rest()

    assert compare(scenario).result[0]


def test_the_counters():
    async def scenario(side):
        def on_message(self, message):
            connection = self.ws_connection
            side.note(connection._message_bytes_in, connection._wire_bytes_in)
            self.write_message(message)
            side.note(connection._message_bytes_out, connection._wire_bytes_out)

        pieces = [frame(TEXT, "h\u00e9llo"), frame(TEXT, "x" * 126), frame(TEXT, "y" * 70000), frame(PING, "p"),
                  frame(TEXT, "a", fin=False) + frame(0, "b"), END]  # fmt: skip
        return await converse(side, *pieces, handler=echo(side, on_message=on_message))

    compare(scenario)


# -- compression --

COMPRESSED = {
    "no offer": [],
    "an offer": [DEFLATE],
    "no context takeover": [DEFLATE + "; client_no_context_takeover; server_no_context_takeover"],
    "of the server": [DEFLATE + "; server_no_context_takeover"],
    "small windows": [DEFLATE + "; server_max_window_bits=10; client_max_window_bits=10"],
    "client_max_window_bits without a value": [DEFLATE + "; client_max_window_bits"],
    "two offers": [DEFLATE + "; server_no_context_takeover, permessage-deflate"],
    "an unknown parameter": [DEFLATE + "; x=1"],
    "a bad window": [DEFLATE + "; server_max_window_bits=99"],
}


@pytest.mark.parametrize("name", COMPRESSED)
@pytest.mark.parametrize("options", [None, {}, {"compression_level": 1, "mem_level": 5}])
def test_compression(name, options):
    headers = COMPRESSED[name]

    async def scenario(side):
        serve(side, echo(side, get_compression_options=lambda self: options))
        client = await Client.connect(side, *headers)
        answered = b"permessage-deflate" in client.head
        if b" 101 " in client.head:
            compressor = zlib.compressobj(6, zlib.DEFLATED, -10 if "client_max_window_bits=10" in str(headers) else -15)
            for message in (b"hello hello hello", b"hello hello hello", b"", b"z" * 70000):
                if answered and "client_no_context" in str(headers):
                    compressor = None
                await client.send(frame(TEXT, deflated(message, compressor), rsv=4) if answered else frame(TEXT, message))
            await client.send(frame(TEXT, "not compressed"), END)
            return client.head, await client.rest()
        client.close()
        return client.head

    compare(scenario)


def compressing(side, **methods):
    return echo(side, get_compression_options=lambda self: {}, **methods)


def test_compressed_fragments():
    data = deflated(b"one two three four " * 50)

    async def scenario(side):
        pieces = [frame(TEXT, data[:5], rsv=4, fin=False) + frame(0, data[5:9], fin=False), frame(0, data[9:]),
                  frame(BINARY, "plain ", fin=False) + frame(0, "fragments"), END]  # fmt: skip
        return await converse(side, *pieces, headers=[DEFLATE], handler=compressing(side))

    compare(scenario)


def test_a_message_that_is_too_large_once_it_is_inflated():
    async def scenario(side):
        bomb = frame(BINARY, deflated(bytes(1001)), rsv=4)
        pieces = [frame(BINARY, deflated(bytes(1000)), rsv=4), bomb]
        return await converse(
            side,
            *pieces,
            headers=[DEFLATE + "; client_no_context_takeover"],
            handler=compressing(side),
            websocket_max_message_size=1000,
        )

    outcome = compare(scenario)
    assert outcome.result[1][-1] == (0x88, b"\x03\xf1message too big after decompression")


@leaves_open_before_6_6
def test_what_does_not_inflate():
    async def scenario(side):
        return await converse(side, frame(TEXT, b"\xff\xff\xff", rsv=4), headers=[DEFLATE], handler=compressing(side))

    compare(scenario)


def random_conversation(seed, compressed):
    """Good frames in pieces, neither of which follows any plan."""
    r = random.Random(seed)
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)

    def control():
        return frame(r.choice([PING, PONG]), r.randbytes(r.choice([0, 3, 125])), mask=r.randbytes(4)) if r.random() < 0.3 else b""

    data = b""
    for _ in range(r.randint(1, 25)):
        opcode = r.choice([TEXT, BINARY])
        size = r.choice([0, 1, 5, 125, 126, 3000, 65535, 70000])
        payload = SMILE * (size // 8 + 1) if opcode == TEXT else r.randbytes(size)
        rsv = 4 if compressed and r.random() < 0.7 else 0
        if rsv:
            payload = deflated(payload, compressor)
        parts = sorted(r.randint(0, len(payload)) for _ in range(r.choice([0, 0, 1, 2, 6])))
        for i, (start, end) in enumerate(zip([0, *parts], [*parts, len(payload)])):
            # Tornado forgets at a control frame that a message is compressed.
            data += frame(opcode if i == 0 else 0, payload[start:end], end == len(payload) and i == len(parts),
                          rsv if i == 0 else 0, mask=r.randbytes(4))  # fmt: skip
            data += b"" if compressed else control()
        data += control()
    cuts = sorted(r.randrange(len(data)) for _ in range(r.choice([0, 1, 5, 40])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_random_conversations(seed, compressed):
    async def scenario(side):
        serve(side, compressing(side))
        client = await Client.connect(side, *([DEFLATE] if compressed else []))
        reading = asyncio.ensure_future(client.rest())
        for piece in random_conversation(seed, compressed):
            client.writer.write(piece)
            await client.writer.drain()
            await asyncio.sleep(0.001)
        client.writer.write(END)
        return await reading

    assert compare(scenario).result[-1] == (0x88, b"\x03\xe8")


# -- limits --


@pytest.mark.parametrize(
    "pieces",
    [
        [frame(BINARY, bytes(100)), frame(BINARY, bytes(101))],
        [frame(BINARY, bytes(60), fin=False) + frame(0, bytes(41))],
        [frame(BINARY, bytes(60), fin=False) + frame(0, bytes(40)), frame(BINARY, bytes(100)), END],
        [struct.pack("!BBQ", 0x82, 0xFF, 1 << 20)],
        [struct.pack("!BBQ", 0x82, 0xFF, 1 << 63)],
        [struct.pack("!BBQ", 0x82, 0xFF, (1 << 64) - 1)],
        [frame(BINARY, bytes(95), fin=False) + frame(PING, "123456")],
    ],
)
@pytest.mark.parametrize("limit", [100, 100.5, Fraction(201, 2)])
def test_message_size(pieces, limit):
    compare(scenario_of(*pieces, websocket_max_message_size=limit))


def test_the_default_limit():
    outcome = compare(scenario_of(struct.pack("!BBQ", 0x82, 0xFF, 10 * 1024 * 1024 + 1)))
    assert outcome.result[1] == [(0x88, b"\x03\xf1message too big")]


@leaves_open_before_6_6
def test_a_limit_that_is_no_number():
    compare(scenario_of(frame(TEXT, "hi"), websocket_max_message_size=None))


def test_a_limit_that_the_handler_changes():
    async def scenario(side):
        def open_(self, *args):
            self.ws_connection.params.max_message_size = 5

        return await converse(side, frame(TEXT, "12345"), frame(TEXT, "123456"), handler=echo(side, open=open_))

    compare(scenario)


# -- handlers --


def test_a_slow_on_message_holds_the_next_frame_back():
    async def scenario(side):
        async def on_message(self, message):
            side.note("begin", message)
            await asyncio.sleep(0.02)
            side.note("end", message)
            await self.write_message(message)

        return await converse(
            side,
            frame(TEXT, "1") + frame(TEXT, "2") + frame(PING, "p") + frame(TEXT, "3") + END,
            handler=echo(side, on_message=on_message),
        )

    compare(scenario)


@pytest.mark.parametrize("what", ["sleeps", "returns", "future"])
def test_awaitable_results(what):
    async def scenario(side):
        def on_message(self, message):
            async def answer():
                if what == "sleeps":
                    await asyncio.sleep(0)
                self.write_message(message)

            if what == "future":
                future = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_later(0.01, future.set_result, None)
                self.write_message("later")
                return future
            return answer()

        return await converse(side, frame(TEXT, "1") + frame(TEXT, "2"), END, handler=echo(side, on_message=on_message))

    compare(scenario)


@leaves_open_before_6_6
def test_what_on_message_may_not_return():
    async def scenario(side):
        return await converse(side, frame(TEXT, "1"), handler=echo(side, on_message=lambda self, message: 5))

    compare(scenario)


def test_open_is_waited_for():
    async def scenario(side):
        async def open_(self, rest=None):
            await asyncio.sleep(0.02)
            side.note("opened")

        return await converse(side, frame(TEXT, "1"), END, handler=echo(side, open=open_))

    compare(scenario)


class Cancelled(asyncio.CancelledError):
    pass


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, Cancelled, tornado.iostream.StreamClosedError])
@pytest.mark.parametrize("where", ["open", "on_message", "on_ping", "on_pong", "on_close"])
@pytest.mark.parametrize("late", [False, True])
def test_exceptions(where, late, error):
    if where == "open" and error is not ZeroDivisionError:
        pytest.skip("depends on who cancels")
    if tornado.version_info < (6, 6) and where != "open" and (late or issubclass(error, asyncio.CancelledError)):
        pytest.skip("Tornado before 6.6 leaves the connection open")

    async def scenario(side):
        def fail(self, *args):
            side.note(where, args)
            if where == "on_close":
                side.closed.set_result(None)
            raise error("in " + where) if error is not tornado.iostream.StreamClosedError else error()

        async def fail_late(self, *args):
            await asyncio.sleep(0)
            fail(self, *args)

        handler = echo(side, **{where: fail_late if late and where in ("open", "on_message", "on_pong") else fail})
        if where == "open":
            serve(side, handler)
            client = await Client.connect(side)
            return client.head, await client.rest()
        # Nothing behind what fails: the server has closed by then.
        last = {"on_message": TEXT, "on_ping": PING, "on_pong": PONG, "on_close": CLOSE}[where]
        pieces = [frame(PING, "a") + frame(PONG, "b") if where == "on_message" else frame(TEXT, "1"), frame(last)]
        return await converse(side, *pieces, handler=handler)

    compare(scenario)


@pytest.mark.parametrize("code,reason", [(None, None), (1000, None), (None, "why"), (4001, "caf\u00e9"), (1001, "")])
@pytest.mark.parametrize("where", ["open", "on_message", "later"])
def test_closing_by_the_handler(where, code, reason):
    async def scenario(side):
        def close(self, *args):
            side.note(where, len(args))
            if self.ws_connection is None:
                return
            if where == "later":
                asyncio.get_running_loop().call_later(0.01, self.close, code, reason)
            else:
                self.close(code, reason)
                for _ in range(2):
                    with pytest.raises(tornado.websocket.WebSocketClosedError):
                        self.write_message("too late")
                    with pytest.raises(tornado.websocket.WebSocketClosedError):
                        self.ping()

        def on_message(self, message):
            side.note("message", message)

        serve(side, echo(side, **{"on_message": on_message, "on_message" if where == "later" else where: close}))
        client = await Client.connect(side)
        if where != "open":
            await client.send(frame(TEXT, "hi"))
        answer = await client.frame()
        await client.send(frame(TEXT, "still"), frame(PING, "p"), closing(4002, "then bye"))
        rest = await client.rest()
        await has_closed(side)
        return answer, rest

    compare(scenario)


def test_a_client_that_never_answers_the_close():
    async def scenario(side):
        def on_message(self, message):
            self.close(1001)

        ticks = []

        async def tick():
            while True:
                await asyncio.sleep(0.1)
                ticks.append(1)

        loop = asyncio.get_running_loop()
        started = loop.time()
        serve(side, echo(side, on_message=on_message))
        client = await Client.connect(side)
        ticking = asyncio.ensure_future(tick())
        await client.send(frame(TEXT, "hi"))
        answer = await client.frame(), await client.rest()
        await has_closed(side)
        ticking.cancel()
        # Five seconds: no less by the clock, and no more by the ticks, which a machine that stands still for a while leaves out.
        return answer, loop.time() - started > 4.9, len(ticks) < 55

    assert compare(scenario).result == (((0x88, b"\x03\xe9"), []), True, True)


@pytest.mark.parametrize(
    "message,binary",
    [("text", False), ("text", True), (b"bytes", False), (b"\xff", True), ({"a": [1]}, False), ({"a": 1}, True),
     ("\u00e9", False), (None, False), (5, False), (bytearray(b"array"), True), (memoryview(b"view"), True), (["list"], False),
     ("\ud800", False)],
)  # fmt: skip
def test_write_message(message, binary):
    async def scenario(side):
        def on_message(self, text):
            for writer in (self, self.ws_connection):
                try:
                    future = writer.write_message(message, binary=binary)
                    side.note(asyncio.isfuture(future), future.done())
                except Exception as e:
                    side.note(repr(e))

        return await converse(side, frame(TEXT, "hi"), END, handler=echo(side, on_message=on_message))

    compare(scenario)


def test_the_future_of_write_message():
    async def scenario(side):
        async def on_message(self, message):
            order = []
            loop = asyncio.get_running_loop()
            loop.call_soon(order.append, "soon")
            side.note(await self.write_message("a"))
            order.append("written")
            future = self.write_message("b")
            side.note(future.done(), future.cancel())
            with pytest.raises(asyncio.CancelledError):
                await future
            others = [self.write_message(str(i)) for i in range(10)]
            await asyncio.gather(*others)
            side.note(order, [other.result() for other in others])

        return await converse(side, frame(TEXT, "hi"), END, handler=echo(side, on_message=on_message))

    outcome = compare(scenario)
    assert ([["soon", "written"], [None] * 10]) == list(outcome.noted[3])


def test_writing_yields_to_the_loop():
    """A coroutine that does nothing but write may not keep others from running."""

    async def scenario(side):
        async def on_message(self, message):
            turns = []

            async def other():
                while len(turns) < 100:
                    turns.append(1)
                    await asyncio.sleep(0)

            task = asyncio.ensure_future(other())
            for _ in range(60):
                await self.write_message("x")
            side.note(len(turns) > 50)
            task.cancel()

        return await converse(side, frame(TEXT, "hi"), END, handler=echo(side, on_message=on_message))

    assert compare(scenario).noted[1] == (True,)


def test_writing_more_than_the_client_reads():
    async def scenario(side):
        async def on_message(self, message):
            first = self.write_message(b"x" * 20_000_000, binary=True)
            await asyncio.sleep(0.01)
            side.note(first.done())
            await first
            side.note("written")

        serve(side, echo(side, on_message=on_message))
        client = await Client.connect(side)
        await client.send(frame(TEXT, "hi"))
        await asyncio.sleep(0.05)
        first, data = await client.frame()
        await client.send(END)
        return first, len(data), await client.rest()

    compare(scenario)


def test_a_client_that_goes_away_while_much_is_written():
    async def scenario(side):
        async def on_message(self, message):
            futures = [self.write_message(b"x" * 20_000_000), self.write_message("then")]
            results = await asyncio.gather(*futures, return_exceptions=True)
            side.note([repr(result) for result in results], self.ws_connection is None)
            with pytest.raises(tornado.websocket.WebSocketClosedError):
                self.write_message("later")

        serve(side, echo(side, on_message=on_message))
        client = await Client.connect(side)
        await client.send(frame(TEXT, "hi"))
        await asyncio.sleep(0.05)
        client.reset()
        await has_closed(side)

    compare(scenario)


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize(
    "sent",
    [b"", frame(TEXT, "hello")[:1], frame(TEXT, "hello")[:2], frame(TEXT, "hello")[:4], frame(TEXT, "hello")[:8],
     frame(TEXT, "x" * 300)[:3], frame(BINARY, bytes(100000))[:50000], frame(TEXT, "a", fin=False), frame(TEXT, "whole"),
     frame(TEXT, "whole") + frame(PING, "p") + frame(TEXT, "and half")[:9]],
)  # fmt: skip
def test_a_client_that_goes_away(sent, how):
    async def scenario(side):
        serve(side, echo(side))
        client = await Client.connect(side)
        await client.send(sent)
        await asyncio.sleep(0.01)
        if how == "reset":
            client.reset()
        else:
            client.close()
        await has_closed(side)

    compare(scenario)


@pytest.mark.parametrize("behind", [b"", frame(TEXT, "2") + frame(PING, "p")], ids=["nothing behind", "frames behind"])
def test_the_end_comes_while_a_message_is_handled(behind):
    """What is in the buffer behind the message keeps the stream from looking for the end."""

    async def scenario(side):
        gone = asyncio.Event()

        async def on_message(self, message):
            await gone.wait()
            await asyncio.sleep(0.03)
            connection = self.ws_connection
            side.note(message, connection is not None and (connection.stream.closed(), connection.is_closing()))
            if connection is not None:
                side.note(connection.stream.reading(), connection.stream._read_buffer_size)

        serve(side, echo(side, on_message=on_message))
        client = await Client.connect(side)
        await client.send(frame(TEXT, "1") + behind)
        client.close()
        await client.writer.wait_closed()
        gone.set()
        await has_closed(side)

    compare(scenario)


def test_the_rest_of_the_buffer_is_the_stream_s():
    """What was not handled yet is with the stream, for programs that take it over."""

    async def scenario(side):
        async def on_message(self, message):
            stream = self.ws_connection.stream
            side.note(message, stream._read_buffer_size)
            side.note(await stream.read_bytes(5))
            await stream.write(b"raw")

        return await converse(
            side, frame(TEXT, "1") + b"bytes" + frame(TEXT, "2") + b"again" + END, handler=echo(side, on_message=on_message)
        )

    compare(scenario)


# -- pings of the server --


def test_pings_by_the_handler():
    async def scenario(side):
        def on_message(self, message):
            self.ping()
            self.ping(b"data")
            self.ping("text")
            with pytest.raises(ValueError):
                self.ping(b"x" * 126)

        return await converse(side, frame(TEXT, "hi"), END, handler=echo(side, on_message=on_message))

    compare(scenario)


@pytest.mark.parametrize("answers", [True, False])
def test_ping_interval(answers):
    async def scenario(side):
        # The waits of the pinging end when the test says so, however slow the machine is.
        over = asyncio.Queue()
        waits = []
        real = asyncio.sleep

        async def sleep(delay, *args):
            if delay < 50:
                return await real(delay, *args)
            waits.append(delay)
            return await over.get()

        with mock.patch.object(asyncio, "sleep", sleep):
            serve(side, echo(side), websocket_ping_interval=100, websocket_ping_timeout=80)
            client = await Client.connect(side)
            seen = []
            for count in range(1, 4 if answers else 2):
                over.put_nowait("the interval")
                seen.append(await client.frame())
                if answers:
                    await client.send(frame(PONG, seen[-1][1]))
                    while len(side.noted) < 1 + count:
                        await real(0)
                over.put_nowait("the timeout")
            if answers:
                await client.send(END)
            seen += await client.rest()
            await has_closed(side)
        return seen, waits[:2]

    assert compare(scenario).result[1] == [100, 80]


# -- the handshake --


@pytest.mark.parametrize(
    "drop,headers",
    [
        (0, []),
        (0, ["Upgrade: h2c"]),
        (1, []),
        (1, ["Connection: keep-alive, Upgrade"]),
        (2, []),
        (2, ["Sec-WebSocket-Version: 12"]),
        (2, ["Sec-WebSocket-Version: 8"]),
        (3, []),
        (3, ["Sec-WebSocket-Key: "]),
        (None, ["Origin: http://example"]),
        (None, ["Origin: http://evil"]),
        (None, ["Origin: null"]),
        (None, ["Sec-WebSocket-Protocol: a, chat"]),
        (None, ["Sec-WebSocket-Protocol: b"]),
    ],
)
def test_handshake(drop, headers):
    async def scenario(side):
        def select_subprotocol(self, subprotocols):
            side.note("offered", subprotocols)
            return "chat" if "chat" in subprotocols else None

        serve(side, echo(side, select_subprotocol=select_subprotocol))
        lines = [line for i, line in enumerate(UPGRADE) if i != drop] + headers
        client = await Client.connect(side, path="/ws/arg", upgrade=lines)
        await client.send(END)
        if b" 101 " in client.head:
            return client.head, await client.rest()
        body = await client.wait(client.reader.readexactly(int(re.search(rb"Content-Length: (\d+)", client.head)[1])))
        client.close()
        return client.head, body

    compare(scenario)


def test_check_origin():
    async def scenario(side):
        def check_origin(self, origin):
            side.note(origin)
            return origin == "https://trusted"

        answers = []
        for origin in ("https://trusted", "https://other"):
            serve(side, echo(side, check_origin=check_origin))
            client = await Client.connect(side, "Origin: " + origin)
            await client.send(END)
            answers.append((client.head, await client.rest() if b" 101 " in client.head else client.close()))
        return answers

    compare(scenario)


# -- what programs override or patch --


def arguments(function, *args, **kwargs):
    """Arguments by name, without the objects that differ."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return [(name, value) for name, value in bound.arguments.items() if name not in ("self", "handler")]


def tornados(side, name):
    """Wrap a method of Tornado's protocol class, noting each call."""
    cls = tornado.websocket.WebSocketProtocol13
    original = vars(cls)[name]

    def wrapper(self, *args, **kwargs):
        side.note("patched", name, arguments(original, self, *args, **kwargs))
        return original(self, *args, **kwargs)

    return mock.patch.object(cls, name, wrapper)


PATCHED = ["_receive_frame", "_read_bytes", "_handle_message", "_write_frame", "write_message", "close", "_receive_frame_loop",
           "write_ping", "is_closing", "accept_connection", "_handle_websocket_headers"]  # fmt: skip


@pytest.mark.parametrize("name", PATCHED)
def test_a_method_of_the_class_is_patched(name):
    async def scenario(side):
        with tornados(side, name):
            return (await converse(side, frame(TEXT, "1"), frame(PING, "p") + frame(TEXT, "2", fin=False), frame(0, "3"), END))[1]

    outcome = compare(scenario)
    assert name == "write_ping" or any(entry[0] == "patched" for entry in outcome.noted)


@pytest.mark.parametrize("name", ["_receive_frame", "_read_bytes", "_handle_message", "_write_frame", "write_message", "close"])
@pytest.mark.parametrize("where", ["class", "object"])
def test_a_method_is_patched_between_messages(name, where):
    async def scenario(side):
        with contextlib.ExitStack() as stack:

            def on_message(self, message):
                self.write_message(message)
                if message == "1":
                    if where == "class":
                        stack.enter_context(tornados(side, name))
                    else:
                        original = getattr(self.ws_connection, name)

                        def wrapper(*args, **kwargs):
                            side.note("patched", name, arguments(original, *args, **kwargs))
                            return original(*args, **kwargs)

                        setattr(self.ws_connection, name, wrapper)

            pieces = [frame(TEXT, "1"), frame(TEXT, "2", fin=False), frame(0, "3") + frame(TEXT, "4"), END]
            return (await converse(side, *pieces, handler=echo(side, on_message=on_message)))[1]

    outcome = compare(scenario)
    assert any(entry[0] == "patched" for entry in outcome.noted)


def test_a_protocol_class_of_the_program_s():
    async def scenario(side):
        class Protocol(tornado.websocket.WebSocketProtocol13):
            def _handle_message(self, opcode, data):
                side.note("handle", opcode, data)
                return super()._handle_message(opcode, data)

            async def _read_bytes(self, n):
                side.note("read", n)
                return await super()._read_bytes(n)

        def get_websocket_protocol(self):
            params = tornado.websocket._WebSocketParams(max_message_size=1000)
            return Protocol(self, False, params)

        return await converse(side, frame(TEXT, "1"), END, handler=echo(side, get_websocket_protocol=get_websocket_protocol))

    compare(scenario)


def test_a_protocol_class_in_tornado_s_place():
    async def scenario(side):
        class Protocol(tornado.websocket.WebSocketProtocol13):
            async def _receive_frame(self):
                side.note("receive")
                await super()._receive_frame()

        with mock.patch.object(tornado.websocket, "WebSocketProtocol13", Protocol):
            return await converse(side, frame(TEXT, "1"), END)

    compare(scenario)


@pytest.mark.parametrize("name", ["read_bytes", "write"])
def test_a_method_of_the_stream_is_replaced(name):
    async def scenario(side):
        def open_(self, *args):
            stream = self.ws_connection.stream
            original = getattr(stream, name)

            def wrapper(*args, **kwargs):
                side.note(name, len(args))
                return original(*args, **kwargs)

            setattr(stream, name, wrapper)

        return (await converse(side, frame(TEXT, "hi"), frame(TEXT, "x" * 200), END, handler=echo(side, open=open_)))[1]

    noted = compare(scenario).noted
    assert (name, 1) in noted


def test_a_stream_on_its_general_path():
    """Once somebody has taken hold of its buffer."""

    async def scenario(side):
        def open_(self, *args):
            side.note(len(self.ws_connection.stream._read_buffer))

        pieces = [frame(TEXT, "hi") + frame(TEXT, "x" * 200), frame(TEXT, "a", fin=False) + frame(0, "b"), END]
        return await converse(side, *pieces, handler=echo(side, open=open_))

    compare(scenario)


@leaves_open_before_6_6
def test_a_read_of_the_program_s_is_pending():
    async def scenario(side):
        def on_message(self, message):
            if message == "read":
                self.pending = self.ws_connection.stream.read_bytes(1000)

        return await converse(side, frame(TEXT, "read"), frame(TEXT, "more"), handler=echo(side, on_message=on_message))

    # "Already reading" comes out of the receiving coroutine.
    compare(scenario)


def test_what_it_passes_for():
    async def scenario(side):
        def open_(self, *args):
            connection = self.ws_connection
            side.note(
                isinstance(connection, tornado.websocket.WebSocketProtocol13),
                type(connection).__name__,
                type(connection).__module__,
            )
            side.note(isinstance(connection, module(side).WebSocketProtocol13), repr(type(connection)))
            side.note(sorted(vars(connection)), connection.mask_outgoing, connection.selected_subprotocol)

        return await converse(side, END, handler=echo(side, open=open_))

    compare(scenario)


def test_a_handler_class_from_before_is_served_the_same_way():
    """One that was derived from Tornado's class, and not from tornadoc's."""

    async def scenario(side):
        class Before(tornado.websocket.WebSocketHandler):
            def on_message(self, message):
                side.note(message)
                self.write_message(json.dumps(message))

            def on_close(self):
                side.closed.set_result(None)

        return await converse(side, frame(TEXT, "hi"), frame(TEXT, "fra", fin=False) + frame(0, "gments"), END, handler=Before)

    compare(scenario)


DEEDS = {
    "close": lambda connection: connection.stream.close(),
    "abort": lambda connection: connection._abort(),
    "read": lambda connection: connection.stream.read_bytes(1),
    "read all": lambda connection: connection.stream.read_bytes(1000, partial=True),
    "read to the end": lambda connection: connection.stream.read_until_close(),
    "go general": lambda connection: connection.stream._read_buffer,
    "drop the stream": lambda connection: setattr(connection, "stream", None),
    "collect": lambda connection: gc.collect(),
    "fail": lambda connection: 1 / 0,
    "close the handler": lambda connection: connection.handler.close(1000),
}


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("where", ["limit", "comparison", "decompressor", "buffer"])
def test_what_is_looked_at_for_a_frame_does_its_worst(where, deed):
    """Whatever happens to the stream while its input is taken, nothing breaks, and the connection has its end."""

    async def scenario(side):
        connections = []

        def do():
            if len(connections) == 1:
                connection = connections[0]
                connections.append(None)
                DEEDS[deed](connection)
            return 1000

        class Limit(float):
            def __lt__(self, other):
                do()
                return False

        class Buffer(bytearray):
            def __len__(self):
                return do() and 1

        class Params:
            compression_options = None
            max_message_size = property(lambda self: do()) if where == "limit" else Limit(1000)

        class Odd(tornadoc._websocket.Protocol):
            _decompressor = property(lambda self: do() and None)

        def open_(self, *args):
            connection = self.ws_connection
            connection.params = Params()
            if where == "decompressor":
                del connection._decompressor
                connection.__class__ = Odd
            if where == "buffer":
                connection._fragmented_message_buffer = Buffer(b"x")
                connection._fragmented_message_opcode = TEXT
            connections.append(connection)

        serve(side, echo(side, open=open_))
        client = await Client.connect(side)
        await client.send(frame(0 if where == "buffer" else TEXT, "1") + frame(TEXT, "2") + END)
        await asyncio.sleep(0.02)
        client.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(side.closed, 0.5)
        return len(connections), (await converse(side, frame(TEXT, "after"), closing(1000)))[1]

    assert run(scenario, "tornadoc").result == (2, [(0x81, b"after"), (0x88, b"\x03\xe8")])


def tornado_functions():
    """The names of the functions of Tornado's module that were called."""
    return functions_called(lambda code: code.co_filename == tornado.websocket.__file__)


@pytest.mark.parametrize("where", ["tornadoc's", "from before", "patched"])
def test_frames_are_native(where):
    async def scenario(side):
        class Echo((tornado if where == "from before" else tornadoc).websocket.WebSocketHandler):
            def on_message(self, message):
                self.write_message(message)

            def on_close(self):
                side.closed.set_result(None)

        pieces = [
            frame(TEXT, "one"),
            frame(BINARY, b"tw", fin=False) + frame(PING) + frame(0, b"o"),
            frame(TEXT, "x" * 70000),
            END,
        ]
        with contextlib.ExitStack() as stack:
            called = stack.enter_context(tornado_functions())
            if where == "patched":
                stack.enter_context(tornados(side, "_read_bytes"))
            await converse(side, *pieces, handler=Echo)
        return {"_receive_frame", "_read_bytes", "_write_frame"} & set(called)

    general = run(scenario, "tornadoc").result
    # The payload of the large one comes later than its head.
    assert general == ({"_receive_frame", "_read_bytes", "_write_frame"} if where == "patched" else {"_read_bytes"})


# -- where tornadoc follows RFC 6455 and Tornado does not --

FAULTS = {
    "unmasked": ([frame(TEXT, "hi", mask=b"")], 1002),
    "unmasked ping": ([frame(PING, "hi", mask=b"")], 1002),
    "RSV1 without compression": ([frame(TEXT, "hi", rsv=4)], 1002),
    "RSV2": ([frame(TEXT, "hi", rsv=2)], 1002),
    "RSV3": ([frame(BINARY, "hi", rsv=1)], 1002),
    "RSV1 of a ping": ([frame(PING, "hi", rsv=4)], 1002),
    **{f"opcode {opcode}": ([frame(opcode, "hi")], 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "first fragment of an unknown opcode": ([frame(3, "hi", fin=False)], 1002),
    "fragmented ping": ([frame(PING, "hi", fin=False)], 1002),
    "fragmented close": ([frame(CLOSE, "", fin=False)], 1002),
    "long ping": ([frame(PING, "x" * 126)], 1002),
    "nothing to continue": ([frame(0, "hi")], 1002),
    "a message within another": ([frame(TEXT, "a", fin=False), frame(TEXT, "b")], 1002),
    "bad UTF-8": ([frame(TEXT, b"\xff")], 1007),
    "a surrogate": ([frame(TEXT, b"\xed\xa0\x80")], 1007),
    "half a character": ([frame(TEXT, b"\xe4\xb8")], 1007),
    "bad UTF-8 in fragments": ([frame(TEXT, b"a\xe4", fin=False), frame(0, b"b")], 1007),
    "bad UTF-8 in a close": ([frame(CLOSE, b"\x03\xe8\xff")], 1007),
    "length 2^63": ([struct.pack("!BBQ", 0x82, 0xFF, 1 << 63)], 1009),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("before", [b"", frame(TEXT, "fine")], ids=["at once", "behind a message"])
@pytest.mark.parametrize("way", ["whole", "byte by byte"])
def test_faults_are_answered_with_a_close_frame(name, before, way):
    pieces, code = FAULTS[name]
    if way != "whole":
        pieces = [bytes([byte]) for byte in b"".join(pieces)]
    outcome = run(scenario_of(before, *pieces), "tornadoc")
    answers = outcome.result[1]
    assert [first for first, _ in answers] == ([0x81] if before else []) + [0x88]
    assert answers[-1][1][:2] == struct.pack("!H", code) and answers[-1][1][2:].decode().isprintable()
    closed = (1000, None) if name == "bad UTF-8 in a close" else (None, None)
    assert outcome.noted[-1] == ("close", *closed)
    assert [record for record in outcome.records if record[1] in ("WARNING", "ERROR")] == [] and outcome.uncaught == []


@pytest.mark.parametrize("name", [name for name in FAULTS if "unmasked" not in name and "first fragment" not in name])
def test_what_handlers_hear_of_faults_is_what_tornado_tells(name):
    pieces, _ = FAULTS[name]
    if "close" in name and tornado.version_info < (6, 6):
        pytest.skip("Tornado before 6.6 does not call on_close")
    outcomes = [run(scenario_of(frame(TEXT, "fine"), *pieces), side) for side in ("tornado", "tornadoc")]
    assert outcomes[0].noted == outcomes[1].noted


def test_faults_of_compressed_messages():
    async def scenario(side, piece):
        return await converse(side, piece, headers=[DEFLATE], handler=compressing(side))

    for piece, code in (
        (frame(PING, "x", rsv=4), 1002),
        (frame(TEXT, deflated(b"a")[:1], rsv=4, fin=False) + frame(0, deflated(b"a")[1:], rsv=4), 1002),
        (frame(TEXT, deflated(b"\xff"), rsv=4), 1007),
        (frame(TEXT, deflated(b"a"), rsv=6), 1002),
    ):
        answers = run(lambda side, piece=piece: scenario(side, piece), "tornadoc").result[1]
        assert [(first, data[:2]) for first, data in answers] == [(0x88, struct.pack("!H", code))]


def test_a_ping_between_compressed_fragments_leaves_them_compressed():
    """RFC 7692 6: the bit of the first fragment tells. Tornado forgets it at the ping."""
    data = deflated(b"one two three")

    async def scenario(side):
        pieces = [frame(BINARY, data[:4], rsv=4, fin=False) + frame(PING, "p"), frame(0, data[4:]), END]
        await converse(side, *pieces, headers=[DEFLATE], handler=compressing(side))

    outcome = run(scenario, "tornadoc")
    assert ("message", b"one two three") in outcome.noted and ("ping", b"p") in outcome.noted
    assert ("message", data) in run(scenario, "tornado").noted


def test_faults_on_streams_of_the_general_path():
    async def scenario(side):
        def open_(self, *args):
            side.note(len(self.ws_connection.stream._read_buffer))

        return await converse(side, frame(TEXT, "hi", mask=b""), handler=echo(side, open=open_))

    assert run(scenario, "tornadoc").result[1][0][1][:2] == b"\x03\xea"


@contextlib.asynccontextmanager
async def fault_and_more(side, **methods):
    """A socket whose client has sent a fault and much behind it, without reading."""
    serve(side, echo(side, **methods))
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", side.port))
        await loop.sock_sendall(sock, get("/ws", *UPGRADE, close=False))
        while not (await loop.sock_recv(sock, 4096)).endswith(b"\r\n\r\n"):
            pass
        await Client.wait(loop.sock_sendall(sock, frame(TEXT, "hi", rsv=1) + bytes(5_000_000)))
        yield sock


def test_a_close_frame_arrives_though_the_client_goes_on_sending():
    async def scenario(side):
        loop = asyncio.get_running_loop()
        async with fault_and_more(side) as sock:
            answer = await Client.wait(loop.sock_recv(sock, 4096))
            end = await Client.wait(loop.sock_recv(sock, 4096))
            assert not side.closed.done()
        await has_closed(side)
        return frames(answer), end

    outcome = run(scenario, "tornadoc")
    ((first, data),), end = outcome.result
    assert (first, data[:2], end) == (0x88, b"\x03\xea", b"")
    assert outcome.noted[1:] == [("close", None, None)] and outcome.uncaught == []


def test_a_client_that_goes_on_after_a_fault_is_dropped():
    """After as long as one that does not answer a close frame."""

    async def scenario(side):
        def open_(self, *args):
            self.ws_connection.stream.io_loop.add_timeout = lambda deadline, callback: loop.call_later(0.2, callback)

        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            async with fault_and_more(side, open=open_) as sock:
                while True:
                    await loop.sock_sendall(sock, bytes(1000))
                    await asyncio.sleep(0.01)
        await has_closed(side)

    assert run(scenario, "tornadoc").uncaught == []


def test_a_fault_after_the_close_frame_of_the_server():
    """There is one close frame, whatever follows."""

    async def scenario(side):
        def on_message(self, message):
            self.close(4000)

        return await converse(side, frame(TEXT, "hi"), frame(TEXT, "x", rsv=1), handler=echo(side, on_message=on_message))

    assert run(scenario, "tornadoc").result[1] == [(0x88, b"\x0f\xa0")]


@pytest.mark.parametrize("by", ["client", "handler"])
def test_code_1005_is_never_sent(by):
    async def scenario(side):
        def on_message(self, message):
            self.close(1005, "no status")

        pieces = [closing(1005)] if by == "client" else [frame(TEXT, "hi"), END]
        return await converse(side, *pieces, handler=echo(side, on_message=on_message))

    outcome = run(scenario, "tornadoc")
    assert outcome.result[1] == [(0x88, b"")]
    assert outcome.noted[-1] == ("close", *((1005, None) if by == "client" else (1000, "bye")))


@pytest.mark.parametrize(
    "key", ["dGhlIHNhbXBsZSBub25jZQ", "c2hvcnQ=", "not base64!", "dGhlIHNhbXBsZSBub25jZQ==x", "dGhlIHNhbXBsZSBub25jZSE="]
)
def test_the_key_is_16_bytes_in_base64(key):
    async def scenario(side):
        serve(side, echo(side))
        client = await Client.connect(side, "Sec-WebSocket-Key: " + key, upgrade=UPGRADE[:3])
        client.close()
        return client.head

    outcome = run(scenario, "tornadoc")
    assert outcome.result.startswith(b"HTTP/1.1 400 ")
    assert ("tornado.general", "DEBUG", "Missing/Invalid WebSocket headers", None) in outcome.records


def test_the_handshake_is_for_http_1_1():
    async def scenario(side):
        serve(side, echo(side))
        return await side.fetch(get("/ws", *UPGRADE, version="1.0", close=False))

    assert run(scenario, "tornadoc").result.startswith(b"HTTP/1.1 400 ")
