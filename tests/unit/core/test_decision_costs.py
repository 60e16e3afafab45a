"""From probabilities to a bin: the most probable one, or the one that costs least."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recyclenet.core.decision import ASK, bin_chooser, softmax
from recyclenet.core.taxonomy import BINS, Rules, assign_streams, known_streams, load_rules

CLASSES = ("battery", "cardboard", "glass", "paper", "trash")
STREAMS = {
    "battery": "hazardous",
    "cardboard": "recyclable",
    "glass": "recyclable",
    "paper": "recyclable",
    "trash": "other",
}
BLUE = {"paper": "blue bin", "cardboard": "blue bin"}
PROBABILITIES = arrays.arrays(
    np.float64, (4, len(CLASSES)), elements=st.floats(-6, 6, width=32)
).map(softmax)
NOBODY = np.zeros(4, bool)


def one(chooser, *probabilities: float) -> tuple[str | None, float]:
    choices, costs = chooser.choose(np.array([probabilities]), np.zeros(1, bool))
    return None if choices[0] == ASK else chooser.bins[choices[0]], float(costs[0])


@given(PROBABILITIES)
def test_uniform_costs_choose_the_bin_with_the_largest_summed_probability(probabilities):
    chooser = bin_chooser(Rules(bins=BLUE, costs={}), STREAMS)
    choices, costs = chooser.choose(probabilities, NOBODY)
    sums = np.stack([probabilities[:, chooser.right == b].sum(1) for b in range(len(chooser.bins))])
    np.testing.assert_allclose(sums[choices, range(4)], sums.max(0), atol=1e-9)
    np.testing.assert_allclose(costs, 1 - sums.max(0), atol=1e-9)


@given(PROBABILITIES)
def test_without_costs_it_is_the_bin_of_the_most_probable_class(probabilities):
    chooser = bin_chooser(Rules(bins=BLUE), STREAMS)
    choices, costs = chooser.choose(probabilities, NOBODY)
    assert (choices == chooser.right[probabilities.argmax(1)]).all()
    assert np.isnan(costs).all()


@given(PROBABILITIES, st.floats(0, 2))
def test_a_person_is_asked_exactly_where_that_is_cheaper(probabilities, abstain):
    plain = bin_chooser(Rules(bins=BLUE, costs={}), STREAMS)
    asking = bin_chooser(Rules(bins=BLUE, costs={}, abstain=abstain), STREAMS)
    lowest = plain.choose(probabilities, NOBODY)[1]
    choices, costs = asking.choose(probabilities, NOBODY)
    assert ((choices == ASK) == (abstain < lowest)).all()
    np.testing.assert_allclose(costs, np.minimum(lowest, abstain))


def test_classes_that_share_a_bin_add_up():
    probabilities = (0, 0.3, 0.4, 0.3, 0)
    assert one(bin_chooser(Rules(bins=BLUE), STREAMS), *probabilities)[0] == BINS["recyclable"]
    assert one(bin_chooser(Rules(bins=BLUE, costs={}), STREAMS), *probabilities) == (
        "blue bin",
        pytest.approx(0.4),
    )


def test_a_dear_mistake_outweighs_a_more_probable_answer():
    costs = {"hazardous": {"recyclable": 10, "other": 5}}
    chooser = bin_chooser(Rules(costs=costs), STREAMS)
    assert one(chooser, 0.2, 0, 0.8, 0, 0) == (BINS["hazardous"], pytest.approx(0.8))
    assert one(chooser, 0.05, 0, 0.95, 0, 0) == (BINS["recyclable"], pytest.approx(0.5))


def test_a_bin_without_a_class_of_the_model_may_be_cheapest():
    costs = {"recyclable": {"other": 0.1}}
    streams = {"glass": "recyclable", "paper": "recyclable"}
    chooser = bin_chooser(Rules(bins={"paper": "blue bin"}, costs=costs), streams)
    assert one(chooser, 0.5, 0.5) == (BINS["other"], pytest.approx(0.1))


def test_the_most_specific_cost_counts():
    costs = {
        "recyclable": {"recyclable": 0.5, "other": 0.4},
        "blue bin": {"other": 0.3, BINS["recyclable"]: 0.6},
        "paper": {"other": 0.2},
    }
    chooser = bin_chooser(Rules(bins=BLUE, costs=costs), STREAMS)
    of = {name: dict(zip(chooser.bins, row, strict=True)) for name, row in zip(
        CLASSES, chooser.costs, strict=True
    )}  # fmt: skip
    yellow, grey = BINS["recyclable"], BINS["other"]
    assert (of["paper"]["blue bin"], of["glass"][yellow]) == (0, 0)
    assert (of["paper"][grey], of["cardboard"][grey], of["glass"][grey]) == (0.2, 0.3, 0.4)
    assert (of["paper"][yellow], of["glass"]["blue bin"]) == (0.6, 0.5)
    assert (of["trash"]["blue bin"], of["battery"][grey]) == (1, 1)


def test_a_bin_for_several_streams_costs_as_the_worst_of_them():
    rules = Rules(
        bins={"kitchen": "sack", "other": "sack"},
        costs={"recyclable": {"kitchen": 2, "other": 0.5}},
    )
    chooser = bin_chooser(rules, {"glass": "recyclable", "trash": "other"})
    assert chooser.costs[0, chooser.bins.index("sack")] == 2


def test_a_photo_for_a_person_goes_there_whatever_the_costs():
    for rules in (Rules(), Rules(costs={}), Rules(costs={}, abstain=0.3)):
        choices, costs = bin_chooser(rules, STREAMS).choose(np.eye(5), np.ones(5, bool))
        assert (choices == ASK).all()
        assert (costs == 0.3).all() if rules.abstain else np.isnan(costs).all()


def test_true_costs():
    chooser = bin_chooser(Rules(costs={"hazardous": {"other": 5}}, abstain=0.3), STREAMS)
    grey = chooser.bins.index(BINS["other"])
    paid = chooser.true_costs(np.array([grey, grey, ASK]), np.array([0, 4, 2]))
    assert paid.tolist() == [5, 0, 0.3]
    assert np.isnan(bin_chooser(Rules(), STREAMS).true_costs(np.array([0]), np.array([0]))).all()


@pytest.mark.parametrize("name", ["germany", "shanghai"])
def test_rules_of_the_package_send_a_likely_battery_to_its_point(name):
    rules = load_rules(name)
    assert rules.abstain == 0.1
    names = ("batteries", "glass", "paper", "plastic", "trash")
    chooser = bin_chooser(rules, {**assign_streams(names), "batteries": "hazardous"})
    assert chooser.costs.max() == 10
    bin_name, _ = one(chooser, 0.95, 0.05, 0, 0, 0)
    assert bin_name == rules.bin_of_stream("hazardous")
    assert one(chooser, 0.4, 0.6, 0, 0, 0) == (None, 0.1)
    assert set(known_streams().values()) >= set(STREAMS.values())
