"""The recipe: every choice of a training run, resolved once, frozen, saved with the run.

Settings override the recipe file, which overrides the defaults. All mistakes are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import tomlkit
import tomlkit.items
from pydantic import BaseModel, Field, ValidationError, field_validator

from recyclenet.core.files import read_toml, toml_value, write_text
from recyclenet.core.taxonomy import Stream
from recyclenet.errors import UsageError, nearest
from recyclenet.models.config import ModelConfig
from recyclenet.models.fields import OrNone, Section, explain

# More than anybody means; larger numbers overflow in libraries.
MANY = 100_000
MAX_SEED = 2**32 - 1
# Fields that had another name in earlier releases, without their section.
RENAMED = {"accumulate": "micro_batches", "fit": "resize_mode", "wise": "wise_ft_alpha"}
ChangeGroup = Literal["basic", "affine", "blur-distortion", "flips"]


class ModelSection(ModelConfig):
    """The network, which of its layers train, and its input."""

    resize_mode: Literal["crop", "stretch"] = Field(
        "crop", description="how the trained model makes a photo square: 'crop' or 'stretch'"
    )


class AugmentSection(Section):
    """Random changes to the training photos."""

    crop_size: int = Field(224, ge=32, le=1024, description="side of a training crop, pixels")
    min_scale: float = Field(
        0.35, gt=0, le=1, description="smallest share of a photo's area that a crop shows"
    )
    horizontal_flip: bool = Field(True, description="mirror half of the photos")
    vertical_flip: bool = Field(False, description="turn half of the photos upside down")
    trivial_augment: bool = Field(
        True, description="change one random property of each photo (TrivialAugmentWide)"
    )
    groups: tuple[ChangeGroup, ...] = Field(
        (), description="RecycleNet's groups of changes, applied with `probability`"
    )
    probability: float = Field(
        0.1, ge=0, le=1, description="probability of each change in `groups`"
    )
    mixup: float = Field(0.2, ge=0, description="alpha of mixup; 0 turns it off")
    cutmix: float = Field(0.0, ge=0, description="alpha of CutMix; 0 turns it off")


class OptimSection(Section):
    """The loss, the optimiser and its schedule."""

    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="'adamw', 'adam' (weight decay as an L2 penalty) or 'sgd'"
    )
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate of the backbone")
    head_multiplier: float = Field(
        5.0, gt=0, description="learning rate of the head, as a multiple of the backbone's"
    )
    layer_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="learning rate of a layer group, as a share of the next later group's",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of SGD")
    weight_decay: float = Field(
        0.05, ge=0, description="weight decay, except on biases and normalisation layers"
    )
    sharpness: Literal["none", "sam", "asam"] = Field(
        "none", description="sharpness-aware minimisation: 'sam' or 'asam'"
    )
    rho: float = Field(0.05, gt=0, description="perturbation radius of SAM; use about 1 for ASAM")
    schedule: Literal["one-cycle", "cosine", "step", "plateau", "constant"] = Field(
        "one-cycle", description="how the learning rate changes"
    )
    warmup: float = Field(
        0.15, ge=0, lt=1, description="share of the steps in which the learning rate rises"
    )
    step_epochs: int = Field(
        40,
        ge=1,
        le=MANY,
        description="epochs between two drops ('step'), or without improvement before a drop "
        "('plateau')",
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="factor by which a drop lowers the learning rate"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="class weights in the loss; 'balanced' weighs rare classes more"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of each target spread over all classes"
    )


class FitSection(Section):
    """The training loop."""

    epochs: int = Field(12, ge=1, le=MANY, description="passes over the training photos")
    batch_size: int = Field(32, ge=2, le=MANY, description="photos per step and branch")
    micro_batches: int = Field(
        1, ge=1, le=MANY, description="split each batch into so many parts, to save memory"
    )
    cached_views: int = Field(
        0,
        ge=0,
        le=1000,
        description="augmented views per photo whose frozen layers are computed once; 0: off",
    )
    balanced_sampling: bool = Field(
        False, description="sample every class equally often, with repetition"
    )
    probe: bool = Field(False, description="first fit the head alone (linear probe)")
    unfreeze_every: int = Field(
        0,
        ge=0,
        le=MANY,
        description="epochs between unfreezing one more layer group, last first; 0: off",
    )
    freeze_norm: bool = Field(False, description="freeze the statistics of batch normalisation")
    wise_ft_alpha: float = Field(
        1.0,
        gt=0,
        le=1,
        description="average trained and initial weights (WiSE-FT): share of the trained ones",
    )
    early_stop: int = Field(
        0,
        ge=0,
        le=MANY,
        description="stop after so many epochs without a lower validation loss; 0: off",
    )
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="decay per step of the weights' moving average; 0: off"
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="'auto' uses bf16 where the hardware supports it"
    )
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="decides splits, order, augmentation and initial head"
    )


class Recipe(Section):
    """A complete training configuration."""

    @field_validator("split")
    @classmethod
    def _whole(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (min(value) < 0 or abs(sum(value) - 1) > 1e-6 or not value[0]):
            raise ValueError(f"three shares that add up to 1, the first above 0, not {value}")
        return value

    name: str = Field("unnamed", description="short name, stored in the model file")
    streams: dict[str, Stream] = Field(
        default_factory=dict,
        description="disposal streams of classes that differ from the taxonomy",
    )
    licence: str = Field("", description="licence of the trained weights")
    split: OrNone[tuple[float, float, float]] = Field(
        None,
        description="redraw the splits with these shares of train, val and test; 'none' keeps the "
        "data's own, or draws 70/13/17",
    )
    model: ModelSection = ModelSection()
    augment: AugmentSection = AugmentSection()
    optim: OptimSection = OptimSection()
    fit: FitSection = FitSection()

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with some fields changed.

        Args:
            settings: new values, such as `{"fit.epochs": 3}`.

        Raises:
            UsageError: a field is unknown or its value wrong, all in one message.
        """
        values = self.model_dump()
        for key, value in settings.items():
            _override(values, key, value)
        return _validated(values, self.name)


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    folder = files("recyclenet") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_recipe(source: str | Path, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Resolve a recipe.

    Args:
        source: the name of a recipe in the package, or the path of a TOML file.
        settings: fields to override, such as `{"fit.epochs": 3}`.

    Raises:
        UsageError: unknown name, unreadable file, or wrong fields, all in one message.
    """
    values = _read(str(source))
    for key, value in (settings or {}).items():
        _override(values, key, value)
    return _validated(values, str(source))


def _validated(values: Mapping[str, Any], source: str) -> Recipe:
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {source}: {explain(error, Recipe, RENAMED)}") from None


def parse_setting(text: str) -> tuple[str, Any]:
    """Read a setting such as "fit.epochs=3"; a bare word is a string.

    Raises:
        UsageError: it does not read section.field=value, or its value nests too deeply.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise UsageError(f"a setting reads section.field=value, not {text!r}")
    try:
        return key, toml_value(value)
    except ValueError as error:
        raise UsageError(f"the value of setting {key!r} cannot be read: {error}") from None


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as TOML, every field with its description."""
    document = tomlkit.document()
    _fill(document, recipe)
    write_text(path, tomlkit.dumps(document))


def _fill(table: MutableMapping[str, Any], section: Section) -> None:
    """Add a section's fields to a TOML table: first plain values, then tables."""
    fields = type(section).model_fields
    for name, field in fields.items():
        value = getattr(section, name)
        if isinstance(value, Section) and field.annotation is type(value):
            table[name] = tomlkit.table()
            _fill(table[name], value)
        else:
            table[name] = to_toml(value).comment(field.description or "")


def to_toml(value: Any) -> tomlkit.items.Item:
    """Return a field's value as TOML; None becomes "none", a table stays on its line."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        inline = tomlkit.inline_table()
        inline.update({key: to_toml(part) for key, part in value.items()})
        return inline
    return tomlkit.item(
        "none" if value is None else list(value) if isinstance(value, tuple) else value
    )


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if not source.endswith(".toml") and "/" not in source:
        if source not in recipe_names():
            raise UsageError(f"unknown recipe {source!r}: {nearest(source, recipe_names())}")
        path = Path(str(files("recyclenet") / "recipes" / f"{source}.toml"))
    return read_toml(path)


def _override(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise UsageError(f"cannot set {key!r}: {section!r} is no section")
    values[last] = value
