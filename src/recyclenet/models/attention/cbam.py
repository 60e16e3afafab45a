"""Convolutional block attention module."""

from __future__ import annotations

from timm.layers.cbam import CbamModule
from torch import nn

from recyclenet.models.attention.checks import check_odd, reduced
from recyclenet.models.attention.registry import register_attention


@register_attention("cbam")
def cbam(channels: int, reduction: int = 16, kernel_size: int = 7) -> nn.Module:
    """CBAM: a channel gate, then a spatial gate, from averages and maxima.

    `y = x * sigmoid(MLP(avg(x)) + MLP(max(x)))`, pooled over positions, then
    `y * sigmoid(norm(conv([mean(y), max(y)])))`, pooled over channels; the k x k convolution maps
    2 channels to 1. Parameters: `2 C^2 / r + C / r + C + 2 k^2 + 2`, 2 for batch normalisation.
    Source: https://arxiv.org/abs/1807.06521. timm's module, with biases as in the authors' code.

    Args:
        channels: C.
        reduction: r, 1 to C.
        kernel_size: k, odd.
    """
    check_odd(kernel_size)
    module: nn.Module = CbamModule(
        channels,
        rd_channels=reduced(channels, reduction),
        spatial_kernel_size=kernel_size,
        mlp_bias=True,
    )
    return module
