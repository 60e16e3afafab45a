"""Line charts: round marks, and points that can be drawn."""

from __future__ import annotations

from math import inf, nan

import pytest

from recyclenet.evaluation.line_chart import HEIGHT, WIDTH, Line, draw_lines, ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.917, 0.9451), (1, 8), (-3, 7e8), (1e-9, 2e-9), (5, 5.0000001)]
)
def test_marks_are_few_and_enclose_the_values(low: float, high: float) -> None:
    marks = ticks(low, high, 5)
    assert marks[0] <= low < high <= marks[-1] or high - low < 1e-6
    assert 2 <= len(marks) <= 8


def test_every_point_is_inside_the_drawing() -> None:
    lines = [Line("a", 0, ((1, 0.5), (2, nan), (3, 0.9))), Line("b", 1, ((2, inf), (2, 0.1)))]
    drawing = draw_lines("accuracy", "epoch", lines, percent=True)
    assert drawing is not None
    assert [len(points) for _, points in drawing.lines] == [2, 1]
    for _, points in drawing.lines:
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert drawing.y_ticks[0].text.endswith("%")
    assert all("." not in tick.text for tick in drawing.x_ticks)


def test_one_point_and_none() -> None:
    assert draw_lines("loss", "epoch", [Line("a", 0, ((1, 0.5),))]) is not None
    assert draw_lines("loss", "epoch", [Line("a", 0, ((1, nan), (1, 1e300)))]) is None
    assert draw_lines("loss", "epoch", []) is None
