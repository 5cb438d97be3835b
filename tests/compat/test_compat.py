"""What `make compat` makes of what suites report: outcomes, comparison, grid, and that nothing is left running."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import sys
import zipfile
from typing import Any

import compat
import compat_applications as apps
import compat_compare
import compat_debian
import compat_environment
import compat_events
import compat_grid
import compat_process
import pytest
import suite_exclusions
from compat_compare import Comparison
from compat_events import Run
from compat_grid import Row

HERE = pathlib.Path(__file__).resolve().parent


def run(**outcomes: str) -> Run:
    return Run(outcomes=outcomes)


def never(tests: list[str], hold_collector: bool) -> tuple[Run, Run]:
    raise AssertionError(f"{tests} ran again")


# -- the events --


def test_a_test_that_did_not_end_has_not_run() -> None:
    made = compat_events.collect(
        [{"start": "a"}, {"end": "a", "outcome": "passed", "detail": ""}, {"start": "b"}, {"done": True, "pid": 7}]
    )
    assert made.outcomes == {"a": "passed", "b": compat_events.NOT_RUN}
    assert made.ends == [{"done": True, "pid": 7}]


def test_no_report_is_an_empty_run(tmp_path: pathlib.Path) -> None:
    assert compat_events.read(tmp_path / "missing").outcomes == {}


@pytest.mark.parametrize(
    ("end", "serves", "expected"),
    [
        ({"tornadoc": "1", "in_front": True, "loops": 9}, True, "no: its HTTPServer listened to nothing"),
        ({"tornadoc": "1", "in_front": True, "loops": 9}, False, "yes"),
        ({"tornadoc": "1", "in_front": True, "loops": 0}, False, "no: no loop of its own was made"),
        ({"tornadoc": "1", "in_front": False, "loops": 9}, False, "no: not installed"),
        ({"tornadoc": None, "in_front": False}, False, "no: inactive"),
    ],
)
def test_activity_is_what_the_processes_measured(end: dict[str, Any], serves: bool, expected: str) -> None:
    assert Run(ends=[end]).active(serves) == expected
    if serves:
        assert Run(ends=[end], sockets=1).active(serves) == "yes"


def test_activity_is_unknown_if_no_process_came_to_its_end() -> None:
    assert run(a="passed").active(True).startswith("unknown")


# -- the comparison --


def test_equal_results_are_not_run_again() -> None:
    made = compat_compare.compare(run(a="passed", b="failed", c="skipped"), run(a="passed", b="failed", c="skipped"), never)
    assert (made.tests, made.same, made.failing, made.reruns) == (3, 3, 1, 0)
    assert made.newly_failing == made.newly_passing == made.unsteady == []


@pytest.mark.parametrize("bad", ["failed", "xpassed", "skipped", compat_events.NOT_RUN])
def test_a_test_that_fails_each_time_is_newly_failing(bad: str) -> None:
    asked: list[tuple[list[str], bool]] = []

    def rerun(tests: list[str], hold_collector: bool) -> tuple[Run, Run]:
        asked.append((tests, hold_collector))
        return run(a="passed"), run(a=bad)

    made = compat_compare.compare(run(a="passed", b="passed"), run(a=bad, b="passed"), rerun, again=3)
    assert made.newly_failing == ["a"] and made.same == 1
    assert asked == [(["a"], False), (["a"], False), (["a"], True)]


def test_a_test_that_is_missing_with_tornadoc_is_newly_failing() -> None:
    made = compat_compare.compare(run(a="passed"), run(), lambda tests, hold: (run(a="passed"), run()))
    assert made.newly_failing == ["a"]


@pytest.mark.parametrize(
    "again", [(run(a="failed"), run(a="failed")), (run(a="passed"), run(a="passed")), (run(a="failed"), run(a="passed"))]
)
def test_a_test_that_differs_once_is_unsteady(again: tuple[Run, Run]) -> None:
    made = compat_compare.compare(run(a="passed"), run(a="failed"), lambda tests, hold: again)
    assert (made.newly_failing, made.newly_passing, made.unsteady, made.reruns) == ([], [], ["a"], 1)


def test_a_test_that_tornado_fails_each_time_is_newly_passing() -> None:
    made = compat_compare.compare(run(a="failed"), run(a="passed"), lambda tests, hold: (run(a="failed"), run(a="passed")))
    assert made.newly_passing == ["a"] and made.failing == 1


# -- the grid --


def row(**changes: Any) -> Row:
    values: dict[str, Any] = {
        "name": "app",
        "version": "1.2",
        "tornado": "6.6",
        "python": "3.11",
        "date": "2026-01-02",
        "active": "yes",
        "comparison": Comparison(10, 8, 1, ["t::fails"], [], ["t::unsteady"], 3),
    }
    return Row(**{**values, **changes})


def well(**changes: Any) -> Row:
    return row(comparison=Comparison(10, 10, 1, [], [], [], 0), **changes)


def test_the_text_names_tests() -> None:
    lines = compat_grid.text([row(), well(name="other")]).splitlines()
    assert lines[0].split("  ")[0] == "application"
    assert lines[2].split() == ["app", "1.2", "10", "8", "1", "1", "0", "yes"]
    assert "    NEWLY FAILING t::fails" in lines
    assert "    differed, but not each time when run again on both sides: t::unsteady" in lines
    assert sum(line.startswith("other") for line in lines) == 1


def test_an_excluded_test_does_not_count_and_is_named() -> None:
    judged = well(excluded={"t::other": "a reason"})
    assert judged.is_well()
    assert "newly failing, and excluded, t::other: a reason" in compat_grid.text([judged])
    assert "| 0 (and 1 excluded) |" in compat_grid.markdown([judged])


def test_exclusions_are_those_of_tornados_suite() -> None:
    assert compat.excluded(apps.find(["flower"])[0], ["web_test.A.b"]) == {}
    exclusion = suite_exclusions.Exclusion("a reason")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(suite_exclusions.TORNADO, "web_test/A.b", exclusion)
        assert compat.excluded(apps.find(["tornado"])[0], ["web_test.A.b", "web_test.A.c"]) == {"web_test.A.b": "a reason"}


def test_the_markdown_has_as_many_cells_as_headings() -> None:
    lines = compat_grid.markdown([row(name="a|b"), well(), row(name="c")]).splitlines()
    cells = {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}
    assert cells == {len(compat_grid.HEADINGS) + 1}
    assert "- a|b; c: NEWLY FAILING t::fails" in lines
    assert lines[-1] == "Tornado 6.6, CPython 3.11; 2026-01-02."


def test_the_markdown_counts_many_unsteady_tests() -> None:
    judged = row(comparison=Comparison(10, 6, 0, [], [], ["a", "b", "c", "d"], 1))
    assert "- app: differed, but not each time when run again on both sides: 4 tests" in compat_grid.markdown([judged])
    assert "again on both sides: d" in compat_grid.text([judged])


def test_a_row_survives_json() -> None:
    assert compat_grid.from_json(json.loads(json.dumps(row().as_json()))) == row()


@pytest.mark.parametrize(
    ("judged", "expected"),
    [(well(), True), (row(), False), (well(broken="it hung"), False), (well(active="no: not installed"), False)],
)
def test_what_is_well(judged: Row, expected: bool) -> None:
    assert judged.is_well() is expected


def test_applications_are_found_by_name() -> None:
    assert [application.name for application in apps.find(["flower", "terminado"])] == ["flower", "terminado"]
    assert len(apps.find([])) == len(apps.APPLICATIONS) == len({application.name for application in apps.APPLICATIONS})
    with pytest.raises(KeyError):
        apps.find(["no-such-application"])


# -- sources --


def test_tests_can_be_those_of_the_wheel(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def download(python: object, *arguments: str) -> None:
        asked.extend(arguments)
        folder = pathlib.Path(arguments[arguments.index("-d") + 1])
        folder.mkdir(parents=True)
        with zipfile.ZipFile(folder / "thing-1.2-py3-none-any.whl", "w") as wheel:
            wheel.writestr("thing/tests/test_thing.py", "def test(): pass\n")

    monkeypatch.setattr(compat_environment, "BUILD", tmp_path)
    monkeypatch.setattr(compat_environment, "_pip", download)
    monkeypatch.setattr(compat_environment.Environment, "version_of", lambda environment, package: "1.2")
    environment = compat_environment.Environment(apps.Application("thing", "", tests=("thing/tests",), wheel=True))
    environment._fetch_source()
    assert asked[-1] == "thing==1.2"
    assert "--only-binary" in asked
    assert (environment.source / "thing/tests/test_thing.py").read_text(encoding="utf-8") == "def test(): pass\n"


def test_debians_own_archive_is_found_among_others() -> None:
    others = "http://mirror.example/debian-security/\nfile:/srv/debian/\nhttps://other.example/apt\n"
    assert compat_debian.archive_of(others + "http://mirror.example/debian/\n") == "http://mirror.example/debian/"
    with pytest.raises(compat_debian.NoSource, match="no archive"):
        compat_debian.archive_of(others)


def test_a_version_of_debians_is_exact() -> None:
    assert all(application.versions.startswith("==") for application in apps.APPLICATIONS if application.debian)


# -- suites in processes --


def record(tmp_path: pathlib.Path, source: str, *arguments: str, **variables: str) -> Run:
    """What the plugin and the witness report of a file of tests."""
    (tmp_path / "test_cases.py").write_text(source, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    report = tmp_path / "report.jsonl"
    folders = [str(HERE), str(HERE.parent / "suite"), str(HERE.parent.parent)]
    environment = {**os.environ, **variables, "COMPAT_REPORT": str(report), "PYTHONPATH": os.pathsep.join(folders)}
    environment.pop("PYTEST_ADDOPTS", None)
    compat_process.run(
        [sys.executable, "-m", "pytest", "-p", "compat_plugin", "-p", "no:cacheprovider", *arguments],
        tmp_path,
        environment,
        tmp_path / "output",
        120,
        lambda: None,
    )
    return compat_events.read(report)


def test_a_test_that_an_applications_plugin_runs_again_counts_as_it_ended(tmp_path: pathlib.Path) -> None:
    # As pytest-rerunfailures does.
    (tmp_path / "conftest.py").write_text(
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for last in (False, True):
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if report.failed and not last:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
""",
        encoding="utf-8",
    )
    source = "tries = []\ndef test_late():\n    tries.append(1)\n    assert len(tries) == 2\ndef test_never():\n    assert 0\n"
    made = record(tmp_path, source)
    assert {name.partition("::")[2]: outcome for name, outcome in made.outcomes.items()} == {
        "test_late": "passed",
        "test_never": "failed",
    }


OUTCOMES = """
import pytest

def test_passes(): pass
def test_fails(): assert 1 == 2
@pytest.mark.skip(reason="so")
def test_skipped(): pass
@pytest.mark.xfail
def test_xfails(): assert False
@pytest.mark.xfail
def test_xpasses(): pass
@pytest.fixture
def bad():
    yield
    assert False
def test_fails_at_its_end(bad): pass
"""


def test_the_plugin_tells_the_outcome_of_each_test(tmp_path: pathlib.Path) -> None:
    made = record(tmp_path, OUTCOMES, TORNADOC="off")
    assert {name.partition("::")[2]: outcome for name, outcome in made.outcomes.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_skipped": "skipped",
        "test_xfails": "xfailed",
        "test_xpasses": "xpassed",
        "test_fails_at_its_end": "failed",
    }
    assert "assert 1 == 2" in made.details["test_cases.py::test_fails"]
    assert len(made.ends) == 1 and made.inactive()


def test_a_module_that_can_not_be_imported_is_a_failed_test(tmp_path: pathlib.Path) -> None:
    assert record(tmp_path, "import no_such_module_at_all\n", TORNADOC="off").outcomes == {"test_cases.py": "failed"}


def test_a_crash_is_a_test_that_has_not_run(tmp_path: pathlib.Path) -> None:
    made = record(tmp_path, "import os\ndef test_a(): pass\ndef test_b(): os._exit(1)\ndef test_c(): pass\n", TORNADOC="off")
    assert made.outcomes == {"test_cases.py::test_a": "passed", "test_cases.py::test_b": compat_events.NOT_RUN}
    assert made.ends == []


SERVING = """
import os, subprocess, sys
import tornado.httpserver, tornado.ioloop, tornado.testing, tornado.web

CHILD = "import compat_witness, tornado.web"

class Test(tornado.testing.AsyncHTTPTestCase):
    def get_app(self):
        return tornado.web.Application([])
    def test_it(self):
        self.assertEqual(self.fetch("/").code, 404)
        subprocess.run([sys.executable, "-c", CHILD], check=True)
"""


def test_use_of_tornadoc_is_measured_in_the_tests_and_in_child_processes(tmp_path: pathlib.Path) -> None:
    made = record(tmp_path, SERVING, "-p", "tornadoc", TORNADOC="require")
    assert list(made.outcomes.values()) == ["passed"]
    assert made.active(serves=True) == "yes" and not made.inactive()
    assert made.loops() > 0 and made.sockets == 1
    assert [child["in_front"] for child in made.children_of_tests()] == [True]


def test_absence_of_tornadoc_is_measured_as_well(tmp_path: pathlib.Path) -> None:
    made = record(tmp_path, SERVING, TORNADOC="off")
    assert list(made.outcomes.values()) == ["passed"]
    assert made.inactive() and made.active(serves=True) == "no: inactive"
    assert [child["in_front"] for child in made.children_of_tests()] == [False]


DAEMON = """
import os, subprocess, sys, time
code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(600)"
daemon = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True)
print(daemon.stdout.readline(), flush=True)
if sys.argv[1] == "hang":
    time.sleep(600)
"""

SUPERVISOR = """
import pathlib, os, sys
import compat_process
compat_process._GRACE = 0.5
compat_process.adopt_orphans()
command = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
print(compat_process.run(command, pathlib.Path("."), dict(os.environ), pathlib.Path("output"), float(sys.argv[3]), lambda: None))
"""


@pytest.mark.parametrize(("how", "limit", "expected"), [("end", "60", ""), ("hang", "1", "did not end in 1 s")])
def test_daemons_of_tests_are_ended(tmp_path: pathlib.Path, how: str, limit: str, expected: str) -> None:
    # In a process of its own, as it adopts orphans.
    done = subprocess.run(
        [sys.executable, "-c", SUPERVISOR, DAEMON, how, limit],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == "" and done.stdout.strip() == expected
    if text := (tmp_path / "output").read_text(encoding="utf-8").strip():
        with pytest.raises(ProcessLookupError):
            os.kill(int(text), 0)
    else:
        assert how == "hang"


INTERFACES = "import socket; print(sorted(name for _, name in socket.if_nameindex())); socket.create_server(('127.0.0.1', 0))"


def test_suites_have_a_network_of_their_own() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "compat_confine.py"), sys.executable, "-c", INTERFACES],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    if "without a network of its own" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.strip() == "['lo']"


def test_suites_can_be_interrupted_when_they_are_started_in_a_shells_background() -> None:
    command = f"{shlex.quote(sys.executable)} {shlex.quote(str(HERE / 'compat_confine.py'))} {shlex.quote(sys.executable)}"
    asked = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run(
        ["sh", "-c", f"{command} -c {shlex.quote(asked)} & wait"], stdout=subprocess.PIPE, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "True"
