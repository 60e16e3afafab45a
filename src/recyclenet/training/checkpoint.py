"""Reading a trained network back from its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from recyclenet.core.files import write_bytes
from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.models.classifier import WasteClassifier, create_model
from recyclenet.models.weights import local_weights
from recyclenet.training.recipe import Recipe

BEST = Path("checkpoints/best.ckpt")
LAST = Path("checkpoints/last.ckpt")
START = Path("checkpoints/start.safetensors")


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
    if recipe.fit.wise < 1:
        _blend_with_start(model, run / START, recipe.fit.wise)
    return model.eval()


def save_start(model: WasteClassifier, run: Path) -> None:
    """Keep the weights a run starts from, for the average at its end."""
    content = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    write_bytes(run / START, content)


def _blend_with_start(model: WasteClassifier, path: Path, share: float) -> None:
    """Average trained weights with those of the start (WiSE-FT, https://arxiv.org/abs/2109.01903)."""
    start = local_weights(path)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.lerp(start[name], tensor, share))
