"""The temperature and the threshold that are fitted on validation photos."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.decision import softmax
from recyclenet.evaluation.calibration import (
    KEPT_SHARE,
    fit_temperature,
    fit_threshold,
    negative_log_likelihood,
)
from recyclenet.evaluation.metrics import score


def honest(num_photos: int = 20_000, num_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and targets drawn from the very probabilities that the logits state."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (num_photos, num_classes))
    edges = softmax(logits).cumsum(axis=1)
    targets = (generator.uniform(size=(num_photos, 1)) > edges).sum(axis=1)
    return logits.astype(np.float32), targets.clip(0, num_classes - 1)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0, 8.0])
def test_temperature_undoes_a_known_scale(scale):
    logits, targets = honest()
    temperature = fit_temperature(logits * np.float32(scale), targets)
    assert temperature == pytest.approx(scale, rel=0.05)
    names = tuple("abcde")
    assert score(logits * scale, targets, names, temperature=temperature).ece < 0.02


def test_at_its_temperature_the_likelihood_does_not_depend_on_the_scale():
    random = np.random.default_rng(3)
    logits = random.normal(size=(300, 4)).astype(np.float32)
    targets = np.where(random.random(300) < 0.6, logits.argmax(1), 0)
    losses = [
        negative_log_likelihood(table, targets, fit_temperature(table, targets))
        for table in (logits, 3 * logits, logits / 3)
    ]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    by_hand = -np.log(np.exp(logits[0])[targets[0]] / np.exp(logits[0]).sum())
    assert negative_log_likelihood(logits[:1], targets[:1], 1.0) == pytest.approx(by_hand, rel=1e-5)


def test_temperature_is_where_the_likelihood_peaks():
    logits, targets = honest(500)
    names = tuple("abcde")
    best = fit_temperature(logits, targets)
    least = score(logits, targets, names, temperature=best).nll
    for factor in (0.9, 1.1):
        assert score(logits, targets, names, temperature=best * factor).nll > least


def test_temperature_is_that_of_a_general_optimiser():
    optimize = pytest.importorskip("scipy.optimize")
    random = np.random.default_rng(1)
    for scale in (0.3, 2.0, 1e3):
        logits = (scale * random.normal(size=(200, 4))).astype(np.float32)
        targets = np.where(random.random(200) < 0.7, logits.argmax(1), 0)
        found = optimize.minimize_scalar(
            lambda t: negative_log_likelihood(logits, targets, float(np.exp(t))),  # noqa: B023
            bounds=np.log([0.05, 20]),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert fit_temperature(logits, targets) == pytest.approx(np.exp(found.x), rel=1e-5)


@pytest.mark.parametrize("targets", [[0, 1, 2], [1, 2, 0]])
def test_all_right_and_all_wrong_stay_in_range(targets):
    logits = np.eye(3, dtype=np.float32) * 30
    assert 0.05 <= fit_temperature(logits, np.array(targets)) <= 20.0001


def test_threshold_keeps_nineteen_of_twenty():
    logits, _ = honest(2000)
    threshold = fit_threshold(logits, 1.3)
    kept = (softmax(logits, 1.3).max(1) >= threshold).mean()
    assert kept == pytest.approx(KEPT_SHARE, abs=0.002)


@given(st.floats(0.1, 1e4), st.integers(1, 30))
def test_threshold_always_fits_in_a_model_file(sure, num_photos):
    logits = np.zeros((num_photos, 3), np.float32)
    logits[:, 0] = sure
    threshold = fit_threshold(logits, 0.05)
    assert 0 <= round(threshold, 6) < 1
    assert (softmax(logits, 0.05).max(1) >= threshold).all()
