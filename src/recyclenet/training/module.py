"""The training step: soft targets, parts of a batch, sharpness, one scheduled optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from recyclenet.errors import RecycleNetError
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.models.classifier import WasteClassifier, freeze_first, layer_groups
from recyclenet.training.convolution import Float32Gradients
from recyclenet.training.optim import RateFactor, build_optimizer
from recyclenet.training.recipe import Recipe
from recyclenet.training.sharpness import worst_nearby

Batch = tuple[torch.Tensor, torch.Tensor]


class TrainingModule(pl.LightningModule):
    """Trains a network by a recipe.

    Args:
        model: maps `(N, 3, H, W)` float32 to logits `(N, K)`.
        class_weights: weight `(K,)` of each class in the loss.
        recipe: the resolved recipe.
    """

    def __init__(self, model: WasteClassifier, class_weights: torch.Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self._class_weights = class_weights
        self._recipe = recipe
        freeze_first(model, recipe.model.freeze_groups)  # a wrong number fails before any work
        self._validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._rate: RateFactor | None = None
        self._remembered: dict[str, float] | None = None

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` for a batch `(N, 3, H, W)`."""
        with Float32Gradients():
            logits: torch.Tensor = self.model(batch.contiguous(memory_format=torch.channels_last))
        return logits

    def on_train_start(self) -> None:
        """Freeze for the rest of an epoch: such a one has no start."""
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Freeze what this epoch freezes; its batch normalisation must not learn either."""
        self.model.train()
        frozen = freeze_first(self.model, self._num_frozen())
        if self._recipe.fit.freeze_norm:
            frozen += [module for module in self.model.modules() if isinstance(module, _BatchNorm)]
        for module in frozen:
            module.eval()

    def _num_frozen(self) -> int:
        """Return how many layer groups are frozen now: thawing goes from the head down."""
        fit, target = self._recipe.fit, self._recipe.model.freeze_groups
        if not fit.unfreeze_every:
            return target
        most = max(layer_groups(self.model).values()) - 1
        return max(target, most - self.current_epoch // fit.unfreeze_every)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one optimiser step on one batch."""
        # All chance of a step comes from here, so that a resumed run agrees with an unbroken one.
        place = [self._recipe.fit.seed, self.current_epoch, batch_idx]
        if self.global_rank:  # processes that train together mix their pictures differently
            place.append(self.global_rank)
        random = np.random.default_rng(place)
        loss = self.step(batch, random, self.optimizers(), self.manual_backward)
        schedule: Any = self.lr_schedulers()
        schedule.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))

    def step(
        self,
        batch: Batch,
        random: np.random.Generator,
        optimizer: Any,
        backward: Callable[[torch.Tensor], object],
    ) -> torch.Tensor:
        """Take one optimiser step; return the loss before it."""
        images, targets = batch
        dropout_seed = int(random.integers(2**31))
        images, soft = self._mix(images, self._soften(targets), random)
        loss = self._gradients(images, soft, dropout_seed, backward)
        optim = self._recipe.optim
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if optim.sharpness != "none":
            with worst_nearby(self.model, parameters, optim.rho, optim.sharpness == "asam"):
                self._gradients(images, soft, dropout_seed, backward)
        if optim.gradient_clip:
            torch.nn.utils.clip_grad_norm_(parameters, optim.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def _gradients(
        self,
        images: torch.Tensor,
        soft: torch.Tensor,
        dropout_seed: int,
        backward: Callable[[torch.Tensor], object],
    ) -> torch.Tensor:
        """Add up the gradients of a batch, part by part; return its loss."""
        torch.manual_seed(dropout_seed)
        total = torch.zeros((), device=images.device)
        for some, their_soft in zip(self._parts(images), self._parts(soft), strict=True):
            logits = self(some).float()
            share = len(some) / len(images)
            weights = self._class_weights.to(logits)
            loss = F.cross_entropy(logits, their_soft, weight=weights) * share
            backward(loss)
            total += loss.detach()
        return total

    def _parts(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """Cut a batch into parts for one pass each, every branch's block alike."""
        blocks = batch.tensor_split(self._recipe.model.branches)
        pieces = [block.chunk(self._recipe.fit.accumulate) for block in blocks]
        return [torch.cat(part) for part in zip(*pieces, strict=True)]

    def _soften(self, targets: torch.Tensor) -> torch.Tensor:
        num_classes = len(self._class_weights)
        smoothing = self._recipe.optim.label_smoothing
        return F.one_hot(targets, num_classes).float() * (1 - smoothing) + smoothing / num_classes

    def _mix(
        self, images: torch.Tensor, soft: torch.Tensor, random: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Blend each picture with another, or paste a part of another into it.

        Mixup: https://arxiv.org/abs/1710.09412; CutMix: https://arxiv.org/abs/1905.04899. Where the
        recipe has both, a coin decides for each batch.
        """
        augment = self._recipe.augment
        kinds = [kind for kind in ("mixup", "cutmix") if getattr(augment, kind) > 0]
        if not kinds:
            return images, soft
        kind = kinds[int(random.integers(2))] if len(kinds) == 2 else kinds[0]
        alpha = getattr(augment, kind)
        share = float(random.beta(alpha, alpha))
        other = torch.from_numpy(random.permutation(len(images))).to(images.device)
        if kind == "mixup":
            images = share * images + (1 - share) * images[other]
        else:
            images, share = _paste(images, images[other], share, random)
        return images, share * soft + (1 - share) * soft[other]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and targets; the metrics need all of them."""
        images, targets = batch
        self._validation.append((self(images).float().cpu(), targets.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log accuracy and loss over all validation photos.

        The loss is taken at the temperature that fits them, as in the model file: epochs that are
        different only in how sure they are of themselves count the same.
        """
        logits = torch.cat([logits for logits, _ in self._validation])
        targets = torch.cat([targets for _, targets in self._validation])
        self._validation.clear()
        if not logits.isfinite().all():
            raise RecycleNetError(
                f"training failed in epoch {self.current_epoch + 1}: the logits are no longer "
                "numbers; train again with a smaller rate (--set optim.learning_rate=...)"
            )
        table, truth = logits.numpy(), targets.numpy()
        nll = negative_log_likelihood(table, truth, fit_temperature(table, truth))
        loss = self.trainer.strategy.reduce(torch.tensor(nll), reduce_op="mean")
        self.log("val_loss", loss)
        accuracy = (logits.argmax(1) == targets).float().mean()
        self.log("val_accuracy", self.trainer.strategy.reduce(accuracy, reduce_op="mean"))
        if self._rate is not None and not self.trainer.sanity_checking:
            self._rate.observe(float(loss))

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser under its schedule."""
        total = int(self.trainer.estimated_stepping_batches)
        steps_per_epoch = int(self.trainer.num_training_batches)
        rate = RateFactor(self._recipe.optim, steps_per_epoch, total)
        if self._remembered is not None:
            rate.memory = self._remembered
        self._rate = rate
        optimizer = build_optimizer(self.model, self._recipe.optim)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the schedule remembers."""
        if self._rate is not None:
            checkpoint["rate"] = self._rate.memory

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back; the schedule itself is made later."""
        self._remembered = checkpoint.get("rate")


def _paste(
    images: torch.Tensor, others: torch.Tensor, share: float, random: np.random.Generator
) -> tuple[torch.Tensor, float]:
    """Paste a box of `1 - share` of the area; return the pictures and the share really kept."""
    height, width = images.shape[2:]
    side = (1 - share) ** 0.5
    middle = random.random(2)
    top, bottom = (
        int(np.clip(round((middle[0] + sign * side / 2) * height), 0, height)) for sign in (-1, 1)
    )
    left, right = (
        int(np.clip(round((middle[1] + sign * side / 2) * width), 0, width)) for sign in (-1, 1)
    )
    images = images.clone()
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)
