"""The log as stock handlers and formatters write it: the same lines in the same order, times and line numbers aside."""

import re

import harness
import pytest
from cases import BY_NAME

CASES = ["write_str", "write_str_head", "route_none", "route_arg_bad_utf8", "raises_value", "raises_logged", "raises_percent",
         "raises_after_flush", "pipeline_50", "pipeline_errors", "pipeline_slow", "header_nul", "xheaders_real",
         "multipart_no_name",
         "method_post", "method_head", "keep_10_close", "status_599", "etag_auto_star", "prepare_error", "class_hooks_x",
         "instance__request_summary", "instance_get_status", "logged_dump", "overriding_dump", "stream_data_raise",
         "query_raw_high", "route_arg_newline", "length_text", "line_quote_target", "method_options", "unix_dump"]  # fmt: skip
RULES = [
    (re.compile(r"\d+\.\d\dms$"), "TIMEms"),
    (re.compile(r"^\[([A-Z]) \d{6} \d\d:\d\d:\d\d ([^:\]]+):\d+\]"), r"[\1 TIME \2]"),
]


def lines(outcome):
    """The lines without the frames of tracebacks."""
    result = []
    for record in outcome.records:
        text = record["message"]
        if (text.startswith("    ") and not re.search(r"HTTPServerRequest\(", text)) or re.match(r" *File ", text):
            continue
        for pattern, word in RULES:
            text = pattern.sub(word, text)
        result.append(text)
    return result


@pytest.fixture(scope="module", params=["stock", "pretty"])
def pair(request, tmp_path_factory):
    static = harness.make_static(tmp_path_factory.mktemp("static"))
    sides = [
        harness.Subject("reference", harness.reference_command(), static, [request.param]),
        harness.Subject("subject", harness.subject_command(), static, [request.param]),
    ]
    yield sides
    for side in sides:
        side.stop()


@pytest.mark.parametrize("name", CASES)
def test_stock_log(pair, name):
    reference, subject = (side.run(BY_NAME[name], "whole") for side in pair)
    assert subject.trouble is None and reference.trouble is None
    if lines(reference) != lines(subject):
        pytest.fail("\n" + harness.side_by_side(lines(reference), lines(subject), ("reference", "subject")), pytrace=False)
