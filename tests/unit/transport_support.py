"""The loops whose transports and sock_* methods are compared."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tornadoc import EventLoop
from tornadoc._transports import NativeTransports


class NativeLoop(NativeTransports, asyncio.SelectorEventLoop):
    pass


#: The second has the engine in an epoll set of its own, below asyncio's.
LOOPS = {"asyncio": asyncio.SelectorEventLoop, "mixed": NativeLoop, "native": EventLoop}
#: More than the kernel takes at once.
BIG = 8 << 20


def run(loop: Any, main: Callable[[], Awaitable[Any]]) -> Any:
    return loop.run_until_complete(asyncio.wait_for(main(), 60))
