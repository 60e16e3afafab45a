"""Load and save the weights in a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from recyclenet.core.files import write_bytes
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.models.network import Network, create_model
from recyclenet.models.weights import local_weights
from recyclenet.training.recipe import Recipe
from recyclenet.training.run import Run

# Entries that Lightning needs to resume.
_STATE = ("state_dict", "optimizer_states", "lr_schedulers", "loops", "epoch", "global_step")
# The recipe of the run, whose schedule and order of photos fit no other.
RECIPE_KEY = "recyclenet_recipe"


def backbone_preprocess(model: Network, recipe: Recipe) -> Preprocess:
    """Return the evaluation transform: the recipe's image size, the backbone's mean and std."""
    config: dict[str, Any] = getattr(model.backbone, "default_cfg", {})
    return Preprocess(
        image_size=recipe.model.image_size,
        resize_mode=recipe.model.resize_mode,
        mean=tuple(config.get("mean", (0.5, 0.5, 0.5))),
        std=tuple(config.get("std", (0.5, 0.5, 0.5))),
    )


def load_trained(run: Run) -> Network:
    """Load the best checkpoint of a run, in evaluation mode.

    The file is read with `weights_only`, so no pickled code runs.

    Raises:
        UsageError: the run has no checkpoint yet.
        ModelFileError: the checkpoint is damaged or belongs to another recipe.
    """
    path = run.best
    if not path.is_file():
        raise UsageError(f"no checkpoint {path}; train first: recyclenet train --out {run.folder}")
    fit = run.recipe.fit
    num_branches = run.recipe.model.branches + fit.keep_start
    config = run.recipe.model.model_copy(update={"weights": "none", "branches": num_branches})
    model = create_model(config, len(run.manifest.class_names))
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        state = {name.removeprefix("model."): tensor for name, tensor in stored.items()}
        if fit.wise_ft_alpha < 1:
            _average_with_start(state, run.start, fit.wise_ft_alpha)
        if fit.keep_start:
            _add_start(state, run.start, num_branches - 1)
        model.load_state_dict(state)
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelFileError(
            f"{path} is damaged or belongs to another recipe: {reason}; train again"
        ) from error
    return model.eval()


def check_resumable(path: Path, recipe: Recipe) -> None:
    """Refuse a checkpoint that training cannot go on from.

    Raises:
        ModelFileError: it is damaged.
        UsageError: the recipe has changed since the checkpoint was written.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        missing = [name for name in _STATE if name not in stored]
        before = dict(stored.get(RECIPE_KEY, {}))
    except Exception as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelFileError(f"{show_path(path)} is damaged: {reason}; train anew") from error
    if missing:
        raise ModelFileError(
            f"{show_path(path)} cannot be resumed: it has no {', '.join(missing)}; train anew"
        )
    now = recipe_fields(recipe)
    for name in sorted(before.keys() & now.keys()):
        if before[name] != now[name]:
            raise UsageError(
                f"{name} was {before[name]} when {show_path(path)} was written and is now "
                f"{now[name]}; change it back, or train anew"
            )


def recipe_fields(recipe: Recipe) -> dict[str, str]:
    """Return what a checkpoint keeps of its recipe: each section's fields, as text."""
    return {
        f"{section}.{name}": json.dumps(value)
        for section, fields in recipe.model_dump(mode="json").items()
        if isinstance(fields, dict)
        for name, value in fields.items()
    }


def save_start(model: Network, run: Run) -> None:
    """Save the initial weights of a run for WiSE-FT."""
    content = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    write_bytes(run.start, content)


def _average_with_start(state: dict[str, torch.Tensor], path: Path, alpha: float) -> None:
    """Average trained and initial weights (WiSE-FT, https://arxiv.org/abs/2109.01903)."""
    start = local_weights(path)
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = torch.lerp(start[name], tensor, alpha)


def _add_start(state: dict[str, torch.Tensor], path: Path, number: int) -> None:
    """Add a branch with the initial weights, which were the same in all branches."""
    first, added = "backbone.branches.0.", f"backbone.branches.{number}."
    for name, tensor in local_weights(path).items():
        if name.startswith(first):
            state[added + name.removeprefix(first)] = tensor
