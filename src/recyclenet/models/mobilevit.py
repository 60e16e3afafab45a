"""Two variants of the MobileViT block (https://arxiv.org/abs/2110.02178).

The block consists of local convolutions, a transformer over all positions, a projection, and
fusion with the input. One variant replaces the transformer, the other enlarges the receptive field
of the local convolutions.
"""

from __future__ import annotations

import torch
from timm.layers.conv_bn_act import ConvNormAct
from timm.models._efficientnet_blocks import InvertedResidual
from timm.models.mobilevit import MobileVitBlock
from torch import nn

EXPANSION = 2


class InvertedResidualVitBlock(nn.Module):
    """A MobileViT block with stacked inverted residuals in place of the transformer.

    Each transformer layer becomes one inverted residual: 1x1 expansion and 3x3 depthwise, both with
    ReLU6, a linear 1x1 projection, and a shortcut (https://arxiv.org/abs/1801.04381). The cost is
    linear, not quadratic, in the number of positions. The expansion ratio is the transformer's, 2.

    Args:
        block: supplies the other layers; do not use it afterwards.
    """

    def __init__(self, block: MobileVitBlock) -> None:
        super().__init__()
        channels = block.conv_1x1.out_channels
        self.conv_kxk = block.conv_kxk
        self.conv_1x1 = block.conv_1x1
        self.residuals = nn.Sequential(
            *(
                InvertedResidual(channels, channels, exp_ratio=EXPANSION, act_layer=nn.ReLU6)
                for _ in block.transformer
            )
        )
        self.conv_proj = block.conv_proj
        self.conv_fusion = block.conv_fusion

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output, `(N, C, H, W)` like `x`."""
        out: torch.Tensor = self.conv_proj(self.residuals(self.conv_1x1(self.conv_kxk(x))))
        if self.conv_fusion is not None:
            out = self.conv_fusion(torch.cat((x, out), dim=1))
        return out


def replace_self_attention(model: nn.Module) -> int:
    """Replace the transformer of every MobileViT block; return the number of blocks."""
    blocks = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, MobileVitBlock)
    ]
    for parent, name, child in blocks:
        parent.add_module(name, InvertedResidualVitBlock(child))
    return len(blocks)


def add_local_5x5(model: nn.Module) -> int:
    """Add a 5x5 convolution after the 3x3 one of every MobileViT block; return the block count."""
    blocks = [
        module
        for module in model.modules()
        if isinstance(module, (MobileVitBlock, InvertedResidualVitBlock))
    ]
    for block in blocks:
        channels = block.conv_1x1.in_channels
        block.conv_kxk = nn.Sequential(
            block.conv_kxk,
            ConvNormAct(channels, channels, kernel_size=5, act_layer=nn.SiLU),
        )
    return len(blocks)
