"""Pictures of results: CPU per request or operation, a panel for each scenario or line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import split_pipelined

COLOURS = {
    "tornado": "#8c8c8c",
    "tornado-uvloop": "#b5b5b5",
    "tornadoc": "#2b6cb0",
    "tornadoc-uvloop": "#7fb0dd",
    "floor": "#d9822b",
    "asyncio": "#8c8c8c",
    "uvloop": "#6aa56a",
    "sockets": "#d9822b",
}


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    least: float
    most: float
    text: str


def draw(result: dict[str, Any], path: Path) -> bool:
    """The picture of a run over scenarios."""
    rows = split_pipelined(result["summary"])[0] or result["summary"]
    panels: dict[str, list[Bar]] = {}
    for row in rows:
        text = f"{row['cpu_us']:.1f} us, {row['rps']:,.0f}/s"
        bar = Bar(row["server"], row["cpu_us"], row["cpu_us_min"], row["cpu_us_max"], text)
        panels.setdefault(row["scenario"], []).append(bar)
    return draw_panels(result, "Server CPU per request, microseconds (less is better)", panels, path)


def draw_panels(result: dict[str, Any], title: str, panels: dict[str, list[Bar]], path: Path, columns: int = 1) -> bool:
    """Writes a PNG; returns False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = -(-len(panels) // columns)
    most = max(len(bars) for bars in panels.values())
    size = (9 if columns == 1 else 6 * columns, 0.6 + lines * (0.7 + 0.32 * most))
    figure, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False)
    flat = axes.flatten()
    for axis, (name, bars) in zip(flat, panels.items()):
        draw_panel(axis, name, bars)
    for axis in flat[len(panels) :]:
        axis.set_visible(False)
    environment = result["environment"]
    figure.suptitle(title)
    figure.text(
        0.01,
        0.005,
        f"{environment['cpu']}, {environment['python']}, Tornado {environment['tornado']}, {environment['date'][:10]}; "
        f"median of {result['settings']['rounds']} rounds, range as a line",
        fontsize=7,
    )
    figure.tight_layout(rect=(0, 0.02, 1, 0.99))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True


def draw_panel(axis: Any, name: str, bars: Sequence[Bar]) -> None:
    labels = [bar.label for bar in bars]
    values = [bar.value for bar in bars]
    spread = [[bar.value - bar.least for bar in bars], [bar.most - bar.value for bar in bars]]
    axis.barh(labels, values, xerr=spread, color=[COLOURS.get(label, "#555555") for label in labels], ecolor="#222222")
    for i, bar in enumerate(bars):
        axis.text(bar.most, i, f"  {bar.text}", va="center", fontsize=8)
    axis.set_title(name, loc="left", fontsize=10)
    axis.invert_yaxis()
    axis.set_xlim(0, max(bar.most for bar in bars) * 1.3)
    axis.spines[["top", "right"]].set_visible(False)
