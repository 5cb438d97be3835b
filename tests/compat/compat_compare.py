"""Compares two runs of a suite, test by test, and tells a difference that stays from one that comes and goes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from compat_events import BAD, NOT_RUN, Run

#: How often a test with another result runs again, on both sides.
AGAIN = 3

#: Runs some tests again on both sides, Tornado alone and tornadoc. The second argument: with the garbage collector held off.
Rerun = Callable[[list[str], bool], tuple[Run, Run]]


@dataclasses.dataclass
class Comparison:
    """What the grid tells of an application."""

    tests: int
    same: int
    #: That fail with Tornado alone.
    failing: int
    newly_failing: list[str]
    newly_passing: list[str]
    #: Whose results differed at first, and not each time that they ran again.
    unsteady: list[str]
    #: How often tests ran again.
    reruns: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def is_worse(alone: str, ours: str) -> bool:
    """A test that is only skipped with tornadoc tells nothing any more, and counts as worse."""
    return alone not in BAD and (ours in BAD or (alone == "passed" and ours == "skipped"))


def is_better(alone: str, ours: str) -> bool:
    return is_worse(ours, alone)


def names(alone: Run, ours: Run) -> list[str]:
    """All tests, in the order in which they ran."""
    return list({**alone.outcomes, **ours.outcomes})


def select(test: Callable[[str, str], bool], alone: Run, ours: Run, among: list[str]) -> list[str]:
    return [name for name in among if test(alone.outcome(name), ours.outcome(name))]


def compare(alone: Run, ours: Run, rerun: Rerun, again: int = AGAIN) -> Comparison:
    """Compare Tornado alone with tornadoc.

    A test is newly failing, or newly passing, if it is in the first run and in `again` further ones. The others whose results
    differ are unsteady: such a test has failed on both sides, or passed on both, at some time.

    The last time the garbage collector runs between tests only. Else the results of tests that look at warnings of destructors
    tell how many objects were made since it ran, which has to differ.
    """
    everything = names(alone, ours)
    worse = select(is_worse, alone, ours, everything)
    better = select(is_better, alone, ours, everything)
    differing = worse + better
    reruns = 0
    while reruns < again and (worse or better):
        reruns += 1
        alone_again, ours_again = rerun(worse + better, reruns == again)
        worse = select(is_worse, alone_again, ours_again, worse)
        better = select(is_better, alone_again, ours_again, better)
    return Comparison(
        tests=len(everything),
        same=sum(1 for name in everything if alone.outcome(name) == ours.outcome(name)),
        failing=alone.count("failed", "xpassed", NOT_RUN),
        newly_failing=worse,
        newly_passing=better,
        unsteady=[name for name in differing if name not in worse and name not in better],
        reruns=reruns,
    )
