from __future__ import annotations

import csv
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recyclenet.core.decision import softmax
from recyclenet.data.dataset import load_dataset
from recyclenet.data.manifest import Manifest
from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.table import read_predictions
from recyclenet.operations import train
from recyclenet.operations.lodo import lodo
from recyclenet.training.run import Run


@pytest.fixture
def three(photo_folder: Path) -> Manifest:
    """36 photos of three domains; one has a class of its own."""
    samples = list(load_dataset(photo_folder))
    random.Random(0).shuffle(samples)
    domains = ["a", "b", "c"] * 12
    rows = [replace(s, domain=d) for s, d in zip(samples, domains, strict=True)]
    rows[2] = replace(rows[2], label="shoe")
    return Manifest(tuple(rows))


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_every_domain_is_tested_by_a_model_that_has_not_seen_it(
    three: Manifest, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor copies of its photos."""
    samples = list(three)
    samples[0] = replace(samples[0], group="one")  # of a
    samples[4] = replace(samples[4], group="one")  # of b
    samples.append(replace(samples[5], domain="b"))  # the same file in b and in c
    copied = Manifest(tuple(samples))
    result = lodo(copied, tmp_path, tiny)
    assert [fold.domain for fold in result.folds] == ["a", "b", "c"]
    assert [fold.num_photos for fold in result.folds] == [12, 13, 11]
    assert [fold.num_left_out for fold in result.folds] == [0, 0, 1]
    assert [fold.num_copies for fold in result.folds] == [1, 2, 1]
    without_a = {s.path.name for s in Run(tmp_path / "without-a").manifest}
    assert samples[4].path.name not in without_a
    for fold in result.folds:
        run = Run(tmp_path / f"without-{fold.domain}")
        assert fold.domain not in run.manifest.domains
        assert {sample.split for sample in run.manifest} == {"train", "val", "test"}
        assert fold.num_home == len(run.manifest.select("test")) > 0
        assert fold.home_accuracy is not None
        assert 0 <= fold.refused <= 1
    written = rows(tmp_path / "folds.csv")
    assert [row["domain"] for row in written] == ["a", "b", "c"]
    assert float(written[0]["accuracy"]) == result.folds[0].accuracy
    assert result.accuracy == pytest.approx(np.mean([f.accuracy for f in result.folds]))

    table = read_predictions(tmp_path / "predictions.csv")
    paths, logits, names = [s.path for s in table.samples], table.logits, table.class_names
    assert names == ("glass", "metal", "paper", "shoe")
    assert len(paths) == 36
    assert len(set(paths)) == 35
    # The model without c does not know its shoe.
    assert softmax(logits[-11:])[:, 3].max() == 0
    right = [
        names[row.argmax()] == next(s.label for s in three if s.path == path)
        for path, row in zip(paths, logits, strict=True)
    ]
    assert np.mean(right[:12]) == pytest.approx(result.folds[0].accuracy)

    def forbidden(*_: object) -> None:
        raise AssertionError("a finished fold was done again")

    monkeypatch.setattr(train, "start_run", forbidden)
    monkeypatch.setattr(train, "resume_run", forbidden)
    assert lodo(copied, tmp_path, tiny).folds == result.folds


def test_splits_that_are_there_are_kept(three: Manifest, tiny: str, tmp_path: Path) -> None:
    two = [sample for sample in three if sample.domain != "c"]
    splits = ("train", "train", "val")
    given = Manifest(tuple(replace(s, split=splits[n % 3]) for n, s in enumerate(two)))
    result = lodo(given, tmp_path, tiny)
    assert [fold.num_photos for fold in result.folds] == [12, 12]  # whatever its split
    assert [fold.num_home for fold in result.folds] == [0, 0]
    assert result.mean("home_accuracy") is None
    assert rows(tmp_path / "folds.csv")[0]["home_accuracy"] == ""
    kept = Run(tmp_path / "without-a").manifest
    assert {(s.path, s.split) for s in kept} == {
        (s.path, s.split) for s in given if s.domain == "b"
    }


def test_what_cannot_be_left_out_is_refused_before_any_training(
    three: Manifest, tiny: str, tmp_path: Path
) -> None:
    bare = Manifest(tuple(replace(s, domain="") for s in three))
    with pytest.raises(UsageError, match="photos of two domains or more"):
        lodo(bare, tmp_path, tiny)
    some = Manifest((replace(three.samples[0], domain=""), *three.samples[1:]))
    with pytest.raises(UsageError, match="1 photos have no domain"):
        lodo(some, tmp_path, tiny)
    strange = Manifest(
        tuple(replace(s, label="x" + s.label) if s.domain == "b" else s for s in three)
    )
    with pytest.raises(DataError, match=r"'b' has a label that other domains have; .*--map"):
        lodo(strange, tmp_path, tiny)
    plain = Manifest(tuple(replace(s, label="x") if s.domain != "b" else s for s in three))
    with pytest.raises(DataError, match="without the domain 'b', training needs photos of two"):
        lodo(plain, tmp_path, tiny)
    for names in ({"a": "x/y", "b": "x y", "c": "c"}, {"a": "y" * 99, "b": "b", "c": "c"}):
        odd = Manifest(tuple(replace(s, domain=names[s.domain]) for s in three))
        with pytest.raises(UsageError, match="cannot name a folder"):
            lodo(odd, tmp_path, tiny)
    (tmp_path / "without-c").mkdir()
    (tmp_path / "without-c" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        lodo(three, tmp_path, tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["without-c"]
