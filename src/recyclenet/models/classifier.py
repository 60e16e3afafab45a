"""Building a network by name, with the weights it starts from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import timm
import torch
from torch import nn

from recyclenet.errors import ModelFileError, UsageError, nearest
from recyclenet.models.weights import imagenet_weights, local_weights


def create_model(
    backbone: str,
    num_classes: int,
    *,
    weights: str = "imagenet",
    drop_rate: float = 0.0,
) -> nn.Module:
    """Build a timm network with a fresh head.

    Args:
        backbone: timm's name, such as "tf_efficientnet_lite0".
        num_classes: width of the head.
        weights: what the backbone starts from: "imagenet", "none", or the path of a safetensors
            file of timm's tensor names. The head always starts fresh.
        drop_rate: dropout before the head, 0 to below 1.

    Returns:
        A network that maps `(N, 3, H, W)` float32 to logits `(N, num_classes)` float32.

    Raises:
        UsageError: no such backbone, or the weights cannot be had.
        ModelFileError: the weights do not fit the backbone.
    """
    if not timm.is_model(backbone):
        raise UsageError(f"unknown backbone {backbone!r}: {nearest(backbone, timm.list_models())}")
    if num_classes < 2:
        raise UsageError(f"num_classes must be 2 or more, not {num_classes}")
    try:
        model: nn.Module = timm.create_model(backbone, num_classes=num_classes, drop_rate=drop_rate)
    except RuntimeError as error:  # timm's answer to an unknown ".tag"
        tags = timm.list_pretrained(f"{backbone.split('.')[0]}.*")
        raise UsageError(f"backbone {backbone!r}: {error} {nearest(backbone, tags)}") from error
    if weights == "imagenet":
        load_backbone(model, imagenet_weights(backbone, model), backbone)
    elif weights != "none":
        load_backbone(model, local_weights(Path(weights)), weights)
    return model


def load_backbone(model: nn.Module, weights: dict[str, torch.Tensor], source: str) -> None:
    """Load every tensor but the head's from `weights` into `model`.

    Raises:
        ModelFileError: a tensor of the backbone is missing, unknown or of another shape.
    """
    own = model.state_dict()
    head = tuple(f"{name}." for name in head_names(model))
    found = {name: tensor for name, tensor in weights.items() if not name.startswith(head)}
    wanted = {name for name in own if not name.startswith(head)}
    wrong = sorted(
        (wanted ^ found.keys())
        | {name for name in wanted & found.keys() if own[name].shape != found[name].shape}
    )
    if wrong:
        raise ModelFileError(
            f"the weights {source} do not fit: {len(wrong)} of {len(wanted)} tensors are missing, "
            f"unknown or of another shape, {wrong[0]} first"
        )
    model.load_state_dict(found, strict=False)


def head_names(model: nn.Module) -> tuple[str, ...]:
    """Return the module names of the head, as timm declares them."""
    declared = getattr(model, "default_cfg", {}).get("classifier", ())
    return (declared,) if isinstance(declared, str) else tuple(declared)


def layer_groups(model: nn.Module) -> dict[str, int]:
    """Map each parameter to its layer group, 0 for the stem and up towards the head.

    The groups are timm's coarse ones: the stem, then one a stage.
    """
    from timm.models import group_parameters

    matcher = model.group_matcher(coarse=True)  # type: ignore[operator]
    groups = group_parameters(model, matcher)
    return {name: int(group) for group, names in groups.items() for name in names}


def freeze_first(model: nn.Module, num_groups: int) -> list[nn.Module]:
    """Stop the first layer groups from learning.

    Args:
        model: a timm network.
        num_groups: how many of `layer_groups` to freeze; 0 for none.

    Returns:
        The modules that hold no trainable parameter any more; while training they belong in
        evaluation mode, so that batch normalisation keeps its statistics too.

    Raises:
        UsageError: there are no such groups, or nothing but the head would be left.
    """
    if num_groups == 0:
        return []
    groups = layer_groups(model)
    sizes = Counter(groups.values())
    if num_groups >= len(sizes) - 1:
        raise UsageError(f"freeze_groups must be 0 to {len(sizes) - 2} here, not {num_groups}")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(groups[name] >= num_groups)
    return [
        module
        for module in model.modules()
        if (own := list(module.parameters())) and not any(p.requires_grad for p in own)
    ]
