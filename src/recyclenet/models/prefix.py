"""The frozen prefix of a network: the stages before its first trainable layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recyclenet.models.network import Network
from recyclenet.models.tracing import chained_stages


def frozen_prefix(model: Network, image_size: int) -> FrozenPrefix:
    """Return the longest chain of frozen stages that starts at the input.

    Args:
        model: a network whose frozen parameters have `requires_grad` False.
        image_size: side of the input images, pixels.
    """

    def is_frozen(name: str) -> bool:
        stage = model.backbone.get_submodule(name)
        return not any(parameter.requires_grad for parameter in stage.parameters())

    return FrozenPrefix(chained_stages(model.backbone, image_size, is_frozen))


class FrozenPrefix:
    """Frozen stages, whose output can be computed once per image.

    Args:
        stages: by name, in execution order.
    """

    def __init__(self, stages: dict[str, nn.Module]) -> None:
        self.stages = stages

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the feature maps `(N, ., ., .)` of images `(N, 3, H, W)`."""
        for stage in self.stages.values():
            batch = stage(batch)
        return batch

    def skip(self) -> None:
        """Make the stages pass their input on, so that the network takes feature maps.

        The stages keep their weights, so a checkpoint still holds the whole network.
        """
        for stage in self.stages.values():
            stage.forward = _identity


def _identity(x: Any) -> Any:
    return x
