"""One picture of a result: CPU per request, a panel for each scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.report import split_pipelined

COLOURS = {
    "tornado": "#8c8c8c",
    "tornado-uvloop": "#b5b5b5",
    "tornadoc": "#2b6cb0",
    "tornadoc-uvloop": "#7fb0dd",
    "floor": "#d9822b",
}


def draw(result: dict[str, Any], path: Path) -> bool:
    """Writes a PNG; returns False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = split_pipelined(result["summary"])[0] or result["summary"]
    scenarios = list(dict.fromkeys(row["scenario"] for row in rows))
    most = max(sum(row["scenario"] == name for row in rows) for name in scenarios)
    figure, axes = pyplot.subplots(len(scenarios), 1, figsize=(9, 0.6 + len(scenarios) * (0.7 + 0.32 * most)), squeeze=False)
    for axis, name in zip(axes[:, 0], scenarios, strict=True):
        draw_panel(axis, name, [row for row in rows if row["scenario"] == name])
    environment = result["environment"]
    figure.suptitle("Server CPU per request, microseconds (less is better)")
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


def draw_panel(axis: Any, name: str, rows: list[dict[str, Any]]) -> None:
    values = [row["cpu_us"] for row in rows]
    spread = [
        [row["cpu_us"] - row["cpu_us_min"] for row in rows],
        [row["cpu_us_max"] - row["cpu_us"] for row in rows],
    ]
    labels = [row["server"] for row in rows]
    axis.barh(labels, values, xerr=spread, color=[COLOURS.get(label, "#555555") for label in labels], ecolor="#222222")
    for i, row in enumerate(rows):
        axis.text(row["cpu_us_max"], i, f"  {row['cpu_us']:.1f} us, {row['rps']:,.0f}/s", va="center", fontsize=8)
    axis.set_title(name, loc="left", fontsize=10)
    axis.invert_yaxis()
    axis.set_xlim(0, max(row["cpu_us_max"] for row in rows) * 1.3)
    axis.spines[["top", "right"]].set_visible(False)
