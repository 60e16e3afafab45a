"""Choose the exemplars of a model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recyclenet.core.progress import Progress
from recyclenet.data.manifest import Manifest, Sample, evenly
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.exemplars import Exemplars, rows_per_class


def choose_exemplars(
    classifier: Classifier,
    manifest: Manifest,
    memory: Mapping[Path, npt.NDArray[np.float32]],
    progress: Progress,
) -> Exemplars | None:
    """Return exemplars from the training and validation photos, evenly spaced in the manifest.

    Args:
        classifier: the exported model, with features.
        manifest: the run's photos.
        memory: for training photos, the part of the logits `(K,)` that is there only because the
            model was fitted to this very photo; it is subtracted.
        progress: reports the number of photos done.

    Returns:
        The exemplars; None if no photo of some class can be read.
    """
    names = classifier.info.class_names
    limits = rows_per_class(len(names), classifier.info.num_features)
    chosen = [
        [s for name in names for s in evenly([x for x in part if x.label == name], limit)]
        for part, limit in zip(map(manifest.select, ("train", "val")), limits, strict=True)
    ]
    train, train_targets, train_logits = _rows(classifier, chosen[0], memory, progress)
    if set(train_targets.tolist()) != set(range(len(names))):
        return None
    held_out, held_out_targets, logits = _rows(classifier, chosen[1], {}, progress)
    return Exemplars(
        train=train,
        train_targets=train_targets,
        held_out=held_out,
        held_out_targets=held_out_targets,
        train_logits=train_logits,
        held_out_logits=logits,
    )


def _rows(
    classifier: Classifier,
    samples: Sequence[Sample],
    memory: Mapping[Path, npt.NDArray[np.float32]],
    progress: Progress,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return features `(N, D)`, targets `(N,)` and logits `(N, K)` of the readable photos.

    The logits are those without the memory.
    """
    names, info = classifier.info.class_names, classifier.info
    features, targets, logits = [], [], []
    answers = classifier.outputs_many(sample.path for sample in samples)
    for done, (sample, (_, outputs, _)) in enumerate(zip(samples, answers, strict=True), 1):
        if outputs is not None:
            features.append(outputs.features)
            logits.append(outputs.logits - memory.get(sample.path, 0))
            targets.append(names.index(sample.label))
        progress(done, len(samples), "keeping exemplars")
    count = len(targets)
    return (
        np.array(features, np.float32).reshape(count, info.num_features),
        np.array(targets, np.int64),
        np.array(logits, np.float32).reshape(count, len(names)),
    )
