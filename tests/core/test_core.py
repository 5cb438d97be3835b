"""Builds the C unit tests of src/core under the sanitizers and runs each program."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(path.stem for path in HERE.glob("test_*.c"))


@pytest.fixture(scope="session")
def core_build(build_c):
    return build_c(HERE)


@pytest.mark.parametrize("program", PROGRAMS)
def test_program(core_build, program, sanitizer_environment):
    env = {**sanitizer_environment, "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0"}
    done = subprocess.run([str(core_build / program)], capture_output=True, text=True, errors="replace", env=env, timeout=300)
    assert done.returncode == 0, f"{program} ended with {done.returncode}\n{done.stdout}{done.stderr}"
