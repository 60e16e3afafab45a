"""What all configurations share: strict sections, "none" for None, mistakes in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from recyclenet.errors import nearest

T = TypeVar("T")
# TOML has no null: the word "none" stands for it.
OrNone = Annotated[T | None, BeforeValidator(lambda value: None if value == "none" else value)]


class Section(BaseModel):
    """A section of a configuration: frozen, and without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def explain(
    error: ValidationError, owner: type[BaseModel], renamed: Mapping[str, str] | None = None
) -> str:
    """Return all mistakes in one line, with the nearest known names for unknown fields.

    Args:
        error: what pydantic found.
        owner: the configuration that was being read.
        renamed: fields of earlier releases, without their section, and their names now.
    """
    reasons = []
    for detail in error.errors():
        place = [str(part) for part in detail["loc"]]
        dotted = ".".join(place)
        if detail["type"] == "extra_forbidden":
            section: Any = owner
            for part in place[:-1]:
                section = section.model_fields[part].annotation
            new_name = (renamed or {}).get(place[-1])
            if new_name in section.model_fields:
                hint = f"which is {new_name!r} now"
            else:
                hint = nearest(place[-1], section.model_fields)
            reasons.append(f"unknown field {dotted!r}, {hint}")
        elif detail["type"] == "value_error":  # ours: it names the value itself
            reasons.append(f"{dotted}: {detail['msg'].removeprefix('Value error, ')}")
        else:
            message = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}"
            instead = "" if detail["type"] == "missing" else f", not {detail['input']!r}"
            reasons.append(f"{dotted}: {message}{instead}")
    return "; ".join(reasons)
