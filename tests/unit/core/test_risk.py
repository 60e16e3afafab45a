"""The threshold for a risk: exact, cautious, and honest where there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.risk import NUM_LEVELS, RiskTable, binomial_cdf, risk_table
from recyclenet.errors import ModelFileError, UsageError


def drawn(seed: int, num_photos: int, power: float = 8.0, noise: float = 0.0):
    """Confidences, and right answers: wrong with a probability of 1 - confidence + noise."""
    random = np.random.default_rng(seed)
    confidence = random.beta(power, 1, num_photos)
    return confidence, random.random(num_photos) < confidence - noise


@given(st.integers(1, 400), st.floats(0.01, 0.9), st.data())
def test_tail_of_the_binomial_distribution_is_exact(trials, share, data):
    binom = pytest.importorskip("scipy.stats").binom
    successes = data.draw(st.integers(0, trials))
    exact = binom.cdf(successes, trials, share)
    found = binomial_cdf(successes, trials, share)
    assert found == (1 if successes >= trials * share else pytest.approx(exact, rel=1e-6))


def test_tail_of_very_many_photos_is_quick_and_finite():
    assert 0 <= binomial_cdf(10**7, 10**9, 0.0101) < 1e-5
    assert binomial_cdf(0, 10**9, 0.5) == 0


def test_counts_are_those_of_the_photos():
    confidence, right = drawn(1, 250)
    table = risk_table(confidence, right)
    assert len(table.thresholds) == NUM_LEVELS
    assert list(table.thresholds) == sorted(table.thresholds, reverse=True)
    assert table.total.answered[-1] == 250
    assert table.total.wrong[-1] == (~right).sum()
    for threshold, answered, wrong in zip(
        table.thresholds, table.total.answered, table.total.wrong, strict=True
    ):
        assert answered == (confidence >= threshold).sum()
        assert wrong == (~right[confidence >= threshold]).sum()
    assert table.domains == {}


def test_a_table_survives_the_model_file():
    table = risk_table(*drawn(2, 99), domains=["a"] * 50 + ["b"] * 49)
    stored = json.loads(json.dumps({"risk": table.to_statistics()}))
    assert RiskTable.from_statistics(stored) == table
    assert len(json.dumps(stored)) < 6000


def test_a_larger_risk_answers_more():
    table = risk_table(*drawn(3, 2000))
    choices = [table.choose(risk) for risk in (0.04, 0.06, 0.1, 0.3)]
    coverages = [choice.coverage for choice in choices]
    assert coverages == sorted(coverages)
    assert coverages[-1] == 1
    for choice in choices:
        assert choice.found <= choice.max_risk


def test_the_promise_holds_in_nine_of_ten_calibrations():
    """A model right with a probability of its confidence minus 1%: the true risk is known."""
    truth, _ = drawn(0, 200_000)
    truth = np.sort(truth)
    risks = np.cumsum((1 - truth + 0.01)[::-1])[::-1] / np.arange(len(truth), 0, -1)
    broken = total = 0
    for seed in range(200):
        for num_photos in (100, 328):
            table = risk_table(*drawn(1000 + seed, num_photos, noise=0.01))
            try:
                threshold = table.choose(0.06).threshold
            except UsageError:
                continue
            total += 1
            broken += risks[np.searchsorted(truth, threshold)] > 0.06
    assert total > 50
    assert broken <= 0.1 * 400


def test_a_risk_that_cannot_be_kept_is_refused_with_one_that_can():
    table = risk_table(*drawn(4, 328))
    with pytest.raises(UsageError, match=r"at 0\.10% .* 328 validation photos; .*--max-risk 0\.\d"):
        table.choose(0.001)
    hopeless = risk_table(np.full(50, 0.9), np.zeros(50, bool))
    with pytest.raises(UsageError, match="more photos"):
        hopeless.choose(0.2)
    for odd in (0, 1, -1, float("nan"), 1e-300):
        with pytest.raises(UsageError, match="max_risk must be"):
            table.choose(odd)


def test_photos_of_one_confidence_and_a_single_photo():
    table = risk_table(np.ones(100), np.ones(100, bool))
    assert table.choose(0.05).threshold == 1
    with pytest.raises(UsageError):
        risk_table(np.ones(1), np.ones(1, bool)).choose(0.5)


def test_the_worst_domain_is_shown():
    confidence, right = np.full(400, 0.9), np.ones(400, bool)
    right[:12] = False
    table = risk_table(confidence, right, ["street"] * 100 + ["studio"] * 300)
    choice = table.choose(0.06)
    assert choice.worst == ("street", 1, pytest.approx(0.12))
    assert "worst domain street: answers 100.0%, 12.0% of them wrong" in str(choice)
    assert choice.to_row()["worst_domain"]["name"] == "street"


def test_a_model_file_without_the_table_must_be_exported_again():
    with pytest.raises(UsageError, match="export the model again"):
        RiskTable.from_statistics({})


GOOD = {"confidence": [0.9, 0.5], "all": {"answered": [1, 2], "wrong": [0, 1]}, "domains": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": []},
        {"confidence": [0.9]},
        {"confidence": [2, 0.5]},
        {"confidence": ["x", 0.5]},
        {"confidence": 3},
        {"all": {"answered": [1, 2], "wrong": [2, 1]}},
        {"all": {"answered": [2, 1], "wrong": [0, 0]}},
        {"all": {"answered": [1.5, 2], "wrong": [0, 1]}},
        {"all": {"answered": [1, 10**400], "wrong": [0, 1]}},
        {"all": {"answered": [1, 2]}},
        {"all": []},
        {"domains": []},
        {"domains": {"a": {"answered": [-1, 2], "wrong": [-1, 1]}}},
        {"domains": None},
    ],
)
def test_invalid_tables_are_untrusted(changes):
    assert RiskTable.from_statistics({"risk": GOOD}).thresholds == (0.9, 0.5)
    with pytest.raises(ModelFileError, match="invalid risk table"):
        RiskTable.from_statistics({"risk": {**GOOD, **changes}})
    for odd in (3, [], "x"):
        with pytest.raises(ModelFileError):
            RiskTable.from_statistics({"risk": odd})
