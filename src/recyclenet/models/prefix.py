"""The part of a network that comes before anything that learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recyclenet.models.network import Network
from recyclenet.models.tracing import chained_stages


def frozen_prefix(model: Network, image_size: int) -> FrozenPrefix:
    """Find the stages that are frozen from the picture on, each fed by the one before alone.

    Args:
        model: a network whose frozen parameters ask for no gradient.
        image_size: side of the pictures, pixels.
    """

    def is_frozen(name: str) -> bool:
        stage = model.backbone.get_submodule(name)
        return not any(parameter.requires_grad for parameter in stage.parameters())

    return FrozenPrefix(chained_stages(model.backbone, image_size, is_frozen))


class FrozenPrefix:
    """Stages that can be computed once.

    Args:
        stages: by name, in the order of the work.
    """

    def __init__(self, stages: dict[str, nn.Module]) -> None:
        self.stages = stages

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Return what the stages make of pictures `(N, 3, H, W)`: a map `(N, ., ., .)`."""
        for stage in self.stages.values():
            batch = stage(batch)
        return batch

    def skip(self) -> None:
        """From now on the network takes maps instead of pictures: the stages pass them on.

        The stages keep their weights, so a checkpoint still has the whole network.
        """
        for stage in self.stages.values():
            stage.forward = _same


def _same(x: Any) -> Any:
    return x
