"""A process that serves leak_app.py and measures itself; the test process is its client.

Commands come as lines on standard input, each answered by a line of JSON.
"""

import asyncio
import collections
import ctypes
import gc
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


class Child:
    """The process under test, as its client sees it."""

    def __init__(self, static, exact=False):
        """exact: have every allocation counted, at the cost of speed and of a meaningful resident size."""
        environment = dict(os.environ)
        # A script has its own folder on the path: the tornadoc under test is the one beside these tests.
        environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), *filter(None, [environment.get("PYTHONPATH")])])
        if exact:
            # Without pools and thread caches malloc itself knows how much is in use, to the byte.
            environment.update(PYTHONMALLOC="malloc", GLIBC_TUNABLES="glibc.malloc.tcache_count=0")
        self.process = subprocess.Popen(
            [sys.executable, __file__, static],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.ports = json.loads(self.process.stdout.readline())

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, self.process.communicate()[1]
        value = json.loads(answer)
        assert not isinstance(value, dict) or "error" not in value, value["error"]
        return value

    def measure(self):
        return self.ask("measure")

    def stop(self):
        """Ends it; what it wrote to standard error."""
        try:
            errors = self.process.communicate(timeout=60)[1]
        finally:
            self.process.kill()
            self.process.wait()
        assert self.process.returncode == 0, errors
        return errors


# -- in the process itself --


def allocated():
    """Bytes that malloc has given out; None where the C library can't tell."""

    class Info(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_size_t)
            for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        ]

    try:
        mallinfo2 = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return None
    mallinfo2.restype = Info
    info = mallinfo2()
    return info.uordblks + info.hblkhd


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cycles(garbage):
    """A shortest way round through each kind of cycle in the garbage, as text; garbage that hangs from them is left out."""
    inside = {id(item): item for item in garbage}
    found = {}
    for start in garbage:
        came_from = {id(start): None}
        queue = collections.deque([start])
        ring = None
        while queue and ring is None:
            item = queue.popleft()
            for target in gc.get_referents(item):
                if target is start:
                    ring = [item]
                    break
                if id(target) in inside and id(target) not in came_from:
                    came_from[id(target)] = item
                    queue.append(target)
        if ring is not None:
            while ring[-1] is not start:
                ring.append(came_from[id(ring[-1])])
            names = [type(item).__name__ for item in reversed(ring)]
            if len(names) > 1 and not any(frozenset(names) <= seen for seen in found):
                found[frozenset(names)] = " -> ".join(repr(item)[:100] for item in reversed(ring))
    return sorted(found.values()) or [repr(item)[:200] for item in garbage[:10]]


class Sink(logging.Handler):
    """Formats what is logged and forgets it."""

    def emit(self, record):
        self.format(record)


class Served:
    def __init__(self, servers):
        self.servers = servers
        # A leaked reference to one of these shows in nothing but its count.
        import leak_app
        from tornado import web

        import tornadoc
        from tornadoc import _native

        self.watched = {"None": None, "True": True, "False": False, "b''": b"", "()": (), "''": ""}
        for module in (_native, leak_app, web, *(sys.modules["tornadoc." + n] for n in ("web", "httputil", "http1connection"))):
            for name, value in vars(module).items():
                if callable(value):
                    self.watched[f"{module.__name__}.{name}"] = value
        for name in ("get", "post", "head", "method", "headers", "write", "finish", "done", "result", "Content-Length", "Host"):
            self.watched[f"name {name!r}"] = sys.intern(name)
        for name, server in servers.items():
            self.watched[f"server {name}"] = server
            self.watched[f"callback of {name}"] = server.request_callback
        self.watched["tornadoc"] = tornadoc

    async def quiet(self):
        """Until every connection is gone and no handler runs."""
        deadline = time.monotonic() + 60
        calm = 0
        while calm < 5:
            busy = [s for s in self.servers.values() if s._connections] or len(asyncio.all_tasks()) > 1
            calm = 0 if busy else calm + 1
            if time.monotonic() > deadline:
                raise TimeoutError(
                    "still busy: %s %s" % ({n: s._connections for n, s in self.servers.items()}, asyncio.all_tasks())
                )
            await asyncio.sleep(0.002)

    async def measure(self):
        await self.quiet()
        gc.collect()
        gc.collect()
        # Tallied before the counters of this very measurement exist.
        bytes_allocated = allocated()
        counts = collections.Counter(type(o).__module__ + "." + type(o).__qualname__ for o in gc.get_objects())
        return {
            "objects": counts,
            "references": {name: sys.getrefcount(value) for name, value in self.watched.items()},
            "descriptors": len(os.listdir("/proc/self/fd")),
            "allocated": bytes_allocated,
            "resident": resident(),
        }

    async def before_garbage(self):
        await self.quiet()
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)

    async def garbage(self):
        """What only the collector would have freed since before_garbage."""
        await self.quiet()
        gc.collect()
        found = cycles(gc.garbage)
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.collect()
        return found

    async def keep(self):
        """Leaks the present connections on purpose."""
        self.kept = [c for s in self.servers.values() for c in s._connections]
        return {"objects": len(self.kept)}

    async def let_go(self):
        self.kept = []

    async def connections(self):
        return sum(len(s._connections) for s in self.servers.values())

    async def resident(self):
        return resident()


async def serve(static):
    import leak_app

    servers = leak_app.make_servers(static)
    ports = {}
    for name, server in servers.items():
        server.listen(0, "127.0.0.1")
        (sock,) = server._sockets.values()
        ports[name] = sock.getsockname()[1]
    served = Served(servers)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print(json.dumps(ports), flush=True)
    while line := await commands.readline():
        try:
            answer = await getattr(served, line.decode().strip())()
        except Exception as e:
            answer = {"error": repr(e)}
        print(json.dumps(answer), flush=True)
    transport.close()
    for server in servers.values():
        server.stop()
        await server.close_all_connections()


def main():
    root = logging.getLogger()
    root.addHandler(Sink())
    root.setLevel(logging.INFO)
    asyncio.run(serve(sys.argv[1]))


if __name__ == "__main__":
    main()
