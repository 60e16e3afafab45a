"""Saying in one line which optional part a command misses."""

from __future__ import annotations

from importlib.util import find_spec

from recyclenet.errors import MissingExtraError

TRAIN_MODULES = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "onnx",
    "onnxscript",
    "safetensors",
    "matplotlib",
    "pytorchcv",
    "scipy",
    "tensorboardX",
)


def require_train(feature: str) -> None:
    """Check for the training extra without importing it.

    Raises:
        MissingExtraError: some part of it is not installed.
    """
    if any(find_spec(name) is None for name in TRAIN_MODULES):
        raise MissingExtraError(feature, "train")
