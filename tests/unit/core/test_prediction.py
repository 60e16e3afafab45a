"""The row that scripts read: its fields are a promise."""

from __future__ import annotations

import json

from recyclenet.core.prediction import Prediction

FIELDS = [
    *("path", "label", "confidence", "probabilities", "stream", "bin", "known", "unknown"),
    *("expected_cost", "error"),
]


def test_row_of_an_answer():
    prediction = Prediction(
        path="a.jpg",
        label="glass",
        confidence=0.91234567,
        probabilities={"glass": 0.91234567, "metal": 0.08, "paper": 0.00765433},
        stream="recyclable",
        bin="recycling bin",
        known=True,
        expected_cost=0.12345678,
    )
    row = json.loads(json.dumps(prediction.to_row()))
    assert list(row) == FIELDS
    assert row["confidence"] == row["probabilities"]["glass"] == 0.912346
    assert list(row["probabilities"]) == ["glass", "metal", "paper"]
    assert row["expected_cost"] == 0.123457
    assert row["error"] is None
    assert list(prediction.to_row(2)["probabilities"]) == ["glass", "metal"]
    assert prediction.to_row(99) == prediction.to_row()


def test_row_of_a_picture_that_could_not_be_read():
    assert Prediction(path=None, error="it is empty").to_row() == {
        "path": None,
        "label": None,
        "confidence": None,
        "probabilities": {},
        "stream": None,
        "bin": None,
        "known": False,
        "unknown": None,
        "expected_cost": None,
        "error": "it is empty",
    }
