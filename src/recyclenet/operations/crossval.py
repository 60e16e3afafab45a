"""Cross-validation: every photo is classified by a model that did not train on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recyclenet.core.files import write_table
from recyclenet.core.progress import Progress, silent, titled
from recyclenet.data.dataset import as_manifest
from recyclenet.data.manifest import Manifest
from recyclenet.data.splits.split import fold_splits
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.experiments.statistics import mean_interval
from recyclenet.operations.train import check_run, complete_run, resolve_recipe
from recyclenet.training.cache import MapCache
from recyclenet.training.photos import drop_unreadable
from recyclenet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold's result.

    Attributes:
        fold: its number.
        num_photos: number of validation photos.
        accuracy: on them.
        nll: mean negative log-likelihood of the calibrated probabilities, nats.
    """

    fold: int
    num_photos: int
    accuracy: float
    nll: float


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """The results of all folds.

    Attributes:
        folds: one result a fold.
        predictions: every photo's logits, by the model that did not train on it.
    """

    folds: tuple[Fold, ...]
    predictions: PredictionTable

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the folds."""
        return float(np.mean([fold.accuracy for fold in self.folds]))

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean (Student's t over the folds)."""
        return mean_interval(np.array([fold.accuracy for fold in self.folds]))


def crossval(
    data: str | os.PathLike[str] | Manifest,
    out: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe = "default",
    *,
    num_folds: int = 5,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> CrossValidation:
    """Train a recipe once per fold and evaluate each model on its fold.

    Finished folds are not trained again. Writes `folds.csv`, and `predictions.csv` with every
    photo's logits by the model that did not train on it.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset; test photos stay out.
        out: folder for the run folders and the tables; made if missing.
        recipe: the recipe; its seed also draws the folds.
        num_folds: number of folds.
        settings: recipe fields to override.
        progress: reports photos checked, trained on and evaluated.
        force: the run folders may hold other files, though no other runs.

    Raises:
        UsageError: the folder holds other runs.
        Interrupted: the user stopped; the same call continues.
    """
    resolved, out = resolve_recipe(recipe, settings), Path(out)
    manifest = drop_unreadable(as_manifest(data), progress)
    folds, tables = [], []
    maps = MapCache()
    splits = list(fold_splits(manifest, num_folds, resolved.fit.seed))
    for number, parts in enumerate(splits):
        check_run(parts, resolved, out / f"fold-{number}", force=force)
    for number, parts in enumerate(splits):
        reported = titled(progress, f"fold {number + 1} of {num_folds}")
        run = complete_run(parts, resolved, out / f"fold-{number}", reported, maps, force=force)
        tables.append(predict(run.classifier(), run.manifest.select("val"), reported))
        scores = run.info.metrics
        folds.append(Fold(number, scores["num_photos"], scores["accuracy"], scores["nll"]))
    table = PredictionTable(
        tuple(sample for part in tables for sample in part.samples),
        np.concatenate([part.logits for part in tables]),
        manifest.class_names,
        tuple(problem for part in tables for problem in part.problems),
    )
    write_table(out / "folds.csv", [[field.name for field in fields(Fold)], *map(astuple, folds)])
    write_predictions(out / "predictions.csv", table)
    return CrossValidation(tuple(folds), table)
