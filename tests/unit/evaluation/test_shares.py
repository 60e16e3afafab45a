"""Shares of classes: right where the model is calibrated, with intervals that hold them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recyclenet.errors import ModelFileError, UsageError
from recyclenet.evaluation.shares import Confusions, estimate_shares

CENTRES = np.array([[0.0, 0.0], [1.6, 0.0], [0.0, 1.6]])


def photos(shares, num_photos: int, seed: int):
    """Calibrated probabilities of a model trained on equal shares, and the true classes."""
    random = np.random.default_rng(seed)
    targets = random.choice(3, num_photos, p=shares)
    places = CENTRES[targets] + random.normal(size=(num_photos, 2))
    density = np.exp(-0.5 * ((places[:, None] - CENTRES) ** 2).sum(-1))
    return density / density.sum(1, keepdims=True), targets


@pytest.fixture(scope="module")
def confusions() -> Confusions:
    return Confusions.count(*photos([1 / 3] * 3, 1000, seed=0))


def test_correction_beats_counting_and_intervals_hold_the_truth(confusions):
    random = np.random.default_rng(1)
    corrected, counted, held = [], [], []
    for seed in range(20):
        truth = random.dirichlet(np.ones(3))
        probabilities, _ = photos(truth, 300, 100 + seed)
        shares = estimate_shares(probabilities, confusions, num_draws=300)
        naive = np.bincount(probabilities.argmax(1), minlength=3) / 300
        corrected.append(np.abs(shares.estimate - truth).mean())
        counted.append(np.abs(naive - truth).mean())
        for row, share in zip(np.eye(3, dtype=bool), truth, strict=True):
            _, low, high = shares.of(row)
            held.append(low <= share <= high)
    assert np.mean(corrected) < 0.6 * np.mean(counted)
    assert np.mean(held) > 0.88


def test_shares_add_up_and_groups_are_sums(confusions):
    probabilities, _ = photos([0.6, 0.4, 0], 100, 5)
    shares = estimate_shares(probabilities, confusions, num_draws=50)
    assert shares.estimate.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares.draws.sum(1), 1)
    assert (shares.draws >= 0).all()
    two = shares.of(np.array([True, True, False]))
    assert two[0] == pytest.approx(shares.estimate[:2].sum())
    assert two[1] <= two[0] <= two[2] <= 1
    share, low, high = shares.of(np.ones(3, bool))
    assert (share, low, high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))


def test_few_photos_leave_much_open(confusions):
    probabilities = np.tile([0.98, 0.01, 0.01], (5, 1))
    shares = estimate_shares(probabilities, confusions)
    assert shares.of(np.array([False, True, False]))[2] > 0.2
    single = estimate_shares(probabilities[:1], confusions)
    assert single.of(np.array([True, False, False]))[1] < 0.3


def test_more_photos_and_more_validation_photos_narrow_the_intervals(confusions):
    def width(num_photos: int, known: Confusions) -> float:
        probabilities, _ = photos([0.5, 0.3, 0.2], num_photos, 7)
        _, low, high = estimate_shares(probabilities, known, num_draws=300).of(
            np.array([True, False, False])
        )
        return high - low

    few = Confusions(confusions.counts // 20, confusions.prior)
    assert width(2000, confusions) < width(100, confusions)
    assert width(2000, confusions) < width(2000, few)


def test_the_same_seed_gives_the_same_intervals(confusions):
    probabilities, _ = photos([0.5, 0.3, 0.2], 50, 7)
    one, two = (estimate_shares(probabilities, confusions, num_draws=20) for _ in range(2))
    np.testing.assert_array_equal(one.draws, two.draws)


def test_a_class_without_validation_photos_is_no_obstacle():
    probabilities = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    confusions = Confusions.count(probabilities, np.array([0, 1]))
    shares = estimate_shares(probabilities, confusions, num_draws=100)
    np.testing.assert_allclose(shares.estimate, [0.5, 0.5, 0], atol=1e-4)
    assert np.isfinite(shares.draws).all()
    assert shares.of(np.array([False, False, True]))[2] > 0.1


def test_confusions_survive_the_model_file(confusions):
    stored = json.loads(json.dumps({"confusion": confusions.to_statistics()}))
    found = Confusions.from_statistics(stored, 3)
    np.testing.assert_array_equal(found.counts, confusions.counts)
    np.testing.assert_allclose(found.prior, confusions.prior, atol=1e-6)


def test_missing_and_invalid_confusions_are_refused(confusions):
    with pytest.raises(UsageError, match="export the model again"):
        Confusions.from_statistics({}, 3)
    good = confusions.to_statistics()
    for changes in (
        {"counts": [[1]]}, {"counts": [[1, 2], 3, 4]}, {"counts": [[-1] * 3] * 3}, {"counts": 3},
        {"counts": [[0.5] * 3] * 3}, {"counts": [[10**400] * 3] * 3}, {"counts": [[1] * 3] * 2},
        {"prior": [1]}, {"prior": [1, 1, 1]}, {"prior": [2, -1, 0]}, {"prior": "x"},
        {"prior": [10**400, 0, 0]}, {"prior": [[1, 0, 0]]},
    ):  # fmt: skip
        with pytest.raises(ModelFileError, match="invalid confusions"):
            Confusions.from_statistics({"confusion": {**good, **changes}}, 3)
    with pytest.raises(ModelFileError):
        Confusions.from_statistics({"confusion": [1]}, 3)
