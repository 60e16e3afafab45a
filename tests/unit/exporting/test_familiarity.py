from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from recyclenet.core.model_info import seal
from recyclenet.data.manifest import Sample
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting.familiarity import fit_familiarity
from recyclenet.exporting.folds import MIN_PHOTOS
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.session import Outputs
from recyclenet.models.graph import LogitFactor, scale_logits
from recyclenet.training.run import Run

NAMES = ("glass", "metal", "paper")


def predictions(
    num_photos: int, spread: float, groups: int = 0
) -> tuple[PredictionTable, list[Outputs], np.ndarray]:
    """Answers for photos some of which are unlike the exemplars, and have too large logits."""
    random = np.random.default_rng(0)
    exemplars = random.normal(size=(60, 8)).astype(np.float32)
    nearness = random.uniform(0.2, 1, num_photos)
    origin = exemplars[random.integers(60, size=num_photos)]
    noise = random.normal(size=(num_photos, 8))
    features = (nearness[:, None] * origin + (1 - nearness[:, None]) * noise).astype(np.float32)
    honest = random.normal(size=(num_photos, 3)) * 2
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    targets = [random.choice(3, p=share) for share in shares]
    logits = (honest * np.exp(spread * (0.6 - nearness))[:, None]).astype(np.float32)
    samples = tuple(
        Sample(Path(f"{n}.jpg"), NAMES[target], group=str(n % groups) if groups else "")
        for n, target in enumerate(targets)
    )
    outputs = [Outputs(row, feature) for row, feature in zip(logits, features, strict=True)]
    return PredictionTable(samples, logits, NAMES), outputs, exemplars


def loss(logits: np.ndarray, table: PredictionTable) -> float:
    targets = table.targets
    return negative_log_likelihood(logits, targets, fit_temperature(logits, targets))


@pytest.mark.parametrize("groups", [0, 90])
def test_familiar_photos_get_more_confidence(groups: int) -> None:
    table, outputs, exemplars = predictions(1500, spread=3, groups=groups)
    fitted = fit_familiarity(table, outputs, exemplars)
    assert fitted is not None
    factor, logits = fitted
    assert factor.slope > 0
    assert factor.low < 0 < factor.high
    assert loss(logits, table) < loss(table.logits, table) - 0.01
    np.testing.assert_array_equal(logits.argmax(1), table.logits.argmax(1))


def test_there_is_no_factor_where_one_temperature_is_right() -> None:
    table, outputs, exemplars = predictions(400, spread=0)
    assert fit_familiarity(table, outputs, exemplars) is None


def test_there_is_no_factor_where_unfamiliar_photos_deserve_more_confidence() -> None:
    table, outputs, exemplars = predictions(1500, spread=-3)
    assert fit_familiarity(table, outputs, exemplars) is None


def test_a_few_photos_or_objects_are_not_enough() -> None:
    table, outputs, exemplars = predictions(MIN_PHOTOS - 1, spread=3)
    assert fit_familiarity(table, outputs, exemplars) is None
    table, outputs, exemplars = predictions(1500, spread=3, groups=2)
    assert fit_familiarity(table, outputs, exemplars) is None


def test_the_model_file_multiplies_the_logits(trained_run: Run, tmp_path: Path) -> None:
    classifier = trained_run.classifier()
    paths = [sample.path for sample in trained_run.manifest]
    plain = [outputs for _, outputs, _ in classifier.outputs_many(paths)]
    features = np.stack([row.features for row in plain])
    mean, std = features.mean(0), features.std(0) + 1e-3
    standard = (features - mean) / std
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    rows = standard[::3]
    similarity = np.sort(standard @ rows.T, axis=1)[:, -2:].mean(axis=1)
    middle = float(np.median(similarity))
    factor = LogitFactor(mean, std, rows, 2, 3.0, 0.1 - 3 * middle, 0.05, 0.3)
    proto = onnx.load(trained_run.model)
    path = tmp_path / "scaled.onnx"
    path.write_bytes(seal(scale_logits(proto, factor).SerializeToString()))
    assert onnx.load(trained_run.model) == proto, "the given model stays as it is"
    new = [outputs for _, outputs, _ in Classifier(path).outputs_many(paths)]
    np.testing.assert_allclose(
        factor(features[::3], leave_out=True)[:, 0],
        np.exp(
            np.clip(
                3 * (np.sort(rows @ rows.T, axis=1)[:, -3:-1].mean(axis=1) - middle) + 0.1,
                0.05,
                0.3,
            )
        ),
        rtol=1e-4,
    )
    assert (factor(features[::3], leave_out=True) <= factor(features[::3])).all()
    factors = np.exp(np.clip(3 * (similarity - middle) + 0.1, 0.05, 0.3))
    assert factors.max() > factors.min() + 0.03
    np.testing.assert_allclose(
        np.stack([row.logits for row in new]),
        np.stack([row.logits for row in plain]) * factors[:, None],
        rtol=0.02,  # the rows are stored as int8
        atol=1e-3,
    )
