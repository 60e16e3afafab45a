"""A gated linear unit as an attention module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from recyclenet.models.attention.registry import register_attention


@register_attention("glu")
class GatedLinearUnit(nn.Module):
    """GLU: a linear map of each place, gated by another one of the same place.

    `(W x + b) * sigmoid(V x + c)` at every place. With one channel a group (the default) W and V
    are diagonal and each costs one product a value; `groups=1` is the full matrix of the paper.

    Parameters: `2 C^2 / groups + 2 C`; with the default groups `4 C`.
    Source: https://arxiv.org/abs/1612.08083.

    Args:
        channels: C.
        groups: groups of channels, a divisor of C; 0 for one a channel.
    """

    def __init__(self, channels: int, groups: int = 0) -> None:
        super().__init__()
        groups = groups or channels
        if groups < 0 or channels % groups:
            raise ValueError(f"groups must divide {channels}, not {groups}")
        self.linear = nn.Conv2d(channels, channels, 1, groups=groups)
        self.gate = nn.Conv2d(channels, channels, 1, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gated map, `(N, C, H, W)` like `x`."""
        gated: torch.Tensor = self.linear(x) * F.sigmoid(self.gate(x))
        return gated
