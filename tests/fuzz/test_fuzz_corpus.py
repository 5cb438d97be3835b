"""Builds each fuzz target without libFuzzer and replays its corpus, so that every past finding stays fixed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.c"))


def find_compiler():
    """The C compiler to use: $CC, or the first of the usual ones."""
    names = [os.environ["CC"].split()[0]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in names:
        if shutil.which(name):
            return os.environ.get("CC", name)
    pytest.fail(f"the fuzz targets need a C compiler; none of {', '.join(names)} is installed", pytrace=False)


@pytest.fixture(scope="session")
def fuzz_build(tmp_path_factory):
    compiler = find_compiler()
    if shutil.which("make") is None:
        pytest.fail("the fuzz targets need make, which is not installed", pytrace=False)
    build = tmp_path_factory.mktemp("fuzz")
    # Flags of an outer make, or of a build of the extension, are not meant for these programs.
    env = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "LDFLAGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(
        ["make", "-j2", "-C", str(HERE), "all", f"BUILD={build}", f"CC={compiler}"],
        capture_output=True,
        text=True,
        env=env,
    )
    if done.returncode != 0:
        pytest.fail(f"the fuzz targets do not build:\n{done.stdout[-2000:]}{done.stderr[-6000:]}", pytrace=False)
    return build


@pytest.mark.parametrize("target", TARGETS)
def test_corpus(fuzz_build, target):
    files = sorted(str(path) for path in (HERE / "corpus" / target).iterdir())
    assert files, f"tests/fuzz/corpus/{target} is empty"
    # A preloaded sanitizer runtime (of a sanitized extension) must not get into a program that has its own.
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    env["ASAN_OPTIONS"] = "detect_leaks=1"
    done = subprocess.run(
        [str(fuzz_build / f"replay_{target}"), *files], capture_output=True, text=True, errors="replace", env=env, timeout=300
    )
    assert done.returncode == 0, f"the last file named is the one that fails\n{done.stdout}{done.stderr[-6000:]}"
    assert f"replayed {len(files)} files" in done.stdout
