"""Every case, sent in every mode to Tornado and to tornadoc: the same bytes, the same close, the same log."""

import harness
import pytest
import tornado
from cases import CASES

if tornado.version_info < (6, 6):
    pytest.skip("tornadoc follows Tornado 6.6; this Python gets an earlier one", allow_module_level=True)


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    static = harness.make_static(tmp_path_factory.mktemp("static"))
    reference = harness.Subject("reference", harness.reference_command(), static)
    subject = harness.Subject("subject", harness.subject_command(), static)
    yield reference, subject
    reference.stop()
    subject.stop()


@pytest.mark.parametrize("case,mode", [pytest.param(c, m, id="%s-%s" % (c.name, m)) for c in CASES for m in c.modes])
def test_case(pair, case, mode):
    reference, subject = pair
    expected = reference.run(case, mode)
    got = subject.run(case, mode)
    if case.expect is not None and subject.command != reference.command:
        complaint = case.complaint(got)
        assert complaint is None, "case %s (%s): %s" % (case.name, case.row, complaint)
        return
    problem = harness.difference(case, expected, got)
    if problem:
        pytest.fail("\n" + problem, pytrace=False)
    if case.expect is not None:
        assert case.complaint(expected), (
            "case %s: Tornado answers as tornadoc must, so there is no difference to state" % case.name
        )


def test_processes(pair):
    """Neither process has written to stderr, and both end by themselves."""
    for side in pair:
        if side.process is None:
            continue
        assert side.stop() == 0, side.name
        assert side.errors == "", side.name
