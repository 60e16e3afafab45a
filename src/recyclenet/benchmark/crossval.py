"""Cross-validation: a recipe trained once a fold, each photo judged by a model new to it."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console

from recyclenet.benchmark.runs import MODEL, complete_run, score_run
from recyclenet.core.files import write_table
from recyclenet.data.manifest import Manifest
from recyclenet.data.split import fold_splits
from recyclenet.evaluation.table import write_predictions
from recyclenet.inference.classifier import Classifier
from recyclenet.training.fit import readable
from recyclenet.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold's result.

    Attributes:
        fold: its number.
        num_photos: how many photos validated.
        accuracy: on them.
        nll: mean negative log-likelihood of the calibrated probabilities, nats.
    """

    fold: int
    num_photos: int
    accuracy: float
    nll: float


def cross_validate(
    manifest: Manifest, recipe: Recipe, num_folds: int, out: Path, console: Console
) -> list[Fold]:
    """Train whatever fold is not done yet, and score all of them.

    Writes `folds.csv`, and `predictions.csv` with every photo's logits by the model that did not
    train on it.

    Args:
        manifest: the photos; test photos stay out.
        recipe: the resolved recipe; its seed draws the folds too.
        num_folds: how many.
        out: folder of the run folders; made if missing.
        console: where progress goes.

    Raises:
        UsageError: the folder holds other runs.
        Interrupted: the user stopped; the same call goes on.
    """
    names = manifest.class_names
    rows, paths, tables, answers = [], [], [], []
    folds = fold_splits(readable(manifest, console), num_folds, recipe.fit.seed)
    for number, parts in enumerate(folds):
        run = out / f"fold-{number}"
        console.print(f"[fold {number + 1}/{num_folds}]", highlight=False, markup=False)
        complete_run(recipe, parts, run, console)
        samples, logits, targets = score_run(run, "val")
        scores = Classifier(run / MODEL).info.metrics
        rows.append(Fold(number, scores["num_photos"], scores["accuracy"], scores["nll"]))
        paths += [sample.path for sample in samples]
        tables.append(logits)
        answers.append(targets)
    write_table(out / "folds.csv", [[field.name for field in fields(Fold)], *map(astuple, rows)])
    write_predictions(
        out / "predictions.csv", paths, np.concatenate(answers), np.concatenate(tables), names
    )
    return rows
