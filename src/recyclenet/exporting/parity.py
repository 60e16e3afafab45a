"""The parity check: an exported model must match its PyTorch network, in smaller precisions too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import Sample
from recyclenet.errors import RecycleNetError
from recyclenet.inference.classifier import Classifier

Floats: TypeAlias = npt.NDArray[np.float32]
Reference: TypeAlias = Callable[[Floats], Floats]

# Tolerated rounding error relative to the largest logit. Logits can be in the thousands, for
# example with a head fitted to the features of a random network.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a model file may differ from its network.

    Attributes:
        max_difference: largest allowed absolute difference of a logit.
        max_accuracy_loss: largest allowed loss of accuracy on the compared photos, 0 to 1.
        same_labels: whether every photo must keep its most probable class.
        num_photos: number of photos to compare. An accuracy needs more than a largest difference:
            one changed answer among 32 is 3%.
    """

    max_difference: float
    max_accuracy_loss: float = 0.0
    same_labels: bool = True
    num_photos: int = 32


# By the precision of the stored weights.
TOLERANCES = {
    "float32": Tolerance(1e-3),
    "float16": Tolerance(0.05),
    "int8": Tolerance(2.0, max_accuracy_loss=0.005, same_labels=False, num_photos=400),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """The comparison of a model file with its network.

    Attributes:
        num_photos: number of compared photos.
        max_difference: largest absolute difference of a logit.
        allowed_difference: largest allowed difference.
        worst: the photo with the largest difference.
        num_changed: number of photos whose most probable class changed.
        accuracy_loss: accuracy of the network minus accuracy of the file.
    """

    num_photos: int
    max_difference: float
    allowed_difference: float
    worst: Sample
    num_changed: int
    accuracy_loss: float


def run_network(model: nn.Module) -> Reference:
    """Return a function that runs a network, in evaluation mode and on the CPU."""

    def run(batch: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(model(torch.from_numpy(batch)), np.float32)

    return run


def measure_parity(
    classifier: Classifier,
    samples: Sequence[Sample],
    reference: Reference,
    tolerance: Tolerance,
    progress: Progress = silent,
) -> Parity:
    """Compare a model file with its network, or with the file in float32, from photo to logits.

    Args:
        classifier: a classifier with the model file.
        samples: labelled photos to compare on.
        reference: returns the right logits `(N, K)` of a batch `(N, 3, S, S)`.
        tolerance: the allowed differences.
        progress: reports the number of photos done.
    """
    expected, actual = [], []
    for done, sample in enumerate(samples, 1):
        batch = classifier.info.preprocess(classifier.decode(sample.path))[None]
        expected.append(reference(batch)[0])
        actual.append(classifier.logits(batch)[0])
        progress(done, len(samples), "comparing")
    wanted, exported = np.stack(expected), np.stack(actual)
    differences = np.abs(wanted - exported).max(axis=1)
    labels, names = [wanted.argmax(1), exported.argmax(1)], classifier.info.class_names
    targets = np.array([names.index(sample.label) for sample in samples])
    accuracies = [float((predicted == targets).mean()) for predicted in labels]
    return Parity(
        num_photos=len(samples),
        max_difference=float(differences.max()),
        allowed_difference=max(tolerance.max_difference, _ROUNDING * float(np.abs(wanted).max())),
        worst=samples[int(differences.argmax())],
        num_changed=int((labels[0] != labels[1]).sum()),
        accuracy_loss=accuracies[0] - accuracies[1],
    )


def check_parity(
    classifier: Classifier,
    samples: Sequence[Sample],
    reference: Reference,
    precision: str = "float32",
    progress: Progress = silent,
) -> Parity:
    """Check that a model file matches its network, or the file in float32.

    Args:
        classifier: a classifier with the model file.
        samples: labelled photos to compare on.
        reference: returns the right logits `(N, K)` of a batch `(N, 3, S, S)`.
        precision: precision of the file's weights, a key of `TOLERANCES`.
        progress: reports the number of photos done.

    Raises:
        RecycleNetError: the logits, the accuracy or the most probable classes differ too much.
    """
    tolerance = TOLERANCES[precision]
    parity = measure_parity(classifier, samples, reference, tolerance, progress)
    if not parity.max_difference <= parity.allowed_difference:
        raise RecycleNetError(
            f"not exported: a logit of the {precision} model is off by "
            f"{parity.max_difference:.2g} for {parity.worst.path}; at most "
            f"{parity.allowed_difference:.2g} is allowed"
        )
    if parity.num_changed and tolerance.same_labels:
        raise RecycleNetError(
            f"not exported: the {precision} model gives {parity.num_changed} of "
            f"{parity.num_photos} photos another class; none may differ"
        )
    if parity.accuracy_loss > tolerance.max_accuracy_loss:
        raise RecycleNetError(
            f"not exported: the {precision} model loses {parity.accuracy_loss:.2%} accuracy; at "
            f"most {tolerance.max_accuracy_loss:.2%} is allowed"
        )
    return parity
