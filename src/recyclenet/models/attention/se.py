"""Squeeze-and-excitation."""

from __future__ import annotations

from timm.layers.squeeze_excite import SEModule
from torch import nn

from recyclenet.models.attention.checks import reduced
from recyclenet.models.attention.registry import register_attention


@register_attention("se")
def squeeze_excitation(channels: int, reduction: int = 16) -> nn.Module:
    """SE: a channel gate computed from the averages of all channels.

    `x * sigmoid(W2 relu(W1 GAP(x) + b1) + b2)`, C -> C/r -> C.
    Parameters: `2 C^2 / r + C / r + C`. Source: https://arxiv.org/abs/1709.01507. timm's module,
    without rounding C/r to a multiple of 8, so that parameter counts match the published ones.

    Args:
        channels: C.
        reduction: r, 1 to C.
    """
    module: nn.Module = SEModule(channels, rd_channels=reduced(channels, reduction))
    return module
