"""Runs a command in a network of its own, which has the loopback interface and nothing else.

    python compat_confine.py COMMAND [ARGUMENT ...]

Suites listen on all interfaces and on fixed ports; in there nobody else can connect, and no port is taken. Where the kernel does
not allow it, the command runs as it is, and standard error says so.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pathlib
import signal
import socket
import struct
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def _unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def confine() -> None:
    """Move this process into a new network. Raises OSError where that is not allowed."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        _unshare(_CLONE_NEWNET)
    else:
        # In a new space of users this process has the rights, under the same numbers.
        _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        this = pathlib.Path("/proc/self")
        (this / "setgroups").write_text("deny", encoding="ascii")
        (this / "uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        (this / "gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _raise_loopback()


def main() -> None:
    try:
        confine()
    except OSError as e:
        print(f"compat_confine: without a network of its own: {e}", file=sys.stderr, flush=True)
    # A shell has its background ignore it, for good. Suites end servers that way, and look at how these end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
