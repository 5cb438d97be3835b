"""From samples to medians, tables and files."""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEDIANS = ("rps", "cpu_us", "system_share", "busy", "p50_us", "p99_us", "rss_peak_kib", "rss_kib")
CLIENT_BOUND = 0.95
UNLIMITED_WIDTH = 1000


@dataclass(frozen=True)
class Sample:
    """One server in one scenario in one round."""

    round: int
    server: str
    scenario: str
    requests: int
    seconds: float
    rps: float
    cpu_us: float
    """CPU microseconds of the server process for each completed request, user and system."""
    system_share: float
    """The part of that spent in the kernel, 0 to 1, from clock ticks: coarse in short runs."""
    busy: float
    """The part of the interval that the server was running, 0 to 1 on one core."""
    p50_us: float | None
    p99_us: float | None
    rss_peak_kib: int
    rss_kib: int
    errors: int


def summarize(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Medians over the rounds for each scenario and server, in the order of the samples.

    A ratio is taken within each round, where both servers met the same machine, and the median of those is reported."""
    rounds: dict[tuple[str, str], dict[int, Sample]] = {}
    for sample in samples:
        rounds.setdefault((sample.scenario, sample.server), {})[sample.round] = sample
    rows = []
    for (scenario, server), mine in rounds.items():
        row: dict[str, Any] = {"scenario": scenario, "server": server, "rounds": len(mine)}
        row |= {name: median(getattr(sample, name) for sample in mine.values()) for name in MEDIANS}
        costs = [sample.cpu_us for sample in mine.values()]
        row["cpu_us_min"], row["cpu_us_max"] = min(costs), max(costs)
        row["errors"] = sum(sample.errors for sample in mine.values())
        tornado, floor = rounds.get((scenario, "tornado")), rounds.get((scenario, "floor"))
        row["rps_vs_tornado"] = ratio(mine, tornado, lambda a, b: a.rps / b.rps)
        row["cpu_vs_tornado"] = ratio(mine, tornado, lambda a, b: a.cpu_us / b.cpu_us)
        row["cpu_vs_floor"] = ratio(mine, floor, lambda a, b: a.cpu_us / b.cpu_us)
        rows.append(row)
    return rows


def median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratio(mine: dict[int, Sample], other: dict[int, Sample] | None, of: Callable[[Sample, Sample], float]) -> float | None:
    return median(of(mine[number], other[number]) for number in mine if number in other) if other else None


COLUMNS = (
    "scenario",
    "server",
    "req/s",
    "CPU us/req",
    "p50 us",
    "p99 us",
    "peak MB",
    "end MB",
    "req/s : Tornado",
    "CPU : Tornado",
    "CPU : floor",
)


def cells(row: dict[str, Any], previous: dict[str, Any] | None) -> list[str]:
    def number(value: float | None, digits: int, unit: str = "") -> str:
        return "" if value is None else f"{value:,.{digits}f}{unit}"

    cost = f"{row['cpu_us']:.2f}"
    if row["rounds"] > 1:
        cost += f" ({row['cpu_us_min']:.1f}-{row['cpu_us_max']:.1f})"
    return [
        "" if previous and previous["scenario"] == row["scenario"] else row["scenario"],
        row["server"] + (" !" if row["errors"] else ""),
        f"{row['rps']:,.0f}" + (" *" if row["busy"] < CLIENT_BOUND else ""),
        cost,
        number(row["p50_us"], 0),
        number(row["p99_us"], 0),
        f"{row['rss_peak_kib'] / 1024:.1f}",
        f"{row['rss_kib'] / 1024:.1f}",
        number(row["rps_vs_tornado"], 2, "x"),
        number(row["cpu_vs_tornado"], 3, "x"),
        number(row["cpu_vs_floor"], 2, "x"),
    ]


def table_cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [cells(row, rows[i - 1] if i else None) for i, row in enumerate(rows)]


def footnotes(rows: list[dict[str, Any]]) -> list[str]:
    notes = []
    if any(row["busy"] < CLIENT_BOUND for row in rows):
        notes.append("* the server was not always busy: the client, not the server, set this rate; compare CPU per request")
    if any(row["errors"] for row in rows):
        notes.append("! some requests failed: see errors in the JSON")
    return notes


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[str]], left: int) -> str:
    """A Markdown table whose first `left` columns are text and the others numbers."""
    columns = list(columns)
    lines = [columns, ["---" if i < left else "---:" for i in range(len(columns))], *(list(row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], left: int) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(f"{title}\n\n{markdown_table(columns, rows, left)}")
        return
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    # In a narrow terminal, or a file, which counts as one, the lines are longer than the width: cut numbers are of no use.
    needed = console.measure(table, options=console.options.update(width=UNLIMITED_WIDTH)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def split_pipelined(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Pipelined rows show user-space cost alone and never stand beside the others."""
    return [r for r in rows if "pipelined" not in r["scenario"]], [r for r in rows if "pipelined" in r["scenario"]]


def sections(result: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    headline, pipelined = split_pipelined(result["summary"])
    named = (("One request at a time on each connection", headline), ("Pipelined (not comparable with the above)", pipelined))
    return [(title, rows) for title, rows in named if rows]


def remarks(result: dict[str, Any]) -> list[str]:
    skipped = [f"skipped {name}: {why}" for name, why in result["skipped"].items()]
    return [*skipped, *result["notes"], *footnotes(result["summary"])]


def show(result: dict[str, Any]) -> None:
    for title, rows in sections(result):
        print_table(title, COLUMNS, table_cells(rows), 2)
    for remark in remarks(result):
        print(remark)


def heading(result: dict[str, Any]) -> str:
    """Markdown: the command, the machine, the versions and the settings."""
    environment, settings = result["environment"], result["settings"]
    connections = f", {settings['connections']} connections" if "connections" in settings else ""
    return (
        f"`{result['command']}`\n\n"
        f"{environment['date']}, {environment['cpu']}, {environment['cores']} cores, {environment['kernel']}, "
        f"{environment['python']}, {environment['openssl']}, Tornado {environment['tornado']}, "
        f"tornadoc {environment['tornadoc']}, uvloop {environment['uvloop']}. "
        f"Medians of {settings['rounds']} rounds of {settings['seconds']:g} s{connections}.\n"
    )


def markdown(result: dict[str, Any]) -> str:
    parts = [heading(result)]
    for title, rows in sections(result):
        parts.append(f"### {title}\n\n{markdown_table(COLUMNS, table_cells(rows), 2)}")
    if remarks(result):
        parts.append("".join(f"- {remark.lstrip('* ')}\n" for remark in remarks(result)))
    return "\n".join(parts)


def save(result: dict[str, Any], text: str, folder: Path, stem: str) -> Path:
    """Writes the result as JSON and `text`, its Markdown; returns the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
    return path


def publish(path: Path, stem: str) -> None:
    """Copies the files of a result beside themselves, under the name by which the last full run is found."""
    for suffix in (".json", ".md", ".png"):
        # Without matplotlib there is no picture, and an older one must not stand beside newer numbers.
        path.with_name(stem + suffix).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(path.with_suffix(suffix), path.with_name(stem + suffix))
