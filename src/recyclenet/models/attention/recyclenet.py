"""RecycleNet's attention: a channel gate and a spatial gate in parallel."""

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
    `max(c, s)` or `c * s`; with a single gate it is `c` or `s`. The MLP is C -> C/r -> C with
    biases and a ReLU; the k x k convolution maps C channels to 1, without bias.

    Parameters: `2 C^2 / r + C / r + C` (channel) `+ k^2 C` (spatial).

    Source: https://github.com/sangminwoo/RecycleNet. Its option that selects the attention had no
    effect, so its published numbers are for `combine="sum"` unless stated otherwise.

    Args:
        channels: C.
        combine: how to combine the two gated feature maps.
        channel: whether to use the channel gate.
        spatial: whether to use the spatial gate.
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
            raise ValueError(f"combine must be sum, max or mul, not {combine!r}")
        if not (channel or spatial):
            raise ValueError("channel and spatial are both false; set one of them to true")
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
        """Return the gated feature map, `(N, C, H, W)` like `x`."""
        gates = (self.channel_gate, self.spatial_gate)
        gated: list[torch.Tensor] = [x * gate(x) for gate in gates if gate is not None]
        if len(gated) == 1:
            return gated[0]
        by_channel, by_position = gated
        if self._combine == "sum":
            return by_channel + by_position
        if self._combine == "max":
            return torch.maximum(by_channel, by_position)
        return by_channel * by_position
