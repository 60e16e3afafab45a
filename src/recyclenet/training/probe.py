"""Linear probing: fit the head to fixed features.

Fine-tuning from a fitted head distorts the pretrained features less than fine-tuning from a random
head (https://arxiv.org/abs/2202.10054).
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


def fit_head(
    model: Network,
    train: DataLoader[Example],
    val: DataLoader[Example],
    penalty: float = 0.0,
) -> float:
    """Fit the head by logistic regression, in place; return its validation accuracy.

    Args:
        model: the network; only its head changes. All branches get the same head.
        train: training photos with the evaluation transform.
        val: validation photos with the evaluation transform.
        penalty: of the squared weights; 0 for the one of `PENALTIES` with the lowest validation
            loss.

    Raises:
        UsageError: the head is not a single linear layer.
    """
    modules = [model.get_submodule(name) for name in model.head_names]
    heads = [module for module in modules if isinstance(module, nn.Linear)]
    is_branched = isinstance(model.backbone, BranchedBackbone)
    num_branches = len(model.backbone.branches) if is_branched else 1
    if not len(heads) == len(modules) == num_branches:
        raise UsageError(
            "fit.probe needs a head that is one linear layer; set fit.probe = false or choose "
            "another backbone"
        )
    num_classes = heads[0].out_features
    train_features, train_targets = _features(model, train)
    val_features, val_targets = _features(model, val)
    # Standardised features speed up convergence; the head absorbs the scaling afterwards.
    mean, std = train_features.mean(0), train_features.std(0) + 1e-6
    best = (float("inf"), 0.0)
    standardised = (train_features - mean) / std
    for strength in [penalty] if penalty else PENALTIES:
        weight, bias = _regress(standardised, train_targets, num_classes, strength)
        weight = weight / std
        bias = bias - weight @ mean
        logits = val_features @ weight.T + bias
        loss = F.cross_entropy(logits, val_targets).item()
        if loss < best[0]:
            best = (loss, (logits.argmax(1) == val_targets).float().mean().item())
            with torch.no_grad():
                for head in heads:  # before training, all branches have the same features
                    head.weight.copy_(weight)
                    head.bias.copy_(bias)
    return best[1]


def _features(model: Network, loader: DataLoader[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the head's inputs, `(N, D)` float32, and the targets `(N,)`."""
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
    """Return the weight `(K, D)` and bias `(K,)` of L2-penalised logistic regression."""
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
