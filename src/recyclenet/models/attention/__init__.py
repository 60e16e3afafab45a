"""Attention modules by name: `(N, C, H, W)` in and out, `channels` first.

Importing this package registers the project's own modules and timm's, under timm's names.
"""

from recyclenet.models.attention import (  # noqa: F401 - each registers its modules
    cbam,
    eca,
    glu,
    recyclenet,
    se,
    timm_layers,
)
from recyclenet.models.attention.registry import (
    Attention,
    attention_names,
    find_attention,
    register_attention,
)

__all__ = ["Attention", "attention_names", "find_attention", "register_attention"]
