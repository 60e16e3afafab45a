"""Choose the exemplars of a model file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from recyclenet.core.progress import Progress
from recyclenet.data.manifest import Manifest, Sample, evenly
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.exemplars import Exemplars, rows_per_class
from recyclenet.inference.head import Head
from recyclenet.models.network import Network

# Relative to the mean squared length of a feature vector.
_RIDGE = 1e-3


def choose_exemplars(
    classifier: Classifier, manifest: Manifest, model: Network, progress: Progress
) -> Exemplars | None:
    """Return exemplars from the training and validation photos, evenly spaced in the manifest.

    Args:
        classifier: the exported model, with features.
        manifest: the run's photos.
        model: its network, on the CPU.
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
    total = sum(map(len, chosen))
    train, train_targets, train_logits = _rows(classifier, chosen[0], 0, total, progress)
    if set(train_targets.tolist()) != set(range(len(names))):
        return None
    held_out, held_out_targets, logits = _rows(
        classifier, chosen[1], len(chosen[0]), total, progress
    )
    return Exemplars(
        train=train,
        train_targets=train_targets,
        held_out=held_out,
        held_out_targets=held_out_targets,
        predicted=logits.argmax(axis=1).astype(np.int64),
        head=_linear_head(model, train, train_logits),
    )


def _rows(
    classifier: Classifier, samples: Sequence[Sample], before: int, total: int, progress: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return features `(N, D)`, targets `(N,)` and logits `(N, K)` of the readable photos."""
    names, info = classifier.info.class_names, classifier.info
    features, targets, logits = [], [], []
    answers = classifier.outputs_many(sample.path for sample in samples)
    for done, (sample, (_, outputs, _)) in enumerate(zip(samples, answers, strict=True), 1):
        if outputs is not None:
            features.append(outputs.features)
            logits.append(outputs.logits)
            targets.append(names.index(sample.label))
        progress(before + done, total, "keeping exemplars")
    count = len(targets)
    return (
        np.array(features, np.float32).reshape(count, info.num_features),
        np.array(targets, np.int64),
        np.array(logits, np.float32).reshape(count, len(names)),
    )


def _linear_head(
    model: Network, features: npt.NDArray[np.float32], logits: npt.NDArray[np.float32]
) -> Head:
    """Return the linear layer that gives these logits for these features.

    Starting from the mean of the network's own linear layers, ridge regression fits what they
    leave: nothing, unless there are several branches or the head is no single linear layer.
    """
    modules = [model.get_submodule(name) for name in model.head_names]
    linear = [module for module in modules if isinstance(module, nn.Linear)]
    weight = np.zeros((logits.shape[1], features.shape[1]))
    bias = np.zeros(logits.shape[1])
    if linear and len(linear) == len(modules):
        weight += np.mean([m.weight.detach().numpy() for m in linear], axis=0)
        bias += sum(m.bias.detach().numpy() for m in linear if m.bias is not None) / len(linear)
    rest = logits - (features @ weight.T + bias)
    offset = rest.mean(axis=0)
    kernel = features.astype(np.float64) @ features.T
    kernel[np.diag_indices(len(kernel))] += _RIDGE * np.trace(kernel) / len(kernel)
    weight += np.linalg.solve(kernel, rest - offset).T @ features
    return Head(weight.astype(np.float32), (bias + offset).astype(np.float32))
