"""What the benchmarks of loops and of streams share: lines, that is kinds of work, each done by several contestants in
interleaved rounds, every sample in a fresh process; from the samples medians, ratios, tables, files and a picture."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import environment, plot, report
from benchmarks.plot import Bar
from benchmarks.rounds import interleaved, progress
from benchmarks.servers import HERE, BenchmarkError, Launcher, Server
from benchmarks.session import between, choose_cores, find_python, names_of

SCHEMA = 1
PLOT_COLUMNS = 3


@dataclass(frozen=True)
class Group:
    """Lines with the same contestants, which share a table."""

    title: str
    lines: Mapping[str, str]
    """Names, and what one operation is."""
    contestants: Mapping[str, Server]
    bases: tuple[str, ...]
    """The contestants to which all are compared."""


@dataclass(frozen=True)
class Program:
    """One benchmark program: what it measures, and the words for it."""

    name: str
    """Its module, and the name of its files."""
    description: str
    groups: tuple[Group, ...]
    noun: str
    """What a contestant is: its column, and in the plural its option."""
    operation: str
    unit: str
    """Of CPU time for an operation: ns or us."""
    rounds: int
    seconds: tuple[float, float]
    """How long a sample is measured: usually, and with --quick."""
    loaded: bool
    """Whether a client of its own loads the contestant: there is then a rate to report, and a client's core."""

    @property
    def contestants(self) -> list[str]:
        return list(dict.fromkeys(name for group in self.groups for name in group.contestants))

    @property
    def lines(self) -> list[str]:
        return [name for group in self.groups for name in group.lines]


@dataclass(frozen=True)
class Measured:
    """What a measurement returns."""

    operations: float
    seconds: float
    cpu_seconds: float
    identity: str
    """The classes that did the work, by the contestant's own word."""
    busy: float = 1.0
    """The part of the interval that the contestant was running, 0 to 1 on one core."""


@dataclass(frozen=True)
class Sample:
    """One contestant on one line in one round."""

    round: int
    line: str
    contestant: str
    operations: float
    seconds: float
    cpu_ns: float
    """CPU for each operation, user and system."""
    wall_ns: float
    busy: float
    identity: str


@dataclass
class Bench:
    """A run: its options, its launcher and cores, and what was noticed on the way."""

    options: argparse.Namespace
    launcher: Launcher
    client_core: int
    notes: list[str]
    skipped: dict[str, str]


Measure = Callable[[Bench, Server, str], Measured]


def parse_arguments(program: Program, argv: list[str], add: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"benchmarks.{program.name}", description=program.description)
    for option, known in ((f"{program.noun}s", program.contestants), ("lines", program.lines)):
        parser.add_argument(
            f"--{option}",
            dest="contestants" if option != "lines" else option,
            type=names_of(known),
            default=known,
            metavar="A,B",
            help=f"among {', '.join(known)} (default: all that can run)",
        )
    parser.add_argument("--rounds", type=between(1, 100), help=f"default {program.rounds}, with --quick 1")
    usual, quick = program.seconds
    parser.add_argument(
        "--seconds",
        type=between(0.01, 60.0),
        help=f"measured time of a sample, default {usual:g}, with --quick {quick:g}",
    )
    parser.add_argument("--python", default=sys.executable, metavar="PROGRAM", help="the interpreter that is measured")
    parser.add_argument("--quick", action="store_true", help=f"short samples, and latest-{program.name}.* are left alone")
    parser.add_argument("--output", type=Path, default=HERE / "results", metavar="FOLDER")
    add(parser)
    options = parser.parse_args(argv)
    if options.rounds is None:
        options.rounds = 1 if options.quick else program.rounds
    if options.seconds is None:
        options.seconds = quick if options.quick else usual
    return options


def available(bench: Bench, contestants: Iterable[Server]) -> list[Server]:
    found = []
    for contestant in contestants:
        reason = bench.launcher.unavailable(contestant)
        if reason:
            if bench.skipped.setdefault(contestant.name, reason) is reason:
                print(f"skipped {contestant.name}: {reason}", file=sys.stderr)
        else:
            found.append(contestant)
    return found


def run_group(bench: Bench, group: Group, measure: Measure) -> list[Sample]:
    lines = [name for name in bench.options.lines if name in group.lines]
    wanted = [contestant for name, contestant in group.contestants.items() if name in bench.options.contestants]
    contestants = available(bench, wanted) if lines else []
    if not contestants:
        return []
    samples, failed = [], set()
    order = interleaved(bench.options.rounds, lines, contestants)
    with progress(len(order)) as shown:
        for number, line, contestant in order:
            shown.step(f"round {number + 1}  {line}  {contestant.name}")
            if (line, contestant.name) in failed:
                continue
            try:
                found = measure(bench, contestant, line)
            except BenchmarkError as error:
                # The rest of a long run is not lost with it; the exit status tells.
                failed.add((line, contestant.name))
                print(f"{line}: {contestant.name}: {error}", file=sys.stderr)
                # Of a traceback the last line: the others name files of this machine.
                bench.notes.append(f"failed: {line}: {contestant.name}: {str(error).splitlines()[-1]}")
                continue
            samples.append(sample_of(number, line, contestant.name, found))
    rank = {contestant.name: i for i, contestant in enumerate(wanted)}
    samples.sort(key=lambda s: (s.round, lines.index(s.line), rank[s.contestant]))
    return samples


def sample_of(number: int, line: str, contestant: str, found: Measured) -> Sample:
    return Sample(
        round=number,
        line=line,
        contestant=contestant,
        operations=found.operations,
        seconds=found.seconds,
        cpu_ns=found.cpu_seconds * 1e9 / found.operations,
        wall_ns=found.seconds * 1e9 / found.operations,
        busy=found.busy,
        identity=found.identity,
    )


def summarize(samples: Iterable[Sample], bases: Iterable[str]) -> list[dict[str, Any]]:
    """Medians over the rounds for each line and contestant.  A ratio is taken within each round, where both met the same
    machine, and the median of those is reported."""
    rounds: dict[tuple[str, str], dict[int, Sample]] = {}
    for sample in samples:
        rounds.setdefault((sample.line, sample.contestant), {})[sample.round] = sample
    rows = []
    for (line, contestant), mine in rounds.items():
        cpu = [sample.cpu_ns for sample in mine.values()]
        row: dict[str, Any] = {"line": line, "contestant": contestant, "rounds": len(mine)}
        row |= {name: report.median(getattr(s, name) for s in mine.values()) for name in ("cpu_ns", "wall_ns", "busy")}
        row["cpu_ns_min"], row["cpu_ns_max"] = min(cpu), max(cpu)
        row["cpu_vs"] = {base: report.ratio(mine, rounds.get((line, base)), lambda a, b: a.cpu_ns / b.cpu_ns) for base in bases}
        rows.append(row)
    return rows


def impostors(program: Program, samples: Iterable[Sample]) -> list[str]:
    """Rows that are not what their name says: another loop ran, or another stream class."""
    found = {}
    for sample in samples:
        contestant = next(group.contestants[sample.contestant] for group in program.groups if sample.line in group.lines)
        packages = " ".join(name.partition(".")[0] for name in sample.identity.split())
        if packages != contestant.identity:
            found[sample.line, sample.contestant] = f"{sample.line}: {sample.contestant}: {sample.identity} did the work"
    return list(found.values())


def run(program: Program, measure: Measure, bench: Bench, argv: list[str]) -> dict[str, Any]:
    """Runs everything and returns the result as it is written to the JSON file."""
    options = bench.options
    described = environment.describe(bench.launcher)
    groups, everything = [], []
    for group in program.groups:
        samples = run_group(bench, group, measure)
        if samples:
            groups.append({"title": group.title, "bases": group.bases, "summary": summarize(samples, group.bases)})
        everything += samples
    if not everything:
        skipped = [f"{name}: {why}" for name, why in bench.skipped.items()]
        raise BenchmarkError("; ".join(["nothing could be measured", *skipped, *bench.notes]))
    settings = {
        name: value for name, value in vars(options).items() if name not in ("contestants", "lines", "output", "python", "quick")
    }
    return {
        "schema": SCHEMA,
        "command": environment.published_command(f"benchmarks.{program.name}", argv),
        "environment": described,
        "settings": {**settings, "core": bench.launcher.server_core}
        | ({"client_core": bench.client_core} if program.loaded else {}),
        "lines": {name: title for group in program.groups for name, title in group.lines.items() if name in options.lines},
        "skipped": bench.skipped,
        "notes": bench.notes + impostors(program, everything),
        "groups": groups,
        "samples": [asdict(sample) for sample in everything],
    }


def costs(program: Program, row: dict[str, Any]) -> list[float]:
    """CPU for an operation in the program's unit: median, least and most."""
    scale = {"ns": 1, "us": 1000}[program.unit]
    return [row[name] / scale for name in ("cpu_ns", "cpu_ns_min", "cpu_ns_max")]


def columns(program: Program, group: dict[str, Any]) -> list[str]:
    speed = f"{program.operation}s/s" if program.loaded else f"wall {program.unit}"
    names = ["line", program.noun, f"CPU {program.unit}/{program.operation}", speed]
    return names + [f"CPU : {base}" for base in group["bases"]]


def cells(program: Program, row: dict[str, Any], repeated: bool) -> list[str]:
    median, least, most = costs(program, row)
    cost = f"{median:,.1f}" + (f" ({least:,.1f}-{most:,.1f})" if row["rounds"] > 1 else "")
    if program.loaded:
        speed = f"{1e9 / row['wall_ns']:,.0f}" + (" *" if row["busy"] < report.CLIENT_BOUND else "")
    else:
        speed = f"{row['wall_ns']:,.1f}"
    ratios = ["" if ratio is None else f"{ratio:.2f}x" for ratio in row["cpu_vs"].values()]
    return ["" if repeated else row["line"], row["contestant"], cost, speed, *ratios]


def table(program: Program, group: dict[str, Any]) -> list[list[str]]:
    rows = group["summary"]
    return [cells(program, row, i > 0 and rows[i - 1]["line"] == row["line"]) for i, row in enumerate(rows)]


def remarks(program: Program, result: dict[str, Any]) -> list[str]:
    found = [f"skipped {name}: {why}" for name, why in result["skipped"].items()] + result["notes"]
    if program.loaded and any(row["busy"] < report.CLIENT_BOUND for group in result["groups"] for row in group["summary"]):
        found.append("* the server was not always busy: its client or the machine set this rate; compare CPU")
    return found


def markdown(program: Program, result: dict[str, Any]) -> str:
    parts = [report.heading(result)]
    for group in result["groups"]:
        parts.append(f"### {group['title']}\n\n{report.markdown_table(columns(program, group), table(program, group), 2)}")
    if remarks(program, result):
        parts.append("".join(f"- {remark.lstrip('* ')}\n" for remark in remarks(program, result)))
    parts.append("".join(f"- {name}: {title}\n" for name, title in result["lines"].items()))
    return "\n".join(parts)


def draw(program: Program, result: dict[str, Any], path: Path) -> bool:
    panels: dict[str, list[Bar]] = {}
    for group in result["groups"]:
        for row in group["summary"]:
            median, least, most = costs(program, row)
            text = f"{median:,.0f}" if median >= 100 else f"{median:.1f}"
            panels.setdefault(row["line"], []).append(Bar(row["contestant"], median, least, most, text))
    title = f"CPU per {program.operation}, {program.unit} (less is better)"
    return plot.draw_panels(result, title, panels, path, PLOT_COLUMNS)


def save(program: Program, result: dict[str, Any], options: argparse.Namespace) -> Path:
    stem = f"{program.name}-" + time.strftime("%Y%m%d-%H%M%S")
    path = report.save(result, markdown(program, result), options.output, stem)
    if not draw(program, result, path.with_suffix(".png")):
        print("no plot: matplotlib is not installed", file=sys.stderr)
    if not options.quick:
        report.publish(path, f"latest-{program.name}")
    return path


def main(
    program: Program,
    argv: list[str] | None,
    measure: Measure,
    *,
    add: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    prepare: Callable[[Bench], None] = lambda bench: None,
) -> int:
    """The command line of a program: `add` adds its own options, `prepare` runs before the first sample."""
    argv = sys.argv[1:] if argv is None else argv
    options = parse_arguments(program, argv, add)
    core, client_core, notes = choose_cores()
    try:
        bench = Bench(options, Launcher(find_python(options.python), core), client_core, notes if program.loaded else [], {})
        prepare(bench)
        result = run(program, measure, bench, argv)
    except BenchmarkError as error:
        print(f"{program.name}: {error}", file=sys.stderr)
        return 1
    path = save(program, result, options)
    for group in result["groups"]:
        report.print_table(group["title"], columns(program, group), table(program, group), 2)
    for remark in remarks(program, result):
        print(remark)
    print(f"\nwritten: {path} (and .md, .png)")
    return 1 if any(note.startswith("failed: ") for note in result["notes"]) else 0
