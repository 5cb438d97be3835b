"""The events that a suite's processes wrote, as one run: outcomes by name, and whether tornadoc was active."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterable
from typing import Any

#: What a test is called that began and did not end, or is missing on one side.
NOT_RUN = "not run"
#: Outcomes that say that something is wrong.
BAD = ("failed", "xpassed", NOT_RUN)


@dataclasses.dataclass
class Run:
    """One run of a suite."""

    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    details: dict[str, str] = dataclasses.field(default_factory=dict)
    #: What the processes that ran tests said in the end.
    ends: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    #: The other processes that used Tornado and came to their end.
    children: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    #: Sockets that native servers listened on, in the processes of the tests and in those that these have forked.
    sockets: int = 0
    seconds: float = 0.0
    #: Why it did not come to its end, if so.
    broken: str = ""

    def outcome(self, name: str) -> str:
        return self.outcomes.get(name, NOT_RUN)

    def count(self, *outcomes: str) -> int:
        return sum(1 for outcome in self.outcomes.values() if outcome in outcomes)

    def loops(self) -> int:
        """The native loops that were made."""
        return sum(end.get("loops", 0) for end in self.ends)

    def active(self, serves: bool) -> str:
        """Was tornadoc in use in all processes that ran tests? "yes", or why not, as they measured it themselves."""
        if not self.ends:
            return "unknown: no process of the tests came to its end"
        if not all(end.get("tornadoc") for end in self.ends):
            return "no: inactive"
        if not all(end.get("in_front") for end in self.ends):
            return "no: not installed"
        if serves and not self.sockets:
            return "no: its HTTPServer listened to nothing"
        if not serves and not self.loops():
            return "no: no loop of its own was made"
        return "yes"

    def children_of_tests(self) -> list[dict[str, Any]]:
        """The child processes that were started anew: a forked one is as its parent."""
        own = {end["pid"] for end in self.ends}
        return [child for child in self.children if child["process"] not in own and not child["forked"]]

    def inactive(self) -> bool:
        """Was tornadoc absent from all of them?"""
        return not any(process.get("in_front") or process.get("tornadoc") for process in [*self.ends, *self.children])


def read(path: pathlib.Path) -> Run:
    """The run that a report tells of; an empty one if there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return collect(json.loads(line) for line in lines)


def collect(events: Iterable[dict[str, Any]]) -> Run:
    run = Run()
    running: set[str] = set()
    for event in events:
        if "start" in event:
            running.add(event["start"])
        elif "end" in event:
            name = event["end"]
            running.discard(name)
            run.outcomes[name] = event["outcome"]
            if event["detail"]:
                run.details[name] = event["detail"]
        elif "done" in event:
            run.ends.append(event)
        elif "listens" in event:
            run.sockets += 1
        elif "process" in event:
            run.children.append(event)
    for name in running:
        run.outcomes[name] = NOT_RUN
        run.details[name] = "the process ended in it"
    return run
