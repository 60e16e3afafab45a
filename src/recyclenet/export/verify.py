"""The parity gate: the exported file must answer as the network it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recyclenet.data.manifest import Sample
from recyclenet.errors import RecycleNetError
from recyclenet.inference.classifier import Classifier

# Largest difference of a logit, between the same float32 network in PyTorch and in ONNX Runtime.
TOLERANCE = 1e-3
# The same once the weights are stored as float16.
HALF_TOLERANCE = 0.05
# What the order of float32 sums alone may change, as a share of the largest logit: a head fitted to
# features of a random network has logits of thousands.
_ROUNDING = 1e-6


def verify_parity(
    content: bytes, samples: Sequence[Sample], model: nn.Module, tolerance: float = TOLERANCE
) -> float:
    """Compare the two on real pictures, from the picture file to the logits.

    Args:
        content: the sealed model file.
        samples: photos to compare on.
        model: the network, in evaluation mode.
        tolerance: largest difference of a logit that is let through.

    Returns:
        The largest difference found.

    Raises:
        RecycleNetError: a logit differs by more, or a top class differs at all.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        classifier = Classifier(path)
    worst = 0.0
    for sample in samples:
        batch = classifier.info.preprocess(classifier.decode(sample.path))[None]
        with torch.inference_mode():
            expected = model(torch.from_numpy(batch)).numpy()
        actual = classifier.logits(batch)
        difference = float(np.abs(expected - actual).max())
        worst = max(worst, difference)
        allowed = max(tolerance, _ROUNDING * float(np.abs(expected).max()))
        if difference > allowed or expected.argmax() != actual.argmax():
            raise RecycleNetError(
                f"not exported: PyTorch and ONNX Runtime differ by {difference:.2g} on "
                f"{sample.path} (at most {allowed:.2g} is let through)"
            )
    return worst
