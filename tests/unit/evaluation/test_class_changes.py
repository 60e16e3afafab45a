from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Sample
from recyclenet.errors import DataError
from recyclenet.evaluation.class_changes import class_changes
from recyclenet.evaluation.table import PredictionTable


def table(answers: list[tuple[str, str]], classes: tuple[str, ...], skip: int = -1) -> object:
    """Return a table from (label, answer) of each photo; one photo may be missing."""
    rows = [(n, *pair) for n, pair in enumerate(answers) if n != skip]
    samples = tuple(Sample(Path(f"{n}.jpg"), label) for n, label, _ in rows)
    logits = [np.eye(len(classes))[classes.index(answer)] for _, _, answer in rows]
    return PredictionTable(samples, np.array(logits, np.float32), classes)


def verdicts(before, after) -> dict[str, str]:
    return {change.label: change.verdict for change in class_changes(before, after)}


AB = ("a", "b")


def test_a_class_is_worse_or_better_only_beyond_its_interval() -> None:
    right = [("a", "a")] * 60 + [("b", "b")] * 60
    few = [("a", "b"), *right[1:]]
    many = [("a", "b")] * 12 + right[12:]
    assert verdicts(table(right, AB), table(few, AB)) == {
        "a": "no clear change", "b": "no clear change", "all": "no clear change"
    }  # fmt: skip
    assert verdicts(table(right, AB), table(many, AB)) == {
        "a": "worse", "b": "no clear change", "all": "worse"
    }  # fmt: skip
    assert verdicts(table(many, AB), table(right, AB))["a"] == "better"


def test_too_few_photos_are_said_to_be_too_few() -> None:
    photos = [("a", "a")] * 5 + [("b", "b")] * 60
    lost_one = [("a", "b"), *photos[1:]]
    assert verdicts(table(photos, AB), table(lost_one, AB))["a"] == "too few photos to tell"
    assert verdicts(table(photos[5:], AB), table(photos[5:], AB))["a"] == "no photos"
    changes = class_changes(table(photos, AB), table(lost_one, AB))
    assert not any(change.is_loss for change in changes)
    assert changes[0].to_row()["recall_before"] == 1.0
    assert changes[0].to_row()["num_lost"] == 1


def test_classes_may_be_new_gone_or_in_another_order() -> None:
    photos = [("a", "a")] * 30 + [("b", "b")] * 30
    same = table(photos, ("b", "a"))
    assert verdicts(table(photos, AB), same)["all"] == "no clear change"
    with_c = table([*photos, ("c", "c")], ("a", "b", "c"))
    without = table([*photos, ("c", "a")], AB)
    found = {change.label: change for change in class_changes(without, with_c)}
    assert found["c"].verdict == "new class"
    assert found["all"].num_photos == 60  # a new class cannot make up for a loss
    gone = {change.label: change for change in class_changes(with_c, without)}
    assert gone["c"].verdict == "class is gone"
    assert gone["c"].is_loss


def test_only_photos_with_both_answers_count() -> None:
    photos = [("a", "a")] * 30 + [("b", "b")] * 30
    found = class_changes(table(photos, AB, skip=0), table(photos, AB, skip=1))
    assert [change.num_photos for change in found] == [28, 30, 58]
    other = [("c", "c")] * 3
    with pytest.raises(DataError, match="no photo of a class that the current model knows"):
        class_changes(table([(t, "a") for t, _ in other], AB), table(other, ("a", "b", "c")))
