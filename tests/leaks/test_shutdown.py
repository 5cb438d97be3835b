"""The interpreter ends, or forks, whatever tornadoc is doing: exit status 0, and no word that Tornado would not have said."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tornado

PRELUDE = """
import asyncio, logging, os, socket, sys, threading
from PACKAGE.web import Application, RequestHandler
from PACKAGE.httpserver import HTTPServer

# What asyncio's debug mode says of a slow machine.
logging.getLogger("asyncio").addFilter(lambda record: not record.msg.startswith("Executing %s took"))

class Hello(RequestHandler):
    def get(self):
        self.write("hello")

class Pending(RequestHandler):
    async def get(self):
        self.write("head")
        await self.flush()
        await asyncio.Event().wait()

def start():
    server = HTTPServer(Application([("/", Hello), ("/pending", Pending)]))
    server.listen(0, "127.0.0.1")
    (sock,) = server._sockets.values()
    return server, sock.getsockname()[1]

async def ask(port, path="/"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %s HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n" % path.encode())
    return reader, writer
"""

SCRIPTS = {
    "imported": "",
    "live_server": """
        async def main():
            global server
            server, port = start()
        asyncio.run(main())
    """,
    "server_never_run": """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        async def main():
            return start()
        kept = loop.run_until_complete(main())
    """,
    "open_connection": """
        async def main():
            global kept
            server, port = start()
            reader, writer = kept = await ask(port)
            await reader.readuntil(b"hello")
        asyncio.run(main())
    """,
    "pending_handler": """
        async def main():
            global kept
            server, port = start()
            reader, writer = kept = await ask(port, "/pending")
            await reader.readuntil(b"head")
        asyncio.run(main())
    """,
    "pending_handler_of_a_loop_left_open": """
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        async def main():
            server, port = start()
            reader, writer = await ask(port, "/pending")
            await reader.readuntil(b"head")
            return server, reader, writer
        kept = loop.run_until_complete(main())
    """,
    "exit_in_a_handler": """
        class Exits(RequestHandler):
            def get(self):
                sys.exit(0)
        async def main():
            server = HTTPServer(Application([("/", Exits)]))
            server.listen(0, "127.0.0.1")
            (sock,) = server._sockets.values()
            global kept
            kept = await ask(sock.getsockname()[1])
            await asyncio.sleep(10)
        asyncio.run(main())
    """,
    "daemon_thread": """
        ready = threading.Event()
        async def main():
            global port
            server, port = start()
            ready.set()
            await asyncio.sleep(100)
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
        ready.wait()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            assert client.recv(4096).endswith(b"hello")
    """,
}


def run(script, package):
    script = PRELUDE.replace("PACKAGE", package) + textwrap.dedent(script)
    root = Path(__file__).resolve().parents[2]
    return subprocess.run([sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60, cwd=root)


def complaints(errors):
    """What is complained of, without the names and numbers that differ between two implementations."""
    found = set()
    for line in errors.splitlines():
        if unclosed := re.search(r"\w+Warning: unclosed <[\w.]+", line):
            found.add(unclosed.group())
        elif line and not line[0].isspace() and not line.startswith("task: "):
            found.add(re.sub(r"\d+", "N", line))
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_interpreter_ends_quietly(name):
    result = run(SCRIPTS[name], "tornadoc")
    assert result.returncode == 0, result.stderr
    new = complaints(result.stderr)
    if new:
        new -= complaints(run(SCRIPTS[name], "tornado").stderr)
    if name == "pending_handler_of_a_loop_left_open":
        # asyncio's true words about a loop that was never closed: whether they are heard depends on the order of finalization.
        new -= {"Task was destroyed but it is pending!", "source_traceback: Object created at (most recent call last):"}
    if tornado.version_info < (6, 6):
        # What Tornado 6.6 says of a handler that is cancelled; 6.5 has the loop say it.
        new -= {"Cannot send error response after headers written"}
    assert not new, result.stderr


def test_both_sides_of_a_fork_serve():
    """A fork after the import, before any loop runs."""
    script = """
        async def main():
            server, port = start()
            reader, writer = await ask(port)
            await reader.readuntil(b"hello")
            writer.close()
            server.stop()
            await server.close_all_connections()
        child = os.fork()
        asyncio.run(main())
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print("served")
    """
    result = run(script, "tornadoc")
    assert (result.returncode, result.stdout, result.stderr) == (0, "served\n", "")


def test_forked_processes_share_a_socket():
    script = """
        from tornado.netutil import bind_sockets
        sockets = bind_sockets(0, "127.0.0.1")
        port = sockets[0].getsockname()[1]
        outside = os.fork()
        if outside == 0:
            answers = 0
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                    client.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
                    data = b""
                    while piece := client.recv(4096):
                        data += piece
                    answers += data.endswith(b"hello")
            for _ in range(2):
                socket.create_connection(("127.0.0.1", port)).close()
            os._exit(0 if answers == 10 else 1)
        workers = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                async def main():
                    server = HTTPServer(Application([("/", Hello)]))
                    server.add_sockets(sockets)
                    while os.getppid() == parent:
                        await asyncio.sleep(0.05)
                parent = os.getppid()
                asyncio.run(main())
                os._exit(0)
            workers.append(pid)
        status = os.waitpid(outside, 0)[1]
        for pid in workers:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for sock in sockets:
            sock.close()
        print(status)
    """
    result = run(script, "tornadoc")
    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")


def test_the_parent_serves_on_after_a_fork_beside_its_server():
    """The forked process leaves without touching what it shares with its parent."""
    script = """
        async def main():
            server, port = start()
            reader, writer = await ask(port)
            await reader.readuntil(b"hello")
            child = os.fork()
            if child == 0:
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            writer.write(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
            await reader.readuntil(b"hello")
            reader, other = await ask(port)
            await reader.readuntil(b"hello")
            for w in (writer, other):
                w.close()
            server.stop()
            await server.close_all_connections()
            print("served")
        asyncio.run(main())
    """
    result = run(script, "tornadoc")
    assert (result.returncode, result.stdout) == (0, "served\n"), result.stderr
