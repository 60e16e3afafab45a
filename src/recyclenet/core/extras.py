"""Checks for optional dependencies ("extras"), with a one-line error for a missing one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NoReturn

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

CAMERA_MODULES = ("cv2",)

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


SERVE_MODULES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def require_serve(feature: str) -> None:
    """Check that the serving extra is installed, without importing it.

    Raises:
        MissingExtraError: a package of it is missing.
    """
    _require(SERVE_MODULES, feature, "serve")


def require_train(feature: str) -> None:
    """Check that the training extra is installed, without importing it.

    Raises:
        MissingExtraError: a package of it is missing.
    """
    _require(TRAIN_MODULES, feature, "train")


def require_data(feature: str) -> None:
    """Check that the data extra is installed, without importing it.

    Raises:
        MissingExtraError: a package of it is missing.
    """
    _require(DATA_MODULES, feature, "data")


def require_camera(feature: str) -> None:
    """Check that the camera extra is installed, without importing it.

    Raises:
        MissingExtraError: a package of it is missing.
    """
    _require(CAMERA_MODULES, feature, "camera")


def has_train() -> bool:
    """Return whether the training extra is installed."""
    return _has(TRAIN_MODULES)


def placeholder(name: str, extra: str) -> Callable[..., NoReturn]:
    """Return a stand-in for a function whose extra is not installed.

    `dir` and `help` work with it; calling it raises `MissingExtraError`.
    """
    error = MissingExtraError(name, extra)

    def missing(*_: object, **__: object) -> NoReturn:
        raise error

    missing.__name__ = missing.__qualname__ = name.rpartition(".")[2]
    missing.__doc__ = f"Not installed: {error}."
    return missing


def _has(modules: tuple[str, ...]) -> bool:
    return all(find_spec(name) is not None for name in modules)


def _require(modules: tuple[str, ...], feature: str, extra: str) -> None:
    if not _has(modules):
        raise MissingExtraError(feature, extra)
