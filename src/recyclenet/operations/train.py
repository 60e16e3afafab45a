"""Training a classifier, up to the exported model file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recyclenet.core.progress import Progress, silent
from recyclenet.data.dataset import as_manifest
from recyclenet.data.identity import identity
from recyclenet.data.manifest import Manifest
from recyclenet.errors import UsageError
from recyclenet.exporting.onnx import export_run
from recyclenet.training.cache import MapCache
from recyclenet.training.fit import check_unused, resume_run, start_run
from recyclenet.training.machine import find_devices, process_rank
from recyclenet.training.recipe import Recipe, load_recipe
from recyclenet.training.run import Run


def train(
    data: str | os.PathLike[str] | Manifest,
    out: str | os.PathLike[str],
    recipe: str | os.PathLike[str] | Recipe = "default",
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    devices: str | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> Run:
    """Train a classifier and export it.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        out: the run folder to make.
        recipe: the name of a recipe in the package, a TOML file, or a loaded recipe.
        settings: recipe fields to override, such as `{"fit.epochs": 3}`.
        seed: overrides `fit.seed`.
        devices: how many devices train together ("2"), or which GPUs ("0,1"); None for one.
        progress: reports photos checked, trained on and evaluated.
        force: the folder may be in use; this run takes the place of one that is there.

    Returns:
        The finished run. Of several processes that train together, only the first exports.

    Raises:
        UsageError: the folder is in use, or the recipe or the devices do not fit.
        DataError: the photos cannot be trained on.
        Interrupted: the user stopped; `resume` continues.
    """
    resolved = resolve_recipe(recipe, settings, seed)
    run = Run(Path(out))
    start_run(as_manifest(data), resolved, run, progress, find_devices(devices), force=force)
    return _exported(run, progress)


def resume(
    folder: str | os.PathLike[str],
    *,
    devices: str | None = None,
    progress: Progress = silent,
) -> Run:
    """Continue an interrupted run from its last checkpoint, and export it.

    Raises:
        UsageError: the folder holds no run.
        Interrupted: the user stopped again.
    """
    run = Run(Path(folder))
    resume_run(run, progress, find_devices(devices))
    return _exported(run, progress)


def check_run(manifest: Manifest, recipe: Recipe, folder: Path, *, force: bool = False) -> None:
    """Refuse a folder that `complete_run` cannot use; call it before the first of many runs.

    Args:
        manifest: the dataset.
        recipe: the resolved recipe.
        folder: the run folder.
        force: it may hold other files, though no other run.

    Raises:
        UsageError: the folder holds a run of another recipe or on other photos, or other files.
    """
    run = Run(folder)
    if not run.recipe_file.is_file():
        if not force:
            check_unused(run)
        return
    if run.recipe != recipe:
        raise UsageError(f"{folder} is a run of another recipe; choose another --out")
    splits = {identity(sample.path): sample.split for sample in manifest}
    if any(splits.get(identity(s.path)) not in ("", s.split) for s in run.manifest):
        raise UsageError(f"{folder} is a run on other photos or splits; choose another --out")


def complete_run(
    manifest: Manifest,
    recipe: Recipe,
    folder: Path,
    progress: Progress = silent,
    maps: MapCache | None = None,
    *,
    force: bool = False,
) -> Run:
    """Return a finished run: train it, continue it, or find it finished.

    Args:
        manifest: the dataset.
        recipe: the resolved recipe.
        folder: the run folder.
        progress: reports photos checked, trained on and evaluated.
        maps: shares the frozen layers' output with other runs.
        force: the folder may hold other files, though no other run.

    Raises:
        UsageError: the folder cannot be used; see `check_run`.
        Interrupted: the user stopped; the same call continues.
    """
    check_run(manifest, recipe, folder, force=force)
    run = Run(folder)
    if not run.recipe_file.is_file():
        start_run(manifest, recipe, run, progress, maps=maps, force=force)
    elif run.model.is_file():
        return run
    else:
        resume_run(run, progress, maps=maps)
    return _exported(run, progress)


def resolve_recipe(
    recipe: str | os.PathLike[str] | Recipe,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Recipe:
    """Return a recipe with settings applied.

    Raises:
        UsageError: there is no such recipe, or a setting does not fit.
    """
    overrides = dict(settings or {})
    if seed is not None:
        overrides["fit.seed"] = seed
    if isinstance(recipe, Recipe):
        return recipe.with_settings(overrides)
    return load_recipe(os.fspath(recipe), overrides)


def _exported(run: Run, progress: Progress) -> Run:
    if process_rank() == 0:
        export_run(run, progress=progress)
    return run
