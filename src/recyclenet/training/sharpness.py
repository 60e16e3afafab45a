"""Sharpness-aware minimisation: perturb the weights towards a higher loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def perturbed(
    model: nn.Module, parameters: Sequence[nn.Parameter], rho: float, adaptive: bool
) -> Iterator[None]:
    """Context manager that perturbs the weights along their gradients, then restores them.

    SAM (https://arxiv.org/abs/2010.01412) adds `rho * g / |g|`; ASAM
    (https://arxiv.org/abs/2102.11600) adds `rho * T^2 g / |T g|` with `T = |w|`. The gradients are
    those of the whole batch, so micro-batches and several processes give the same perturbation.
    Batch normalisation does not update its statistics inside the block, because they must describe
    the unperturbed weights.

    Args:
        model: the network that owns the parameters.
        parameters: parameters with gradients; the gradients are cleared for the second pass.
        rho: norm of the perturbation.
        adaptive: scale the perturbation by the magnitude of each weight (ASAM).
    """
    moved = [parameter for parameter in parameters if parameter.grad is not None]
    grads = [parameter.grad for parameter in moved if parameter.grad is not None]
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [module.momentum for module in norms]
    tracked = [module.num_batches_tracked for module in norms]
    with torch.no_grad():
        before = [parameter.clone() for parameter in moved]
        scales = [
            parameter.abs() if adaptive else torch.ones_like(parameter) for parameter in moved
        ]
        scaled = [scale * grad for scale, grad in zip(scales, grads, strict=True)]
        norm = torch.stack([g.float().norm() for g in scaled]).norm() + 1e-12
        for parameter, scale, gradient in zip(moved, scales, scaled, strict=True):
            parameter.add_(scale * gradient * (rho / norm))
            parameter.grad = None
    try:
        for module in norms:
            module.momentum = 0.0
            module.num_batches_tracked = None
        yield
    finally:
        for module, momentum, count in zip(norms, momenta, tracked, strict=True):
            module.momentum, module.num_batches_tracked = momentum, count
        with torch.no_grad():
            for parameter, old in zip(moved, before, strict=True):
                parameter.copy_(old)
