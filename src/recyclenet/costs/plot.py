"""Plot a table of costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recyclenet.core.figures import name_bars, write_figure
from recyclenet.costs.models import BATCH, CostRow

COLOURS = {"pytorch": "#c65f2d", "onnxruntime": "#2d6fa3", "pytorch-cuda": "#5a8f3c"}
Triple = tuple[float, float, float]


def draw_costs(rows: Sequence[CostRow], path: Path) -> None:
    """Plot latency and throughput as bars with quartiles as whiskers; write a PNG."""
    names = list(dict.fromkeys(row.name for row in rows))
    figure = Figure(figsize=(11, 1.6 + 0.55 * len(names)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _bars(left, rows, names, lambda r: (r.latency_ms, r.latency_low_ms, r.latency_high_ms))
    left.set(xlabel="latency for one image, ms (lower is better)")
    _bars(right, rows, names, lambda r: (r.throughput, r.throughput_low, r.throughput_high))
    right.set(xlabel=f"images per second in batches of {BATCH} (higher is better)")
    name_bars(left, names)
    right.legend(loc="lower center", bbox_to_anchor=(0, 1), ncols=len(COLOURS), frameon=False)
    write_figure(path, figure)


def _bars(
    axes: Axes,
    rows: Sequence[CostRow],
    names: Sequence[str],
    values: Callable[[CostRow], Triple],
) -> None:
    runtimes = list(dict.fromkeys(row.runtime for row in rows))
    height = 0.8 / len(runtimes)
    for number, runtime in enumerate(runtimes):
        chosen = [row for row in rows if row.runtime == runtime]
        middle, low, high = zip(*(values(row) for row in chosen), strict=True)
        axes.barh(
            [names.index(row.name) - 0.4 + height * (number + 0.5) for row in chosen],
            middle,
            height,
            xerr=(
                [m - a for m, a in zip(middle, low, strict=True)],
                [b - m for m, b in zip(middle, high, strict=True)],
            ),
            color=COLOURS[runtime],
            ecolor="#333333",
            label=runtime,
        )
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
