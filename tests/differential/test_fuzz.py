"""Random connections and random handlers, a small and repeatable number of them; that the generators reach what they are for; and
that the comparison notices a server that is wrong. ``make fuzz-differential`` sends many more.
"""

import json
import sys

import fuzz_cases
import fuzz_main
import fuzz_programs
import harness
import pytest
import tornado
from casebook.case import BAD_REQUEST, chunked, get, post
from fuzz_cases import Fuzz
from fuzz_compare import Batch, Comparison, Pair, Report
from fuzz_rules import judge
from fuzz_shrink import Shrinker

if tornado.version_info < (6, 6):
    pytest.skip("tornadoc follows Tornado 6.6; this Python gets an earlier one", allow_module_level=True)

CONNECTIONS = 350
PROGRAMS = 250
# Runs app.py under Tornado with something in it that is wrong.
WRONG = """
import os, runpy, sys
import tornado.http1connection, tornado.log, tornado.web
sys.path.insert(0, os.path.dirname(sys.argv[1]))
%s
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
FAULTS = {
    "header": "tornado.web.RequestHandler.set_default_headers = lambda self: self.set_header('X-Wrong', '1')",
    "body": "tornado.web.RequestHandler.on_finish = lambda self: self.request.connection.stream.write(b'!')",
    "log": "tornado.web.RequestHandler.on_finish = lambda self: tornado.log.app_log.info('more')",
    "close": "tornado.web.RequestHandler.on_finish = lambda self: self.request.connection.stream.close()",
    "stays": "tornado.http1connection.HTTP1Connection._can_keep_alive = lambda self, *args: True",
    "crash": "tornado.web.RequestHandler.prepare = lambda self: os._exit(3)",
}
# Per row of the rules a connection that shows it: Tornado's own answer to it must not pass for tornadoc's.
ROWS = {
    17: chunked("/write/str", tail=b"x"),
    19: chunked("/write/str", tail=b"3;a=b\r\nabc\r\n0\r\n\r\n"),
    20: chunked("/write/str", tail=b"3;a\x01"),
    22: chunked("/write/str", tail=b"3\r\nabcX"),
    23: chunked("/write/str", tail=b"0" * 200 + b"3\r\nabc\r\n0\r\n\r\n"),
    24: chunked("/write/str", b"abc", tail=b"0\r\nX-T: 1\r\n\r\n"),
    26: chunked("/write/str", b"abc", tail=b"0\n\n"),
    28: b"\r" + get("/write/str"),
    43: b"\r\n\r\n" + get("/write/str"),
    44: get("/write/str", "X: " + "v" * 66000),
    45: get("/write/str", "Connection: keep-alive, close"),
    46: get("/write/str", "Connection: close") + get("/dump"),
    47: post("/write/str", b"abc", "Expect: 100-Continue"),
    48: post("/write/str", b"abc", "Expect: 100-continue", version="1.0"),
    49: get("/write/str", *["X: 1"] * 1001),
}


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return harness.make_static(tmp_path_factory.mktemp("static"))


def make_comparison(static, subject):
    reference = harness.Subject("reference", harness.reference_command(), static)
    return Comparison(reference, harness.Subject("subject", subject, static))


@pytest.fixture(scope="module")
def comparison(static):
    made = make_comparison(static, harness.subject_command())
    yield made
    made.stop()
    assert made.reference.errors == made.subject.errors == ""


@pytest.fixture(scope="module")
def with_tornado(static):
    """Tornado in tornadoc's place."""
    made = make_comparison(static, harness.reference_command())
    yield made
    made.stop()


@pytest.fixture
def wrong(static, request):
    """Tornado with a fault in tornadoc's place."""
    made = make_comparison(static, [sys.executable, "-c", WRONG % FAULTS[request.param]])
    yield made
    made.stop()


def check(comparison, fuzzes):
    report = Report()
    comparison.run(fuzzes, report)
    for fuzz, problem in report.failures[:3]:
        print(problem, "\npython tests/differential/fuzz_main.py --replay", fuzz.name)
    assert [fuzz.name for fuzz, _ in report.failures] == []
    return report


def test_random_connections(comparison):
    report = check(comparison, [fuzz_cases.generate("suite", i) for i in range(CONNECTIONS)])
    assert report.connections == CONNECTIONS < report.requests


def test_random_handlers(comparison):
    check(comparison, [fuzz_programs.generate("program-suite", i) for i in range(PROGRAMS)])


@pytest.mark.parametrize("row", [pytest.param(row, id=str(row)) for row in ROWS])
def test_a_permitted_row_is_judged(comparison, with_tornado, row):
    fuzz = Fuzz("row %d" % row, "main", ROWS[row])
    assert row in judge(fuzz.data, "main").rows
    assert comparison.alone(fuzz) is None
    assert with_tornado.alone(fuzz) is not None


@pytest.mark.parametrize("wrong", FAULTS, indirect=True)
def test_a_wrong_server_is_noticed(wrong):
    closing = get("/write/str", "Connection: close")
    data = [post("/only-get", b"abc"), closing, get("/write/str")]
    report = Report()
    wrong.run([Fuzz("case %d" % i, "main", d) for i, d in enumerate(data)], report)
    assert report.failures and report.connections == 3


@pytest.mark.parametrize("wrong", ["crash"], indirect=True)
def test_a_crash_is_told_and_the_rest_goes_on(wrong):
    report = Report()
    wrong.run([Fuzz("fatal", "main", get("/write/str")), Fuzz("harmless", "main", b"BAD\r\n\r\n")], report)
    ((fuzz, problem),) = report.failures
    assert fuzz.name == "fatal" and "exit status 3" in problem


def test_outcomes_of_a_batch_are_those_of_its_cases_alone(comparison):
    fuzzes = [Fuzz(str(i), "main", get("/dump/%d" % i) + get("/nosuch/%d" % i)) for i in range(30)]
    comparison.reference.start()
    batch = Batch(comparison.reference, [fuzz.case() for fuzz in fuzzes])
    outcomes = batch.run()
    assert batch.unclaimed == []
    for i, outcome in enumerate(outcomes):
        assert b"path='/dump/%d'" % i in outcome.data
        assert ["/%s/%d" % (name, i) in r["message"] for name, r in zip(("dump", "nosuch"), outcome.records)] == [True, True]


def test_generators_are_repeatable():
    for module, seed in ((fuzz_cases, "x"), (fuzz_programs, "program-x")):
        first = [repr(module.generate(seed, i)) for i in range(50)]
        assert first == [repr(module.generate(seed, i)) for i in range(50)]
        assert len(set(first)) == 50
        assert all(eval(text, {"Fuzz": Fuzz}).data for text in first)


def test_every_class_of_input_occurs():
    seen = set().union(*(fuzz_cases.generate("suite", i).tags for i in range(1500)))
    assert seen == fuzz_cases.CLASSES


def test_every_step_of_handlers_occurs():
    seen = set().union(*(fuzz_programs.generate("program-suite", i).tags for i in range(600)))
    assert seen >= fuzz_programs.CLASSES


def test_every_row_occurs():
    rows = set().union(*(Pair(fuzz_cases.generate("suite", i)).rows for i in range(3000)))
    assert rows >= {*ROWS, "request before the end"}


def test_most_requests_are_not_rewritten():
    """What no row covers reaches Tornado as it is."""
    fuzzes = [fuzz_cases.generate("suite", i) for i in range(1000)]
    changed = [fuzz for fuzz in fuzzes if judge(fuzz.data, fuzz.server).data != fuzz.data]
    assert len(changed) < 250
    for data in (get("/dump"), post("/dump", b"abc") + get("/x"), b"\r\n" + get("/"), chunked("/dump", b"abc"), BAD_REQUEST, b""):
        assert judge(data, "main").data == data and not judge(data, "main").rows


def test_judging_twice_changes_nothing_more():
    for i in range(500):
        fuzz = fuzz_cases.generate("suite", i)
        once = judge(fuzz.data, fuzz.server)
        if not once.too_large and not once.refused:
            assert judge(once.data, fuzz.server).data == once.data, fuzz.name


def test_shrinking_finds_the_cause():
    data = get("/a", "X-A: b") + get("/b", "Bad: line", "X-C: d") + get("/c")
    small = Shrinker(lambda fuzz: b"Bad:" in fuzz.data).shrink(Fuzz("x", "gzip", data, range(9, 60, 7), "close"))
    assert (small.data, small.cuts, small.server) == (b"Bad:", (), "main")


def test_shrinking_keeps_programs_whole():
    program = {"method": [["status", 204], ["write", "a"], ["flush"]], "prepare": [["show"]]}
    data = get("/program", "X-Program: " + json.dumps(program), "X-A: b")
    small = Shrinker(lambda fuzz: b'["write", "a"]' in fuzz.data).shrink(Fuzz("x", "main", data))
    assert b'X-Program: {"method": [["write", "a"]]}' in small.data and b"X-A" not in small.data


def test_command_line(capsys):
    arguments = ["--requests", "60", "--seed", "cli"]
    assert fuzz_main.main(arguments) == 0
    assert fuzz_main.main(["--replay", repr(fuzz_cases.generate("cli", 4))]) == 0
    text = capsys.readouterr().out
    assert "0 differences" in text and "permitted differences, by row:" in text and "no difference" in text
