"""The benchmarks of loops and of streams run, check what they measure, and write what they promise.  Nothing here looks at a
time."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tornadoc

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import echo, lines, loop  # noqa: E402
from benchmarks.lines import Group, Measured, Program, Sample  # noqa: E402
from benchmarks.servers import BenchmarkError, Launcher, Server, compile_program  # noqa: E402

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="gcc is missing")
HAS_LOOP = tornadoc.active and hasattr(tornadoc, "EventLoop")

# Every way of every interface, and every size.
ECHO_LINES = ("raw-1k", "streams-64k", "protocol-1m", "buffered-1k")
STREAM_LINES = ("read_bytes-1m", "read_until-128", "read_lines-1k", "write-64k")
WEBSOCKET_LINES = ("websocket-1k",)


def run_module(module, *arguments):
    return subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240)


def run_quickly(folder, module, *arguments):
    done = run_module(module, "--quick", "--seconds", "0.02", "--output", str(folder), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text()), path.with_suffix(".md").read_text()


@pytest.fixture(scope="module")
def loop_run(tmp_path_factory):
    return run_quickly(tmp_path_factory.mktemp("loop"), "benchmarks.loop")


@pytest.fixture(scope="module")
def echo_run(tmp_path_factory):
    chosen = ("--lines", ",".join(ECHO_LINES + STREAM_LINES + WEBSOCKET_LINES), "--connections", "3", "--warmup", "0")
    return run_quickly(tmp_path_factory.mktemp("echo"), "benchmarks.echo", *chosen)


def without_skipped(names):
    return [name for name in names if name != "tornadoc" or HAS_LOOP]


def check_samples(result, expected):
    assert [(sample["line"], sample["contestant"]) for sample in result["samples"]] == expected
    assert list(result["skipped"]) == ([] if HAS_LOOP else ["tornadoc"])
    for sample in result["samples"]:
        assert set(sample) == {field.name for field in dataclasses.fields(Sample)}
        assert sample["operations"] > 0 and sample["seconds"] > 0
        assert sample["cpu_ns"] > 0 and sample["wall_ns"] > 0


def test_every_loop_is_sampled_on_every_line(loop_run):
    loops = without_skipped(["asyncio", "uvloop", "tornadoc"])
    check_samples(loop_run[0], [(line, name) for line in loop.LINES for name in loops])
    assert loop_run[0]["notes"] == []


@needs_gcc
def test_every_server_is_sampled_on_its_lines(echo_run):
    loops = without_skipped(["asyncio", "uvloop", "tornadoc", "sockets"])
    streams = without_skipped(["tornado", "tornado-uvloop", "tornadoc", "sockets"])
    expected = [(line, name) for line in ECHO_LINES for name in loops]
    expected += [(line, name) for line in STREAM_LINES for name in streams]
    expected += [(line, name) for line in WEBSOCKET_LINES for name in streams if name != "sockets"]
    check_samples(echo_run[0], expected)
    # Nothing failed, and no row was served by another's streams or loop.
    assert echo_run[0]["notes"] == []


@needs_gcc
def test_result_has_tables_ratios_and_no_path(loop_run, echo_run):
    for result, text in (loop_run, echo_run):
        assert result["schema"] == 1 and result["settings"]["rounds"] == 1 and result["settings"]["seconds"] == 0.02
        assert result["command"].startswith("python -m benchmarks.") and "/" not in result["command"]
        assert not re.search(r"(?<![\w.:])/\w+/", json.dumps(result))
        for group in result["groups"]:
            assert f"### {group['title']}" in text
            for row in group["summary"]:
                assert list(row["cpu_vs"]) == group["bases"]
                assert all(ratio > 0 for ratio in row["cpu_vs"].values())
                assert row["cpu_vs"].get(row["contestant"], 1) == 1
        for line, title in result["lines"].items():
            assert f"- {line}: {title}" in text


def test_ratios_are_taken_within_rounds():
    def sample(number, contestant, cpu_ns):
        return Sample(number, "line", contestant, 1, 1, cpu_ns, cpu_ns, 1, "")

    # The machine is ten times slower in the second round, and the ratio of the medians would be another.
    samples = [sample(0, "base", 100), sample(0, "mine", 50), sample(1, "base", 1000), sample(1, "mine", 250)]
    samples += [sample(2, "base", 100), sample(2, "mine", 50)]
    base, mine = lines.summarize(samples, ["base"])
    assert (base["cpu_ns"], base["cpu_vs"]["base"]) == (100, 1)
    assert (mine["cpu_ns"], mine["cpu_ns_min"], mine["cpu_ns_max"], mine["cpu_vs"]["base"]) == (50, 50, 250, 0.5)
    assert mine["rounds"] == 3


CONTESTANTS = {name: Server(name, name, identity="asyncio") for name in ("good", "bad", "false")}
CONTESTANTS["missing"] = Server("missing", "missing", needs=("json:no_such_name",))
GROUP = Group("A group", {"one": "one thing", "two": "another"}, CONTESTANTS, ("good",))
PROGRAM = Program("example", "An example.", (GROUP,), "loop", "op", "ns", 1, (0.1, 0.1), False)


def measure(bench, contestant, line):
    if contestant.name == "bad" and line == "two":
        raise BenchmarkError('File "somewhere"\nit broke')
    return Measured(1, 1, 1, "other.Loop" if contestant.name == "false" else "asyncio.Loop")


def test_a_failure_is_told_and_spares_the_rest(tmp_path, capsys):
    assert lines.main(PROGRAM, ["--output", str(tmp_path), "--rounds", "2"], measure) == 1
    result = json.loads((tmp_path / "latest-example.json").read_text())
    taken = [(sample["line"], sample["contestant"]) for sample in result["samples"] if sample["round"] == 1]
    assert taken == [("one", "good"), ("one", "bad"), ("one", "false"), ("two", "good"), ("two", "false")]
    assert "failed: two: bad: it broke" in result["notes"]
    assert list(result["skipped"]) == ["missing"] and "no_such_name" in result["skipped"]["missing"]
    shown = capsys.readouterr()
    assert "failed: two: bad: it broke" in shown.out and "skipped missing" in shown.err


def test_a_row_that_is_not_what_its_name_says_is_noted(tmp_path):
    assert lines.main(PROGRAM, ["--quick", "--loops", "good,false", "--output", str(tmp_path)], measure) == 0
    (path,) = tmp_path.glob("*.json")
    expected = [f"{line}: false: other.Loop did the work" for line in ("one", "two")]
    assert json.loads(path.read_text())["notes"] == expected


@pytest.mark.parametrize("arguments", [("--lines", "nosuch"), ("--loops", "nosuch"), ("--rounds", "0"), ("--seconds", "0")])
def test_bad_arguments_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        loop.main(list(arguments))
    assert refused.value.code == 2 and "error:" in capsys.readouterr().err


def start(server, way, size):
    launcher = Launcher(sys.executable, None)
    return launcher.run(server.name, [sys.executable, *server.arguments, "--way", way, "--size", str(size)])


def test_other_bytes_than_those_sent_are_noticed():
    line = echo.LINES["read_until-1k"]
    with start(echo.SOCKETS, "echo", line.size) as running:
        echo.check(running.port, line)
    with start(echo.SOCKETS, "push", line.size) as running, pytest.raises(BenchmarkError, match="other bytes"):
        echo.check(running.port, line)


@needs_gcc
@pytest.mark.parametrize(
    "arguments",
    ["", "1 1 1 1", "1 1 1 1 echo", "1 1 1 1 pull 1", "0 1 1 1 pull", "1 x 1 1 pull", "1 1 8 1 echo 9", "1 1 1 1 websocket 1"],
)
def test_the_client_refuses_other_arguments(arguments, tmp_path):
    program = compile_program(ROOT / "benchmarks" / "load" / "load.c", tmp_path)
    assert subprocess.run([program, *arguments.split()], capture_output=True, timeout=30).returncode == 2


@needs_gcc
def test_the_client_counts_messages(tmp_path):
    program = compile_program(ROOT / "benchmarks" / "load" / "load.c", tmp_path)
    with start(echo.SOCKETS, "echo", 64) as running:
        done = subprocess.run([program, str(running.port), "4", "64", "0.05", "echo", "32"], capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["messages"] >= 4 and said["messages"] == int(said["messages"])
