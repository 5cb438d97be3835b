"""``python explore.py PATTERN [MODE]`` prints what the reference and the subject give for the cases whose name matches."""

import re
import sys
import tempfile

import harness
from cases import CASES


def main(pattern, mode="whole"):
    with tempfile.TemporaryDirectory() as directory:
        static = harness.make_static(directory)
        sides = [harness.Subject("reference", harness.reference_command(), static)]
        if harness.subject_command() != harness.reference_command():
            sides.append(harness.Subject("subject", harness.subject_command(), static))
        for case in CASES:
            if not re.search(pattern, case.name) or mode not in case.modes:
                continue
            print("==== %s on %s" % (case.name, case.server))
            for step in case.steps:
                print("   >", repr(step)[:1000])
            for side in sides:
                outcome = side.run(case, mode)
                print("---- %s: closed=%s %s" % (side.name, outcome.closed, outcome.trouble or ""))
                for line in harness.show(harness.normal_bytes(outcome.data)):
                    print("   <", line)
                for record in harness.normal_records(outcome.records):
                    print("   #", record)
        for side in sides:
            side.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
