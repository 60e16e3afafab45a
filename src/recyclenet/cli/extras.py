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
    "psutil",
    "pytorchcv",
    "scipy",
    "tensorboardX",
    "tomlkit",
)


DATA_MODULES = (
    "cleanlab",
    "cleanvision",
    "icrawler",
    "joblib",
    "matplotlib",
    "noto_cjk_sans_otc",
    "protego",
    "scipy",
)


def require_train(feature: str) -> None:
    """Check for the training extra without importing it.

    Raises:
        MissingExtraError: some part of it is not installed.
    """
    _require(TRAIN_MODULES, feature, "train")


def require_data(feature: str) -> None:
    """Check for the data extra without importing it.

    Raises:
        MissingExtraError: some part of it is not installed.
    """
    _require(DATA_MODULES, feature, "data")


def _require(modules: tuple[str, ...], feature: str, extra: str) -> None:
    if any(find_spec(name) is None for name in modules):
        raise MissingExtraError(feature, extra)
