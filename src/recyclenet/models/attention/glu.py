"""A gated linear unit as an attention module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from recyclenet.models.attention.registry import register_attention


@register_attention("glu")
class GatedLinearUnit(nn.Module):
    """GLU: a linear map of each position, gated by a second one.

    `(W x + b) * sigmoid(V x + c)` at every position. By default each channel is its own group, so
    W and V are diagonal; `groups=1` gives the paper's full matrices.

    Parameters: `2 C^2 / groups + 2 C`; with the default groups `4 C`.
    Source: https://arxiv.org/abs/1612.08083.

    Args:
        channels: C.
        groups: number of channel groups, a divisor of C; 0 for C.
    """

    def __init__(self, channels: int, groups: int = 0) -> None:
        super().__init__()
        groups = groups or channels
        if groups < 0 or channels % groups:
            raise ValueError(f"groups must divide the {channels} channels, not be {groups}")
        self.linear = nn.Conv2d(channels, channels, 1, groups=groups)
        self.gate = nn.Conv2d(channels, channels, 1, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gated feature map, `(N, C, H, W)` like `x`."""
        gated: torch.Tensor = self.linear(x) * F.sigmoid(self.gate(x))
        return gated
