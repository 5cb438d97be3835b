"""The order of the samples, and a word about each while it runs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")
Contestant = TypeVar("Contestant")


def interleaved(rounds: int, rows: Iterable[Row], contestants: Sequence[Contestant]) -> list[tuple[int, Row, Contestant]]:
    """The contestants of one row follow each other closely, and each round starts with another, so that a slow minute of
    the machine meets all of them."""
    rows, contestants = list(rows), list(contestants)
    order = []
    for number in range(rounds):
        turn = number % len(contestants)
        for row in rows:
            order += [(number, row, contestant) for contestant in contestants[turn:] + contestants[:turn]]
    return order


class Progress:
    """Says what runs.  It draws between the measurements only: a refresh in the background would take the client's core."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.bar = total, 0, None
        try:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
        except ImportError:
            return
        if sys.stderr.isatty():
            from rich.console import Console

            columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Bar(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
            self.task = self.bar.add_task("", total=total)
            self.bar.start()

    def step(self, what: str) -> None:
        if self.bar:
            self.bar.update(self.task, description=what, completed=self.done, refresh=True)
        else:
            print(f"[{self.done + 1}/{self.total}] {what}", file=sys.stderr, flush=True)
        self.done += 1

    def close(self) -> None:
        if self.bar:
            self.bar.stop()


@contextlib.contextmanager
def progress(total: int) -> Iterator[Progress]:
    shown = Progress(total)
    try:
        yield shown
    finally:
        shown.close()
