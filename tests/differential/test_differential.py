"""Every case, sent in every mode to Tornado and to tornadoc: the same bytes, the same close, the same log."""

import zlib

import harness
import pytest
import tornado
from casebook.case import BAD_REQUEST
from cases import CASES

if tornado.version_info < (6, 6):
    pytest.skip("tornadoc follows Tornado 6.6; this Python gets an earlier one", allow_module_level=True)


def make_pair(tmp_path_factory, tls):
    static = harness.make_static(tmp_path_factory.mktemp("static"))
    reference = harness.Subject("reference", harness.reference_command(), static, tls=tls)
    subject = harness.Subject("subject", harness.subject_command(), static, tls=tls)
    yield reference, subject
    reference.stop()
    subject.stop()


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    yield from make_pair(tmp_path_factory, False)


@pytest.fixture(scope="session")
def tls_pair(tmp_path_factory):
    yield from make_pair(tmp_path_factory, True)


def check(pair, case, mode):
    reference, subject = pair
    expected = reference.run(case, mode)
    got = subject.run(case, mode)
    if case.expect is not None and subject.command != reference.command:
        complaint = case.complaint(got)
        assert complaint is None, "case %s (%s): %s" % (case.name, case.row, complaint)
        return
    if reference.tls and expected.closed and got.data == expected.data + BAD_REQUEST:
        # Tornado closes with input unread: its reset may overtake its answer. The logs show whether it was this one.
        expected.data = got.data
    problem = harness.difference(case, expected, got)
    if problem:
        pytest.fail("\n" + problem, pytrace=False)
    if case.expect is not None:
        assert case.complaint(expected), (
            "case %s: Tornado answers as tornadoc must, so there is no difference to state" % case.name
        )


@pytest.mark.parametrize("case,mode", [pytest.param(c, m, id="%s-%s" % (c.name, m)) for c in CASES for m in c.modes])
def test_case(pair, case, mode):
    check(pair, case, mode)


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES])
def test_case_over_tls(tls_pair, case):
    """In one mode, which the name chooses."""
    check(tls_pair, case, case.modes[zlib.crc32(case.name.encode()) % len(case.modes)])


def test_processes(pair, tls_pair):
    """None of the processes has written to stderr, and all end by themselves."""
    for side in (*pair, *tls_pair):
        if side.process is None:
            continue
        assert side.stop() == 0, side.name
        assert side.errors == "", side.name
