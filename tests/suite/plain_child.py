"""Runs a module of tests as it is and reports as the other children do: what the runner makes of it is tested with this."""

from __future__ import annotations

import argparse
import unittest

import suite_recording

parser = argparse.ArgumentParser()
parser.add_argument("--report", required=True)
parser.add_argument("--limit", type=float, required=True)
parser.add_argument("--skip", action="append", default=[])
parser.add_argument("module")
options = parser.parse_args()

recorder = suite_recording.Recorder(options.report, options.module + ".", options.limit)
recorder.watch_stray_exceptions()
tests = suite_recording.flatten(unittest.defaultTestLoader.loadTestsFromName(options.module))
suite = unittest.TestSuite(recorder.select(tests, "*", options.skip))
unittest.TextTestRunner(resultclass=suite_recording.result_class(unittest.TextTestResult, recorder), verbosity=0).run(suite)
recorder.done()
