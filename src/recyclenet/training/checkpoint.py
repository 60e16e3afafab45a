"""Reading a trained network back from its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.models.classifier import WasteClassifier, create_model
from recyclenet.training.recipe import Recipe

BEST = Path("checkpoints/best.ckpt")
LAST = Path("checkpoints/last.ckpt")


def backbone_preprocess(model: WasteClassifier, recipe: Recipe) -> Preprocess:
    """Return the evaluation transform: the recipe's size, the backbone's own mean and std."""
    config: dict[str, Any] = getattr(model.backbone, "default_cfg", {})
    return Preprocess(
        image_size=recipe.model.image_size,
        fit=recipe.model.fit,
        mean=tuple(config.get("mean", (0.5, 0.5, 0.5))),
        std=tuple(config.get("std", (0.5, 0.5, 0.5))),
    )


def load_trained(run: Path, recipe: Recipe, num_classes: int) -> WasteClassifier:
    """Load the best checkpoint of a run, ready for evaluation.

    Only tensors and plain values are read from the file, never arbitrary pickles.

    Raises:
        UsageError: the run has no checkpoint yet.
        ModelFileError: the checkpoint is damaged or belongs to another recipe.
    """
    path = run / BEST
    if not path.is_file():
        raise UsageError(f"{run} holds no {BEST}; train first: recyclenet train --out {run}")
    model = create_model(recipe.model.model_copy(update={"weights": "none"}), num_classes)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict(
            {name.removeprefix("model."): tensor for name, tensor in stored.items()}
        )
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelFileError(f"{path} is damaged or of another recipe: {reason}") from error
    return model.eval()
