"""A network's configuration: backbone, edits, attention and initial weights.

A model name is the short form: `BACKBONE[+EDIT...][@ATTENTION[:OPTION=VALUE,...]]`, such as
`resnet18@recyclenet:combine=max` or `efficientnetv2_rw_t+eca+leaky_relu`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from recyclenet.core.toml import toml_value
from recyclenet.errors import UsageError
from recyclenet.models.fields import OrNone, Section, explain

Option = bool | int | float | str


class AttentionConfig(Section):
    """An attention module: its name, placement and options."""

    name: str
    placement: Literal["features", "blocks"]
    options: dict[str, Option] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _normalise(cls, value: Any) -> Any:
        """Accept "NAME:OPTION=VALUE,..." and flat tables as well; fill in the placement."""
        if isinstance(value, str):
            value = _parse_attention(value)
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ValueError("attention must be a name, or a table with a name")
        known = {"name", "placement", "options"}
        facts = {key: value[key] for key in known if key in value}
        own = {key: value[key] for key in value if key not in known}
        if not isinstance(facts.get("options", {}), Mapping):
            raise ValueError("the options of attention must be a table")
        facts["options"] = {**facts.get("options", {}), **own}
        # Imported here because the registry imports PyTorch, which reading a recipe rarely needs.
        from recyclenet.models.attention import find_attention

        try:
            attention = find_attention(facts["name"])
            facts.setdefault("placement", attention.placement)
            attention.check(facts["options"])
        except UsageError as error:
            raise ValueError(str(error)) from None
        return facts

    def __str__(self) -> str:
        from recyclenet.models.attention import find_attention

        options: dict[str, Option] = {}
        if self.placement != find_attention(self.name).placement:
            options["placement"] = self.placement
        options |= self.options
        if not options:
            return self.name
        return f"{self.name}:" + ",".join(f"{key}={_word(v)}" for key, v in options.items())


class ModelConfig(Section):
    """The network and its initial weights."""

    backbone: str = Field("tf_efficientnet_lite0", description="timm's name of the backbone")
    attention: OrNone[AttentionConfig] = Field(
        None,
        description="attention module: 'none', a name, 'NAME:OPTION=VALUE,...' or a table",
    )
    edits: tuple[str, ...] = Field((), description="edits to the backbone, in order")
    weights: str = Field(
        "imagenet", description="initial weights: 'imagenet', 'none' or a safetensors file"
    )
    init: Literal["timm", "he"] = Field(
        "timm",
        description="initialisation of new layers: 'timm' or 'he' (normal for linear layers)",
    )
    head_init: Literal["timm", "xavier"] = Field(
        "timm", description="initialisation of the new head: 'timm' or 'xavier'"
    )
    drop_rate: float = Field(0.2, ge=0, lt=1, description="dropout before the head")
    freeze_groups: int = Field(
        0,
        ge=0,
        description="number of layer groups to freeze, from the stem (1) through the stages",
    )
    branches: int = Field(
        1,
        ge=1,
        le=16,
        description="copies of the layers after the frozen ones, trained separately and averaged",
    )
    image_size: int = Field(
        224, ge=32, le=1024, description="side of the model's square input, pixels"
    )

    @field_validator("edits")
    @classmethod
    def _known_edits(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            from recyclenet.models.edits import find_edit

            try:
                for name in value:
                    find_edit(name)
            except UsageError as error:
                raise ValueError(str(error)) from None
        return value

    @property
    def name(self) -> str:
        """The model name: backbone, edits and attention."""
        attention = "" if self.attention is None else f"@{self.attention}"
        return "+".join((self.backbone, *self.edits)) + attention

    @classmethod
    def from_name(cls, name: str, **fields: Any) -> ModelConfig:
        """Read a model name.

        Args:
            name: `BACKBONE[+EDIT...][@ATTENTION[:OPTION=VALUE,...]]`.
            fields: the other fields of the configuration.

        Raises:
            UsageError: a part of it is unknown.
        """
        network, at, attention = name.partition("@")
        backbone, *edits = network.split("+")
        try:
            return cls(
                backbone=backbone, edits=tuple(edits), attention=attention if at else None, **fields
            )
        except ValidationError as error:
            raise UsageError(f"model {name!r}: {explain(error, cls)}") from None


def _parse_attention(text: str) -> dict[str, Any]:
    name, colon, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in rest.split(",") if colon else ():
        key, equals, word = part.partition("=")
        if not equals or not key:
            raise ValueError(f"an attention option must be NAME=VALUE, not {part!r}")
        options[key] = toml_value(word)
    return {"name": name, **options}


def _word(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
