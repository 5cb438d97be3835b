"""A small blocking HTTP client: it takes the reference answers and checks that every server gives them."""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass

from benchmarks.scenarios import Scenario
from benchmarks.servers import BenchmarkError, Running

SECONDS = 20.0
MAX_ANSWER = 1 << 20


@dataclass(frozen=True)
class Answer:
    raw: bytes

    @property
    def status_line(self) -> bytes:
        return self.raw.partition(b"\r\n")[0]

    @property
    def headers(self) -> dict[str, bytes]:
        lines = self.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        pairs = (line.partition(b":") for line in lines)
        return {name.decode("latin-1").lower(): value.strip() for name, _, value in pairs}

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]


def read_answer(connection: socket.socket) -> bytes:
    """One response with a Content-Length."""
    data = b""
    while len(data) < MAX_ANSWER:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
            if not length:
                raise BenchmarkError(f"an answer without Content-Length: {head!r}")
            if len(body) >= int(length[1]):
                return data
        piece = connection.recv(65536)
        if not piece:
            raise BenchmarkError(f"the connection was closed within an answer: {data[:200]!r}")
        data += piece
    raise BenchmarkError("an answer without end")


def connect(port: int, tls: bool = False) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not tls:
        return connection
    context = ssl.create_default_context()
    # The certificate was made for this run and signed by nobody.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection)
    except BaseException:
        connection.close()
        raise


def ask(running: Running, scenario: Scenario) -> Answer:
    port = running.port_of(scenario)
    with connect(port, scenario.tls) as connection:
        connection.sendall(scenario.raw_request(f"127.0.0.1:{port}"))
        return Answer(read_answer(connection))


def differences(reference: Answer, answer: Answer) -> list[str]:
    """How an answer differs from the reference; the Date's value may."""
    found = []
    if answer.status_line != reference.status_line:
        found.append(f"status line {answer.status_line!r}, expected {reference.status_line!r}")
    mine, theirs = answer.headers, reference.headers
    if list(mine) != list(theirs):
        found.append(f"headers {list(mine)}, expected {list(theirs)}")
    found += [
        f"{name}: {mine[name]!r}, expected {theirs[name]!r}"
        for name in theirs
        if name in mine and name != "date" and mine[name] != theirs[name]
    ]
    if answer.body != reference.body:
        found.append(f"a body of {len(answer.body)} bytes, expected {len(reference.body)}, or other bytes")
    return found
