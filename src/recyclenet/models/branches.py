"""Several copies of a backbone's late stages behind one trunk, trained apart and averaged.

An ensemble errs less than its members; sharing the frozen first stages makes one affordable
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
    """A timm backbone whose late stages are there several times.

    While training, each branch is given its own part of the batch; afterwards all see all, and
    their logits are averaged.

    Args:
        backbone: the network to copy; it becomes the first branch.
        groups: the layer group of each of its parameters.
        num_trunk_groups: how many layer groups, from the stem on, the branches share.
        num_branches: how many copies there are.
        image_size: side of the pictures, pixels.

    Raises:
        UsageError: the network has no such trunk.
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
        """Return all branches' features, one branch after the other along the first axis."""
        maps = self.trunk(batch)
        parts = self._apart(maps) if self.training else [maps] * len(self.branches)
        return torch.cat(
            [
                branch.forward_features(part)
                for branch, part in zip(self.branches, parts, strict=True)
            ]
        )

    def forward_head(self, features: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Return logits of the features: while training of each picture, otherwise averaged."""
        found = [
            branch.forward_head(part, pre_logits=pre_logits)
            for branch, part in zip(self.branches, self._apart(features), strict=True)
        ]
        return torch.cat(found) if self.training else torch.stack(found).mean(0)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` of pictures `(N, 3, H, W)`."""
        return self.forward_head(self.forward_features(batch))

    def group_matcher(self, coarse: bool = False) -> Any:
        """Return what timm asks a network for: the layer group of a parameter, by its name."""
        return lambda name: self._groups[self.origin(name)]

    def origin(self, name: str) -> str:
        """Return the name a tensor had in the backbone."""
        kind, number, rest = name.split(".", 2)
        return rest if kind == "branches" else f"{self._trunk_names[int(number)]}.{rest}"

    def _apart(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        return list(torch.tensor_split(tensor, len(self.branches)))
