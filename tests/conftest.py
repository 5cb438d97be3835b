"""How xdist spreads the tests, what the garbage collector goes through, and how C programs are built."""

from __future__ import annotations

import gc
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

try:
    from xdist.scheduler import LoadFileScheduling
except ImportError:
    LoadFileScheduling = None


if LoadFileScheduling is not None:

    class _Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            # A case of these runs a whole module of another project's tests, in a process of its own.
            return nodeid if "suite/" in nodeid else super()._split_scope(nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
        if config.getvalue("dist") == "loadfile":
            return _Scheduling(config, log)
        return None


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    # Thousands of tests are objects, too: without this, a test that collects garbage waits for seconds each time.
    gc.collect()
    gc.freeze()


def _find_compiler() -> str:
    """The C compiler to use: $CC, or the first of the usual ones."""
    names = [os.environ["CC"].split()[0]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in names:
        if shutil.which(name):
            return os.environ.get("CC", name)
    pytest.fail(f"programs in C need a compiler; none of {', '.join(names)} is installed", pytrace=False)


@pytest.fixture(scope="session")
def build_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., pathlib.Path]:
    """build_c(folder, *targets): runs the folder's Makefile, and gives the folder of what it has built."""

    def build(folder: pathlib.Path, *targets: str) -> pathlib.Path:
        compiler = _find_compiler()
        if shutil.which("make") is None:
            pytest.fail("programs in C need make, which is not installed", pytrace=False)
        result = tmp_path_factory.mktemp(folder.name)
        # Flags of an outer make, or of a build of the extension, are not meant for these programs.
        env = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
        command = ["make", "-j2", "-C", str(folder), *targets, f"BUILD={result}", f"CC={compiler}"]
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        if done.returncode != 0:
            pytest.fail(f"{folder.name} does not build:\n{done.stdout[-2000:]}{done.stderr[-6000:]}", pytrace=False)
        return result

    return build


@pytest.fixture
def sanitizer_environment() -> dict[str, str]:
    """For programs that have a sanitizer of their own: a preloaded runtime, of a sanitized extension, must not get into them."""
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    return {**env, "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
