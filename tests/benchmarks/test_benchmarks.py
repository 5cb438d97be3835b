"""The benchmark programs run and write what they promise.  Nothing here looks at a time."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.scenarios import SCENARIOS as SCENARIOS_BY_NAME  # noqa: E402
from benchmarks.servers import BenchmarkError  # noqa: E402
from benchmarks.session import Session  # noqa: E402

SERVERS = ("tornado", "floor")
SCENARIOS = ("hello", "post", "https")
SAMPLE_KEYS = {
    "round",
    "server",
    "scenario",
    "requests",
    "seconds",
    "rps",
    "cpu_us",
    "system_share",
    "busy",
    "p50_us",
    "p99_us",
    "rss_peak_kib",
    "rss_kib",
    "errors",
}

pytestmark = [pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is missing") for tool in ("wrk", "gcc", "openssl")]


def run_module(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, "--servers", ",".join(SERVERS), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One short run: its output folder and the finished process."""
    folder = tmp_path_factory.mktemp("results")
    done = run_module(
        "benchmarks",
        *("--quick", "--rounds", "1", "--seconds", "0.3", "--pipeline", "4"),
        *("--scenarios", ",".join(SCENARIOS), "--output", str(folder)),
    )
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def result(run):
    (path,) = run[0].glob("run-*.json")
    return json.loads(path.read_text())


def test_every_server_is_sampled_in_every_scenario(result):
    seen = [(sample["scenario"], sample["server"]) for sample in result["samples"]]
    expected = [(scenario, server) for scenario in (*SCENARIOS, "hello-pipelined") for server in SERVERS]
    expected.remove(("https", "floor"))
    assert seen == expected
    assert result["skipped"] == {}
    for sample in result["samples"]:
        assert set(sample) == SAMPLE_KEYS
        assert sample["requests"] > 0 and sample["errors"] == 0
        assert sample["cpu_us"] > 0 and sample["rps"] > 0
        assert sample["rss_peak_kib"] >= sample["rss_kib"] > 0
        assert 0 <= sample["system_share"] <= 1 and 0 <= sample["busy"] <= 1


def test_answers_are_those_of_tornado(result):
    assert result["notes"] == []


def test_summary_has_ratios(result):
    rows = {(row["scenario"], row["server"]): row for row in result["summary"]}
    assert len(rows) == len(result["samples"])
    for (scenario, server), row in rows.items():
        assert row["rounds"] == 1
        assert row["cpu_us_min"] <= row["cpu_us"] <= row["cpu_us_max"]
        assert row["rps_vs_tornado"] > 0 and row["cpu_vs_tornado"] > 0
        assert row["cpu_vs_floor"] is None if scenario == "https" else row["cpu_vs_floor"] > 0
        if server == "tornado":
            assert row["rps_vs_tornado"] == row["cpu_vs_tornado"] == 1
    assert rows["hello", "floor"]["cpu_vs_floor"] == 1


def test_environment_and_command_name_no_path(result, tmp_path):
    assert result["schema"] == 1
    environment = result["environment"]
    for key in ("date", "cpu", "cores", "kernel", "python", "tornado", "tornadoc", "wrk", "gcc"):
        assert key in environment
    assert result["command"].startswith("python -m benchmarks --servers tornado,floor")
    assert "/" not in result["command"]
    assert result["settings"]["rounds"] == 1 and result["settings"]["seconds"] == 0.3


def test_pipelined_rows_have_a_table_of_their_own(run):
    (path,) = run[0].glob("run-*.md")
    headline, _, pipelined = path.read_text().partition("### Pipelined")
    assert "| hello |" in headline and "| post |" in headline
    assert "hello-pipelined |" not in headline and "hello-pipelined" in pipelined


def test_tls_is_skipped_where_there_is_no_certificate(monkeypatch):
    def refuse(folder):
        raise BenchmarkError("openssl is missing")

    monkeypatch.setattr("benchmarks.session.make_certificate", refuse)
    options = argparse.Namespace(servers=["tornado"], python=sys.executable, access_log="off")
    with Session(options, [SCENARIOS_BY_NAME["hello"], SCENARIOS_BY_NAME["https"]]) as session:
        assert [scenario.name for scenario in session.scenarios] == ["hello"]
        assert session.skipped == {"https": "openssl is missing"}
    with pytest.raises(BenchmarkError, match="openssl is missing"), Session(options, [SCENARIOS_BY_NAME["https"]]):
        pass


def test_the_floor_is_skipped_where_only_tls_is_asked():
    options = argparse.Namespace(servers=list(SERVERS), python=sys.executable, access_log="off")
    with Session(options, [SCENARIOS_BY_NAME["https"]]) as session:
        assert [server.name for server in session.servers] == ["tornado"]
        assert list(session.skipped) == ["floor"]


def test_quick_runs_leave_latest_alone(run):
    assert not list(run[0].glob("latest*"))


def test_idle_connections():
    done = run_module("benchmarks.idle", "--connections", "50")
    assert done.returncode == 0, done.stderr
    for server in SERVERS:
        assert re.search(rf"{server}\s.*\d", done.stdout), done.stdout


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
def test_syscalls():
    done = run_module("benchmarks.syscalls", "--connections", "8", "--requests", "400")
    assert done.returncode == 0, done.stderr
    (floor,) = [line for line in done.stdout.splitlines() if re.search(r"\bfloor\b", line)]
    assert 2 <= float(re.findall(r"[0-9.]+", floor)[-1]) < 4, done.stdout


@pytest.mark.parametrize("arguments", [("--servers", "nosuch"), ("--rounds", "0"), ("--seconds", "1000"), ("--pipeline", "1")])
def test_bad_arguments_are_refused(arguments):
    done = subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "error:" in done.stderr
