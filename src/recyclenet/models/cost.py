"""Count a network's parameters and multiply-adds, in total and per stage."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from recyclenet.models.network import Network
from recyclenet.models.tracing import run_blank, stages


@dataclass(frozen=True, slots=True)
class LayerCost:
    """The cost of one layer or stage.

    Attributes:
        name: module name in the backbone, or "attention".
        kind: class name.
        output: shape of the output for one image, without the batch axis.
        parameters: number of parameters.
        multiply_adds: number of multiply-adds for one image.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


def num_parameters(module: nn.Module) -> int:
    """Return the number of parameters, trainable or not."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_layers(model: Network, image_size: int) -> list[LayerCost]:
    """Return the cost of each stage of a network, in execution order.

    PyTorch's FLOP counter counts the multiply-adds of convolutions, matrix products and attention
    in one forward pass of a blank image. It does not count additions and activations.

    Args:
        model: the network; it is not changed.
        image_size: side of the image, pixels.
    """
    found = {f"backbone.{name}": stage for name, stage in stages(model.backbone)}
    if num_parameters(model.attention):
        found["attention"] = model.attention
    outputs: dict[str, tuple[int, ...]] = {}

    def record(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor):
            outputs[name] = tuple(output.shape[1:])

    hooks = [
        stage.register_forward_hook(lambda _m, _i, output, name=name: record(name, output))
        for name, stage in found.items()
    ]
    try:
        counter = _count(model, image_size)
    finally:
        for hook in hooks:
            hook.remove()
    counts = counter.get_flop_counts()
    root = type(model).__name__
    return [
        LayerCost(
            name=name.removeprefix("backbone."),
            kind=type(found[name]).__name__,
            output=shape,
            parameters=num_parameters(found[name]),
            multiply_adds=sum(counts.get(f"{root}.{name}", {}).values()) // 2,
        )
        for name, shape in outputs.items()
    ]


def multiply_adds(model: nn.Module, image_size: int) -> int:
    """Return a network's multiply-adds for one image; see `count_layers`."""
    return _count(model, image_size).get_total_flops() // 2


def _count(model: nn.Module, image_size: int) -> FlopCounterMode:
    counter = FlopCounterMode(display=False)
    with counter:
        run_blank(model, image_size)
    return counter
