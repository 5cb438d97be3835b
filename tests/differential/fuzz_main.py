"""Sends random connections to Tornado and to tornadoc and reports each difference that no rule permits.

    python fuzz_main.py [--requests 50000] [--seed 1] [--programs] [--shrink 60]
    python fuzz_main.py --replay 'Fuzz(...)'     the one that a report printed
    python fuzz_main.py --replay SEED:NUMBER     the one that the generator makes

The exit status is 1 if there was a difference, a crash or output on a server's stderr.
"""

import argparse
import collections
import itertools
import sys
import tempfile
import time

import fuzz_cases
import fuzz_programs
import harness
from fuzz_cases import Fuzz
from fuzz_compare import Comparison, Pair, Report
from fuzz_shrink import Shrinker


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=50000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--programs", action="store_true", help="random handlers instead of random requests")
    parser.add_argument("--shrink", type=float, default=60, metavar="SECONDS", help="at most, for one difference")
    parser.add_argument("--most", type=int, default=20, help="differences after which it stops")
    parser.add_argument("--replay", metavar="CASE")
    return parser.parse_args(arguments)


def make_comparison(directory):
    static = harness.make_static(directory)
    return Comparison(
        harness.Subject("reference", harness.reference_command(), static),
        harness.Subject("subject", harness.subject_command(), static),
    )


def recalled(text):
    """The connection that --replay names."""
    if text.startswith("Fuzz("):
        return eval(text, {"Fuzz": Fuzz})
    seed, _, number = text.rpartition(":")
    if seed.startswith("program-"):
        return fuzz_programs.generate(seed, number)
    return fuzz_cases.generate(seed, number)


def show(fuzz, problem):
    rows = ", ".join(str(row) for row in sorted(Pair(fuzz).rows, key=str))
    print("=" * 100)
    print(problem)
    print("rows applied: %s" % (rows or "none"))
    print("python tests/differential/fuzz_main.py --replay %s" % quoted(repr(fuzz)), flush=True)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def replay(comparison, text):
    fuzz = recalled(text)
    problem = comparison.alone(fuzz)
    if problem:
        show(fuzz, problem)
    else:
        print("no difference")
    return 1 if problem else 0


class Run:
    """Takes connections until the budget of requests is spent, and tells how far it is."""

    def __init__(self, comparison, options):
        self.comparison = comparison
        self.options = options
        self.report = Report()
        self.seen = collections.Counter()
        self.last = time.monotonic()

    def fuzzes(self):
        prefix = "program-" if self.options.programs else ""
        generate = fuzz_programs.generate if self.options.programs else fuzz_cases.generate
        planned = 0
        for number in itertools.count():
            if planned >= self.options.requests or len(self.report.failures) >= self.options.most:
                return
            fuzz = generate(prefix + self.options.seed, number)
            planned += fuzz.count
            yield fuzz
            if time.monotonic() > self.last + 5:
                self.progress()

    def progress(self):
        self.last = time.monotonic()
        report = self.report
        seconds = self.last - report.started
        print(
            "%7d requests on %d connections, %d differences, %.0f s"
            % (report.requests, report.connections, len(report.failures), seconds),
            flush=True,
        )

    def failed(self, fuzz, problem):
        smaller = Shrinker(self.comparison.alone, self.options.shrink).shrink(fuzz)
        show(smaller, self.comparison.alone(smaller) or problem)
        if smaller.data != fuzz.data:
            print("shrunk from %s" % fuzz.name, flush=True)

    def run(self):
        self.comparison.run(self.fuzzes(), self.report, on_failure=self.failed)
        self.progress()
        report = self.report
        rows = sorted(report.rows.items(), key=lambda item: (isinstance(item[0], str), item[0]))
        print("permitted differences, by row: " + ", ".join("%s x %d" % pair for pair in rows))
        print("classes of input: %d; gone when sent alone: %d" % (len(report.tags), len(report.unconfirmed)))
        for fuzz in report.unconfirmed[:5]:
            print("  --replay %s" % fuzz.name)
        return 1 if report.failures else 0


def main(arguments):
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as directory:
        comparison = make_comparison(directory)
        try:
            status = replay(comparison, options.replay) if options.replay else Run(comparison, options).run()
        finally:
            codes = [side.stop() for side in (comparison.reference, comparison.subject)]
        for side, code in zip((comparison.reference, comparison.subject), codes):
            if code not in (0, None) or side.errors:
                print("%s: exit status %s\n%s" % (side.name, code, side.errors[-5000:]))
                status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
