"""A linear probe: the head fitted alone, to features that do not change.

As a start for fine-tuning it keeps the features from being torn up by a head that knows nothing yet
(https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

from recyclenet.errors import UsageError
from recyclenet.models.branches import BranchedBackbone
from recyclenet.models.network import Network
from recyclenet.training.dataset import Example

PENALTIES = (1e-4, 1e-3, 1e-2)


def fit_head(model: Network, train: DataLoader[Example], val: DataLoader[Example]) -> float:
    """Fit the head by logistic regression, in place; return its validation accuracy.

    The strength of the L2 penalty is the one of `PENALTIES` with the least validation loss.

    Args:
        model: the network; its backbone is not changed. Branches get the same head each.
        train: training photos through the evaluation transform.
        val: validation photos, likewise.

    Raises:
        UsageError: the head is no single linear layer.
    """
    modules = [model.get_submodule(name) for name in model.head_names]
    heads = [module for module in modules if isinstance(module, nn.Linear)]
    is_branched = isinstance(model.backbone, BranchedBackbone)
    num_branches = len(model.backbone.branches) if is_branched else 1
    if not len(heads) == len(modules) == num_branches:
        raise UsageError("fit.probe needs a network whose head is one linear layer")
    num_classes = heads[0].out_features
    train_features, train_targets = _features(model, train)
    val_features, val_targets = _features(model, val)
    # Equal scales make the problem easy to solve; the head takes them in afterwards.
    mean, spread = train_features.mean(0), train_features.std(0) + 1e-6
    best = (float("inf"), 0.0)
    for penalty in PENALTIES:
        weight, bias = _regress(
            (train_features - mean) / spread, train_targets, num_classes, penalty
        )
        weight = weight / spread
        bias = bias - weight @ mean
        logits = val_features @ weight.T + bias
        loss = F.cross_entropy(logits, val_targets).item()
        if loss < best[0]:
            best = (loss, (logits.argmax(1) == val_targets).float().mean().item())
            with torch.no_grad():
                for head in heads:  # branches are still one and the same before their heads
                    head.weight.copy_(weight)
                    head.bias.copy_(bias)
    return best[1]


def _features(model: Network, loader: DataLoader[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what the head sees, `(N, D)` float32, and targets `(N,)`."""
    features, targets = [], []
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad():
        for images, batch_targets in loader:
            features.append(model.pre_logits(images.to(device)).float().cpu())
            targets.append(batch_targets)
    model.train(was_training)
    return torch.cat(features), torch.cat(targets)


def _regress(
    features: torch.Tensor, targets: torch.Tensor, num_classes: int, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(num_classes, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = F.cross_entropy(features @ weight.T + bias, targets)
        value = value + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
