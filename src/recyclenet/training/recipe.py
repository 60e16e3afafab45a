"""The recipe: the complete configuration of a training run, immutable and saved with the run.

Settings override the recipe file, which overrides the defaults. All errors are reported together.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import tomlkit
import tomlkit.items
from pydantic import BaseModel, Field, ValidationError, field_validator

from recyclenet.core.files import write_text
from recyclenet.core.taxonomy import Stream
from recyclenet.core.toml import read_toml, toml_value
from recyclenet.errors import UsageError, nearest
from recyclenet.models.config import ModelConfig
from recyclenet.models.fields import OrNone, Section, explain

# A generous upper bound; much larger numbers overflow in libraries.
MANY = 100_000
MAX_SEED = 2**32 - 1
# Old field names and their new names, without sections.
RENAMED = {
    "accumulate": "micro_batches",
    "balanced_sampling": "sampling",
    "fit": "resize_mode",
    "wise": "wise_ft_alpha",
}
Sampling = Literal["none", "class", "domain", "domain-class"]
ChangeGroup = Literal["basic", "affine", "blur-distortion", "flips"]


class ModelSection(ModelConfig):
    """The network, its frozen layers and its input."""

    resize_mode: Literal["crop", "stretch"] = Field(
        "crop", description="how the trained model makes an image square: 'crop' or 'stretch'"
    )
    precision: Literal["float16", "int8"] = Field(
        "float16",
        description="type that stores large weights in the model file, if the export check allows",
    )


class AugmentSection(Section):
    """Augmentation of the training photos."""

    crop_size: int = Field(224, ge=32, le=1024, description="side of a training crop, pixels")
    min_scale: float = Field(
        0.35, gt=0, le=1, description="smallest area of a random crop, as a share of the image"
    )
    horizontal_flip: bool = Field(
        True, description="flip images left to right, with probability 0.5"
    )
    vertical_flip: bool = Field(False, description="flip images upside down, with probability 0.5")
    trivial_augment: bool = Field(
        True, description="apply one random augmentation to each image (TrivialAugmentWide)"
    )
    groups: tuple[ChangeGroup, ...] = Field(
        (), description="RecycleNet's augmentation groups, applied with `probability`"
    )
    probability: float = Field(
        0.1, ge=0, le=1, description="probability of each augmentation in `groups`"
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
        description="learning rate of a layer group, as a share of the next group's",
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
        "one-cycle", description="learning-rate schedule"
    )
    warmup: float = Field(
        0.15, ge=0, lt=1, description="share of the steps used for learning-rate warm-up"
    )
    step_epochs: int = Field(
        40,
        ge=1,
        le=MANY,
        description="epochs between two drops of the learning rate ('step'), or epochs without "
        "improvement before a drop ('plateau')",
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="factor by which a drop lowers the learning rate"
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="class weights in the loss; 'balanced' gives rare classes more weight"
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="share of each target spread over all classes"
    )


class FitSection(Section):
    """The training loop."""

    epochs: int = Field(12, ge=1, le=MANY, description="passes over the training photos")
    batch_size: int = Field(32, ge=2, le=MANY, description="photos per step and branch")
    micro_batches: int = Field(
        1, ge=1, le=MANY, description="number of parts each batch is split into, to save memory"
    )
    cached_views: int = Field(
        0,
        ge=0,
        le=1000,
        description="augmented views per photo whose feature maps after the frozen layers are "
        "cached; 0: off",
    )
    clean_view: bool = Field(
        False,
        description="with cached_views: cache one more view, without augmentation; needs "
        "augment.crop_size = model.image_size",
    )
    sampling: Sampling = Field(
        "none",
        description="'none': each photo once per epoch; 'class' or 'domain': each class or domain "
        "equally often, with replacement; 'domain-class': small classes of each domain more often, "
        "but not equally often",
    )
    probe: bool = Field(False, description="first fit the head alone (linear probe)")
    probe_penalty: float = Field(
        0.0,
        ge=0,
        description="L2 penalty of the linear probe; 0 chooses the one with the lowest "
        "validation loss",
    )
    keep_start: bool = Field(
        False,
        description="add the network before fine-tuning as one more branch; needs `probe` and "
        "two or more `model.branches`",
    )
    kernel: bool = Field(
        False,
        description="add a kernel machine on the frozen layers, fitted to the training photos when "
        "the run is exported; needs `model.freeze_groups`",
    )
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
        description="early stopping: stop after this many epochs without a lower validation loss; "
        "0: off",
    )
    ema_decay: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="decay per step of the exponential moving average of the weights; 0: off",
    )
    precision: Literal["auto", "bf16", "float32"] = Field(
        "auto", description="'auto' uses bf16 where the hardware supports it"
    )
    seed: int = Field(
        0,
        ge=0,
        le=MAX_SEED,
        description="random seed of the splits, the order, the augmentation and the initial head",
    )


class Recipe(Section):
    """A complete training configuration."""

    @field_validator("split")
    @classmethod
    def _whole(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (min(value) < 0 or abs(sum(value) - 1) > 1e-6 or not value[0]):
            raise ValueError(
                f"must be three shares that add up to 1, the first above 0, not {value}"
            )
        return value

    name: str = Field("unnamed", description="short name, stored in the model file")
    streams: dict[str, Stream] = Field(
        default_factory=dict,
        description="disposal streams of classes, where they differ from the taxonomy",
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
        """Return a copy of the recipe with some fields changed.

        Args:
            settings: new values, such as `{"fit.epochs": 3}`.

        Raises:
            UsageError: fields are unknown or invalid; one message lists all of them.
        """
        values = self.model_dump()
        for key, value in settings.items():
            _override(values, key, value)
        return _validated(values, self.name)


def recipe_names() -> tuple[str, ...]:
    """Return the names of the built-in recipes."""
    folder = files("recyclenet") / "recipes"
    return tuple(sorted(p.name[:-5] for p in folder.iterdir() if p.name.endswith(".toml")))


def load_recipe(source: str | Path, settings: Mapping[str, Any] | None = None) -> Recipe:
    """Load a recipe and apply settings.

    Args:
        source: name of a built-in recipe, or path of a TOML file.
        settings: fields to override, such as `{"fit.epochs": 3}`.

    Raises:
        UsageError: the name is unknown, the file unreadable, or fields are unknown or invalid.
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
    """Parse a setting such as "fit.epochs=3"; a bare word is a string.

    Raises:
        UsageError: it is not SECTION.FIELD=VALUE, or its value is nested too deeply.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not key:
        raise UsageError(f"a setting must be SECTION.FIELD=VALUE, not {text!r}")
    try:
        return key, toml_value(value)
    except ValueError as error:
        raise UsageError(f"cannot read the value of setting {key!r}: {error}") from None


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write the resolved recipe as TOML; comments describe the fields."""
    document = tomlkit.document()
    _fill(document, recipe)
    write_text(path, tomlkit.dumps(document))


def _fill(table: MutableMapping[str, Any], section: Section) -> None:
    """Add a section's fields to a TOML table, recursively."""
    fields = type(section).model_fields
    for name, field in fields.items():
        value = getattr(section, name)
        if isinstance(value, Section) and field.annotation is type(value):
            table[name] = tomlkit.table()
            _fill(table[name], value)
        else:
            table[name] = to_toml(value).comment(field.description or "")


def to_toml(value: Any) -> tomlkit.items.Item:
    """Return a field's value as TOML; None becomes "none" and a table becomes inline."""
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
            raise UsageError(f"cannot set {key!r}: {section!r} is a field, not a section")
    values[last] = value
