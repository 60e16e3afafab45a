"""The training step: soft targets, AdamW by groups, one cycle."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from recyclenet.models.classifier import WasteClassifier, freeze_first
from recyclenet.training.depthwise import FastDepthwise
from recyclenet.training.recipe import Recipe

Batch = tuple[torch.Tensor, torch.Tensor]


class TrainingModule(pl.LightningModule):
    """Trains a network by a recipe.

    Args:
        model: maps `(N, 3, H, W)` float32 to logits `(N, K)`.
        num_classes: K.
        recipe: the resolved recipe.
    """

    def __init__(self, model: WasteClassifier, num_classes: int, recipe: Recipe) -> None:
        super().__init__()
        self.model = model
        self._num_classes = num_classes
        self._recipe = recipe
        self._frozen = freeze_first(model, recipe.model.freeze_groups)
        self._validation: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` for a batch `(N, 3, H, W)`."""
        with FastDepthwise():
            logits: torch.Tensor = self.model(batch.contiguous(memory_format=torch.channels_last))
        return logits

    def on_train_epoch_start(self) -> None:
        """Keep the frozen part as it is: its batch normalisation must not learn either."""
        for module in self._frozen:
            module.eval()

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Return the cross-entropy of one batch, mixed up where the recipe says so."""
        images, targets = batch
        # All chance of a step comes from here, so that a resumed run agrees with an unbroken one.
        random = np.random.default_rng([self._recipe.fit.seed, self.current_epoch, batch_idx])
        torch.manual_seed(int(random.integers(2**31)))  # dropout
        soft = F.one_hot(targets, self._num_classes).float()
        smoothing = self._recipe.optim.label_smoothing
        soft = soft * (1 - smoothing) + smoothing / self._num_classes
        if self._recipe.augment.mixup > 0:
            images, soft = self._mix(images, soft, random)
        loss = F.cross_entropy(self(images).float(), soft)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def _mix(
        self, images: torch.Tensor, soft: torch.Tensor, random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Blend each picture with another (mixup, https://arxiv.org/abs/1710.09412)."""
        share = float(random.beta(self._recipe.augment.mixup, self._recipe.augment.mixup))
        other = torch.from_numpy(random.permutation(len(images))).to(images.device)
        mixed = share * images + (1 - share) * images[other]
        return mixed, share * soft + (1 - share) * soft[other]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and targets; the metrics need all of them."""
        images, targets = batch
        self._validation.append((self(images).float().cpu(), targets.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log accuracy and loss over all validation photos."""
        logits = torch.cat([logits for logits, _ in self._validation])
        targets = torch.cat([targets for _, targets in self._validation])
        self._validation.clear()
        self.log("val_loss", F.cross_entropy(logits, targets))
        self.log("val_accuracy", (logits.argmax(1) == targets).float().mean())

    def configure_optimizers(self) -> Any:
        """Return AdamW (no decay on vectors, a faster head) under a one-cycle schedule."""
        optim = self._recipe.optim
        head = tuple(f"{name}." for name in self.model.head_names)
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                key = (name.startswith(head), parameter.ndim > 1)
                groups.setdefault(key, []).append(parameter)
        settings: list[dict[str, Any]] = [
            {
                "params": parameters,
                "lr": optim.learning_rate * (optim.head_multiplier if is_head else 1.0),
                "weight_decay": optim.weight_decay if is_matrix else 0.0,
            }
            for (is_head, is_matrix), parameters in groups.items()
        ]
        optimiser = torch.optim.AdamW(settings)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=[group["lr"] for group in settings],
            total_steps=max(2, int(self.trainer.estimated_stepping_batches)),
            pct_start=optim.warmup,
            cycle_momentum=False,
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
