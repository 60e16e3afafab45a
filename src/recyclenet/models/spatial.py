"""Heatmaps from a network's last feature map: its mean, or Grad-CAM."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import nn

from recyclenet.errors import UsageError
from recyclenet.models.branches import BranchedBackbone
from recyclenet.models.network import Network


@dataclass(frozen=True)
class Trace:
    """One forward pass, from the last feature maps on.

    Attributes:
        logits: `(N, K)`; their gradient reaches `maps`.
        maps: the last feature map of each branch, as the network computes it.
        num_channels: C, which tells the layout of a map.
        num_prefix: number of tokens before those of the image, such as a class token.
    """

    logits: torch.Tensor
    maps: tuple[torch.Tensor, ...]
    num_channels: int
    num_prefix: int

    def arranged(self, tensors: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the maps, or tensors of their shape, as one tensor `(N, B * C, h, w)`.

        B is the number of branches, whose maps may follow each other along the first axis.

        Raises:
            UsageError: the network has no feature map.
        """
        parts = [
            self._channels_first(part)
            for tensor in tensors
            for part in torch.split(tensor, len(self.logits))
        ]
        return torch.cat(parts, dim=1)

    def _channels_first(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 4 and x.shape[1] == self.num_channels:
            return x
        if x.ndim == 4 and x.shape[3] == self.num_channels:
            return x.permute(0, 3, 1, 2)
        side = isqrt(max(x.shape[1] - self.num_prefix, 0)) if x.ndim == 3 else 0
        if side and side**2 + self.num_prefix == x.shape[1] and x.shape[2] == self.num_channels:
            tokens = x[:, self.num_prefix :].transpose(1, 2)
            return tokens.reshape(len(x), self.num_channels, side, side)
        raise _no_map(f"its features have shape {'x'.join(map(str, x.shape[1:]))}")


def feature_map(trace: Trace, index: int) -> torch.Tensor:
    """Return the mean of the last feature map over its channels, `(N, h, w)`, from 0 up.

    Args:
        trace: a forward pass.
        index: ignored; the map does not depend on the class.
    """
    mean = trace.arranged(trace.maps).detach().mean(1)
    return mean - mean.amin((1, 2), keepdim=True)


def gradcam(trace: Trace, index: int) -> torch.Tensor:
    """Return Grad-CAM's map `(N, h, w)`, 0 or more (https://arxiv.org/abs/1610.02391).

    Each channel counts by the mean gradient of the logit. Branches count as further channels.

    Args:
        trace: a forward pass.
        index: the class, as an index of the logits.
    """
    gradients = torch.autograd.grad(
        trace.logits[:, index].sum(), trace.maps, retain_graph=True, materialize_grads=True
    )
    weights = trace.arranged(gradients).mean((2, 3), keepdim=True)
    return (weights * trace.arranged(trace.maps).detach()).sum(1).relu()


METHODS: dict[str, Callable[[Trace, int], torch.Tensor]] = {
    "feature-map": feature_map,
    "gradcam": gradcam,
}


def trace(model: Network, batch: torch.Tensor) -> Trace:
    """Run a network and keep its last feature maps.

    Args:
        model: in evaluation mode.
        batch: images `(N, 3, S, S)`.

    Raises:
        UsageError: the last block returns no tensor.
    """
    modules = _last_modules(model)
    found: dict[nn.Module, torch.Tensor] = {}

    def keep(module: nn.Module, _: Any, output: Any) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise _no_map(f"its last block returns {type(output).__name__}")
        found[module] = output.detach().requires_grad_()
        return found[module].clone()  # a later layer may work in place

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(keep).remove)
        with torch.enable_grad():
            logits = model(batch)
    return Trace(
        logits,
        tuple(found[module] for module in modules),
        model.backbone.num_features,
        getattr(_copies(model)[0], "num_prefix_tokens", 0),
    )


def _last_modules(model: Network) -> list[nn.Module]:
    """Return the modules whose outputs are the last feature maps, one of each branch.

    It is the input of the head, after any attention. But where timm names a last block of the same
    width, and no attention follows, it is the output of that block: a layer normalisation in
    between would set the mean over the channels to a constant.
    """
    if not isinstance(model.attention, nn.Identity):
        return [model.attention]
    blocks = []
    for backbone in _copies(model):
        info = list(getattr(backbone, "feature_info", ()))
        # A head that reads only the class token gives the other tokens of the last block no
        # gradient.
        is_token = getattr(backbone, "global_pool", None) == "token" and len(info) > 1
        last = info[-2 if is_token else -1] if info else {}
        if last.get("num_chs") != backbone.num_features:
            return [model.attention]
        blocks.append(backbone.get_submodule(last["module"]))
    return blocks


def _no_map(reason: str) -> UsageError:
    return UsageError(f"the network has no feature map: {reason}; use the method occlusion")


def _copies(model: Network) -> list[Any]:
    """Return the backbone, or its branches."""
    backbone = model.backbone
    return list(backbone.branches) if isinstance(backbone, BranchedBackbone) else [backbone]
