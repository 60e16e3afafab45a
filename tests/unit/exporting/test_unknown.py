from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recyclenet.errors import DataError, UsageError
from recyclenet.exporting.unknown import _regress
from recyclenet.inference.classifier import Classifier
from recyclenet.operations.evaluate import evaluate
from recyclenet.operations.export import export
from recyclenet.training.run import Run


@pytest.fixture
def run(trained_run: Run) -> Run:
    return trained_run


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without colour, which no class has."""
    folder = tmp_path_factory.mktemp("negatives")
    random = np.random.default_rng(0)
    for number in range(20):
        grey = random.integers(0, 256, (9, 12)).astype(np.uint8)
        large = Image.fromarray(grey).resize((96, 72), Image.Resampling.NEAREST)
        large.convert("RGB").save(folder / f"{number}.png")
    return folder


def test_other_things_are_told_from_the_classes(
    run: Run, photo_folder: Path, negatives: Path, tmp_path: Path
) -> None:
    path = export(run, tmp_path / "model.onnx", negatives=[negatives])
    classifier = Classifier(path)
    others = list(classifier.classify_many(sorted(negatives.iterdir())))
    waste = list(classifier.classify_many(sorted(photo_folder.rglob("*.jpg"))))
    assert min(a.unknown for a in others) > max(a.unknown for a in waste)
    assert not any(answer.known for answer in others)
    assert evaluate(photo_folder, classifier, split="all").scores.coverage > 0.8
    single = classifier.classify(sorted(negatives.iterdir())[0])
    assert single.unknown == pytest.approx(others[0].unknown, abs=1e-4)
    assert single.to_row()["unknown"] == round(single.unknown, 6)


def test_without_negatives_there_is_no_score(run: Run, photo_folder: Path) -> None:
    assert run.classifier().classify(next(photo_folder.rglob("*.jpg"))).unknown is None


def test_too_few_negatives_are_refused(run: Run, negatives: Path, tmp_path: Path) -> None:
    few = sorted(negatives.iterdir())[:9]
    with pytest.raises(DataError, match=r"needs 10 or more .*, not 9"):
        export(run, tmp_path / "model.onnx", negatives=few)
    (tmp_path / "broken.jpg").write_bytes(b"none")
    with pytest.raises(DataError, match=r"needs 10 or more .*, not 9; first error: .*broken\.jpg"):
        export(run, tmp_path / "model.onnx", negatives=[*few, tmp_path / "broken.jpg"])
    assert not (tmp_path / "model.onnx").exists()


def test_negatives_that_do_not_exist_are_refused_at_once(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.jpg does not exist"):
        export(run, tmp_path / "model.onnx", negatives=[tmp_path / "none.jpg"])


def test_negatives_that_cannot_be_read_are_named(
    run: Run, negatives: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"none")
    export(run, tmp_path / "model.onnx", negatives=[negatives, tmp_path / "broken.jpg"])
    assert "broken.jpg" in caplog.text
    assert "left out 1 unreadable photos of" in caplog.text


def test_the_solution_is_scikit_learns() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    random = np.random.default_rng(0)
    targets = random.random(200) < 0.2
    features = random.normal(size=(200, 5)) + targets[:, None] * [1, 0, -1, 0, 0.5]
    head = _regress(features, targets)
    scaled = (features - features.mean(0)) / features.std(0)
    weights = np.where(targets, 0.5 / targets.sum(), 0.5 / (~targets).sum())
    other = linear.LogisticRegression(C=1 / (2 * 0.03), tol=1e-8, max_iter=1000)
    other.fit(scaled, targets, sample_weight=weights)
    np.testing.assert_allclose(
        head(features.astype(np.float32))[:, 0], other.decision_function(scaled), atol=1e-3
    )
