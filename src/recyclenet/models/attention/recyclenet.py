"""RecycleNet's attention: a channel gate and a spatial gate side by side."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from recyclenet.models.attention.checks import check_odd, reduced
from recyclenet.models.attention.registry import register_attention


@register_attention("recyclenet", placement="features")
class RecycleNetAttention(nn.Module):
    """RecycleNet: a channel gate and a spatial gate, combined by sum, max or product.

    With `c = x * sigmoid(MLP(GAP(x)))` and `s = x * sigmoid(conv(x))`, the output is `c + s`,
    `max(c, s)` or `c * s`; with one gate alone it is `c` or `s`. The MLP is C -> C/r -> C with
    biases and a ReLU, the convolution k x k from C channels to 1 without bias.

    Parameters: `2 C^2 / r + C / r + C` (channel) `+ k^2 C` (spatial).

    Source: https://github.com/sangminwoo/RecycleNet. There the option that chooses the attention
    had no effect, so its published numbers are of `combine="sum"` unless they say otherwise.

    Args:
        channels: C.
        combine: how the two gated maps become one.
        channel: whether there is a channel gate.
        spatial: whether there is a spatial gate.
        reduction: r, 1 to C.
        kernel_size: k, odd.
    """

    def __init__(
        self,
        channels: int,
        combine: Literal["sum", "max", "mul"] = "sum",
        channel: bool = True,
        spatial: bool = True,
        reduction: int = 16,
        kernel_size: int = 7,
    ) -> None:
        super().__init__()
        if combine not in ("sum", "max", "mul"):
            raise ValueError(f"combine is sum, max or mul, not {combine!r}")
        if not (channel or spatial):
            raise ValueError("at least one of channel and spatial must be on")
        check_odd(kernel_size)
        hidden = reduced(channels, reduction)
        self._combine = combine
        self.channel_gate = (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(1),
                nn.Conv2d(channels, hidden, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(hidden, channels, 1),
                nn.Sigmoid(),
            )
            if channel
            else None
        )
        self.spatial_gate = (
            nn.Sequential(
                nn.Conv2d(channels, 1, kernel_size, padding=kernel_size // 2, bias=False),
                nn.Sigmoid(),
            )
            if spatial
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the gated map, `(N, C, H, W)` like `x`."""
        gates = (self.channel_gate, self.spatial_gate)
        gated: list[torch.Tensor] = [x * gate(x) for gate in gates if gate is not None]
        if len(gated) == 1:
            return gated[0]
        by_channel, by_place = gated
        if self._combine == "sum":
            return by_channel + by_place
        if self._combine == "max":
            return torch.maximum(by_channel, by_place)
        return by_channel * by_place
