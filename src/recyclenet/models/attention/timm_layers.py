"""timm's other attention layers that keep the shape of a feature map, under timm's names.

Gather-excite is left out because its constructor fails in timm 1.0.31.
"""

from __future__ import annotations

from timm.layers.create_attn import get_attn
from torch import nn

from recyclenet.models.attention.registry import register_attention

_SUMMARIES = {
    "ceca": "circular ECA",
    "coord": "coordinate attention, https://arxiv.org/abs/2103.02907",
    "ecam": "ECA with a small MLP",
    "ela": "efficient local attention, https://arxiv.org/abs/2403.01123",
    "ese": "effective SE, one layer, https://arxiv.org/abs/1911.06667",
    "gc": "global context, gated, https://arxiv.org/abs/1904.11492",
    "gca": "global context, added, https://arxiv.org/abs/1904.11492",
    "lcbam": "lighter CBAM",
    "scoord": "simpler coordinate attention",
    "strip": "strip attention",
}


def _register(name: str, summary: str) -> None:
    def build(channels: int) -> nn.Module:
        module: nn.Module = get_attn(name)(channels)
        return module

    build.__doc__ = f"timm's {summary}"
    register_attention(name)(build)


for _name, _summary in _SUMMARIES.items():
    _register(_name, _summary)
