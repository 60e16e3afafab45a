"""Boxes, and what is said of the objects in a photo."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.core.detection import Box, Detection, Detections
from recyclenet.core.prediction import Prediction


def answer(label: str = "glass") -> Prediction:
    return Prediction(
        path=None, label=label, confidence=0.9, probabilities={label: 0.9, "x": 0.1},
        stream="recyclable", bin="recycling bin", known=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("other", "overlap"),
    [
        ((0, 0, 10, 10), 1.0),
        ((5, 0, 15, 10), 1 / 3),
        ((10, 0, 20, 10), 0.0),  # touches
        ((30, 30, 40, 40), 0.0),
        ((2, 2, 7, 7), 0.25),
    ],
)
def test_overlap(other: tuple[float, float, float, float], overlap: float) -> None:
    box = Box(0, 0, 10, 10)
    assert box.overlap(Box(*other)) == pytest.approx(overlap)
    assert Box(*other).overlap(box) == pytest.approx(overlap)


def test_rows_have_whole_pixels_and_the_classes_asked_for() -> None:
    found = Detections(
        path="a.jpg", width=100, height=80,
        objects=(Detection(Box(1.4, 2.6, 30, 40), answer()),),
    )  # fmt: skip
    row = found.to_row(1)
    assert list(row) == ["path", "width", "height", "objects", "error"]
    (one,) = row["objects"]
    assert one["box"] == [1, 3, 30, 40]
    assert one["probabilities"] == {"glass": 0.9}
    assert not {"path", "error"} & set(one)
    assert Detections(path="b.jpg", error="broken").to_row()["objects"] == []


def test_boxes_are_drawn_to_scale_and_the_photo_stays() -> None:
    photo = np.zeros((40, 50, 3), np.uint8)
    found = Detections(
        path=None, width=100, height=80,
        objects=(Detection(Box(20, 20, 80, 70), answer("纸")),),
    )  # fmt: skip
    drawn = found.drawn(photo)
    assert not photo.any()
    assert drawn.shape == photo.shape
    rows, columns = np.flatnonzero(drawn.any((1, 2))), np.flatnonzero(drawn.any((0, 2)))
    assert (columns[0], columns[-1], rows[0]) == (10, 39, 10)
    assert rows[-1] in (34, 35)


def test_a_notebook_shows_the_photo_and_a_line_for_each_object() -> None:
    source = np.full((40, 50, 3), 90, np.uint8)
    objects = (Detection(Box(0, 0, 20, 20), answer("<b>")),) * 2
    html = Detections(path=None, width=50, height=40, objects=objects, source=source)._repr_html_()
    assert html.count("<li>") == 2
    assert html.count("data:image/jpeg;base64,") == 1
    assert "<b><b>" not in html
    assert "nothing found" in Detections(path=None, width=5, height=4)._repr_html_()
    assert "broken" in Detections(path="x", error="broken")._repr_html_()
