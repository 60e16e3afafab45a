"""Draw the figures of the report: `python scripts/render_report.py photos/trashnet`.

Writes docs/images/report.svg: the confusion matrix, the reliability diagram and the risk-coverage
curve of a model on the test photos. Run it anew when the built-in model changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.files import write_text
from recyclenet.core.text import printable
from recyclenet.evaluation.charts import reliability_chart, risk_chart
from recyclenet.operations.evaluate import Evaluation, evaluate

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "report.svg"
PANEL, HEIGHT, TITLE = 326, 312, 28
# The colours of the report, for light and dark readers.
STYLE = """
svg { --ink: #1d2733; --soft: #5c6b7a; --line: #dfe5ea; --card: #fff; --bar: #2f7d5b;
  --wrong: #b3402a; }
@media (prefers-color-scheme: dark) { svg { --ink: #e8edf1; --soft: #9dabb8; --line: #33404c;
  --card: #1c242c; --bar: #55b18a; --wrong: #ef8a72; } }
text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.title { font-size: 13px; font-weight: 600; fill: var(--ink); } .number { fill: var(--ink); }
.page { fill: var(--card); } .grid { stroke: var(--line); }
.ideal { stroke: var(--soft); stroke-dasharray: 4 4; }
.curve { fill: none; stroke: var(--wrong); stroke-width: 2; } .dot { fill: var(--wrong); }
.bar { fill: var(--bar); opacity: .75; } .count { fill: var(--soft); }
.ok { fill: var(--bar); } .no { fill: var(--wrong); }
"""


def figures(result: Evaluation) -> str:
    """Return the three figures beside each other, as SVG."""
    found, scores = result.analysis(), result.scores
    here = (scores.coverage, 1 - scores.known_accuracy) if scores.coverage else None
    panels = [
        (f"Confusion matrix of {scores.num_photos} photos",
         matrix(scores.class_names, scores.confusion, scores.rates)),
        ("Accuracy by confidence",
         str(reliability_chart(found.calibration.bins, found.calibration.bins_before))),
        ("Wrong answers by share answered", str(risk_chart(found.risk.points, here))),
    ]  # fmt: skip
    width = len(panels) * PANEL
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + TITLE}" '
        f'width="{width}" role="img" aria-label="Figures of a report"><style>{STYLE}</style>'
        f'<rect class="page" width="100%" height="100%"/>'
    ]
    for number, (title, chart) in enumerate(panels):
        left = number * PANEL
        parts.append(f'<text class="title" x="{left + 12}" y="20">{escape(title)}</text>')
        parts.append(
            chart.replace(
                "<svg ", f'<svg x="{left}" y="{TITLE}" width="{PANEL}" height="{HEIGHT}" ', 1
            )
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def matrix(
    names: Sequence[str], counts: npt.NDArray[np.int64], rates: npt.NDArray[np.float64]
) -> str:
    """Return a confusion matrix as SVG: rows are true classes, columns predicted ones."""
    left, top, side = 92, 80, 212 / len(names)
    parts = []
    for row, name in enumerate(names):
        middle, shown = (row + 0.5) * side, escape(printable(name))
        across, down = left + middle, top + middle
        parts += [
            f'<text x="{left - 6}" y="{down + 4:.1f}" text-anchor="end">{shown}</text>',
            f'<text transform="translate({across + 4:.1f} {top - 6}) rotate(-45)">{shown}</text>',
        ]
        for column in np.flatnonzero(counts[row]).tolist():
            place = f'x="{left + column * side:.1f}" y="{top + row * side:.1f}"'
            kind = "ok" if column == row else "no"
            parts.append(
                f'<rect class="{kind}" {place} width="{side:.1f}" height="{side:.1f}" '
                f'opacity="{0.1 + 0.6 * rates[row, column]:.2f}"/>'
                f'<text class="number" x="{left + (column + 0.5) * side:.1f}" '
                f'y="{down + 4:.1f}" text-anchor="middle">{counts[row, column]}</text>'
            )
    return f'<svg viewBox="0 0 {PANEL} {HEIGHT}">{"".join(parts)}</svg>'


def main() -> None:
    """Draw the figures of a model on the test photos of a dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="a dataset, such as photos/trashnet")
    parser.add_argument("--model", type=Path, help="default: the built-in model")
    parser.add_argument("--split", help="default: test, if there is one")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    result = evaluate(chosen.data, chosen.model, split=chosen.split, measure=False)
    write_text(chosen.out, figures(result))
    print(f"wrote {chosen.out}: {result}")


if __name__ == "__main__":
    main()
