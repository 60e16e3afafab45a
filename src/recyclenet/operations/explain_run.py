"""Explaining a run by the feature maps of its network; needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, RecycleNetError
from recyclenet.inference.classifier import Classifier
from recyclenet.models.spatial import METHODS, trace
from recyclenet.training.checkpoint import load_trained
from recyclenet.training.run import Run

# Largest distance between the outputs of network and file, relative to their length. Weights in
# int8 cause up to 0.07, another seed 1.
_MAX_DISTANCE = 0.25


def open_maps(
    folder: Path, method: str, classifier: Classifier
) -> Callable[[npt.NDArray[np.float32], int], npt.NDArray[np.float32]]:
    """Return a function from one input and a class to a coarse map.

    Args:
        folder: a run folder.
        method: a key of `METHODS`.
        classifier: with the exported model of the run, whose answers are explained.

    Returns:
        A function of an input `(3, S, S)` float32 and the index of a class. It returns the map
        `(h, w)`, and raises `RecycleNetError` if the network and the classifier disagree.

    Raises:
        UsageError: the folder holds no trained run.
        ModelFileError: the checkpoint is damaged.
    """
    model = load_trained(Run(folder)).requires_grad_(False)
    # An export adds to the logits, but returns the features as they are.
    has_features = classifier.info.num_features > 0

    def coarse_map(image: npt.NDArray[np.float32], index: int) -> npt.NDArray[np.float32]:
        batch, outputs = torch.from_numpy(image)[None], classifier.outputs(image[None])
        found = trace(model, batch)
        expected = model.pre_logits(batch) if has_features else found.logits.detach()
        given = outputs.features if has_features else outputs.logits
        if given is None or not _is_close(expected.numpy(), given):
            raise RecycleNetError(
                f"the checkpoint in {show_path(folder)} and its model.onnx give different answers; "
                f"export the run again: recyclenet export {show_path(folder)}"
            )
        coarse = METHODS[method](found, index)[0].numpy()
        if not np.isfinite(coarse).all():
            raise ModelFileError(
                f"the network in {show_path(folder)} has a non-finite feature map; train again"
            )
        return coarse

    return coarse_map


def _is_close(expected: npt.NDArray[np.float32], given: npt.NDArray[np.float32]) -> bool:
    if expected.shape != given.shape:
        return False
    return bool(np.linalg.norm(expected - given) <= _MAX_DISTANCE * np.linalg.norm(expected))
