"""An ensemble whose members share a trunk: copies of the late stages, averaged at inference.

An ensemble makes fewer errors than its members. Sharing the frozen early stages makes it cheap
(https://arxiv.org/abs/1511.06314).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.tracing import chained_stages


class BranchedBackbone(nn.Module):
    """A timm backbone with one trunk and several copies (branches) of its late stages.

    During training, each branch gets its own part of the batch. At inference, every branch gets
    the whole batch and their logits are averaged.

    Args:
        backbone: the network to copy; it becomes the first branch.
        groups: the layer group of each of its parameters.
        num_trunk_groups: number of layer groups, counted from the stem, that the branches share.
        num_branches: number of branches.
        image_size: side of the input images, pixels.

    Raises:
        UsageError: the shared layer groups contain no complete stage.
    """

    def __init__(
        self,
        backbone: Any,
        groups: Mapping[str, int],
        num_trunk_groups: int,
        num_branches: int,
        image_size: int,
    ) -> None:
        super().__init__()
        late = [name for name, group in groups.items() if group >= num_trunk_groups]
        trunk = chained_stages(
            backbone, image_size, lambda name: not any(p.startswith(f"{name}.") for p in late)
        )
        if not trunk:
            raise UsageError("model.branches needs a frozen trunk; set model.freeze_groups")
        self.default_cfg = {**backbone.default_cfg}
        heads = backbone.default_cfg["classifier"]
        self.default_cfg["classifier"] = tuple(
            f"branches.{number}.{head}"
            for number in range(num_branches)
            for head in ((heads,) if isinstance(heads, str) else heads)
        )
        self.num_features = backbone.num_features
        self._groups = dict(groups)
        self._trunk_names = tuple(trunk)
        for name in trunk:
            backbone.set_submodule(name, nn.Identity())
        self.trunk = nn.Sequential(*trunk.values())
        self.branches: Any = nn.ModuleList(
            [backbone, *(copy.deepcopy(backbone) for _ in range(num_branches - 1))]
        )

    def forward_features(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the features of all branches, concatenated along the first axis."""
        maps = self.trunk(batch)
        parts = self._split(maps) if self.training else [maps] * len(self.branches)
        return torch.cat(
            [
                branch.forward_features(part)
                for branch, part in zip(self.branches, parts, strict=True)
            ]
        )

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the logits: one row per image in training, the branches' mean in evaluation."""
        logits = [
            branch.forward_head(part, pre_logits=pre_logits)
            for branch, part in zip(self.branches, self._split(features), strict=True)
        ]
        return torch.cat(logits) if self.training else torch.stack(logits).mean(0)

    def last_branch_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return the last branch's logits, or the input of its last layer, in evaluation."""
        part = self._split(features)[-1]
        out: torch.Tensor = self.branches[-1].forward_head(part, pre_logits=pre_logits)
        return out

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` for images `(N, 3, H, W)`."""
        return self.forward_head(self.forward_features(batch))

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return a function from parameter name to layer group, as timm expects."""
        return lambda name: self._groups[self.origin(name)]

    def origin(self, name: str) -> str:
        """Return a tensor's name in the original backbone."""
        kind, number, rest = name.split(".", 2)
        return rest if kind == "branches" else f"{self._trunk_names[int(number)]}.{rest}"

    def _split(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Return the branches' parts; in evaluation, all have the same size."""
        count = len(self.branches)
        if self.training:
            return list(tensor.tensor_split(count))
        return list(torch.unflatten(tensor, 0, (count, -1)).unbind())
