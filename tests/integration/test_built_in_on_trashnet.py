"""The built-in model on the test photos of TrashNet: what the docs promise, from one evaluation."""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from recyclenet.evaluation.table import PredictionTable, read_predictions, write_predictions
from recyclenet.inference.classifier import Classifier

pytestmark = pytest.mark.data
NUM_MIXTURES, NUM_PHOTOS = 10, 200
NUM_WRONG = 20
RunCli = Callable[..., Any]


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` gives.

    Attributes:
        row: what it prints with `--json`.
        table: its predictions, in batches.
    """

    row: dict[str, Any]
    table: PredictionTable


@pytest.fixture(scope="module")
def on_trashnet(
    run_cli: RunCli, trashnet_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Evaluated:
    """The answers for the 431 test photos."""
    table = tmp_path_factory.mktemp("trashnet") / "predictions.csv"
    options = ("--split", "test", "--json", "--predictions", table)
    done = run_cli("evaluate", "--data", trashnet_dir, *options)
    assert done.code == 0, done.err
    return Evaluated(json.loads(done.out), read_predictions(table))


def test_the_accuracy_is_as_the_model_card_says(on_trashnet: Evaluated) -> None:
    assert on_trashnet.row["num_photos"] == 431
    assert on_trashnet.row["accuracy"] == pytest.approx(399 / 431, abs=2.1 / 431)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_a_photo_alone_gets_the_answer_that_it_gets_among_others(
    on_trashnet: Evaluated, step: int
) -> None:
    classifier, table = Classifier(), on_trashnet.table
    among = softmax(table.logits, classifier.info.temperature)
    for number in range(0, len(among), step):
        alone = classifier.classify(table.samples[number].path)
        found = [alone.probabilities[name] for name in table.class_names]
        np.testing.assert_allclose(found, among[number], rtol=0, atol=1e-4)


def test_planted_wrong_labels_are_found(
    on_trashnet: Evaluated, tmp_path: Path, run_cli: RunCli
) -> None:
    """The model never trained on these photos, so it can judge their labels."""
    table = on_trashnet.table
    wrong = set(random.Random(0).sample(range(len(table.samples)), NUM_WRONG))
    names = sorted({sample.label for sample in table.samples})
    samples = []
    for number, sample in enumerate(table.samples):
        label = names[(names.index(sample.label) + (number in wrong)) % len(names)]
        path = tmp_path / "photos" / label / sample.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, path)
        samples.append(replace(sample, path=path, label=label))
    predictions, report = tmp_path / "predictions.csv", tmp_path / "report"
    write_predictions(predictions, replace(table, samples=tuple(samples)))
    options = ("--predictions", predictions, "--report", report)
    done = run_cli("data", "clean", tmp_path / "photos", *options)
    assert done.code == 0, done.err
    with (report / "issues.csv").open(newline="") as file:
        found = {Path(row["path"]) for row in csv.DictReader(file) if row["kind"] == "label"}
    moved = {samples[number].path for number in wrong}
    # The model agrees with one wrong label.
    assert len(moved & found) >= NUM_WRONG - 1
    assert len(found - moved) < 0.05 * len(samples)


@dataclass(frozen=True)
class Calibrated:
    """The statistics of the validation photos, and the answers for the test photos."""

    statistics: dict[str, Any]
    probabilities: npt.NDArray[np.float64]
    targets: npt.NDArray[np.int64]


@pytest.fixture(scope="module")
def calibrated(on_trashnet: Evaluated, trashnet_dir: Path) -> Calibrated:
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
