"""The part of a network that comes before anything that learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recyclenet.models.classifier import WasteClassifier
from recyclenet.models.tracing import run_blank, stages


def frozen_prefix(model: WasteClassifier, image_size: int) -> FrozenPrefix:
    """Find the stages that are frozen from the picture on, each fed by the one before alone.

    Args:
        model: a network whose frozen parameters ask for no gradient.
        image_size: side of the pictures, pixels.
    """
    calls: list[tuple[nn.Module, object, object]] = []

    def note(stage: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        calls.append((stage, inputs[0] if len(inputs) == 1 else None, output))

    names = {stage: name for name, stage in stages(model.backbone)}
    hooks = [stage.register_forward_hook(note) for stage in names]
    picture: list[object] = []
    start = model.register_forward_pre_hook(lambda _module, inputs: picture.append(inputs[0]))
    try:
        run_blank(model, image_size)
    finally:
        for hook in (*hooks, start):
            hook.remove()
    chain: dict[str, nn.Module] = {}
    (last,) = picture
    for stage, given, output in calls:
        learns = any(parameter.requires_grad for parameter in stage.parameters())
        if learns or given is not last or not isinstance(output, torch.Tensor) or output.ndim != 4:
            break
        chain[names[stage]] = stage
        last = output
    return FrozenPrefix(chain)


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
