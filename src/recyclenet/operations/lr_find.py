"""Finding a learning rate."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from recyclenet.core.progress import Progress, silent
from recyclenet.data.dataset import as_manifest
from recyclenet.data.manifest import Manifest
from recyclenet.operations.train import resolve_recipe
from recyclenet.training.fit import prepare
from recyclenet.training.lr_finder import RateSweep, sweep_learning_rate
from recyclenet.training.photos import check_photos
from recyclenet.training.recipe import Recipe


def lr_find(
    data: str | os.PathLike[str] | Manifest,
    recipe: str | os.PathLike[str] | Recipe = "default",
    *,
    settings: Mapping[str, Any] | None = None,
    num_steps: int = 100,
    progress: Progress = silent,
) -> RateSweep:
    """Sweep the learning rate upwards until the loss explodes.

    Args:
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        recipe: the name of a recipe in the package, a TOML file, or a loaded recipe.
        settings: recipe fields to override.
        num_steps: steps of the sweep.
        progress: reports photos checked and steps done.

    Returns:
        The losses and two suggested rates.

    Raises:
        UsageError: the recipe does not fit.
        DataError: the photos cannot be trained on.
    """
    resolved = resolve_recipe(recipe, settings)
    # One view of each photo is enough for a sweep.
    views = min(1, resolved.fit.cached_views)
    resolved = resolved.with_settings({"fit.cached_views": views})
    ready = prepare(check_photos(as_manifest(data), resolved, progress), resolved, progress)
    return sweep_learning_rate(ready.module, ready.train, resolved, progress, num_steps=num_steps)
