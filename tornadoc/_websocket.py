"""The WebSocket protocol of a server's handlers: Tornado's, with its frames read and made natively.

An object keeps its state under Tornado's names, and whatever of Tornado's methods is not here works on it. Where somebody
overrides or patches one of those that are here, or one that they do without, Tornado's serve the object from then on.

Frames that break RFC 6455 are answered with a close frame that says so; Tornado echoes those without a mask, and ends the
connection without a word at the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import typing
from typing import Any

import tornado.escape
import tornado.websocket
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from tornadoc._native import websocket_frame, websocket_head, websocket_is_plain, websocket_take, websocket_unmask

# install() leaves the name alone, but a program may have put a class of its own there.
_Tornado = tornado.websocket.WebSocketProtocol13
_DecompressTooLargeError: type[Exception] = tornado.websocket._DecompressTooLargeError

_FIN = 0x80
_RSV1 = 0x40
_OPCODE = 0x0F
_TEXT = 0x1
_BINARY = 0x2
_CLOSE = 0x8
_CONTROL = 0x8

_MISMATCHED = 1007
_NO_STATUS = 1005

#: Bytes at a time of what comes behind a fault.
_DROPPED = 65536

#: 16 bytes in base64.
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")

#: What websocket_take() gives: a frame's first byte, its payload, and how many bytes it took from the input; or, with a
#: first byte of -1, what is wrong with it.
_Frame = tuple[int, Any, int]


class Protocol(_Tornado):
    """`tornado.websocket.WebSocketProtocol13` on the server's side, over a native stream or any other."""

    def _handle_websocket_headers(self, handler: tornado.websocket.WebSocketHandler) -> None:
        super()._handle_websocket_headers(handler)
        request = handler.request
        if request.version == "HTTP/1.0" or not _KEY.fullmatch(request.headers["Sec-Websocket-Key"]):
            raise ValueError("Missing/Invalid WebSocket headers")

    # -- input --

    async def _receive_frame(self) -> None:
        frame = websocket_take(self, b"")
        if frame is NotImplemented:
            await _Tornado._receive_frame(self)
            return
        if frame is None:
            start = await self.stream.read_bytes(2)
            self._wire_bytes_in += 2
            frame = websocket_take(self, start)
            if frame is None or frame is NotImplemented:
                frame = await self._read_frame(start)
        first, data, size = frame
        self._wire_bytes_in += size
        if first < 0:
            await self._fail(*data)
        opcode = first & _OPCODE
        if opcode & _CONTROL:
            # It may stand within a message, whose being compressed is none of its business.
            compressed = self._frame_compressed
            self._frame_compressed = False
            try:
                handled = self._handle_message(opcode, data)
            finally:
                self._frame_compressed = compressed
        else:
            if opcode == 0:
                buffer = typing.cast(bytearray, self._fragmented_message_buffer)
                buffer.extend(data)
                if not first & _FIN:
                    return
                opcode = typing.cast(int, self._fragmented_message_opcode)
                data = bytes(buffer)
                self._fragmented_message_buffer = None
            else:
                if self._decompressor is not None:
                    self._frame_compressed = bool(first & _RSV1)
                if not first & _FIN:
                    self._fragmented_message_opcode = opcode
                    self._fragmented_message_buffer = bytearray(data)
                    return
            handled = self._handle_message(opcode, data)
        if handled is not None:
            await handled

    async def _read_frame(self, start: bytes) -> _Frame:
        """The frame that begins so, by the stream's methods."""
        while True:
            head = websocket_head(self, start)
            if not isinstance(head, int):
                break
            start += await self._read_bytes(head)
        first, length, mask = head
        if first < 0:
            return head
        return first, websocket_unmask(mask, await self._read_bytes(length)), 0

    def _handle_message(self, opcode: int, data: bytes) -> Any:
        if self.client_terminated or not websocket_is_plain(self):
            return super()._handle_message(opcode, data)
        if opcode == _TEXT or opcode == _BINARY:
            if self._frame_compressed:
                try:
                    data = typing.cast(Any, self._decompressor).decompress(data)
                except _DecompressTooLargeError:
                    return self._fail(1009, "message too big after decompression")
            self._message_bytes_in += len(data)
            if opcode == _BINARY:
                return self._run_callback(self.handler.on_message, data)
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                return self._fail(_MISMATCHED, "invalid UTF-8")
            return self._run_callback(self.handler.on_message, text)
        if opcode == _CLOSE and len(data) > 2:
            try:
                data[2:].decode("utf-8")
            except UnicodeDecodeError:
                self.close_code = int.from_bytes(data[:2], "big")
                return self._fail(_MISMATCHED, "invalid UTF-8")
        return super()._handle_message(opcode, data)

    async def _fail(self, code: int, reason: str) -> typing.NoReturn:
        """End the connection because of what the client has sent (RFC 6455, section 7.1.7), by a StreamClosedError.

        The client may still be sending: its input is read and dropped, for as long as close() waits for an answer, so that
        no reset overtakes the close frame.
        """
        self.close(code, reason)
        with contextlib.suppress(OSError):  # however the connection ends
            await self.stream.write(b"")
            # An SSLSocket's own would end the decryption, too.
            socket.socket.shutdown(self.stream.socket, socket.SHUT_WR)
            while True:
                await self.stream.read_bytes(_DROPPED, partial=True)
        raise StreamClosedError()

    # -- output --

    def _write_frame(self, fin: bool, opcode: int, data: bytes, flags: int = 0) -> Any:
        if (opcode & _CONTROL and (not fin or len(data) > 125)) or type(data) is not bytes or not websocket_is_plain(self):
            return super()._write_frame(fin, opcode, data, flags)
        frame = websocket_frame((_FIN if fin else 0) | opcode | flags, data)
        self._wire_bytes_out += len(frame)
        return self.stream.write(frame)

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> Any:
        """Send a message: a Future that is done when the kernel has it, as `WebSocketProtocol13.write_message`."""
        if not websocket_is_plain(self):
            return super().write_message(message, binary)
        if isinstance(message, dict):
            message = tornado.escape.json_encode(message)
        data: Any = tornado.escape.utf8(message)
        assert isinstance(data, bytes)
        self._message_bytes_out += len(data)
        flags = 0
        if self._compressor:
            data = self._compressor.compress(data)
            flags = _RSV1
        try:
            written = self._write_frame(True, _BINARY if binary else _TEXT, data, flags=flags)
        except StreamClosedError:
            raise WebSocketClosedError()
        loop = asyncio._get_running_loop()
        if loop is None or not _is_finished(written) or loop.get_task_factory() is not None:
            return asyncio.ensure_future(_wait_for(written))
        # In Tornado it is a task that ends in the loop's next iteration, so that who does nothing but write lets others run.
        future = loop.create_future()
        loop.call_soon(_finish, future)
        return future

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close the connection, as `WebSocketProtocol13.close`. A code that means "there is no code" is left out."""
        if code == _NO_STATUS:
            code = reason = None
        super().close(code, reason)


def _is_finished(future: Any) -> bool:
    """Has what was written gone out without an error?"""
    return isinstance(future, asyncio.Future) and future.done() and not future.cancelled() and future.exception() is None


async def _wait_for(written: Any) -> None:
    try:
        await written
    except StreamClosedError:
        raise WebSocketClosedError()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.set_result(None)


# A program that prints or compares names finds Tornado's.
for _name in ("__module__", "__name__", "__qualname__", "__doc__"):
    setattr(Protocol, _name, getattr(_Tornado, _name))


def take_charge(protocol: Any) -> Any:
    """What a handler's get_websocket_protocol() gives, served natively if it is Tornado's."""
    if type(protocol) is _Tornado and not protocol.mask_outgoing:
        protocol.__class__ = Protocol
    return protocol
