"""Inspect a network: list its stages and trace the forward pass of a blank image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from recyclenet.errors import UsageError


def run_blank(
    network: nn.Module, image_size: int, run: Callable[[torch.Tensor], Any] | None = None
) -> Any:
    """Run a network on a blank image and return the output; do not change the network.

    Args:
        network: set to evaluation mode during the run.
        image_size: S, the side of the image, pixels.
        run: called with the image `(1, 3, S, S)`; the network by default.

    Raises:
        UsageError: the network does not accept images of that size.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return (run or network)(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"the network does not accept images of {image_size} px: {error}; choose another size"
        ) from error
    finally:
        network.train(was_training)


def stages(backbone: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return a backbone's children by name, with each sequence of stages expanded."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in backbone.named_children():
        parts = dict(child.named_children())
        if isinstance(child, nn.Sequential) and all(map(is_stage, parts.values())):
            found += [(f"{name}.{index}", part) for index, part in parts.items()]
        else:
            found.append((name, child))
    return found


def chained_stages(
    backbone: Any, image_size: int, accept: Callable[[str], bool]
) -> dict[str, nn.Module]:
    """Return the longest chain of accepted stages that starts at the input, by name.

    In a chain, the only input of each stage is the output of the previous one.

    Args:
        backbone: a timm network.
        image_size: side of the input images, pixels.
        accept: takes a stage's name, returns whether it may belong to the chain.
    """
    calls: list[tuple[nn.Module, object, object]] = []

    def record(stage: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        calls.append((stage, inputs[0] if len(inputs) == 1 else None, output))

    names = {stage: name for name, stage in stages(backbone)}
    hooks = [stage.register_forward_hook(record) for stage in names]
    images: list[torch.Tensor] = []

    def run(image: torch.Tensor) -> None:
        images.append(image)
        backbone.forward_features(image)

    try:
        run_blank(backbone, image_size, run)
    finally:
        for hook in hooks:
            hook.remove()
    chain: dict[str, nn.Module] = {}
    last: object = images[0]
    for stage, given, output in calls:
        is_map = isinstance(output, torch.Tensor) and output.ndim == 4
        if given is not last or not is_map or not accept(names[stage]):
            break
        chain[names[stage]] = stage
        last = output
    return chain


def is_stage(module: nn.Module) -> bool:
    """Return whether a module is a stage of several blocks, rather than a single layer."""
    return isinstance(module, nn.Sequential) or hasattr(module, "blocks")
