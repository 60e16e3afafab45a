"""Base classes of the configurations: strict sections, "none" for None, one-line errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from recyclenet.errors import nearest

T = TypeVar("T")
# TOML has no null, so the word "none" stands for it.
OrNone = Annotated[T | None, BeforeValidator(lambda value: None if value == "none" else value)]


class Section(BaseModel):
    """A section of a configuration: immutable; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def explain(
    error: ValidationError, owner: type[BaseModel], renamed: Mapping[str, str] | None = None
) -> str:
    """Return all errors in one line, with the nearest known names for unknown fields.

    Args:
        error: pydantic's error.
        owner: the configuration class being validated.
        renamed: old field names and their new names, without sections.
    """
    reasons = []
    for detail in error.errors():
        location = [str(part) for part in detail["loc"]]
        dotted = ".".join(location)
        if detail["type"] == "extra_forbidden":
            section: Any = owner
            for part in location[:-1]:
                section = section.model_fields[part].annotation
            new_name = (renamed or {}).get(location[-1])
            if new_name in section.model_fields:
                hint = f"now called {new_name!r}: {section.model_fields[new_name].description}"
            else:
                hint = nearest(location[-1], section.model_fields)
            reasons.append(f"unknown field {dotted!r}, {hint}")
        elif detail["type"] == "value_error":  # our validators' messages include the value
            reasons.append(f"{dotted}: {detail['msg'].removeprefix('Value error, ')}")
        else:
            message = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"
            received = "" if detail["type"] == "missing" else f", not {detail['input']!r}"
            reasons.append(f"{dotted}: {message}{received}")
    return "; ".join(reasons)
