"""Efficient channel attention."""

from __future__ import annotations

from timm.layers.eca import EcaModule
from torch import nn

from recyclenet.models.attention.checks import check_odd
from recyclenet.models.attention.registry import register_attention


@register_attention("eca")
def efficient_channel_attention(channels: int, kernel_size: int = 0) -> nn.Module:
    """ECA: a channel gate computed from neighbouring channels only.

    `x * sigmoid(conv1d(GAP(x)))`, convolved along the channels, without bias. Parameters: k.
    Source: https://arxiv.org/abs/1910.03151. timm's module.

    Args:
        channels: C.
        kernel_size: k, odd; 0 derives it from C as in the paper (3 or 5 for common widths).
    """
    if kernel_size:
        check_odd(kernel_size)
        module: nn.Module = EcaModule(kernel_size=kernel_size)
    else:
        module = EcaModule(channels)
    return module
