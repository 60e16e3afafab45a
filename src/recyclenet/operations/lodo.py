"""Leave one domain out: how accurate a recipe is on photos from a source it has not seen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from recyclenet.core.files import write_table
from recyclenet.core.progress import Progress, silent, titled
from recyclenet.data.dataset import as_manifest
from recyclenet.data.manifest import Manifest
from recyclenet.data.splits.split import with_splits
from recyclenet.errors import DataError, UsageError
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.inference.classifier import Classifier
from recyclenet.operations.train import check_run, complete_run, resolve_recipe
from recyclenet.training.photos import check_trainable, drop_unreadable
from recyclenet.training.recipe import Recipe
from recyclenet.training.run import Run

# The logit of a class that a fold's model does not have: its probability is 0.
ABSENT_LOGIT = -10_000.0
_MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class DomainFold:
    """The result of one fold: the model was trained on all domains but this one.

    Attributes:
        domain: the domain that was left out of the training.
        num_photos: number of its photos that were tested.
        num_left_out: number of its photos with labels that the training photos lack; not tested.
        num_copies: number of photos of other domains left out as copies of its photos.
        accuracy: on the tested photos.
        balanced_accuracy: mean recall of the classes that occur among them.
        nll: mean negative log-likelihood of the calibrated probabilities, nats.
        ece: expected calibration error.
        refused: share of the tested photos whose answer counts as not known.
        num_home: number of test photos of the other domains.
        home_accuracy: on these; None if there are none.
    """

    domain: str
    num_photos: int
    num_left_out: int
    num_copies: int
    accuracy: float
    balanced_accuracy: float
    nll: float
    ece: float
    refused: float
    num_home: int
    home_accuracy: float | None


@dataclass(frozen=True, eq=False)
class LeaveOneDomainOut:
    """The results of all folds.

    Attributes:
        folds: one result per domain.
        predictions: the logits of every tested photo, by the model that has not seen its domain.
    """

    folds: tuple[DomainFold, ...]
    predictions: PredictionTable

    def mean(self, name: str) -> float | None:
        """Return the mean over the domains of a field of `DomainFold`; None if one has none."""
        values = [getattr(fold, name) for fold in self.folds]
        return None if None in values else float(np.mean(values))

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the domains; each counts the same."""
        return float(np.mean([fold.accuracy for fold in self.folds]))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The photos of one fold.

    Attributes:
        domain: the domain left out.
        home: photos of the other domains, with splits.
        abroad: photos of the domain left out whose labels the training photos have.
        num_left_out: number of its other photos.
        num_copies: number of copies of its photos in other domains.
    """

    domain: str
    home: Manifest
    abroad: Manifest
    num_left_out: int
    num_copies: int


def lodo(
    data: str | os.PathLike[str] | Manifest,
    out: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe = "default",
    *,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> LeaveOneDomainOut:
    """Train a recipe once per domain on all other domains, and test each model on that domain.

    A domain has no part in training, validation or calibration of the model that is tested on it,
    and neither have copies of its photos in other domains. Finished folds are not trained again.
    Writes `folds.csv` and `predictions.csv`.

    Args:
        data: a CSV manifest or a loaded dataset with the domain of each photo (`merge_datasets`).
        out: folder for the run folders and the tables; made if missing.
        recipe: the recipe.
        settings: recipe fields to override.
        progress: reports photos checked, trained on and evaluated.
        force: the run folders may hold other files, though no other runs.

    Raises:
        UsageError: the photos are of fewer than two domains, or the folder holds other runs.
        DataError: a domain shares no label with the others, or the others do not suffice for
            training.
        Interrupted: the user stopped; the same call continues.
    """
    resolved, out = resolve_recipe(recipe, settings), Path(out)
    manifest = as_manifest(data)
    folders = _folders(manifest, out)
    manifest = drop_unreadable(manifest, progress)
    parts = list(_folds(manifest, resolved))
    for part in parts:
        check_run(part.home, resolved, folders[part.domain], force=force)
    folds, tables = [], []
    for number, part in enumerate(parts, start=1):
        reported = titled(progress, f"domain {number} of {len(parts)}")
        folder = folders[part.domain]
        run = complete_run(part.home, resolved, folder, reported, force=force)
        classifier = run.classifier()
        tables.append(predict(classifier, part.abroad, reported))
        folds.append(_result(part, tables[-1], classifier, _at_home(run, reported)))
    joined = _joined(tables)
    columns = [field.name for field in fields(DomainFold)]
    rows = [["" if value is None else value for value in astuple(fold)] for fold in folds]
    write_table(out / "folds.csv", [columns, *rows])
    write_predictions(out / "predictions.csv", joined)
    return LeaveOneDomainOut(tuple(folds), joined)


def _folders(manifest: Manifest, out: Path) -> dict[str, Path]:
    """Return the run folder of each domain.

    Raises:
        UsageError: there are fewer than two domains, or their names cannot name folders.
    """
    domains = manifest.domains
    if domains == ("",) or len(domains) < 2:
        raise UsageError(
            f"leaving a domain out needs photos of two domains or more, not {len(domains)}; give "
            f"several --data, or a manifest of recyclenet data merge"
        )
    if "" in domains:
        num = sum(not sample.domain for sample in manifest)
        raise UsageError(f"{num} photos have no domain; fill the whole column")
    folders: dict[str, Path] = {}
    for domain in domains:
        name = re.sub(r"[^\w.=-]+", "-", domain)
        folder = out / f"without-{name}"
        if len(name.encode()) > _MAX_NAME or folder in folders.values():
            raise UsageError(f"the domain {domain[:80]!r} cannot name a folder; rename it")
        folders[domain] = folder
    return folders


def _folds(manifest: Manifest, recipe: Recipe) -> Iterator[_Parts]:
    """Yield the photos of each fold, checked."""
    for domain in manifest.domains:
        own = [sample for sample in manifest if sample.domain == domain]
        others = [sample for sample in manifest if sample.domain != domain]
        known = {key for sample in own for key in (sample.group, sample.sha256) if key}
        new = [s for s in others if s.group not in known and s.sha256 not in known]
        if not new:
            raise DataError(
                f"no photo of domains other than {domain!r} is left: the others cannot be read or "
                f"are copies of its photos"
            )
        home = with_splits(Manifest(tuple(new)), recipe.fit.seed, recipe.split)
        try:
            check_trainable(home)
        except (DataError, UsageError) as error:
            raise DataError(f"without the domain {domain!r}, {error}") from error
        labels = home.select("train").class_names
        abroad = tuple(sample for sample in own if sample.label in labels)
        if not abroad:
            raise DataError(
                f"no photo of the domain {domain!r} has a label that other domains have; its "
                f"labels: {', '.join(Manifest(tuple(own)).class_names)}; theirs: "
                f"{', '.join(labels)}; map them with --map"
            )
        num_left_out = len(own) - len(abroad)
        yield _Parts(domain, home, Manifest(abroad), num_left_out, len(others) - len(new))


def _at_home(run: Run, progress: Progress) -> tuple[int, float | None]:
    """Return the number of test photos of the training domains and the accuracy on them."""
    if all(sample.split != "test" for sample in run.manifest):
        return 0, None
    table = predict(run.classifier(), run.manifest.select("test"), progress)
    return len(table.samples), table.score().accuracy


def _result(
    parts: _Parts,
    table: PredictionTable,
    classifier: Classifier,
    at_home: tuple[int, float | None],
) -> DomainFold:
    scores = table.score(classifier.info.temperature, classifier.threshold)
    return DomainFold(
        parts.domain,
        scores.num_photos,
        parts.num_left_out,
        parts.num_copies,
        scores.accuracy,
        scores.balanced_accuracy,
        scores.nll,
        scores.ece,
        1 - scores.coverage,
        *at_home,
    )


def _joined(tables: Sequence[PredictionTable]) -> PredictionTable:
    """Return one table with the classes of all."""
    names = tuple(sorted({name for table in tables for name in table.class_names}))
    blocks = []
    for table in tables:
        block = np.full((len(table.samples), len(names)), ABSENT_LOGIT, np.float32)
        block[:, [names.index(name) for name in table.class_names]] = table.logits
        blocks.append(block)
    return PredictionTable(
        tuple(sample for table in tables for sample in table.samples),
        np.concatenate(blocks),
        names,
        tuple(problem for table in tables for problem in table.problems),
    )
