"""Callbacks of a training run: its table of metrics, its progress, a graceful stop."""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from recyclenet.core.files import write_table
from recyclenet.core.progress import Progress
from recyclenet.errors import EXIT_TERMINATED, Interrupted
from recyclenet.training.run import FIGURES, read_epochs

_log = logging.getLogger(__name__)


class EpochTable(pl.Callback):
    """Writes `metrics.csv`, one row an epoch, and logs each row.

    A resumed run replaces the rows of epochs that it repeats. The training loss of an epoch that
    was interrupted covers only the steps after the interruption.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the rows of the epochs already done."""
        self._started = time.monotonic()
        if trainer.current_epoch > 0 and self._path.is_file():
            self._rows = [
                row for row in read_epochs(self._path) if int(row["epoch"]) <= trainer.current_epoch
            ]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        if not trainer.is_global_zero:
            return
        values = {name: f"{float(trainer.callback_metrics[name]):.6g}" for name in FIGURES}
        epoch = trainer.current_epoch + 1
        rate = f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}"
        seconds = f"{time.monotonic() - self._started:.1f}"
        self._rows.append({"epoch": str(epoch), **values, "lr": rate, "seconds": seconds})
        write_table(self._path, [list(self._rows[-1]), *(list(row.values()) for row in self._rows)])
        _log.info(
            "epoch %d/%d  train loss %s  val loss %s  val accuracy %.2f%%",
            *(epoch, trainer.max_epochs, values["train_loss"], values["val_loss"]),
            100 * float(values["val_accuracy"]),
        )


class ProgressBar(pl.Callback):
    """Reports the photos trained on, over the whole run.

    Args:
        progress: where to report.
        batch_size: photos a step.
    """

    def __init__(self, progress: Progress, batch_size: int) -> None:
        self._progress = progress
        self._batch_size = batch_size

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report how far a resumed run had come."""
        self.on_train_batch_end(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Report the steps done."""
        total = int(trainer.estimated_stepping_batches)
        self._progress(trainer.global_step * self._batch_size, total * self._batch_size, "training")


class GracefulStop(pl.Callback):
    """On Ctrl-C or SIGTERM, finishes the current step, saves a checkpoint and stops.

    A second Ctrl-C stops at once. A resumed run skips the steps its epoch has already done.

    Args:
        checkpoint: where to save.
        hint: tells the user how to continue.
    """

    def __init__(self, checkpoint: Path, hint: str) -> None:
        self._checkpoint = checkpoint
        self._hint = hint
        self._told: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Skip finished steps and handle the signals; the trainer restores the old handlers."""
        num_batches = int(trainer.num_training_batches)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready % num_batches
        loader: Any = trainer.train_dataloader
        loader.sampler.skip(done * loader.batch_size)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._told is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._told = number

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save and stop, but let an epoch's last step be followed by its validation."""
        if self._is_told(trainer) and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.save_checkpoint(self._checkpoint)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs: everything is saved already."""
        if trainer.global_step and self._is_told(trainer):
            self._stop(trainer)

    def _is_told(self, trainer: pl.Trainer) -> bool:
        """Return whether any process was told to stop: all stop at the same step."""
        told = self._told is not None
        return bool(trainer.strategy.reduce_boolean_decision(told, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        total = int(trainer.estimated_stepping_batches)
        stopped = Interrupted(f"stopped after step {trainer.global_step} of {total}; {self._hint}")
        if self._told != signal.SIGINT:
            stopped.exit_code = EXIT_TERMINATED
        raise stopped
