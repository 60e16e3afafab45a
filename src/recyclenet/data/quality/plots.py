"""The page of `recyclenet data inspect`: counts, sizes, samples and colours in pictures.

matplotlib is imported where it draws: this package is there without it, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recyclenet.core.figures import figure_png, name_bars
from recyclenet.core.pages import render_page
from recyclenet.data.manifest import Manifest, rank
from recyclenet.data.quality.inspect import Statistics
from recyclenet.data.quality.sheet import Tile, sheet_png

_BAR, _SOFT = "#2f7d5b", "#5c6b7a"
_NUM_EXAMPLES = 8
_MOST_CLASSES = 24


def inspection_page(
    manifest: Manifest, statistics: Statistics, title: str, num_left_out: int
) -> str:
    """Return an HTML page of a dataset.

    Args:
        manifest: photos as a scan describes them.
        statistics: of their pixels.
        title: what the photos are.
        num_left_out: photos that cannot be read.
    """
    return render_page(
        "recyclenet.data",
        "inspect.html",
        title=title,
        manifest=manifest,
        statistics=statistics,
        num_left_out=num_left_out,
        counts=draw_counts(manifest),
        sizes=draw_sizes(manifest),
        examples=sheet_png(examples(manifest)),
    )


def draw_counts(manifest: Manifest) -> bytes:
    """Draw the number of photos of each class as bars; return a PNG."""
    from matplotlib.figure import Figure

    counts = sorted(manifest.counts.items(), key=lambda item: (-item[1], item[0]))
    names, numbers = zip(*counts, strict=True)
    figure = Figure(figsize=(10, 0.8 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(range(len(names)), numbers, color=_BAR)
    axes.bar_label(bars, padding=4)
    name_bars(axes, names)
    axes.set_xlabel("photos")
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)


def draw_sizes(manifest: Manifest) -> bytes:
    """Draw width against height, and how aspect and file size are spread; return a PNG."""
    from matplotlib.figure import Figure

    widths, heights, sizes = (
        np.array([getattr(sample, name) for sample in manifest])
        for name in ("width", "height", "num_bytes")
    )
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    shapes, times = np.unique(np.stack([widths, heights]), axis=1, return_counts=True)
    left.scatter(*shapes, s=10 + 120 * times / times.max(), color=_BAR, alpha=0.4, linewidths=0)
    left.set(xlabel="width, pixels", ylabel="height, pixels", title="sizes")
    left.set(xlim=(0, None), ylim=(0, None))
    middle.hist(np.log2(widths / heights), bins=40, color=_BAR)
    middle.set_xticks(range(-2, 3), ["1:4", "1:2", "1:1", "2:1", "4:1"])
    middle.set(xlabel="width : height", ylabel="photos", title="aspect")
    right.hist(sizes / 1000, bins=40, color=_BAR)
    right.set(xlabel="kilobytes", ylabel="photos", title="file sizes")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=_SOFT)
    return figure_png(figure)


def examples(manifest: Manifest) -> list[Tile]:
    """Choose some photos of each class, the same ones whatever the others are."""
    tiles = []
    for label in manifest.class_names[:_MOST_CLASSES]:
        rows = [sample for sample in manifest if sample.label == label]
        rows.sort(key=lambda sample: rank(0, sample.sha256))
        chosen = [Tile(sample.path, (label, sample.path.name)) for sample in rows[:_NUM_EXAMPLES]]
        tiles += chosen + [Tile(Path(), ("",))] * (_NUM_EXAMPLES - len(chosen))
    return tiles
