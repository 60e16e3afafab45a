"""PyramidNet (https://arxiv.org/abs/1610.02915) as a timm network; timm has none.

The blocks are pytorchcv's. This module adds timm's interface and pooling for any image size.
"""

from __future__ import annotations

from typing import Any

import torch
from pytorchcv.models.pyramidnet import get_pyramidnet
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from timm.models import register_model
from torch import nn


class PyramidNet(nn.Module):
    """A residual network whose width increases with every block.

    Args:
        depth: number of layers: 10, 12, 14, 16, 18, 34, 50, 101, 152 or 200.
        alpha: total increase in channels from the first block to the last.
        num_classes: number of logits.
        drop_rate: dropout before the head.
    """

    def __init__(
        self, depth: int, alpha: int, num_classes: int = 1000, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        base = get_pyramidnet(depth, alpha, num_classes=num_classes)
        self.features = base.features
        del self.features.final_pool
        self.num_classes = num_classes
        self.num_features: int = base.output.in_features
        self.global_pool = SelectAdaptivePool2d(pool_type="avg", flatten=True)
        self.drop = nn.Dropout(drop_rate)
        self.fc = base.output
        self.default_cfg: dict[str, Any] = {
            "input_size": (3, 224, 224),
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "classifier": "fc",
            "first_conv": "features.init_block.conv",
        }

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns for layer groups: the stem, then each stage (or block)."""
        blocks = r"^features\.stage(\d+)" if coarse else r"^features\.stage(\d+)\.unit(\d+)"
        return {"stem": r"^features\.init_block", "blocks": blocks}

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the last feature map, `(N, C, H / 32, W / 32)`."""
        features: torch.Tensor = self.features(x)
        return features

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the logits `(N, num_classes)` of a feature map, or the input of the last layer."""
        pooled: torch.Tensor = self.drop(self.global_pool(x))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, num_classes)` for images `(N, 3, H, W)`."""
        return self.forward_head(self.forward_features(x))


def _build(depth: int, alpha: int, pretrained: bool, options: dict[str, Any]) -> PyramidNet:
    if pretrained:
        raise RuntimeError("timm has no ImageNet weights for PyramidNet")
    known = {key: options[key] for key in ("num_classes", "drop_rate") if key in options}
    return PyramidNet(depth, alpha, **known)


@register_model
def pyramidnet18_a48(pretrained: bool = False, **options: Any) -> PyramidNet:
    """PyramidNet-18 with alpha 48."""
    return _build(18, 48, pretrained, options)


@register_model
def pyramidnet101_a360(pretrained: bool = False, **options: Any) -> PyramidNet:
    """PyramidNet-101 with bottleneck blocks and alpha 360, the paper's ImageNet network."""
    return _build(101, 360, pretrained, options)
