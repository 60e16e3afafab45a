"""Risk and audit of the built-in model on TrashNet, as docs/decide.md and docs/audit.md say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from recyclenet.core.decision import softmax
from recyclenet.core.risk import RiskTable
from recyclenet.data.dataset import load_dataset
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.shares import Confusions, estimate_shares
from recyclenet.evaluation.statistics import decision_statistics
from recyclenet.inference.classifier import Classifier

pytestmark = pytest.mark.data
NUM_MIXTURES, NUM_PHOTOS = 10, 200


@dataclass(frozen=True)
class Calibrated:
    """The statistics of the validation photos, and the answers for the test photos."""

    statistics: dict[str, Any]
    probabilities: npt.NDArray[np.float64]
    targets: npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def calibrated(on_trashnet: Any, trashnet_dir: Path) -> Calibrated:
    classifier, test = Classifier(), on_trashnet.table
    temperature = classifier.info.temperature
    val = predict(classifier, load_dataset(trashnet_dir).select("val"))
    statistics = decision_statistics(val, temperature)
    return Calibrated(statistics, softmax(test.logits, temperature), test.targets)


def test_the_risk_on_test_photos_is_as_promised(calibrated: Calibrated) -> None:
    table = RiskTable.from_statistics(calibrated.statistics)
    right = calibrated.probabilities.argmax(1) == calibrated.targets
    for max_risk in (0.05, 0.1):
        choice = table.choose(max_risk)
        known = calibrated.probabilities.max(1) >= choice.threshold
        found = (~right[known]).mean()
        print(f"{max_risk:.0%}: answers {known.mean():.1%}, {found:.1%} of them wrong")
        assert known.mean() > 0.8
        assert found <= max_risk + 0.02


def test_an_audit_of_known_mixtures(calibrated: Calibrated) -> None:
    probabilities, targets = calibrated.probabilities, calibrated.targets
    size = probabilities.shape[1]
    confusions = Confusions.from_statistics(calibrated.statistics, size)
    random = np.random.default_rng(0)
    occurs = np.bincount(targets, minlength=size) > 0
    naive, corrected, held = [], [], []
    for _ in range(NUM_MIXTURES):
        truth = np.zeros(size)
        truth[occurs] = random.dirichlet(np.ones(occurs.sum()))
        rows = np.concatenate(
            [
                random.choice(np.flatnonzero(targets == number), count)
                for number, count in enumerate(random.multinomial(NUM_PHOTOS, truth))
                if count
            ]
        )
        shares = estimate_shares(probabilities[rows], confusions)
        mixed = np.bincount(targets[rows], minlength=size) / NUM_PHOTOS
        counted = np.bincount(probabilities[rows].argmax(1), minlength=size) / NUM_PHOTOS
        naive.append(np.abs(counted - mixed).mean())
        corrected.append(np.abs(shares.estimate - mixed).mean())
        for number in range(size):
            _, low, high = shares.of(np.arange(size) == number)
            held.append(low <= truth[number] <= high)
    print(
        f"mean absolute error: counted {np.mean(naive):.4f}, corrected {np.mean(corrected):.4f}; "
        f"intervals hold {np.mean(held):.1%} of the true shares"
    )
    assert np.mean(corrected) < np.mean(naive)
    assert np.mean(held) > 0.85
