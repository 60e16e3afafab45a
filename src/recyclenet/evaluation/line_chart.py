"""Line charts as inline SVG: computed here, drawn by `line_chart.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 10, 34
# Larger values are no measurements; drawing them would flatten all others.
_LARGEST = 1e9


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        name: shown in the legend.
        colour: number of the colour; lines of one colour belong together.
        points: x and y; points that are not finite are left out.
        is_dashed: whether the line is dashed.
    """

    name: str
    colour: int
    points: tuple[tuple[float, float], ...]
    is_dashed: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """A grid line: its place in the drawing, pixels, and its text."""

    place: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart, ready to draw.

    Attributes:
        title: what the chart shows.
        x_title: what the horizontal axis shows.
        lines: each line with its points in the drawing, pixels.
        x_ticks: vertical grid lines.
        y_ticks: horizontal grid lines.
        frame: left, top, right and bottom of the plot, pixels.
        size: width and height of the drawing, pixels.
    """

    title: str
    x_title: str
    lines: tuple[tuple[Line, tuple[tuple[float, float], ...]], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    frame: tuple[int, int, int, int] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)
    size: tuple[int, int] = (WIDTH, HEIGHT)


def draw_lines(
    title: str, x_title: str, lines: Sequence[Line], *, percent: bool = False
) -> Drawing | None:
    """Compute a chart.

    Args:
        title: what the chart shows.
        x_title: what the horizontal axis shows.
        lines: the lines.
        percent: whether the values are shares, shown as percentages.

    Returns:
        The chart; None if no point is finite.
    """
    kept = [(line, [point for point in line.points if _is_drawn(point)]) for line in lines]
    kept = [(line, points) for line, points in kept if points]
    if not kept:
        return None
    xs = [x for _, points in kept for x, _ in points]
    ys = [y for _, points in kept for _, y in points]
    x_marks = [mark for mark in ticks(min(xs), max(xs), 6) if mark == int(mark)]
    y_marks = ticks(min(ys), max(ys), 5)
    x_range = min(*xs, *x_marks), max(*xs, *x_marks)
    y_range = min(*ys, *y_marks), max(*ys, *y_marks)

    def across(x: float) -> float:
        return _placed(x, x_range, _LEFT, WIDTH - _RIGHT)

    def down(y: float) -> float:
        return _placed(y, y_range, HEIGHT - _BOTTOM, _TOP)

    return Drawing(
        title,
        x_title,
        tuple((line, tuple((across(x), down(y)) for x, y in points)) for line, points in kept),
        tuple(Tick(across(mark), f"{mark:g}") for mark in x_marks),
        tuple(
            Tick(down(mark), f"{100 * mark:.4g}%" if percent else f"{mark:.4g}") for mark in y_marks
        ),
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers around `low` to `high`, at most about `most`.

    >>> ticks(0.17, 0.92, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(3, 3, 5)
    [3.0]
    """
    if high <= low:
        return [float(low)]
    rough = (high - low) / most
    unit = 10.0 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _is_drawn(point: tuple[float, float]) -> bool:
    return all(isfinite(value) and abs(value) <= _LARGEST for value in point)


def _placed(value: float, within: tuple[float, float], start: float, end: float) -> float:
    low, high = within
    share = 0.5 if high <= low else (value - low) / (high - low)
    return round(start + share * (end - start), 2)
