"""Charts of a report as inline SVG. They contain numbers and fixed words only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil

from markupsafe import Markup

from recyclenet.evaluation.curves import CalibrationBin, RiskPoint

# Sizes in the SVG's own units; the page scales it.
_SIDE, _LEFT, _TOP, _BOTTOM = 260, 46, 12, 40
_WIDTH = _LEFT + _SIDE + 20
_HEIGHT = _TOP + _SIDE + _BOTTOM


def reliability_chart(after: Sequence[CalibrationBin], before: Sequence[CalibrationBin]) -> Markup:
    """Draw a reliability diagram: accuracy over confidence.

    Args:
        after: bins of the calibrated answers, drawn as bars; the strip below them shows how many
            answers each bin has.
        before: bins at temperature 1, drawn as a line; the dots are larger where there are more.
    """
    most = max(one.num_photos for one in after)
    parts = [_line(0, 0, 1, 1, "ideal")]
    for one in after:
        left, width = _x(one.low) + 1, _SIDE * (one.high - one.low) - 2
        top = _y(one.accuracy)
        parts.append(
            f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
            f'height="{_y(0) - top:.1f}"><title>confidence {one.confidence:.1%}, accuracy '
            f"{one.accuracy:.1%}, {one.num_photos} photos</title></rect>"
        )
        tall = max(1.0, 14 * one.num_photos / most)
        parts.append(
            f'<rect class="count" x="{left:.1f}" y="{_y(0) - tall:.1f}" width="{width:.1f}" '
            f'height="{tall:.1f}"/>'
        )
    parts.append(_curve((one.confidence, one.accuracy) for one in before))
    many = max(one.num_photos for one in before)
    parts += [
        _dot(one.confidence, one.accuracy, 1.5 + 3 * (one.num_photos / many) ** 0.5)
        for one in before
    ]
    return _chart(parts, "confidence", "accuracy", 1.0, "Reliability diagram")


def risk_chart(points: Sequence[RiskPoint], here: tuple[float, float] | None) -> Markup:
    """Draw a risk-coverage curve: share of wrong answers over share of photos answered.

    Args:
        points: of the curve.
        here: coverage and risk at the threshold in use; None if nothing is answered.
    """
    # A round number, so that the axis has round labels.
    largest = max(point.risk for point in points)
    top = next((step for step in (0.02, 0.04, 0.1, 0.2, 0.4) if largest <= step), 1.0)
    parts = [_curve((point.coverage, point.risk / top) for point in points)]
    if here is not None:
        parts.append(_dot(here[0], min(1.0, here[1] / top)))
    return _chart(parts, "coverage", "wrong answers", top, "Risk-coverage curve")


def _chart(parts: Iterable[str], across: str, up: str, top: float, name: str) -> Markup:
    """Return the SVG of parts drawn in the unit square, with axes.

    Args:
        parts: elements.
        across: title of the horizontal axis, 0 to 1.
        up: title of the vertical axis.
        top: upper end of the vertical axis.
        name: what a screen reader says.
    """
    axes = []
    for step in range(5):
        share = step / 4
        digits = 0 if ceil(100 * top) % 4 == 0 else 1
        axes += [
            _line(0, share, 1, share, "grid"),
            f'<text x="{_LEFT - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">'
            f"{share * top:.{digits}%}</text>",
            f'<text x="{_x(share):.1f}" y="{_y(0) + 16}" text-anchor="middle">{share:.0%}</text>',
        ]
    titles = (
        f'<text x="{_x(0.5):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{across}</text>'
        f'<text transform="translate(10 {_y(0.5):.1f}) rotate(-90)" text-anchor="middle">{up}'
        "</text>"
    )
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">'
        f"{''.join(axes)}{''.join(parts)}{titles}</svg>"
    )


def _x(share: float) -> float:
    return _LEFT + _SIDE * share


def _y(share: float) -> float:
    return _TOP + _SIDE * (1 - share)


def _line(left: float, low: float, right: float, high: float, kind: str) -> str:
    return (
        f'<line class="{kind}" x1="{_x(left):.1f}" y1="{_y(low):.1f}" '
        f'x2="{_x(right):.1f}" y2="{_y(high):.1f}"/>'
    )


def _curve(points: Iterable[tuple[float, float]]) -> str:
    places = " ".join(f"{_x(across):.1f},{_y(up):.1f}" for across, up in points)
    return f'<polyline class="curve" points="{places}"/>'


def _dot(across: float, up: float, radius: float = 4) -> str:
    return f'<circle class="dot" cx="{_x(across):.1f}" cy="{_y(up):.1f}" r="{radius:.1f}"/>'
