"""Builds the C unit tests of src/core under the sanitizers and runs each program."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in HERE.glob("test_*.c"))


def find_compiler():
    """The C compiler to use: $CC, or the first of the usual ones."""
    names = [os.environ["CC"].split()[0]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in names:
        if shutil.which(name):
            return os.environ.get("CC", name)
    pytest.fail(f"the C unit tests need a C compiler; none of {', '.join(names)} is installed", pytrace=False)


@pytest.fixture(scope="session")
def core_build(tmp_path_factory):
    compiler = find_compiler()
    if shutil.which("make") is None:
        pytest.fail("the C unit tests need make, which is not installed", pytrace=False)
    build = tmp_path_factory.mktemp("core")
    # Flags of an outer make, or of a build of the extension, are not meant for these programs.
    env = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-j2", "-C", str(HERE), f"BUILD={build}", f"CC={compiler}"],
        capture_output=True,
        text=True,
        env=env,
    )
    if done.returncode != 0:
        pytest.fail(f"the C unit tests do not build:\n{done.stdout[-2000:]}{done.stderr[-6000:]}", pytrace=False)
    return build


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(core_build, program):
    # A preloaded sanitizer runtime (of a sanitized extension) must not get into a program that has its own.
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    env["ASAN_OPTIONS"] = "detect_leaks=1:abort_on_error=0"
    env["UBSAN_OPTIONS"] = "print_stacktrace=1"
    done = subprocess.run([str(core_build / program)], capture_output=True, text=True, errors="replace", env=env, timeout=300)
    assert done.returncode == 0, f"{program} ended with {done.returncode}\n{done.stdout}{done.stderr}"
