"""The parity gate: an exported model must answer like the network it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from recyclenet.data.manifest import Sample
from recyclenet.errors import RecycleNetError
from recyclenet.inference.classifier import Classifier

# Rounding in float32 sums alone may change a logit by this share of the largest one: a head fitted
# to the features of a random network has logits of thousands.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a model file may differ from its network.

    Attributes:
        max_difference: largest difference of any logit.
        max_accuracy_loss: largest loss of accuracy, 0 to 1, on the photos compared.
        same_labels: whether every photo must keep its most probable class.
    """

    max_difference: float
    max_accuracy_loss: float = 0.0
    same_labels: bool = True


# By the precision in which a model file stores its weights.
TOLERANCES = {
    "float32": Tolerance(1e-3),
    "float16": Tolerance(0.05),
    "int8": Tolerance(2.0, max_accuracy_loss=0.005, same_labels=False),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """How a model file compares with its network, from the photo files to the logits.

    Attributes:
        num_photos: photos compared.
        max_difference: largest difference of any logit.
        allowed_difference: the largest difference that passes.
        worst: the photo with the largest difference.
        num_changed: photos whose most probable class changed.
        accuracy_loss: accuracy of the network less that of the file.
    """

    num_photos: int
    max_difference: float
    allowed_difference: float
    worst: Sample
    num_changed: int
    accuracy_loss: float


def measure_parity(
    classifier: Classifier, samples: Sequence[Sample], model: nn.Module, tolerance: Tolerance
) -> Parity:
    """Compare a model file with its network.

    Args:
        classifier: uses the model file.
        samples: photos to compare on, with labels.
        model: the network, in evaluation mode, on the CPU.
        tolerance: what passes.
    """
    expected, actual = [], []
    for sample in samples:
        batch = classifier.info.preprocess(classifier.decode(sample.path))[None]
        with torch.inference_mode():
            expected.append(model(torch.from_numpy(batch)).numpy()[0])
        actual.append(classifier.logits(batch)[0])
    wanted, found = np.stack(expected), np.stack(actual)
    differences = np.abs(wanted - found).max(axis=1)
    labels, names = [wanted.argmax(1), found.argmax(1)], classifier.info.class_names
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
    classifier: Classifier, samples: Sequence[Sample], model: nn.Module, precision: str = "float32"
) -> Parity:
    """Refuse a model file that differs too much from its network.

    Args:
        classifier: uses the model file.
        samples: photos to compare on, with labels.
        model: the network, in evaluation mode, on the CPU.
        precision: of the file's weights; one of `TOLERANCES`.

    Raises:
        RecycleNetError: a logit differs by too much, the file is less accurate, or a most probable
            class changed where none may.
    """
    tolerance = TOLERANCES[precision]
    parity = measure_parity(classifier, samples, model, tolerance)
    if not parity.max_difference <= parity.allowed_difference:
        raise RecycleNetError(
            f"not exported: PyTorch and ONNX Runtime differ by {parity.max_difference:.2g} on "
            f"{parity.worst.path} (at most {parity.allowed_difference:.2g} passes)"
        )
    if parity.num_changed and tolerance.same_labels:
        raise RecycleNetError(
            f"not exported: ONNX Runtime labels {parity.num_changed} of {parity.num_photos} photos "
            "differently from PyTorch"
        )
    if parity.accuracy_loss > tolerance.max_accuracy_loss:
        raise RecycleNetError(
            f"not exported: the {precision} model loses {parity.accuracy_loss:.2%} accuracy (at "
            f"most {tolerance.max_accuracy_loss:.2%} passes)"
        )
    return parity
