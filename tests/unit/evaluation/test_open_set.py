from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.open_set import auroc
from recyclenet.operations.evaluate import evaluate


def test_auroc_is_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    positive, negative = random.random(60).round(1) + 0.2, random.random(40).round(1)
    targets = np.r_[np.ones(60), np.zeros(40)]
    expected = metrics.roc_auc_score(targets, np.r_[positive, negative])
    assert auroc(positive, negative) == pytest.approx(expected)


def test_photos_of_other_things_are_counted(photo_folder: Path, tiny_model: Path) -> None:
    photos = sorted(photo_folder.rglob("*.jpg"))
    result = evaluate(photo_folder, tiny_model, split="all", negatives=photos)
    assert result.open_set is not None
    assert result.open_set.num_photos == len(photos)
    assert result.open_set.auroc == pytest.approx(0.5)
    assert result.open_set.accepted == pytest.approx(result.scores.coverage)


def test_photos_that_cannot_be_read_are_problems(
    photo_folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"none")
    photo = next(photo_folder.rglob("*.jpg"))
    result = evaluate(photo_folder, tiny_model, split="all", negatives=[broken, photo])
    assert [str(error) for error in result.table.problems if "broken.jpg" in str(error)]
    with pytest.raises(DataError, match="none of the 1 photos"):
        evaluate(photo_folder, tiny_model, split="all", negatives=[broken])
    with pytest.raises(UsageError, match="does not exist"):
        evaluate(photo_folder, tiny_model, split="all", negatives=[tmp_path / "none.jpg"])
