"""A photo gets the same answer alone and among others; test_built_in_on_trashnet.py has more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet.inference.classifier import Classifier

SAMPLES = Path(__file__).parents[2] / "samples"


def largest_difference(paths: list[Path], batch_size: int) -> float:
    """Compare the probabilities of all photos, one by one and in batches."""
    classifier = Classifier()
    alone = [classifier.classify(path) for path in paths]
    together = list(classifier.classify_many(paths, batch_size=batch_size))
    assert [one.path for one in together] == [one.path for one in alone] == list(map(str, paths))
    assert all(one.error is None for one in (*alone, *together))
    names = classifier.info.class_names
    single, batch = (
        np.array([[one.probabilities[name] for name in names] for one in answers])
        for answers in (alone, together)
    )
    return float(np.abs(single - batch).max())


@pytest.mark.parametrize("batch_size", [3, 14])
def test_of_the_samples(batch_size: int) -> None:
    assert largest_difference(sorted(SAMPLES.glob("*.jpg")), batch_size) < 1e-4
