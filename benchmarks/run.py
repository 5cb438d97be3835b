"""Compares the servers: requests per second, CPU per request, latency and memory, in interleaved rounds.

    python -m benchmarks
    python -m benchmarks --quick --servers tornado,tornadoc,floor --scenarios hello,post

The result goes to results/ as JSON, Markdown and PNG.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import environment, plot, procfs, report, wrk
from benchmarks.report import Sample
from benchmarks.rounds import interleaved, progress
from benchmarks.scenarios import SCENARIOS, Scenario, pipelined
from benchmarks.servers import HERE, BenchmarkError, Server
from benchmarks.session import Session, add_common_options, answers, names_of

SCHEMA = 1
# After wrk has gone the server still has its connections to close: that belongs to this sample, and takes a moment.
SETTLE_SECONDS = 0.05


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Compares servers side by side.")
    add_common_options(parser)
    parser.add_argument(
        "--scenarios",
        type=names_of(SCENARIOS),
        default=list(SCENARIOS),
        metavar="A,B",
        help=f"among {', '.join(SCENARIOS)} (default: all)",
    )
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="measured time of a sample, default 3, with --quick 1")
    parser.add_argument("--warmup", type=float, help="unmeasured load before it, default 0.5, with --quick 0.2")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument(
        "--pipeline", type=int, nargs="?", const=16, metavar="DEPTH", help="also hello pipelined, 16 deep unless said"
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, and latest.* are left alone")
    parser.add_argument("--output", type=Path, default=HERE / "results", metavar="FOLDER")
    options = parser.parse_args(argv)
    for name, usual, quick in (("rounds", 5, 2), ("seconds", 3.0, 1.0), ("warmup", 0.5, 0.2)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else usual)
    for name, least, most in (("rounds", 1, 100), ("seconds", 0.1, 60), ("warmup", 0, 10), ("connections", 1, 1000)):
        if not least <= getattr(options, name) <= most:
            parser.error(f"--{name} is from {least} to {most}")
    if options.pipeline is not None and not 2 <= options.pipeline <= 256:
        parser.error("--pipeline is from 2 to 256")
    return options


def measure(session: Session, server: Server, scenario: Scenario, number: int, options: argparse.Namespace) -> Sample:
    """One sample, in a process of its own: memory is then the scenario's, and no round inherits another's heap."""
    with session.launcher.start(server, scenario.tls) as running:
        port = running.port_of(scenario)
        if options.warmup:
            wrk.run(port, scenario, options.connections, options.warmup, session.client_core)
            time.sleep(SETTLE_SECONDS)
        before, started = procfs.cpu_time(running.pid), time.monotonic()
        load = wrk.run(port, scenario, options.connections, options.seconds, session.client_core)
        time.sleep(SETTLE_SECONDS)
        used, took = procfs.cpu_time(running.pid) - before, time.monotonic() - started
        peak, rss = procfs.memory_kib(running.pid)
    ticks = used.user + used.system
    return Sample(
        round=number,
        server=server.name,
        scenario=scenario.name,
        requests=load.requests,
        seconds=load.seconds,
        rps=load.requests / load.seconds,
        cpu_us=used.total * 1e6 / load.requests,
        system_share=used.system / ticks if ticks else 0.0,
        busy=min(used.total / min(load.seconds, took), 1.0),
        p50_us=load.p50_us,
        p99_us=load.p99_us,
        rss_peak_kib=peak,
        rss_kib=rss,
        errors=load.errors,
    )


def plan(session: Session, rounds: int) -> list[tuple[int, Scenario, Server]]:
    order = interleaved(rounds, session.scenarios, session.servers)
    return [(number, scenario, server) for number, scenario, server in order if answers(server, scenario)]


def run(options: argparse.Namespace, argv: list[str]) -> dict[str, Any]:
    """Runs everything and returns the result as it is written to the JSON file."""
    wrk.require()
    scenarios = [SCENARIOS[name] for name in options.scenarios]
    if options.pipeline:
        scenarios.append(pipelined(options.pipeline))
    with Session(options, scenarios) as session:
        described = environment.describe(session.launcher)
        order = plan(session, options.rounds)
        samples = []
        with progress(len(order)) as shown:
            for number, scenario, server in order:
                shown.step(f"round {number + 1}  {scenario.name}  {server.name}")
                samples.append(measure(session, server, scenario, number, options))
        rank = {server.name: i for i, server in enumerate(session.servers)}
        places = {scenario.name: i for i, scenario in enumerate(session.scenarios)}
        samples.sort(key=lambda s: (s.round, places[s.scenario], rank[s.server]))
        return {
            "schema": SCHEMA,
            "command": environment.published_command("benchmarks", argv),
            "environment": described,
            "settings": {
                "rounds": options.rounds,
                "seconds": options.seconds,
                "warmup": options.warmup,
                "connections": options.connections,
                "pipeline": options.pipeline,
                "access_log": options.access_log,
                "server_core": session.server_core,
                "client_core": session.client_core,
            },
            "scenarios": {scenario.name: scenario.title for scenario in session.scenarios},
            "skipped": session.skipped,
            "notes": session.notes,
            "summary": report.summarize(samples),
            "samples": [asdict(sample) for sample in samples],
        }


def save(result: dict[str, Any], options: argparse.Namespace) -> Path:
    path = report.save(result, report.markdown(result), options.output, "run-" + time.strftime("%Y%m%d-%H%M%S"))
    if not plot.draw(result, path.with_suffix(".png")):
        print("no plot: matplotlib is not installed", file=sys.stderr)
    if not options.quick:
        report.publish(path, "latest")
    return path


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    options = parse_arguments(argv)
    try:
        result = run(options, argv)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    path = save(result, options)
    report.show(result)
    print(f"\nwritten: {path} (and .md, .png)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
