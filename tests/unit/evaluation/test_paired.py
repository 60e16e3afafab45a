"""The paired test and interval, against scipy and by resampling; and which photos are common."""

from __future__ import annotations

from math import comb
from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.paired import Paired, mcnemar, on_common_photos
from recyclenet.evaluation.table import PredictionTable

NAMES = ("one", "two")


@pytest.mark.parametrize(
    ("first", "second"), [(0, 1), (0, 5), (4, 12), (12, 4), (100, 140), (3000, 3300)]
)
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(first, first + second).pvalue
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_p_values_at_the_edges() -> None:
    assert mcnemar(0, 0) == mcnemar(7, 7) == mcnemar(0, 1) == 1
    assert 0 <= mcnemar(0, 20_000) < 1e-300


def test_counts_and_difference() -> None:
    first = np.array([True, True, True, False, False, True])
    second = np.array([True, False, False, True, False, True])
    paired = Paired.count(first, second)
    assert (paired.num_both, paired.num_first, paired.num_second, paired.num_neither) == (
        2,
        2,
        1,
        1,
    )
    assert paired.difference == pytest.approx(second.mean() - first.mean())
    assert paired.warning.startswith("only 3 photos tell the two apart, so the interval")


def test_the_interval_is_that_of_resampled_photos() -> None:
    random = np.random.default_rng(3)
    first, second = random.random(400) < 0.8, random.random(400) < 0.9
    paired = Paired.count(first, second)
    gains = second.astype(int) - first.astype(int)
    means = [random.choice(gains, len(gains)).mean() for _ in range(4000)]
    np.testing.assert_allclose(paired.interval, np.quantile(means, [0.025, 0.975]), atol=0.006)
    assert paired.interval == Paired.count(first, second).interval
    assert paired.interval[0] < paired.difference < paired.interval[1]
    assert paired.warning == ""


def test_identical_answers_and_one_photo() -> None:
    right = np.array([True, False, True])
    same = Paired.count(right, right)
    assert (same.difference, same.p_value, same.interval) == (0, 1, (0, 0))
    one = Paired.count(np.array([False]), np.array([True]))
    assert (one.difference, one.p_value, one.interval) == (1, 1, (1, 1))
    assert one.warning.startswith("only one photo tells the two apart, so the interval")
    assert same.warning == "no photo tells the two apart"


def table(rows: dict[str, tuple[str, float, float]], classes: tuple[str, ...]) -> PredictionTable:
    samples = tuple(Sample(Path(name), label) for name, (label, *_) in rows.items())
    logits = np.array([row[1:] for row in rows.values()], np.float32)
    return PredictionTable(samples, logits, classes)


def test_photos_are_paired_by_file_and_classes_by_name() -> None:
    one = table({"a": ("x", 1, 0), "b": ("y", 2, 0), "only": ("x", 0, 0)}, ("x", "y"))
    two = table({"b": ("y", 3, 4), "./a": ("x", 5, 6), "c": ("x", 0, 0)}, ("y", "x"))
    common = on_common_photos(NAMES, [one, two])
    assert [sample.path.name for sample in common.samples] == ["a", "b"]
    assert common.class_names == ("x", "y")
    assert common.logits[0].tolist() == [[1, 0], [2, 0]]
    assert common.logits[1].tolist() == [[6, 5], [4, 3]]
    assert (common.targets.tolist(), common.num_left_out) == ([0, 1], 2)


def test_a_repeated_photo_counts_once() -> None:
    samples = (Sample(Path("a"), "x"), Sample(Path("./a"), "x"), Sample(Path("b"), "y"))
    one = PredictionTable(samples, np.eye(3, 2, dtype=np.float32), ("x", "y"))
    assert len(on_common_photos(NAMES, [one, one]).samples) == 2


def test_labels_of_a_dataset_count() -> None:
    one, two = (table({"a": (label, 1, 0)}, ("x", "y")) for label in ("x", "y"))
    with pytest.raises(DataError, match="a is 'x' in one, but 'y' in two; give --data"):
        on_common_photos(NAMES, [one, two])
    manifest = Manifest((Sample(Path("a"), "y"), Sample(Path("b"), "y")))
    assert on_common_photos(NAMES, [one, two], manifest).targets.tolist() == [1]


def test_what_cannot_be_compared() -> None:
    one = table({"a": ("x", 1, 0)}, ("x", "y"))
    with pytest.raises(DataError, match="no photo is in all of one, two; compare predictions for"):
        on_common_photos(NAMES, [one, table({"b": ("x", 1, 0)}, ("x", "y"))])
    with pytest.raises(UsageError, match="different classes: only two knows 'z'; compare"):
        on_common_photos(NAMES, [one, PredictionTable((), np.zeros((0, 3)), ("x", "y", "z"))])


@pytest.mark.parametrize("number", [12, 20, 40, 70])
@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.2])
def test_the_adjusted_interval_rarely_calls_equal_models_different(
    number: int, share: float
) -> None:
    """Each model alone is right on this share of the photos; the exact error is summed up."""
    one_side = 0.0
    for lost in range(number + 1):
        for won in range(number + 1 - lost):
            rest = number - lost - won
            paired = Paired(num_both=rest, num_first=lost, num_second=won, num_neither=0)
            if paired.adjusted_interval[1] < 0:
                ways = comb(number, lost) * comb(number - lost, won)
                one_side += ways * share ** (lost + won) * (1 - 2 * share) ** rest
    assert one_side < 0.035


def test_the_adjusted_interval_has_a_width_where_two_agree() -> None:
    low, high = Paired(num_both=20, num_first=0, num_second=0, num_neither=0).adjusted_interval
    assert low == pytest.approx(-high)
    assert 0.08 < high < 0.1
    assert Paired(
        num_both=0, num_first=40, num_second=0, num_neither=0
    ).adjusted_interval == pytest.approx((-1, -0.91), abs=0.05)
