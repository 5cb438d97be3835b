"""What is done to a server under fault injection, and what a client sees of it.

Each scenario is a function of a server (tracing.Subject) and an errno's name; it returns what the client saw.
"""

import contextlib
import errno
import time

import tracing
from tracing import faults, get, outcome, read_answer, read_exactly

RECEIVING = "recvfrom,recvmsg,read,readv"
SENDING = "sendto,sendmsg,write,writev"
ACCEPTING = "accept4,accept"

#: Of recv(2), send(2) and what lies under them. The first two pass, the next ones say that the peer is gone.
DATA_ERRORS = "EINTR EAGAIN ECONNRESET EPIPE ECONNABORTED ETIMEDOUT ENOMEM ENOBUFS EBADF EIO".split()
#: The first three pass; for EMFILE and its like (see test_exhaustion) the server has to wait.
ACCEPT_ERRORS = "EINTR EAGAIN ECONNABORTED EMFILE EBADF".split()
CONTROL_ERRORS = "ENOMEM ENOSPC EBADF".split()


def number(error):
    return getattr(errno, error)


def ask(server, sock):
    if server.kind == "http":
        sock.sendall(get("/"))
    else:
        sock.sendall(b"ping")


def hear(server, sock):
    """One answer to ask()."""
    if server.kind == "http":
        return read_answer(sock)
    return read_exactly(sock, 4)


def once(call, error):
    """A fault that passes happens once; one that ends the connection goes on, should the server try again."""
    return f"{call}:error={error}:when=1" if error in ("EINTR", "EAGAIN") else f"{call}:error={error}:when=1..3"


def receive(server, error):
    """The fault hits the first recv after the connection was idle."""
    with server.client() as sock:
        server.exchange(sock)
        server.serves()  # whatever the server still does for the first exchange is done by then
        with faults(server.pid, once(RECEIVING, error)) as trace:
            ask(server, sock)
            trace.wait()
            if error == "EAGAIN":
                ask(server, sock)  # with edge-triggered events nothing is told twice
                return outcome(lambda: (hear(server, sock), hear(server, sock)))
            return outcome(lambda: hear(server, sock))


def receive_body(server, error):
    """The fault hits in the middle of a request's body."""
    with server.client() as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100000)
        server.serves()
        server.serves()
        with faults(server.pid, once(RECEIVING, error)) as trace:
            sock.sendall(b"y" * 50000)
            trace.wait()
            # Once the server has closed, the rest may meet a reset.
            return outcome(lambda: (sock.sendall(b"z" * 50000), read_answer(sock))[1])


def send(server, error):
    """The fault hits the first send of an answer."""
    with server.client() as sock:
        server.exchange(sock)
        server.serves()
        with faults(server.pid, once(SENDING, error)) as trace:
            ask(server, sock)
            trace.wait()
            if error == "EAGAIN":
                ask(server, sock)
                return outcome(lambda: (hear(server, sock), hear(server, sock)))
            return outcome(lambda: hear(server, sock))


def send_big(server, error):
    """The fault hits a later send, when a part of the answer is under way and the client reads on."""
    _ = server.big_length
    with server.client(small=True) as sock:
        sock.sendall(get("/big") if server.kind == "http" else b"big!")
        server.serves()
        server.serves()
        with faults(server.pid, once(SENDING, error)) as trace:
            received = 0
            sock.settimeout(0.02)
            while not trace.injected:
                with contextlib.suppress(TimeoutError, ConnectionError):
                    received += len(sock.recv(65536))
            return outcome(lambda: drain(server, sock, received, nudge=error == "EAGAIN"))


def receive_some(sock, most):
    piece = sock.recv(min(most, 65536))
    if not piece:
        raise EOFError
    return len(piece)


def drain(server, sock, received, nudge):
    """The big answer's rest. Where it may need a nudge, something is asked when it does not come: with edge-triggered events
    nothing is told twice, and each of the system calls that can send fails once. A slow server takes several nudges for one."""
    asked = 0
    sock.settimeout(0.3 if nudge else tracing.PATIENCE)
    deadline = time.monotonic() + tracing.PATIENCE
    while received < server.big_length:
        try:
            received += receive_some(sock, server.big_length - received)
            deadline = time.monotonic() + tracing.PATIENCE
        except TimeoutError:
            assert nudge and time.monotonic() < deadline, "the rest does not come"
            ask(server, sock)
            asked += 1
    sock.settimeout(tracing.PATIENCE)
    for _ in range(asked):
        hear(server, sock)
    return "all of it"


def accept(server, error):
    """A new connection meets the fault, and is served all the same."""
    with faults(server.pid, f"{ACCEPTING}:error={error}:when=1") as trace, server.client() as sock:
        trace.wait()
        ask(server, sock)
        if error == "EAGAIN":
            server.serves()  # with edge-triggered events, it takes another connection to be told again
        return outcome(lambda: hear(server, sock))


def register(server, error):
    """A new connection can't be watched: Tornado closes it where it can, and forgets it elsewhere."""
    with faults(server.pid, f"epoll_ctl:error={error}:when=1") as trace, server.client() as sock:
        trace.wait()
        if server.kind == "http":
            return outcome(lambda: (ask(server, sock), hear(server, sock))[1])
        return None


def wait_interrupted(server, error):
    """Waiting for events is interrupted again and again, as by a debugger or a stopped process."""
    call = "epoll_wait,epoll_pwait,epoll_pwait2"
    with server.client() as sock, faults(server.pid, f"{call}:error={error}:when=1..6") as trace:
        # All six, or strace may leave in the middle of one, which then fails as no wait for events ever does.
        while trace.injected < 6:
            server.exchange(sock)
        server.exchange(sock)


def wake_interrupted(server, error):
    """A thread wakes the loop, and its write, or the loop's read of it, is interrupted."""
    with server.client() as sock:
        for calls in ("write", "read", "sendto", "recvfrom"):
            with faults(server.pid, f"{calls}:error={error}:when=1"):
                sock.sendall(get("/executor"))
                assert read_answer(sock) == b"hello"
