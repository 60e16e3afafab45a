"""Statistics of a network's frozen layers, which fine-tuning does not change."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.branches import BranchedBackbone
from recyclenet.models.graph import POOLED, START
from recyclenet.models.network import Network, freeze_first
from recyclenet.models.prefix import frozen_prefix
from recyclenet.models.tracing import is_stage


class PooledNetwork(nn.Module):
    """A network that also returns statistics of its frozen stages.

    They are the mean and the standard deviation of each channel of each stage's output. If the last
    branch is untouched, they also contain its features, and its logits are one more output.

    Args:
        network: the network.
        num_frozen: number of its frozen layer groups, from the stem.
        image_size: side of the input images, pixels.
        has_start: whether the last branch is untouched: the network before fine-tuning.

    Raises:
        UsageError: no stage is frozen.
    """

    def __init__(
        self, network: Network, num_frozen: int, image_size: int, *, has_start: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self._has_start = has_start
        self._axes = (1, 2) if getattr(network.backbone, "output_fmt", "") == "NHWC" else (2, 3)
        self._maps: list[torch.Tensor] = []
        for stage in frozen_stages(network, num_frozen, image_size):
            stage.register_forward_hook(self._keep)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of what `forward` returns."""
        return ("logits", "features", POOLED, *([START] if self._has_start else []))

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return logits `(N, K)`, features `(N, D)` and statistics `(N, S)` for `(N, 3, H, W)`.

        The logits `(N, K)` of an untouched branch follow.
        """
        self._maps.clear()
        head, maps = self.network.backbone, self.network.feature_maps(batch)
        rows = [part for stage in self._maps for part in self._statistics(stage)]
        logits, features = head.forward_head(maps), head.forward_head(maps, pre_logits=True)
        if not self._has_start:
            return logits, features, torch.cat(rows, dim=1)
        rows.append(head.last_branch_head(maps, pre_logits=True))
        return logits, features, torch.cat(rows, dim=1), head.last_branch_head(maps)

    def _keep(self, stage: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self._maps.append(output)

    def _statistics(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = maps.mean(self._axes)
        square = (maps * maps).mean(self._axes)
        return mean, (square - mean * mean).clamp(min=0).sqrt()


def frozen_stages(network: Network, num_frozen: int, image_size: int) -> list[nn.Module]:
    """Return the stages among the first layer groups, and freeze these groups.

    Args:
        network: the network.
        num_frozen: number of layer groups, from the stem.
        image_size: side of the input images, pixels.

    Raises:
        UsageError: there is no such stage.
    """
    freeze_first(network, num_frozen)
    chain: Any = frozen_prefix(network, image_size).stages.values()
    if isinstance(network.backbone, BranchedBackbone):
        chain = network.backbone.trunk
    found = [stage for stage in chain if is_stage(stage)]
    if not found:
        raise UsageError("fit.kernel needs a frozen stage; set model.freeze_groups")
    return found
