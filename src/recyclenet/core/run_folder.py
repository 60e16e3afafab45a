"""The files of a run folder, and its table of epochs; the light tier reads both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.files import read_table
from recyclenet.errors import DataError

METRICS = ("train_loss", "val_loss", "val_accuracy")
COLUMNS = ("epoch", *METRICS, "lr", "seconds")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training run.

    Attributes:
        folder: the run folder.
    """

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """The resolved recipe; a run can be resumed once this file exists."""
        return self.folder / "recipe.toml"

    @property
    def manifest_file(self) -> Path:
        """The photos of the run, with their splits."""
        return self.folder / "manifest.csv"

    @property
    def metrics_file(self) -> Path:
        """The metrics table, one row per epoch."""
        return self.folder / "metrics.csv"

    @property
    def best(self) -> Path:
        """The checkpoint with the lowest validation loss."""
        return self.folder / "checkpoints" / "best.ckpt"

    @property
    def last(self) -> Path:
        """The latest checkpoint, from which a run resumes."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def start(self) -> Path:
        """The initial weights, saved only if the recipe uses WiSE-FT or `fit.keep_start`."""
        return self.folder / "checkpoints" / "start.safetensors"

    @property
    def model(self) -> Path:
        """The exported model file."""
        return self.folder / "model.onnx"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files above; a new run deletes those of a previous run in its folder."""
        return (
            self.recipe_file,
            self.manifest_file,
            self.metrics_file,
            self.best,
            self.last,
            self.start,
            self.model,
        )

    @property
    def metrics(self) -> list[dict[str, float]]:
        """One row per epoch: epoch, train_loss, val_loss, val_accuracy, lr, seconds.

        Raises:
            DataError: the metrics table is damaged.
        """
        if not self.metrics_file.is_file():
            return []
        rows = read_epochs(self.metrics_file)
        return [{name: float(text) for name, text in row.items()} for row in rows]


def read_epochs(path: Path) -> list[dict[str, str]]:
    """Return the rows of a `metrics.csv` as text, by column name.

    Raises:
        DataError: the file is not a metrics table; the message names the line.
    """
    rows = read_table(path)
    line, names = next(rows, (1, []))
    if names != list(COLUMNS):
        raise DataError(
            f"{path}, line {line}: the columns must be {', '.join(COLUMNS)}; delete the file"
        )
    found = []
    for line, row in rows:
        if len(row) != len(names) or not _is_epoch(row):
            raise DataError(
                f"{path}, line {line}: a row must hold {len(names)} numbers; delete the file"
            )
        found.append(dict(zip(names, row, strict=True)))
    return found


def _is_epoch(row: list[str]) -> bool:
    try:
        return all(isinstance(float(cell), float) for cell in row) and 0 < int(row[0]) < 10**9
    except ValueError:
        return False
