"""What a run shows and keeps while it goes."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from recyclenet.core.files import read_table, write_table
from recyclenet.errors import EXIT_TERMINATED, Interrupted

_FIGURES = ("train_loss", "val_loss", "val_accuracy")


class EpochTable(pl.Callback):
    """Keeps `metrics.csv`, one row an epoch, and prints each row to stderr.

    A resumed run drops the rows of epochs it does again. The training loss of an epoch that was
    stopped midway is that of its steps since then.
    """

    def __init__(self, path: Path, console: Console) -> None:
        self._path = path
        self._console = console
        self._rows: list[dict[str, str]] = []
        self._started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the rows of the epochs already done."""
        self._started = time.monotonic()
        if trainer.current_epoch > 0 and self._path.is_file():
            (_, names), *rows = read_table(self._path)
            done = [dict(zip(names, row, strict=True)) for _, row in rows]
            self._rows = [row for row in done if int(row["epoch"]) <= trainer.current_epoch]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch."""
        if not trainer.is_global_zero:
            return
        values = {name: f"{float(trainer.callback_metrics[name]):.6g}" for name in _FIGURES}
        epoch = trainer.current_epoch + 1
        rate = f"{trainer.optimizers[0].param_groups[0]['lr']:.6g}"
        seconds = f"{time.monotonic() - self._started:.1f}"
        self._rows.append({"epoch": str(epoch), **values, "lr": rate, "seconds": seconds})
        write_table(self._path, [list(self._rows[-1]), *(list(row.values()) for row in self._rows)])
        self._console.print(
            f"epoch {epoch}/{trainer.max_epochs}  train loss {values['train_loss']}  "
            f"val loss {values['val_loss']}  val accuracy {float(values['val_accuracy']):.2%}",
            highlight=False,
            soft_wrap=True,
        )


class ProgressLine(pl.Callback):
    """One bar over the whole run: steps, photos a second, time left; none where nobody looks."""

    def __init__(self, console: Console, batch_size: int) -> None:
        self._batch_size = batch_size
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} photos/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, filled as far as a resumed run had come."""
        total = int(trainer.estimated_stepping_batches)
        self._first = trainer.global_step
        self._task = self._progress.add_task("", total=total, completed=self._first, rate=0.0)
        self._started = time.monotonic()
        self._progress.start()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Move the bar."""
        done = trainer.global_step - self._first
        rate = done * self._batch_size / (time.monotonic() - self._started)
        self._progress.update(self._task, completed=trainer.global_step, rate=rate)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the bar away."""
        self._progress.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._progress.stop()


class GracefulStop(pl.Callback):
    """Told to end (Ctrl-C or SIGTERM), finishes the step, saves everything, and stops there.

    A second Ctrl-C stops at once. A run that goes on leaves out the steps its epoch has behind it.

    Args:
        checkpoint: where to save.
        hint: how to go on, for the user.
    """

    def __init__(self, checkpoint: Path, hint: str) -> None:
        self._checkpoint = checkpoint
        self._hint = hint
        self._told: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Skip what is done, and listen; the trainer puts the signals' old handlers back."""
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
        """Save and stop; after an epoch's last step its validation comes first."""
        if self._is_told(trainer) and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            trainer.save_checkpoint(self._checkpoint)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop between two epochs, where everything is saved already."""
        if trainer.global_step and self._is_told(trainer):
            self._stop(trainer)

    def _is_told(self, trainer: pl.Trainer) -> bool:
        """Return whether any of the processes is: they have to stop at the same step."""
        told = self._told is not None
        return bool(trainer.strategy.reduce_boolean_decision(told, all=False))

    def _stop(self, trainer: pl.Trainer) -> None:
        total = int(trainer.estimated_stepping_batches)
        stopped = Interrupted(f"stopped after step {trainer.global_step} of {total}; {self._hint}")
        if self._told != signal.SIGINT:
            stopped.exit_code = EXIT_TERMINATED
        raise stopped
