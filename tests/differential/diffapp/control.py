"""The harness's own line to the application: pings and synchronisation points.

A connection to the control port carries lines. ``p`` is answered at once, which tells the client that the
loop has turned since it sent what it sent before. ``s N`` waits until no handler of this application sleeps,
lets the loop turn some times, collects garbage, logs "SYNC N" and answers: by then the records of all that
happened before are in the log.
"""

import asyncio
import gc
import logging

TURNS = 12
log = logging.getLogger("sync")


class Busy:
    """Counts the handlers that wait for a timer: the application isn't quiet while there are any."""

    count = 0


async def nap(seconds=0.005):
    """Sleeps as a handler may, visible to the synchronisation."""
    Busy.count += 1
    try:
        await asyncio.sleep(seconds)
    finally:
        Busy.count -= 1


class Control(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            if line == b"p":
                self.transport.write(b"p\n")
            else:
                self.task = asyncio.ensure_future(self.sync(line.split()[1]))

    async def sync(self, number):
        for _ in range(2000):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if not Busy.count:
                break
            await asyncio.sleep(0.001)
        gc.collect()
        await asyncio.sleep(0)
        log.info("SYNC %s", number.decode())
        self.transport.write(number + b"\n")
