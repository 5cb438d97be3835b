"""The rules that the sources follow, read off the sources."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "core"
NATIVE = ROOT / "src" / "native"
C_FILES = sorted([*CORE.glob("*.[ch]"), *NATIVE.glob("*.[ch]")])

# About 600 lines can be read in one sitting; past 700 a file is two files.
MAX_LINES = 700

# ISO C, POSIX and Linux: what src/core may use besides itself.
LIBC = re.compile(
    r"(assert|ctype|errno|fcntl|inttypes|limits|poll|pthread|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib"
    r"|string|strings|time|unistd|netdb|arpa/\w+|netinet/\w+|sys/\w+|linux/\w+)\.h"
)

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(path: Path) -> list[tuple[str, str]]:
    """("<" or '"', name) for each #include."""
    return INCLUDE.findall(path.read_text("utf-8"))


def resolve(path: Path, name: str) -> Path:
    """The file that `#include "name"` means in `path`: in the same folder, or under src."""
    for candidate in (path.parent / name, ROOT / "src" / name):
        if candidate.is_file():
            return candidate.resolve()
    raise AssertionError(f'{path.relative_to(ROOT)} includes "{name}", which is no file of this project')


def own_includes(path: Path) -> list[Path]:
    return [resolve(path, name) for kind, name in includes(path) if kind == '"']


def reachable(path: Path) -> set[Path]:
    """Every file of the project that `path` includes, directly or not."""
    seen: set[Path] = set()
    queue = [path]
    while queue:
        for target in own_includes(queue.pop()):
            if target not in seen:
                seen.add(target)
                queue.append(target)
    return seen


def tracked_files() -> list[Path]:
    git = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=False
    )
    if git.returncode != 0:
        pytest.skip("not a git work tree")
    paths = [ROOT / name for name in git.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


per_file = pytest.mark.parametrize("path", C_FILES, ids=names(C_FILES))
per_core_file = pytest.mark.parametrize("path", core_files := [p for p in C_FILES if p.parent == CORE], ids=names(core_files))


def test_there_are_sources():
    assert list(CORE.glob("*.c")) and list(NATIVE.glob("*.c"))


@per_core_file
def test_core_includes_only_libc_and_core(path: Path):
    """In particular not Python.h."""
    for kind, name in includes(path):
        if kind == '"':
            assert resolve(path, name).parent == CORE
        elif name == "http_parser.h":
            assert path.name == "http_parse.c"
        else:
            assert LIBC.fullmatch(name), f"<{name}>"


@per_file
def test_only_one_file_knows_http_parser(path: Path):
    if path != CORE / "http_parse.c":
        assert "http_parser.h" not in [name for _, name in includes(path)]


@per_core_file
def test_http_does_not_know_sockets(path: Path):
    """http_*: bytes in, bytes out."""
    if path.name.startswith("http_"):
        for target in reachable(path):
            assert not re.match(r"poller|sockio|acceptor|engine|wakeup", target.name), target.name


@per_file
def test_native_includes_core_by_its_folder(path: Path):
    """A reader of src/native sees which names are core's."""
    if path.parent == NATIVE:
        for kind, name in includes(path):
            if kind == '"' and resolve(path, name).parent == CORE:
                assert name.startswith("core/")


def test_includes_have_no_cycle():
    done: set[Path] = set()

    def visit(path: Path, chain: list[Path]) -> None:
        if path in chain:
            raise AssertionError(" -> ".join(names([*chain[chain.index(path) :], path])))
        if path not in done:
            for target in own_includes(path):
                visit(target, [*chain, path])
            done.add(path)

    for path in C_FILES:
        visit(path, [])


@per_file
def test_size(path: Path):
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


@per_file
def test_starts_with_a_comment(path: Path):
    assert path.read_text("utf-8").startswith("/*")


@per_file
def test_lines_fit(path: Path):
    text = path.read_text("utf-8")
    assert "\t" not in text
    assert [number for number, line in enumerate(text.splitlines(), 1) if len(line) > 130] == []


@per_file
def test_header_has_a_guard(path: Path):
    if path.suffix == ".h":
        guard = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", path.read_text("utf-8"), re.MULTILINE)
        assert guard and guard.group(1) == guard.group(2)
        assert guard.group(1).endswith(path.stem.upper() + "_H")


def test_no_names_of_machines():
    """No path of somebody's machine, no host of a package registry."""
    # In pieces, or this file would be found.
    folders = "|".join(["/ho" "me/", "/ro" "ot/", "/Us" "ers/", "/wo" "rk/", "/opt/py" "pi", r"\.pye" "nv/versions/3"])
    hosts = "|".join(["py" r"pi\.org", "python" r"hosted\.org", "deb" r"\.debian\.org"])
    pattern = re.compile(rf"(?<![\w.*)])({folders})|{hosts}")
    found = []
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match.group()}")
    assert found == []


def readme_table() -> list[str]:
    """The paths in the table of README's "Where things are"."""
    text = (ROOT / "README.md").read_text("utf-8")
    section = text.split("\n## Where things are\n", 1)[1].split("\n## ", 1)[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return sorted({name for row in rows for name in re.findall(r"`([\w./*-]+)`", row)})


@pytest.mark.parametrize("name", readme_table())
def test_readme_names_files_that_exist(name: str):
    assert list(ROOT.glob(name.rstrip("/")))


def test_readme_table_mentions_every_c_file():
    listed = {path for name in readme_table() for path in ROOT.glob(name.rstrip("/"))}
    missing = [path for path in C_FILES if path.suffix == ".c" and path not in listed]
    assert names(missing) == []
