"""Comparing classifiers on the same photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax
from recyclenet.core.files import write_text
from recyclenet.core.images import ImageArray, decode_image
from recyclenet.core.pages import THUMBNAIL, render_page
from recyclenet.core.progress import Progress, silent, titled
from recyclenet.core.run_folder import RunFolder
from recyclenet.data.dataset import as_manifest
from recyclenet.data.label_map import LabelMaps, relabelled
from recyclenet.data.manifest import Manifest
from recyclenet.errors import ImageError, UsageError
from recyclenet.evaluation.line_chart import Drawing, Line, draw_lines
from recyclenet.evaluation.metrics import Scores, score
from recyclenet.evaluation.paired import Common, Paired, check_same_classes, on_common_photos
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.table import PredictionTable, read_predictions
from recyclenet.inference.classifier import Classifier

NUM_SHOWN = 12
Comparable: TypeAlias = str | os.PathLike[str] | Classifier


@dataclass(frozen=True, eq=False, kw_only=True)
class Contender:
    """One of the classifiers compared.

    Attributes:
        name: as the user gave it.
        scores: its figures on the common photos.
        logits: for these photos, `(N, K)`.
        epochs: the rows of its run's metrics table; empty if it is no run folder.
    """

    name: str
    scores: Scores
    logits: npt.NDArray[np.float32]
    epochs: tuple[dict[str, float], ...]

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        scores = self.scores
        return {
            "name": self.name,
            "accuracy": round(scores.accuracy, 6),
            "interval95": [round(bound, 6) for bound in scores.interval],
            "balanced_accuracy": round(scores.balanced_accuracy, 6),
            "recall": {name: round(row["recall"], 6) for name, row in scores.per_class().items()},
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Difference:
    """A contender against the baseline.

    Attributes:
        other: the contender.
        paired: how often the baseline (first) and the contender (second) are right.
        lost: rows of the photos that only the baseline gets right, the contender's worst first.
        won: rows of the photos that only the contender gets right, the baseline's worst first.
    """

    other: Contender
    paired: Paired
    lost: tuple[int, ...]
    won: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class PhotoCard:
    """A photo that one classifier gets right and the other wrong.

    Attributes:
        name: file name.
        truth: the true label.
        baseline: the baseline's answer.
        contender: name of the contender.
        other: the contender's answer.
        image: `(H, W, 3)` uint8; None if the photo cannot be read.
    """

    name: str
    truth: str
    baseline: str
    contender: str
    other: str
    image: ImageArray | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Classifiers on the same photos; the first is the baseline.

    Attributes:
        contenders: the classifiers, in the order given.
        differences: each further contender against the first.
        photos: the photos, and the logits behind the figures.
        problems: one line for each photo that some model could not answer.
        split: which photos: "train", "val", "test" or "all"; None without `data`.
    """

    contenders: tuple[Contender, ...]
    differences: tuple[Difference, ...]
    photos: Common
    problems: tuple[str, ...]
    split: str | None

    @property
    def curves(self) -> list[Drawing]:
        """The losses and accuracies of the run folders by epoch; empty if there are none."""
        runs = [item for item in self.contenders if item.epochs]

        def lines(key: str, note: str = "", *, is_dashed: bool = False) -> list[Line]:
            return [
                Line(
                    item.name + note,
                    number,
                    tuple((row["epoch"], row[key]) for row in item.epochs),
                    is_dashed,
                )
                for number, item in enumerate(runs)
            ]

        losses = [
            *lines("val_loss", ", validation"),
            *lines("train_loss", ", training", is_dashed=True),
        ]
        drawings = (
            draw_lines("Validation accuracy", "epoch", lines("val_accuracy"), percent=True),
            draw_lines("Loss", "epoch", losses),
        )
        return [drawing for drawing in drawings if drawing is not None]

    def cards(self, difference: Difference, rows: Sequence[int]) -> list[PhotoCard]:
        """Return the first `NUM_SHOWN` of some photos with both answers."""
        names, other = self.photos.class_names, difference.other
        return [
            PhotoCard(
                name=self.photos.samples[row].path.name,
                truth=self.photos.samples[row].label,
                baseline=names[int(self.contenders[0].logits[row].argmax())],
                contender=other.name,
                other=names[int(other.logits[row].argmax())],
                image=_image(self.photos.samples[row].path),
            )
            for row in rows[:NUM_SHOWN]
        ]

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "split": self.split,
            "num_photos": len(self.photos.samples),
            "num_left_out": self.photos.num_left_out,
            "num_unanswered": len(self.problems),
            "class_names": list(self.photos.class_names),
            "compared": [item.to_row() for item in self.contenders],
            "differences": [
                {
                    "name": item.other.name,
                    "baseline": self.contenders[0].name,
                    **item.paired.to_row(),
                    "only_baseline_right": self._paths(item.lost),
                    "only_this_right": self._paths(item.won),
                }
                for item in self.differences
            ],
        }

    def _paths(self, rows: Sequence[int]) -> list[str]:
        return [str(self.photos.samples[row].path) for row in rows]

    def page(self) -> str:
        """Return a self-contained HTML page with figures, curves and the photos that differ."""
        return render_page(
            "recyclenet.evaluation",
            "comparison.html",
            comparison=self,
            baseline=self.contenders[0],
            num_shown=NUM_SHOWN,
        )

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, atomically."""
        write_text(Path(path), self.page())

    def __repr__(self) -> str:
        shown = ", ".join(f"{item.name} {item.scores.accuracy:.2%}" for item in self.contenders)
        return f"Comparison({len(self.photos.samples)} photos: {shown})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.page()


def compare(
    items: Sequence[Comparable],
    data: str | os.PathLike[str] | Manifest | None = None,
    *,
    split: str | None = None,
    maps: LabelMaps | None = None,
    tta: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> Comparison:
    """Compare classifiers on the photos that all of them have answers for.

    Args:
        items: two or more of: a run folder, a model file, a table of predictions, a classifier, or
            "built-in" for the model in the package. The first is the baseline.
        data: a folder of class folders, a CSV manifest, or a loaded dataset; None only if all
            items are tables of predictions, whose labels then count.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise.
        maps: label maps for the photos, as for `evaluate`.
        tta: average over the mirrored photo, too, in models that are opened here.
        seed: of the bootstrap.
        progress: reports the photos done.

    Raises:
        UsageError: an item does not exist, a run has no model yet, classes differ, or `data` is
            missing.
        DataError: a label is unknown to the models, no photo can be read, or no photo is in all
            tables.
        ModelFileError: a model file is damaged or altered.
    """
    if len(items) < 2:
        raise UsageError(f"a comparison needs two or more classifiers, not {len(items)}")
    names = [repr(i) if isinstance(i, Classifier) else os.fspath(i) for i in items]
    opened = [_open(item, tta) for item in items]
    epochs = [_epochs(item) for item in items]
    classes = [
        o.class_names if isinstance(o, PredictionTable) else o.info.class_names for o in opened
    ]
    check_same_classes(names, classes)
    manifest = None
    if data is not None:
        whole = relabelled(as_manifest(data), maps)
        split = split or whole.default_split
        manifest = whole.select(split)
        manifest.check_labels(classes[0])
    tables = [
        _table(name, item, manifest, titled(progress, name))
        for name, item in zip(names, opened, strict=True)
    ]
    photos = on_common_photos(names, tables, manifest)
    contenders = tuple(
        Contender(
            name=name,
            scores=score(logits, photos.targets, photos.class_names),
            logits=logits,
            epochs=rows,
        )
        for name, logits, rows in zip(names, photos.logits, epochs, strict=True)
    )
    problems = dict.fromkeys(str(problem) for table in tables for problem in table.problems)
    differences = tuple(_difference(contenders[0], item, photos, seed) for item in contenders[1:])
    return Comparison(contenders, differences, photos, tuple(problems), split)


def _open(item: Comparable, tta: bool) -> Classifier | PredictionTable:
    if isinstance(item, Classifier):
        return item
    path = Path(item)
    if path.suffix.lower() == ".csv" and not path.is_dir():
        return read_predictions(path)
    return Classifier(path, tta=tta)


def _table(
    name: str, item: Classifier | PredictionTable, manifest: Manifest | None, progress: Progress
) -> PredictionTable:
    if isinstance(item, PredictionTable):
        return item
    if manifest is None:
        raise UsageError(f"{name} is a model, which needs photos: give --data")
    return predict(item, manifest, progress)


def _epochs(item: Comparable) -> tuple[dict[str, float], ...]:
    if isinstance(item, Classifier) or not Path(item).is_dir():
        return ()
    return tuple(RunFolder(Path(item)).metrics)


def _difference(baseline: Contender, other: Contender, photos: Common, seed: int) -> Difference:
    first, second = (item.logits.argmax(1) == photos.targets for item in (baseline, other))
    return Difference(
        other=other,
        paired=Paired.count(first, second, seed),
        lost=_worst_first(first & ~second, other, photos),
        won=_worst_first(second & ~first, baseline, photos),
    )


def _worst_first(
    chosen: npt.NDArray[np.bool_], wrong: Contender, photos: Common
) -> tuple[int, ...]:
    """Return the chosen rows, those first whose truth the contender finds least probable."""
    rows = np.flatnonzero(chosen)
    truth = softmax(wrong.logits[rows])[np.arange(len(rows)), photos.targets[rows]]
    return tuple(rows[np.argsort(truth, kind="stable")].tolist())


def _image(path: Path) -> ImageArray | None:
    try:
        return decode_image(path, min_side=THUMBNAIL)
    except ImageError:
        return None
