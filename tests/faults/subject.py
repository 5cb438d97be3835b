"""A server to inject faults into.

``python subject.py KIND IMPLEMENTATION LOGFILE`` serves on a free port of 127.0.0.1, prints the port, and ends when its stdin is
closed. What is logged goes to LOGFILE, a JSON object for each record.

KIND is "http" or one of the echo servers: "streams" (tornado.tcpserver), "transports" (an asyncio.Protocol), "asyncio_streams",
"socks" (the loop's sock_* methods). IMPLEMENTATION is "reference" (the standard library's loop and Tornado), "engine" (tornadoc's
classes on the standard library's loop) or "tornadoc" (all of it, as `tornadoc.install` arranges it).
"""

import asyncio
import json
import logging
import os
import socket
import sys

KIND, IMPLEMENTATION, LOG_FILE = sys.argv[1:]

if IMPLEMENTATION != "reference":
    import tornadoc

    tornadoc.install()
    if IMPLEMENTATION == "engine":
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())

import tornado.httpserver  # noqa: E402
import tornado.iostream  # noqa: E402
import tornado.tcpserver  # noqa: E402
import tornado.web  # noqa: E402

BIG = 8_000_000  # tracing.BIG


class FileHandler(logging.Handler):
    def __init__(self, fd):
        super().__init__()
        self.fd = fd

    def emit(self, record):
        error = record.exc_info[1] if record.exc_info else None
        fields = {
            "logger": record.name,
            "level": record.levelname,
            "message": record.getMessage(),
            "error": None if error is None else f"{type(error).__name__}: {error}",
        }
        # pwrite64 is none of the system calls that are made to fail.
        os.pwrite(self.fd, json.dumps(fields).encode() + b"\n", 0)


class Hello(tornado.web.RequestHandler):
    def get(self):
        self.write("hello")


class Echo(tornado.web.RequestHandler):
    def post(self):
        self.write(self.request.body)


class Big(tornado.web.RequestHandler):
    def get(self):
        self.write(b"x" * BIG)


class Executor(tornado.web.RequestHandler):
    """A thread finishes and wakes the loop."""

    async def get(self):
        await asyncio.get_running_loop().run_in_executor(None, str)
        self.write("hello")


class Sleeper(tornado.web.RequestHandler):
    async def get(self):
        await asyncio.sleep(0.01)
        self.write("hello")


async def http(sock):
    application = tornado.web.Application(
        [("/", Hello), ("/echo", Echo), ("/big", Big), ("/executor", Executor), ("/sleep", Sleeper)],
        log_function=lambda handler: None,
    )
    server = tornado.httpserver.HTTPServer(application)
    server.add_socket(sock)
    return server


def answer_to(data):
    return b"x" * BIG if data == b"big!" else data


class EchoServer(tornado.tcpserver.TCPServer):
    async def handle_stream(self, stream, address):
        try:
            while True:
                await stream.write(answer_to(await stream.read_bytes(65536, partial=True)))
        except tornado.iostream.StreamClosedError:
            pass


async def streams(sock):
    server = EchoServer()
    server.add_socket(sock)
    return server


class EchoProtocol(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(answer_to(data))


async def transports(sock):
    return await asyncio.get_running_loop().create_server(EchoProtocol, sock=sock)


async def echo_asyncio(reader, writer):
    while data := await reader.read(65536):
        writer.write(answer_to(data))
        await writer.drain()
    writer.close()


async def asyncio_streams(sock):
    return await asyncio.start_server(echo_asyncio, sock=sock)


async def echo_sock(connection):
    loop = asyncio.get_running_loop()
    with connection:
        while data := await loop.sock_recv(connection, 65536):
            await loop.sock_sendall(connection, answer_to(data))


async def accept_socks(sock, tasks):
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(sock)
        except OSError as e:
            logging.getLogger("subject").error("accept: %s", e)
            await asyncio.sleep(0.1)
            continue
        tasks.add(task := loop.create_task(echo_sock(connection)))
        task.add_done_callback(tasks.discard)


async def socks(sock):
    tasks = set()
    tasks.add(asyncio.get_running_loop().create_task(accept_socks(sock, tasks)))
    return tasks


async def main():
    sock = socket.create_server(("127.0.0.1", 0), backlog=128)
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    kept = await globals()[KIND](sock)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin, stopped.set)
    print(json.dumps({"port": sock.getsockname()[1], "loop": type(loop).__module__}), flush=True)
    await stopped.wait()
    loop.remove_reader(sys.stdin)
    del kept


log_fd = os.open(LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
logging.getLogger().addHandler(FileHandler(log_fd))
logging.getLogger().setLevel(logging.INFO)
asyncio.run(main())
