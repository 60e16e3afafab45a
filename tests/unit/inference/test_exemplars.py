"""Exemplars survive the model file nearly unchanged; hostile ones are refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recyclenet.core.arrays import pack_array
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.inference.exemplars import MAX_BYTES, Exemplars, rows_per_class
from recyclenet.inference.head import Head

RNG = np.random.default_rng(0)
TARGETS = np.repeat([0, 1, 2], 4)
GIVEN = Exemplars(
    train=np.abs(RNG.normal(size=(12, 5))).astype(np.float32),
    train_targets=TARGETS,
    held_out=np.abs(RNG.normal(size=(3, 5))).astype(np.float32),
    held_out_targets=np.array([0, 1, 2]),
    train_logits=RNG.normal(size=(12, 3)).astype(np.float32),
    held_out_logits=RNG.normal(size=(3, 3)).astype(np.float32),
)


def read(values) -> Exemplars:
    return Exemplars.from_statistics({"exemplars": json.loads(json.dumps(values))}, 3, 5)


def test_they_survive_the_model_file():
    found = read(GIVEN.to_statistics())
    largest = np.abs(np.concatenate([GIVEN.train, GIVEN.held_out])).max()
    np.testing.assert_allclose(found.train, GIVEN.train, atol=largest / 127)
    np.testing.assert_allclose(found.held_out, GIVEN.held_out, atol=largest / 127)
    np.testing.assert_array_equal(found.train_targets, TARGETS)
    np.testing.assert_array_equal(found.train_logits, GIVEN.train_logits)
    np.testing.assert_array_equal(found.held_out_logits, GIVEN.held_out_logits)


def test_those_of_an_earlier_release_are_read():
    values = GIVEN.to_statistics()
    del values["train_logits"], values["held_out_logits"]
    head = Head(RNG.normal(size=(3, 5)).astype(np.float32), np.ones(3, np.float32))
    found = read({**values, "head": head.to_statistics(), "predicted": [0, 1, 1]})
    np.testing.assert_allclose(found.train_logits, head(found.train), rtol=1e-5)
    np.testing.assert_allclose(found.held_out_logits, head(found.held_out), rtol=1e-5)


def test_a_file_without_them_says_what_to_do():
    with pytest.raises(UsageError, match=r"no exemplars.*export the model again"):
        Exemplars.from_statistics({}, 3, 5)


@pytest.mark.parametrize(
    "change",
    [
        {"train": "x"},
        {"train_targets": [0, 1]},
        {"train_targets": [0] * 12},
        {"train_targets": [0, 1, 2, 3] * 3},
        {"train_targets": [0.0, 1, 2, 1] * 3},
        {"train_logits": None},
        {"train_logits": pack_array(np.zeros((12, 2), np.float32), "float32")},
        {"held_out_logits": pack_array(np.full((3, 3), np.nan, np.float32), "float32")},
        {"held_out_logits": pack_array(np.full((3, 3), 1e9, np.float32), "float32")},
        {"held_out_targets": None},
        {"scale": {"dtype": "float32", "shape": [5], "data": "//////////8="}},
        {"scale": pack_array(np.full(5, 3e38, np.float32), "float32")},
        {"head": None},
        {"head": {"weight": 1, "bias": 2}},
    ],
)
def test_hostile_exemplars_are_refused(change):
    with pytest.raises(ModelFileError) as caught:
        read({**GIVEN.to_statistics(), **change})
    assert "\n" not in str(caught.value)
    for values in (None, [], 3, "x"):
        if values is not None:
            with pytest.raises(ModelFileError):
                read(values)


@pytest.mark.parametrize("num_classes", [2, 6, 55, 1000])
@pytest.mark.parametrize("num_features", [16, 1280, 4096])
def test_they_stay_small(num_classes, num_features):
    train, held_out = rows_per_class(num_classes, num_features)
    assert 1 <= train <= 40
    assert 0 <= held_out <= 24
    if train > 1:
        assert num_classes * num_features * (train + held_out) <= MAX_BYTES
    if num_classes * num_features < 10_000:
        assert (train, held_out) == (40, 24)
