"""The machine and the versions that a result belongs to."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.servers import Launcher

VERSIONS = """
import json, platform, ssl
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
    try:  # built in place, not installed
        return getattr(__import__(name), "__version__", None)
    except ImportError:
        return None
print(json.dumps({
    "python": platform.python_implementation() + " " + platform.python_version(),
    "openssl": ssl.OPENSSL_VERSION.rpartition(" ")[0].rsplit(" ", 2)[0],
    **{name: version(name) for name in ("tornado", "tornadoc", "uvloop")},
}))
"""


def describe(launcher: Launcher) -> dict[str, Any]:
    """What is needed to read a result later; no host name and no path, so that it can be published."""
    versions: dict[str, Any] = json.loads(launcher.run_python(VERSIONS).stdout or "{}")
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        **versions,
        "wrk": first_match(["wrk", "-v"], r"wrk \S+"),
        "gcc": first_match(["gcc", "--version"], r"gcc.*"),
    }


def published_command(module: str, argv: list[str]) -> str:
    """The command line without the paths of this machine."""
    return shlex.join(["python", "-m", module, *(os.path.basename(a) if a.startswith(("/", "~")) else a for a in argv)])


def cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or "unknown"


def first_match(command: list[str], pattern: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return None
    found = re.search(pattern, done.stdout + done.stderr)
    return found[0] if found else None
