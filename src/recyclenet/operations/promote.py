"""Replacing a model in use: only by one that makes no class worse, and with a way back."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recyclenet.core.progress import Progress, silent, titled
from recyclenet.core.run_folder import RunFolder
from recyclenet.core.text import show_path
from recyclenet.data.dataset import as_manifest
from recyclenet.data.identity import identity
from recyclenet.data.label_map import LabelMaps, relabelled
from recyclenet.data.manifest import Manifest, read_manifest
from recyclenet.errors import DataError, ModelFileError, UsageError
from recyclenet.evaluation.class_changes import ClassChange, class_changes
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.suspects import shared_keys
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.session import find_model
from recyclenet.operations.model_folder import PROMOTE, Change, open_models


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A model that was to replace the one in use.

    Attributes:
        path: the file of the model in use.
        name: its name.
        changes: what the new model changes for each class, and last for all photos; empty if there
            was nothing to compare with.
        problems: one line for each photo that some model could not answer.
        num_trained: number of photos left out because the new run trained on them, or on copies.
        note: why the models were not compared; empty if they were.
        change: what was written to the log; None if the model was not promoted.
    """

    path: Path
    name: str
    changes: tuple[ClassChange, ...] = ()
    problems: tuple[str, ...] = ()
    num_trained: int = 0
    note: str = ""
    change: Change | None = None

    @property
    def losses(self) -> list[str]:
        """The classes that get worse beyond their interval, or are gone."""
        return [change.label for change in self.changes if change.is_loss]

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "path": str(self.path),
            "promoted": self.change is not None,
            "forced": self.change is not None and self.change.forced,
            "losses": self.losses,
            "classes": [change.to_row() for change in self.changes],
            "num_unanswered": len(self.problems),
            "num_trained": self.num_trained,
            "note": self.note,
            "sha256": None if self.change is None else self.change.sha256,
            "previous": None if self.change is None else self.change.previous,
        }


def promote(
    new: str | os.PathLike[str],
    to: str | os.PathLike[str],
    data: str | os.PathLike[str] | Manifest | None = None,
    *,
    name: str | None = None,
    split: str | None = None,
    maps: LabelMaps | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Promotion:
    """Replace a model in a folder if no class gets worse beyond its interval.

    Both models classify the same photos. The model that is replaced stays in the history of the
    folder.

    Args:
        new: a run folder, a model file, or "built-in".
        to: the folder of models.
        data: held-out photos; None only if the folder has no model yet.
        name: of the model to replace; None for the only one.
        split: "train", "val", "test" or "all"; None for the test photos where there are some, and
            for all photos otherwise.
        maps: label maps for the photos, as for `evaluate`.
        force: promote in any case; also over a damaged model, without a comparison.
        progress: reports the photos done.

    Returns:
        The comparison; its `change` is None if the model was not promoted.

    Raises:
        UsageError: an argument is invalid, or the model is in use already.
        DataError: the photos cannot be used, or the new model was trained on all of them.
        ModelFileError: a model file is damaged.
        RecycleNetError: another process changes the folder, or it cannot be written.
    """
    source = find_model(Path(new))
    candidate, content = _opened(source)
    photos, num_trained = None, 0
    if data is not None:
        whole = relabelled(as_manifest(data), maps)
        photos = whole.select(split or whole.default_split)
        num_photos = len(photos)
        photos = _held_out(photos, Path(new))
        num_trained = num_photos - len(photos)
    with open_models(Path(to)) as folder:
        chosen = folder.choose(name, default=source.stem)
        path = folder.path(chosen)
        current, note = _current(path, force)
        changes: list[ClassChange] = []
        problems: list[str] = []
        if current is not None:
            if current.sha256 == candidate.sha256:
                raise UsageError(f"{show_path(source)} is the current model already")
            if photos is None:
                raise UsageError("no photos to compare the models on; give --data")
            changes, problems = _compared(current, candidate, photos, progress)
        losses = any(change.is_loss for change in changes)
        done = None
        if force or not losses:
            done = folder.replace(
                chosen,
                content,
                PROMOTE,
                forced=force and (losses or (current is None and os.path.lexists(path))),
                classes=tuple(change.to_row() for change in changes),
            )
    return Promotion(
        path=path,
        name=chosen,
        changes=tuple(changes),
        problems=tuple(problems),
        num_trained=num_trained,
        note=note,
        change=done,
    )


def rollback(folder: str | os.PathLike[str], name: str | None = None) -> Change:
    """Put the previous model of a folder back in place.

    Args:
        folder: the folder of models.
        name: of the model; None for the only one.

    Raises:
        UsageError: there is no previous model, or the name does not fit.
        ModelFileError: the previous model is damaged.
        RecycleNetError: another process changes the folder, or it cannot be written.
    """
    if not Path(folder).is_dir():
        raise UsageError(f"no folder {show_path(folder)}; give the folder of `serve --models`")
    with open_models(Path(folder)) as models:
        return models.rollback(models.choose(name))


def _opened(path: Path) -> tuple[Classifier, bytes]:
    """Open a model; return it and the bytes it was read from."""
    classifier = Classifier(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != classifier.sha256:
        raise ModelFileError(f"{show_path(path)} changed while it was read; try again")
    return classifier, content


def _current(path: Path, force: bool) -> tuple[Classifier | None, str]:
    """Return the model in use, or None and why there is nothing to compare with.

    Raises:
        ModelFileError: it is damaged, and `force` is not given.
    """
    if not os.path.lexists(path):
        return None, "there was no model yet, so nothing was compared"
    try:
        return Classifier(path), ""
    except ModelFileError as error:
        if not force:
            raise ModelFileError(
                f"cannot compare with the current model: {error}; or replace it with --force"
            ) from error
        return None, f"nothing was compared: the current model is damaged: {error}"


def _held_out(photos: Manifest, new: Path) -> Manifest:
    """Return the photos that a run did not train on; copies of training photos go, too.

    Raises:
        DataError: none is left.
    """
    if not new.is_dir():
        return photos
    run = read_manifest(RunFolder(new).manifest_file)
    trained = [sample for sample in run if sample.split == "train"]
    files = {identity(sample.path) for sample in trained}
    keys = {key for sample in trained for key in shared_keys(sample)}
    kept = tuple(
        sample
        for sample in photos
        if identity(sample.path) not in files and keys.isdisjoint(shared_keys(sample))
    )
    if not kept:
        raise DataError(
            f"all {len(photos)} photos are training photos of {show_path(new)}; compare on others"
        )
    return Manifest(kept)


def _compared(
    current: Classifier, candidate: Classifier, photos: Manifest, progress: Progress
) -> tuple[list[ClassChange], list[str]]:
    """Return what changes for each class, and a line for each photo without an answer."""
    labels = {*current.info.class_names, *candidate.info.class_names}
    tables = [
        predict(model, photos, titled(progress, title), labels)
        for model, title in ((current, "current model"), (candidate, "new model"))
    ]
    problems = dict.fromkeys(str(problem) for table in tables for problem in table.problems)
    return class_changes(*tables), list(problems)
