"""The recipe: every choice of a training run, resolved once, frozen, saved with the run.

Defaults < recipe file < command-line settings. All mistakes are reported together.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from recyclenet.core.files import read_toml, write_text
from recyclenet.errors import UsageError, nearest
from recyclenet.models.config import ModelConfig
from recyclenet.models.fields import OrNone, Section, explain

ChangeGroup = Literal["basic", "affine", "blur-distortion", "flips"]


class ModelSection(ModelConfig):
    """The network, how much of it learns, and what it is given."""

    fit: Literal["crop", "stretch"] = Field(
        "crop", description="how a picture becomes square when the model is used"
    )


class AugmentSection(Section):
    """Random changes to each training picture."""

    crop_size: int = Field(224, ge=32, le=1024, description="side of a training crop, pixels")
    min_scale: float = Field(0.35, gt=0, le=1, description="least part of the area in a crop")
    horizontal_flip: bool = Field(True, description="mirror half of the pictures")
    vertical_flip: bool = Field(False, description="turn half of the pictures upside down")
    trivial_augment: bool = Field(
        True, description="one random colour or shape change (TrivialAugmentWide)"
    )
    groups: tuple[ChangeGroup, ...] = Field(
        (), description="RecycleNet's groups of changes, each as often as `probability` says"
    )
    probability: float = Field(0.1, ge=0, le=1, description="of each change in `groups`")
    mixup: float = Field(0.2, ge=0, description="alpha of mixup; 0 for none")
    cutmix: float = Field(0.0, ge=0, description="alpha of CutMix; 0 for none")


class OptimSection(Section):
    """The loss, the optimiser and its schedule."""

    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="'adamw', 'adam' (its decay is an L2 penalty) or 'sgd'"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak rate of the backbone")
    head_multiplier: float = Field(5.0, gt=0, description="the head's rate over the backbone's")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each layer group's rate over that of the next one up"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(0.05, ge=0, description="not on biases and norms")
    sharpness: Literal["none", "sam", "asam"] = Field(
        "none", description="take the gradient at the worst point nearby: SAM or ASAM"
    )
    rho: float = Field(0.05, gt=0, description="how far away that point is; ASAM wants about 1")
    schedule: Literal["one-cycle", "cosine", "step", "plateau", "constant"] = Field(
        "one-cycle", description="how the rate changes"
    )
    warmup: float = Field(0.15, ge=0, lt=1, description="part of the steps before the peak")
    step_epochs: int = Field(
        40,
        ge=1,
        description="epochs from fall to fall of 'step', or without progress before one of "
        "'plateau'",
    )
    step_factor: float = Field(0.1, gt=0, lt=1, description="what such a fall multiplies by")
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="weights of the classes in the loss; 'balanced': rare ones more"
    )
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share spread over all classes")
    gradient_clip: float = Field(0.0, ge=0, description="largest gradient norm; 0 for no limit")


class FitSection(Section):
    """The loop."""

    epochs: int = Field(12, ge=1, description="passes over the training photos")
    batch_size: int = Field(32, ge=2, description="photos a step, for each branch")
    accumulate: int = Field(
        1, ge=1, description="parts a batch is worked off in, where memory is short"
    )
    cached_views: int = Field(
        0,
        ge=0,
        description="views of each photo to compute the frozen layers for, once; 0: anew each time",
    )
    balanced_sampling: bool = Field(
        False, description="draw every class equally often, with repetition"
    )
    probe: bool = Field(False, description="first fit the head alone to the frozen features")
    unfreeze_every: int = Field(
        0, ge=0, description="thaw one layer group every so many epochs, from the head down; 0: no"
    )
    freeze_norm: bool = Field(False, description="keep batch normalisation's statistics")
    wise: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the trained weights in an average with the start (WiSE-FT)",
    )
    early_stop: int = Field(
        0, ge=0, description="stop after so many epochs without a better validation loss; 0: no"
    )
    ema_decay: float = Field(0.99, ge=0, lt=1, description="weight average a step; 0 for none")
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="'auto' takes bf16 where the processor computes in it"
    )
    seed: int = Field(0, ge=0, description="of the split, the order, the changes and the head")


class Recipe(Section):
    """A complete training configuration."""

    @field_validator("split")
    @classmethod
    def _whole(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (min(value) < 0 or abs(sum(value) - 1) > 1e-6 or not value[0]):
            raise ValueError(f"three shares that add up to 1, the first above 0, not {value}")
        return value

    name: str = Field("unnamed", description="short name; the model carries it")
    streams: dict[str, str] = Field(
        default_factory=dict, description="disposal stream of a class, where not the usual one"
    )
    licence: str = Field("", description="terms of the resulting weights")
    split: OrNone[tuple[float, float, float]] = Field(
        None,
        description="shares of train, val and test to draw anew; none: the data's own splits, or "
        "else 70/13/17",
    )
    model: ModelSection = ModelSection()
    augment: AugmentSection = AugmentSection()
    optim: OptimSection = OptimSection()
    fit: FitSection = FitSection()


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    folder = files("recyclenet") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_recipe(source: str, settings: Sequence[str] = ()) -> Recipe:
    """Resolve a recipe.

    Args:
        source: the name of a recipe in the package, or the path of a TOML file.
        settings: overrides such as "fit.epochs=3".

    Raises:
        UsageError: unknown name, unreadable file, or wrong fields, all in one message.
    """
    values = _read(source)
    for setting in settings:
        _override(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {source}: {explain(error, Recipe)}") from None


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as TOML, every field with its description."""
    lines: list[str] = []
    sections: list[str] = []
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            sections += ["", f"[{name}]"]
            for key, part in type(value).model_fields.items():
                sections.append(f"{key} = {to_toml(getattr(value, key))}  # {part.description}")
        else:
            lines.append(f"{name} = {to_toml(value)}  # {field.description}")
    write_text(path, "\n".join(lines + sections) + "\n")


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if not source.endswith(".toml") and "/" not in source:
        if source not in recipe_names():
            raise UsageError(f"unknown recipe {source!r}: {nearest(source, recipe_names())}")
        path = Path(str(files("recyclenet") / "recipes" / f"{source}.toml"))
    return read_toml(path)


def _override(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"a setting reads section.field=value, not {setting!r}")
    try:
        value: Any = tomllib.loads(f"value = {text.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"{section!r} in {setting!r} is no section")
    values[last] = value


def to_toml(value: Any) -> str:
    """Return a value as TOML writes it; nothing is "none"."""
    if value is None:
        return '"none"'
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{to_toml(str(k))} = {to_toml(v)}" for k, v in value.items()) + "}"
    # JSON's strings, numbers and booleans are TOML's too, but for one character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
