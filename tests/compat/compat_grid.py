"""The grid of `make compat`, as text and as Markdown."""

from __future__ import annotations

import dataclasses
from typing import Any

from compat_compare import Comparison


@dataclasses.dataclass
class Row:
    """What the grid tells of an application, or of one of its levels."""

    name: str
    version: str
    #: Of Tornado and of Python.
    tornado: str
    python: str
    date: str
    #: "yes", or why not, as measured in the processes of the tests.
    active: str
    comparison: Comparison
    #: Tests that newly fail, and why they have to; they don't count.
    excluded: dict[str, str] = dataclasses.field(default_factory=dict)
    #: Processes that the tests started and that used Tornado; those of them that had tornadoc in front of it.
    children: int = 0
    children_active: int = 0
    note: str = ""
    #: Why there are no results, or not all.
    broken: str = ""

    def is_well(self) -> bool:
        return not self.comparison.newly_failing and not self.broken and self.active == "yes"

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def from_json(stored: dict[str, Any]) -> Row:
    return Row(**{**stored, "comparison": Comparison(**stored["comparison"])})


HEADINGS = ("application", "version", "tests", "same result", "fail on both", "newly failing", "newly passing", "tornadoc active")


def cells(row: Row) -> tuple[str, ...]:
    made = row.comparison
    # Those that fail with Tornado alone and no longer with tornadoc are in a column of their own.
    both = made.failing - len(made.newly_passing)
    return (
        f"{row.name} ({row.note})" if row.note else row.name,
        row.version,
        str(made.tests),
        str(made.same),
        str(both),
        str(len(made.newly_failing)) + (f" (and {len(row.excluded)} excluded)" if row.excluded else ""),
        str(len(made.newly_passing)),
        row.active + (f", and in {row.children_active} of {row.children} child processes" if row.children else ""),
    )


def remarks(row: Row, most: int | None = None) -> list[str]:
    """A line for each test of interest and each thing that is wrong. Of more than `most` unsteady tests the number."""
    made = row.comparison
    lines = [f"NEWLY FAILING {name}" for name in made.newly_failing]
    lines += [f"newly failing, and excluded, {name}: {reason}" for name, reason in row.excluded.items()]
    lines += [f"newly passing {name}" for name in made.newly_passing]
    unsteady = made.unsteady if most is None or len(made.unsteady) <= most else [f"{len(made.unsteady)} tests"]
    lines += [f"differed, but not each time when run again on both sides: {name}" for name in unsteady]
    if row.broken:
        lines.append(f"INCOMPLETE {row.broken}")
    if row.active != "yes":
        lines.append(f"NOT ACTIVE {row.active}")
    return lines


def text(rows: list[Row]) -> str:
    """The grid for a terminal, and below it the tests by name."""
    table = [HEADINGS, *map(cells, rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADINGS))]
    lines = []
    for line in table:
        # Numbers stand at the right.
        aligned = [
            cell.rjust(width) if 2 <= column <= 6 else cell.ljust(width) for column, (cell, width) in enumerate(zip(line, widths))
        ]
        lines.append("  ".join(aligned).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    for row in rows:
        lines += ["", f"{row.name} {row.version}:", *("    " + remark for remark in remarks(row))] if remarks(row) else []
    return "\n".join(lines)


def markdown(rows: list[Row]) -> str:
    """The same for a README."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---|" + "---:|" * 5 + "---|"]
    for row in rows:
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row)) + " |")
    # What several rows have in common is said once.
    said: dict[str, list[str]] = {}
    for row in rows:
        for remark in remarks(row, most=3):
            said.setdefault(remark, []).append(row.name)
    if said:
        lines += ["", *(f"- {'; '.join(names)}: {remark}" for remark, names in said.items())]
    if rows:
        versions = sorted({f"Tornado {row.tornado}, CPython {row.python}" for row in rows})
        lines += ["", f"{'; '.join(versions)}; {max(row.date for row in rows)}."]
    return "\n".join(lines)
