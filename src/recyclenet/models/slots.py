"""Slots for attention modules inside a network's blocks.

timm's convolutional blocks have a slot called `se` or `attn` before the shortcut is added. It may
be empty; the block's forward pass calls the module in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.create_attn import get_attn
from timm.layers.squeeze_excite import EffectiveSEModule, SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from torch import nn

from recyclenet.models.tracing import run_blank

_SQUEEZE = (SqueezeExcite, SEModule, EffectiveSEModule)
_OTHERS = ("eca", "ceca", "ge", "cbam", "lcbam", "coord", "scoord", "ela", "strip", "nl", "bat")
_GATES = (*_SQUEEZE, *map(get_attn, _OTHERS))
_NAMES = ("se", "attn", "attn_last")


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot for an attention module.

    Attributes:
        block: the block that contains it.
        name: the block's attribute.
        channels: number of channels of its input.
    """

    block: nn.Module
    name: str
    channels: int

    @property
    def has_squeeze(self) -> bool:
        """Whether the slot holds a squeeze-and-excitation module."""
        return isinstance(getattr(self.block, self.name), _SQUEEZE)

    def fill(self, build: Callable[[int], nn.Module]) -> None:
        """Replace the content of the slot with `build(channels)`."""
        setattr(self.block, self.name, build(self.channels))


class _Probe(nn.Module):
    """Passes a feature map on and records its number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `x`."""
        self.channels = x.shape[1] if x.ndim == 4 else 0
        return x


def attention_slots(model: nn.Module, image_size: int) -> list[Slot]:
    """Return every slot for attention in a network's blocks, first block first.

    A forward pass of a blank image finds the number of channels at each slot.

    Args:
        model: a timm network.
        image_size: side of the image, pixels.
    """
    found = list(_candidates(model))
    probes = []
    for block, name, _ in found:
        probes.append(_Probe())
        setattr(block, name, probes[-1])
    try:
        run_blank(model, image_size)
    finally:
        for block, name, module in found:
            setattr(block, name, module)
    return [
        Slot(block, name, probe.channels)
        for (block, name, _), probe in zip(found, probes, strict=True)
        if probe.channels
    ]


def _candidates(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module | None]]:
    for block in model.modules():
        if isinstance(block, _GATES):
            continue
        # A block with two slots uses one of them: the one that is filled, or else the first.
        slots: list[tuple[str, Any]] = [
            (name, module)
            for name in _NAMES
            if hasattr(block, name)
            and isinstance(module := getattr(block, name), (type(None), nn.Identity, *_GATES))
        ]
        slots.sort(key=lambda slot: not isinstance(slot[1], _GATES))
        if slots:
            yield block, *slots[0]
