"""Attention modules by name: `(N, C, H, W)` in and out, `channels` first.

Importing this package registers the project's own modules; timm's others are known by timm's names.
"""

from recyclenet.models.attention import cbam, eca, glu, recyclenet, se, timm_layers
from recyclenet.models.attention.registry import (
    Attention,
    attention_names,
    find_attention,
    register_attention,
)

__all__ = [
    "Attention",
    "attention_names",
    "cbam",
    "eca",
    "find_attention",
    "glu",
    "recyclenet",
    "register_attention",
    "se",
    "timm_layers",
]
