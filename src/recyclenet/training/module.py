"""The training step: mixup or CutMix, micro-batches, SAM, optimiser and schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.transforms import v2

from recyclenet.errors import RecycleNetError
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.models.network import Network, freeze_first, layer_groups
from recyclenet.training.checkpoint import RECIPE_KEY, recipe_fields
from recyclenet.training.convolution import Float32Gradients
from recyclenet.training.optim import build_optimizer, build_plateau, build_schedule
from recyclenet.training.recipe import Recipe
from recyclenet.training.sharpness import perturbed

Batch = tuple[torch.Tensor, torch.Tensor]


class TrainingModule(pl.LightningModule):
    """Trains a network with a recipe.

    Args:
        model: maps images `(N, 3, H, W)` float32 to logits `(N, K)`.
        class_weights: class weights in the loss, `(K,)`.
        recipe: the resolved recipe.
    """

    def __init__(self, model: Network, class_weights: torch.Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self._class_weights = class_weights
        self._recipe = recipe
        freeze_first(model, recipe.model.freeze_groups)  # an invalid number fails before training
        self._validation: list[tuple[torch.Tensor, torch.Tensor]] = []
        augment, num_classes = recipe.augment, len(class_weights)
        self._mixers = [
            mixer(alpha=alpha, num_classes=num_classes)
            for mixer, alpha in ((v2.MixUp, augment.mixup), (v2.CutMix, augment.cutmix))
            if alpha > 0
        ]

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return logits `(N, K)` for a batch `(N, 3, H, W)`."""
        with Float32Gradients():
            logits: torch.Tensor = self.model(batch.contiguous(memory_format=torch.channels_last))
        return logits

    def on_train_start(self) -> None:
        """Freeze layers, because a run resumed within an epoch skips `on_train_epoch_start`."""
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Freeze this epoch's layers, including their batch-normalisation statistics."""
        self.model.train()
        frozen = freeze_first(self.model, self._num_frozen())
        if self._recipe.fit.freeze_norm:
            frozen += [module for module in self.model.modules() if isinstance(module, _BatchNorm)]
        for module in frozen:
            module.eval()

    def _num_frozen(self) -> int:
        """Return the number of layer groups to freeze now; the last groups unfreeze first."""
        fit, target = self._recipe.fit, self._recipe.model.freeze_groups
        if not fit.unfreeze_every:
            return target
        most = max(layer_groups(self.model).values()) - 1
        return max(target, most - self.current_epoch // fit.unfreeze_every)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Take one optimiser step on one batch."""
        # The recipe's seed, the epoch and the step determine all randomness in a step, so that a
        # resumed run equals an uninterrupted one.
        seeds = [self._recipe.fit.seed, self.current_epoch, batch_idx]
        if self.global_rank:  # each process mixes its images differently
            seeds.append(self.global_rank)
        seed = int(np.random.default_rng(seeds).integers(2**31))
        loss = self.step(batch, seed, self.optimizers(), self.manual_backward)
        schedule: Any = self._schedules()[0]
        schedule.step()
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))

    def _schedules(self) -> list[Any]:
        """Return the per-step schedule, followed by "plateau" if the recipe uses it."""
        found: Any = self.lr_schedulers()
        return found if isinstance(found, list) else [found]

    def step(
        self,
        batch: Batch,
        seed: int,
        optimizer: Any,
        backward: Callable[[torch.Tensor], object],
    ) -> torch.Tensor:
        """Take one optimiser step.

        Args:
            batch: images `(N, 3, H, W)` or cached feature maps, float32, and targets `(N,)` int64.
            seed: random seed of mixup, CutMix and dropout.
            optimizer: the optimiser.
            backward: called with the loss; accumulates gradients.

        Returns:
            The mean loss before the step.
        """
        optim = self._recipe.optim
        images, soft_targets = self._mix(*batch, seed)
        loss = self._gradients(images, soft_targets, seed, backward)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if optim.sharpness != "none":
            with perturbed(self.model, parameters, optim.rho, optim.sharpness == "asam"):
                self._gradients(images, soft_targets, seed, backward)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def _gradients(
        self,
        images: torch.Tensor,
        soft_targets: torch.Tensor,
        dropout_seed: int,
        backward: Callable[[torch.Tensor], object],
    ) -> torch.Tensor:
        """Accumulate the gradients of a batch over its micro-batches; return the mean loss."""
        torch.manual_seed(dropout_seed)
        total = torch.zeros((), device=images.device)
        smoothing = self._recipe.optim.label_smoothing
        for micro_images, micro_targets in zip(
            self._micro_batches(images), self._micro_batches(soft_targets), strict=True
        ):
            logits = self(micro_images).float()
            weights = self._class_weights.to(logits)
            loss = F.cross_entropy(logits, micro_targets, weights, label_smoothing=smoothing)
            loss = loss * len(micro_images) / len(images)
            backward(loss)
            total += loss.detach()
        return total

    def _micro_batches(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """Split a batch so that each micro-batch contains a part of every branch's block."""
        blocks = batch.tensor_split(self._recipe.model.branches)
        pieces = [block.chunk(self._recipe.fit.micro_batches) for block in blocks]
        return [torch.cat(part) for part in zip(*pieces, strict=True)]

    def _mix(
        self, images: torch.Tensor, targets: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Apply mixup or CutMix; choose one at random if the recipe uses both.

        Returns:
            The images, and soft targets `(N, K)` float32 whose rows sum to 1.
        """
        if not self._mixers:
            return images, F.one_hot(targets, len(self._class_weights)).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            mixer = self._mixers[int(torch.randint(len(self._mixers), ()))]
            mixed: tuple[torch.Tensor, torch.Tensor] = mixer(images, targets)
        return mixed

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect logits and targets for the metrics at the end of the epoch."""
        images, targets = batch
        self._validation.append((self(images).float().cpu(), targets.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log accuracy and loss over all validation photos.

        The loss uses calibrated probabilities, as the model file does, so that overconfidence does
        not influence the choice of the best epoch.
        """
        logits = torch.cat([logits for logits, _ in self._validation])
        targets = torch.cat([targets for _, targets in self._validation])
        self._validation.clear()
        if not logits.isfinite().all():
            raise RecycleNetError(
                f"training diverged in epoch {self.current_epoch + 1}: the network returned "
                "non-finite logits; train again with a lower learning rate "
                "(--set optim.learning_rate=...)"
            )
        table, truth = logits.numpy(), targets.numpy()
        nll = negative_log_likelihood(table, truth, fit_temperature(table, truth))
        loss = self.trainer.strategy.reduce(torch.tensor(nll), reduce_op="mean")
        self.log("val_loss", loss)
        accuracy = (logits.argmax(1) == targets).float().mean()
        self.log("val_accuracy", self.trainer.strategy.reduce(accuracy, reduce_op="mean"))
        if self._recipe.optim.schedule == "plateau" and not self.trainer.sanity_checking:
            self._schedules()[1].step(loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the recipe, for `check_resumable`."""
        checkpoint[RECIPE_KEY] = recipe_fields(self._recipe)

    def configure_optimizers(self) -> Any:
        """Return the recipe's optimiser and schedules."""
        optim = self._recipe.optim
        optimizer = build_optimizer(self.model, optim)
        total_steps = int(self.trainer.estimated_stepping_batches)
        steps_per_epoch = int(self.trainer.num_training_batches)
        found: list[Any] = [build_schedule(optimizer, optim, steps_per_epoch, total_steps)]
        if optim.schedule == "plateau":
            found.append(build_plateau(optimizer, optim))
        return [optimizer], found
