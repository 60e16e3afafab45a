"""Looking into a network: its stages, and what one blank picture does in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from recyclenet.errors import UsageError


def run_blank(
    network: nn.Module, image_size: int, run: Callable[[torch.Tensor], Any] | None = None
) -> Any:
    """Return what a network gives for a blank picture; the network is left as it was.

    Args:
        network: put into evaluation mode meanwhile.
        image_size: side of the picture, pixels.
        run: what to call with the picture `(1, 3, S, S)`; the network itself by default.

    Raises:
        UsageError: the network takes no pictures of that size.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return (run or network)(torch.zeros(1, 3, image_size, image_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"the network cannot take pictures of {image_size} px: {error}; choose another size"
        ) from error
    finally:
        network.train(was_training)


def stages(backbone: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return a backbone's children by name, and the stages inside of its sequences of stages."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in backbone.named_children():
        parts = dict(child.named_children())
        if isinstance(child, nn.Sequential) and all(map(_is_stage, parts.values())):
            found += [(f"{name}.{place}", part) for place, part in parts.items()]
        else:
            found.append((name, child))
    return found


def chained_stages(
    backbone: Any, image_size: int, wanted: Callable[[str], bool]
) -> dict[str, nn.Module]:
    """Return the stages from the picture on that are wanted, each fed by the one before alone.

    Args:
        backbone: a timm network.
        image_size: side of the pictures, pixels.
        wanted: whether a stage may belong to the chain, by its name.
    """
    calls: list[tuple[nn.Module, object, object]] = []

    def note(stage: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        calls.append((stage, inputs[0] if len(inputs) == 1 else None, output))

    names = {stage: name for name, stage in stages(backbone)}
    hooks = [stage.register_forward_hook(note) for stage in names]
    pictures: list[torch.Tensor] = []

    def run(picture: torch.Tensor) -> None:
        pictures.append(picture)
        backbone.forward_features(picture)

    try:
        run_blank(backbone, image_size, run)
    finally:
        for hook in hooks:
            hook.remove()
    chain: dict[str, nn.Module] = {}
    last: object = pictures[0]
    for stage, given, output in calls:
        is_map = isinstance(output, torch.Tensor) and output.ndim == 4
        if given is not last or not is_map or not wanted(names[stage]):
            break
        chain[names[stage]] = stage
        last = output
    return chain


def _is_stage(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) or hasattr(module, "blocks")
