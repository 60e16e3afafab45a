"""Running a classifier over a manifest."""

from __future__ import annotations

import numpy as np

from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import Manifest
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.evaluation.table import PredictionTable
from recyclenet.inference.classifier import Classifier


def predict(
    classifier: Classifier, manifest: Manifest, progress: Progress = silent
) -> PredictionTable:
    """Return a classifier's logits for every photo of a manifest, in its order.

    Args:
        classifier: the engine.
        manifest: photos whose labels the classifier knows.
        progress: reports the photos done.

    Raises:
        DataError: a label is unknown to the classifier, or no photo can be read.
        ModelFileError: the model gives no numbers for any photo.
    """
    manifest.check_labels(classifier.info.class_names)
    samples, rows = [], []
    problems: list[RecycleNetError] = []
    answers = classifier.logits_many(sample.path for sample in manifest)
    for done, (sample, (_, logits, error)) in enumerate(zip(manifest, answers, strict=True), 1):
        if error is not None:
            problems.append(error)
        elif logits is not None:
            samples.append(sample)
            rows.append(logits)
        progress(done, len(manifest), "evaluating")
    if not rows:
        raise DataError(f"none of the {len(manifest)} photos can be read; the first: {problems[0]}")
    return PredictionTable(
        tuple(samples), np.stack(rows), classifier.info.class_names, tuple(problems)
    )
