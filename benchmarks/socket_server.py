"""The floor of the echo and stream benchmarks: sockets and select.epoll from Python, with no event loop over them.

    python socket_server.py --way echo --size 1024
    python socket_server.py --way push --size 1048576

`echo` sends back what it has received, with one recv and one send for a piece; `push` sends messages of `--size` bytes with
sendmsg as long as the client takes them.  Once it listens, it prints one JSON line with its port.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
from collections.abc import Callable

READ_SIZE = 256 * 1024


class Connection:
    """One client.  `unsent` is what the kernel did not take; nothing is read, or written anew, before it has gone."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.unsent: memoryview | None = None

    def send_rest(self) -> bool:
        """Whether all has gone."""
        assert self.unsent
        sent = self.socket.sendmsg([self.unsent])
        self.unsent = self.unsent[sent:] if sent < len(self.unsent) else None
        return self.unsent is None


def echo(epoll: select.epoll, connection: Connection, size: int) -> None:
    if connection.unsent:
        if connection.send_rest():
            epoll.modify(connection.socket, select.EPOLLIN)
        return
    data = connection.socket.recv(min(size, READ_SIZE))
    if not data:
        raise ConnectionResetError
    try:
        sent = connection.socket.send(data)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        connection.unsent = memoryview(data)[sent:]
        epoll.modify(connection.socket, select.EPOLLOUT)


def pusher(message: bytes) -> Callable[[select.epoll, Connection, int], None]:
    def push(epoll: select.epoll, connection: Connection, size: int) -> None:
        while True:
            if not connection.unsent:
                connection.unsent = memoryview(message)
            if not connection.send_rest():
                return

    return push


def serve(listener: socket.socket, way: str, size: int) -> None:
    handle = echo if way == "echo" else pusher(bytes(size))
    events = select.EPOLLIN if way == "echo" else select.EPOLLOUT
    connections: dict[int, Connection] = {}
    with select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN)
        while True:
            for fd, _ in epoll.poll():
                if fd == listener.fileno():
                    accepted, _ = listener.accept()
                    accepted.setblocking(False)
                    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connections[accepted.fileno()] = Connection(accepted)
                    epoll.register(accepted, events)
                    continue
                try:
                    handle(epoll, connections[fd], size)
                except BlockingIOError:
                    pass
                except ConnectionError:
                    connections.pop(fd).socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--way", choices=["echo", "push"], required=True)
    parser.add_argument("--size", type=int, required=True)
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid(), "identity": "sockets"}), flush=True)
        serve(listener, options.way, options.size)


if __name__ == "__main__":
    main()
