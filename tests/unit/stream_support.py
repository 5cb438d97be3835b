"""Pairs of connected streams, of Tornado's classes and of tornadoc's, and what they log."""

import asyncio
import logging
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tornado.iostream

import tornadoc.iostream

IMPLEMENTATIONS = {
    "tornado": SimpleNamespace(
        BaseIOStream=tornado.iostream.BaseIOStream,
        IOStream=tornado.iostream.IOStream,
        SSLIOStream=tornado.iostream.SSLIOStream,
        PipeIOStream=tornado.iostream.PipeIOStream,
    ),
    "tornadoc": SimpleNamespace(
        BaseIOStream=tornadoc.iostream.BaseIOStream,
        IOStream=tornadoc.iostream.IOStream,
        SSLIOStream=tornadoc.iostream.SSLIOStream,
        PipeIOStream=tornadoc.iostream.PipeIOStream,
    ),
}


def new_loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.SelectorEventLoop, "tornadoc": tornadoc.EventLoop}


def run(coroutine: Awaitable[Any], loop: str = "asyncio") -> Any:
    """Run a coroutine on a loop of that kind; a test that waits in vain fails."""
    made = new_loops()[loop]()
    try:
        return made.run_until_complete(asyncio.wait_for(coroutine, 60))
    finally:
        made.run_until_complete(asyncio.sleep(0))
        made.close()


def socket_pair(iostreams: Any, **options: Any) -> tuple[Any, Any]:
    return tuple(iostreams.IOStream(s, **options) for s in socket.socketpair())  # type: ignore[return-value]



def certificate(folder: Path) -> dict[str, str]:
    """A self-signed certificate for foo.example.com and its key, as ssl_options of a server."""
    certfile, keyfile = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "36500", "-subj", "/CN=foo.example.com"]
        + ["-addext", "subjectAltName=DNS:foo.example.com", "-keyout", keyfile, "-out", certfile],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return {"certfile": certfile, "keyfile": keyfile}


async def tls_pair(iostreams: Any, options: dict[str, str], **kwargs: Any) -> tuple[Any, Any]:
    """(client, server) after the handshake."""
    a, b = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(**options)
    insecure = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    server = iostreams.SSLIOStream(
        context.wrap_socket(a, server_side=True, do_handshake_on_connect=False), ssl_options=context, **kwargs
    )
    client = iostreams.SSLIOStream(
        insecure.wrap_socket(b, do_handshake_on_connect=False), ssl_options=insecure, **kwargs
    )
    await asyncio.gather(server.wait_for_handshake(), client.wait_for_handshake())
    return client, server


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append((record.name, record.levelname, record.getMessage()))


@contextmanager
def logged() -> Iterator[list[tuple[str, str, str]]]:
    """Collects (logger, level, message) of Tornado's and asyncio's loggers."""
    collector = _Collector()
    loggers = [logging.getLogger(name) for name in ("tornado.general", "tornado.application", "asyncio")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(collector)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield collector.records
    finally:
        for logger, (level, propagate) in zip(loggers, before):
            logger.removeHandler(collector)
            logger.setLevel(level)
            logger.propagate = propagate
