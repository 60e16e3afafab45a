"""Callbacks of a training run: metrics table, progress, graceful stop."""

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
from recyclenet.core.run_folder import METRICS, read_epochs
from recyclenet.errors import EXIT_TERMINATED, Interrupted

_log = logging.getLogger(__name__)


class EpochTable(pl.Callback):
    """Writes `metrics.csv`, one row per epoch, and logs each row.

    A resumed run replaces the rows of the epochs it repeats. The training loss of an interrupted
    epoch covers only the steps after the interruption.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, str]] = []
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the rows of completed epochs."""
        self._started = time.monotonic()
        if trainer.current_epoch > 0 and self._path.is_file():
            self._rows = [
                row for row in read_epochs(self._path) if int(row["epoch"]) <= trainer.current_epoch
            ]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        if not trainer.is_global_zero:
            return
        values = {name: f"{float(trainer.callback_metrics[name]):.6g}" for name in METRICS}
        epoch = trainer.current_epoch + 1
        lr = f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}"
        seconds = f"{time.monotonic() - self._started:.1f}"
        self._rows.append({"epoch": str(epoch), **values, "lr": lr, "seconds": seconds})
        write_table(self._path, [list(self._rows[-1]), *(list(row.values()) for row in self._rows)])
        _log.info(
            "epoch %d/%d  train loss %s  val loss %s  val accuracy %.2f%%",
            *(epoch, trainer.max_epochs, values["train_loss"], values["val_loss"]),
            100 * float(values["val_accuracy"]),
        )


class ProgressBar(pl.Callback):
    """Reports the number of photos processed in the whole run.

    Args:
        progress: receives the reports.
        batch_size: photos per step.
    """

    def __init__(self, progress: Progress, batch_size: int) -> None:
        self._progress = progress
        self._batch_size = batch_size

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the steps that a resumed run has already done."""
        self.on_train_batch_end(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Report the steps done."""
        total = int(trainer.estimated_stepping_batches)
        self._progress(trainer.global_step * self._batch_size, total * self._batch_size, "training")


class GracefulStop(pl.Callback):
    """On Ctrl-C or SIGTERM, finishes the current step, saves a checkpoint and stops.

    A second Ctrl-C stops immediately. A resumed run skips the completed steps of its epoch.

    Args:
        checkpoint: path of the checkpoint.
        hint: tells the user how to resume.
    """

    def __init__(self, checkpoint: Path, hint: str) -> None:
        self._checkpoint = checkpoint
        self._hint = hint
        self._signal: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Skip completed steps and install signal handlers, which the trainer later restores."""
        num_batches = int(trainer.num_training_batches)
        done = trainer.fit_loop.epoch_loop.batch_progress.current.ready % num_batches
        loader: Any = trainer.train_dataloader
        loader.sampler.skip(done * loader.batch_size)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = number

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save and stop; after an epoch's last step, let validation run first."""
        is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if self._should_stop(trainer) and not is_last:
            trainer.save_checkpoint(self._checkpoint)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs; the checkpoint is already saved."""
        if trainer.global_step and self._should_stop(trainer):
            self._stop(trainer)

    def _should_stop(self, trainer: pl.Trainer) -> bool:
        """Return whether any process received a signal; all processes stop at the same step."""
        has_signal = self._signal is not None
        return bool(trainer.strategy.reduce_boolean_decision(has_signal, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        total = int(trainer.estimated_stepping_batches)
        stopped = Interrupted(f"stopped after step {trainer.global_step} of {total}; {self._hint}")
        if self._signal != signal.SIGINT:
            stopped.exit_code = EXIT_TERMINATED
        raise stopped
