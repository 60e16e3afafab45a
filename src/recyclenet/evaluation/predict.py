"""Run a classifier on the photos of a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import Manifest
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.evaluation.table import PredictionTable
from recyclenet.inference.classifier import Classifier, Look
from recyclenet.inference.session import Outputs


def predict(
    classifier: Classifier,
    manifest: Manifest,
    progress: Progress = silent,
    labels: Iterable[str] | None = None,
    look: Look | None = None,
    keep: Callable[[Outputs], None] | None = None,
) -> PredictionTable:
    """Return a classifier's logits for the photos of a manifest, in order.

    Args:
        classifier: the classifier.
        manifest: photos with labels.
        progress: reports the number of photos done.
        labels: the labels that a photo may have; None for the classifier's classes.
        look: is shown each photo's path and image, in several threads at once.
        keep: is called with all outputs for each photo of the result, in order.

    Raises:
        DataError: a photo has another label, or no photo can be read.
        ModelFileError: the model returned non-finite logits for every photo.
    """
    manifest.check_labels(classifier.info.class_names if labels is None else labels)
    samples, rows, unknown = [], [], []
    problems: list[RecycleNetError] = []
    answers = classifier.outputs_many((sample.path for sample in manifest), look=look)
    for done, (sample, (_, outputs, error)) in enumerate(zip(manifest, answers, strict=True), 1):
        if error is not None:
            problems.append(error)
        elif outputs is not None:
            samples.append(sample)
            rows.append(outputs.logits)
            unknown.append(outputs.unknown)
            if keep is not None:
                keep(outputs)
        progress(done, len(manifest), "evaluating")
    if not rows:
        raise DataError(
            f"none of the {len(manifest)} photos can be read; first error: {problems[0]}"
        )
    return PredictionTable(
        tuple(samples),
        np.stack(rows),
        classifier.info.class_names,
        tuple(problems),
        None if unknown[0] is None else np.array(unknown, np.float32),
    )
