"""Auditing the composition of waste: the share of each material in many photos."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax, trust
from recyclenet.core.files import write_text
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.pages import render_page
from recyclenet.core.progress import Progress, silent
from recyclenet.data.folders import LeftOut
from recyclenet.data.pictures import expand
from recyclenet.errors import DataError, RecycleNetError
from recyclenet.evaluation.calibration import KEPT_SHARE
from recyclenet.evaluation.metrics import wilson_interval
from recyclenet.evaluation.shares import Confusions, Shares, estimate_shares
from recyclenet.inference.classifier import Classifier, as_classifier


@dataclass(frozen=True, kw_only=True)
class Material:
    """The share of one class or bin.

    Attributes:
        name: the class or the bin.
        num_photos: number of photos that the model assigns to it.
        naive: their share, 0 to 1.
        naive_interval: 95% Wilson interval of that; it ignores the model's mistakes.
        share: the share corrected for the model's confusions, 0 to 1.
        interval: 95% interval of that.
    """

    name: str
    num_photos: int
    naive: float
    naive_interval: tuple[float, float]
    share: float
    interval: tuple[float, float]

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "num_photos": self.num_photos,
            "naive": round(self.naive, 6),
            "naive_interval95": [round(bound, 6) for bound in self.naive_interval],
            "share": round(self.share, 6),
            "interval95": [round(bound, 6) for bound in self.interval],
        }


@dataclass(frozen=True, eq=False)
class Audit:
    """The composition of a set of photos.

    Attributes:
        classes: the share of each class of the model.
        bins: the share of each bin under the rules in use.
        num_photos: number of photos with an answer.
        problems: one error for each photo without one.
        unknown: share of the answers that do not count as known.
        looks_unlike: whether that is so much more than among the validation photos that the shares
            cannot be trusted.
        info: the model's metadata.
    """

    classes: tuple[Material, ...]
    bins: tuple[Material, ...]
    num_photos: int
    problems: tuple[RecycleNetError, ...]
    unknown: float
    looks_unlike: bool
    info: ModelInfo

    @property
    def warning(self) -> str | None:
        """Why the shares cannot be trusted; None if nothing speaks against them."""
        if not self.looks_unlike:
            return None
        return (
            f"{self.unknown:.0%} of the answers are not known ({1 - KEPT_SHARE:.0%} is usual); "
            f"these photos look unlike the model's training photos, so do not trust the shares"
        )

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "model": self.info.name,
            "num_photos": self.num_photos,
            "num_unanswered": len(self.problems),
            "unknown": round(self.unknown, 6),
            "looks_unlike": self.looks_unlike,
            "classes": [material.to_row() for material in self.classes],
            "bins": [material.to_row() for material in self.bins],
        }

    def page(self) -> str:
        """Return a self-contained HTML page with the shares and their intervals as bars."""
        return render_page("recyclenet.evaluation", "audit.html", audit=self, info=self.info)

    def write_page(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, atomically."""
        write_text(Path(path), self.page())

    def __repr__(self) -> str:
        shares = ", ".join(f"{material.name} {material.share:.0%}" for material in self.classes)
        return f"Audit({self.num_photos} photos: {shares})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return self.page()


def audit(
    pictures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    left_out: LeftOut = lambda _: None,
    progress: Progress = silent,
    seed: int = 0,
) -> Audit:
    """Estimate the share of each class and bin among the items in photos, one item a photo.

    Args:
        pictures: one or several paths; folders are searched, globs (`**` too) expanded.
        model: a model file, a run folder or a classifier; None for the model in the package.
        left_out: is called with one line for each folder or file that is not searched.
        progress: reports the number of photos done.
        seed: of the random draws behind the intervals.

    Raises:
        UsageError: there is no such model file, it lacks the statistics for an audit, a folder
            holds no pictures, or a glob matches nothing.
        DataError: no photo can be read.
        ModelFileError: the model file is damaged or altered, or all logits are non-finite.
    """
    classifier = as_classifier(model)
    info = classifier.info
    confusions = Confusions.from_statistics(info.statistics, len(info.class_names))
    paths = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    found = list(expand([os.fspath(path) for path in paths], left_out))
    rows, scores, problems = [], [], []
    for done, (_, outputs, error) in enumerate(classifier.outputs_many(found), 1):
        if error is not None:
            problems.append(error)
        elif outputs is not None:
            rows.append(outputs.logits)
            scores.append(outputs.unknown)
        progress(done, len(found), "auditing")
    if not rows:
        reason = f"; first error: {problems[0]}" if problems else ""
        raise DataError(f"none of the {len(found)} photos can be read{reason}")
    probabilities = softmax(np.stack(rows), info.temperature)
    shares = estimate_shares(probabilities, confusions, seed=seed)
    predicted = probabilities.argmax(axis=1)
    unknown = None if scores[0] is None else np.array(scores, np.float32)
    num_unknown = int((trust(probabilities, unknown) < classifier.threshold).sum())
    classes, chooser = np.arange(len(info.class_names)), classifier.bins
    return Audit(
        tuple(
            _material(name, classes == number, predicted, shares)
            for number, name in enumerate(info.class_names)
        ),
        tuple(
            _material(chooser.bins[number], chooser.right == number, predicted, shares)
            for number in sorted(set(chooser.right.tolist()))
        ),
        len(rows),
        tuple(problems),
        num_unknown / len(rows),
        # Twice the usual share, beyond doubt.
        wilson_interval(num_unknown, len(rows))[0] > 2 * (1 - KEPT_SHARE),
        info,
    )


def _material(
    name: str,
    members: npt.NDArray[np.bool_],
    predicted: npt.NDArray[np.int64],
    shares: Shares,
) -> Material:
    """Return the share of some of the classes together.

    Args:
        name: of the class or bin.
        members: which classes, `(K,)`.
        predicted: the most probable class of each photo, `(N,)`.
        shares: of all classes.
    """
    num_photos = int(members[predicted].sum())
    share, low, high = shares.of(members)
    return Material(
        name=name,
        num_photos=num_photos,
        naive=num_photos / len(predicted),
        naive_interval=wilson_interval(num_photos, len(predicted)),
        share=share,
        interval=(low, high),
    )
