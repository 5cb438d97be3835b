"""Builds each fuzz target without libFuzzer and replays its corpus, so that every past finding stays fixed."""

import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))


@pytest.fixture(scope="session")
def fuzz_build(build_c):
    return build_c(HERE, "all")


@pytest.mark.parametrize("target", TARGETS)
def test_corpus(fuzz_build, target, sanitizer_environment):
    files = sorted(str(path) for path in (HERE / "corpus" / target).iterdir())
    assert files, f"tests/fuzz/corpus/{target} is empty"
    command = [str(fuzz_build / f"replay_{target}"), *files]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=sanitizer_environment, timeout=300)
    assert done.returncode == 0, f"the last file named is the one that fails\n{done.stdout}{done.stderr[-6000:]}"
    assert f"replayed {len(files)} files" in done.stdout
