"""Ablation studies: train variants of one recipe with several seeds.

A TOML file specifies a recipe, seeds and factors. Every combination of the factors' values is a
variant.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field, ValidationError

from recyclenet.core.figures import name_bars, write_figure
from recyclenet.core.files import write_table, write_text
from recyclenet.core.toml import read_toml
from recyclenet.errors import UsageError
from recyclenet.models.fields import Section, explain
from recyclenet.training.recipe import MAX_SEED, Recipe, load_recipe

MAX_VARIANTS = 1000
MAX_NAME = 200
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


class Ablation(Section):
    """The configuration of an ablation study."""

    name: str = "ablation"
    recipe: str = Field("default", description="name of a built-in recipe, or a TOML file")
    seeds: tuple[Seed, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    split: str = Field("test", description="split to evaluate on: 'test' or 'val'")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="recipe fields that all variants share"
    )
    factors: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(
        min_length=1, description="recipe fields and their values; the first value is the baseline"
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of the factors' values.

    Attributes:
        name: the values as text.
        recipe: the recipe with these values.
    """

    name: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class AblationRow:
    """The results of one variant over all seeds.

    Attributes:
        variant: name of the variant.
        num_seeds: number of runs.
        accuracy: mean accuracy over the seeds, 0 to 1.
        low: lower bound of its 95% interval (Student's t over seeds; nan for one seed).
        high: upper bound.
        difference: mean difference from the baseline, paired by seed.
        p_value: p-value of the difference, paired t-test (nan for the baseline and for one seed).
        parameters: number of parameters.
        latency_ms: median latency for one image in ONNX Runtime, ms.
    """

    variant: str
    num_seeds: int
    accuracy: float
    low: float
    high: float
    difference: float
    p_value: float
    parameters: int
    latency_ms: float


def load_ablation(path: Path) -> Ablation:
    """Read an ablation file.

    Raises:
        UsageError: the file cannot be read, or fields are unknown or invalid.
    """
    values = read_toml(path)
    try:
        return Ablation.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"ablation {path}: {explain(error, Ablation)}") from None


def variants(ablation: Ablation) -> list[Variant]:
    """Return every combination of the factors' values, the baseline first.

    Raises:
        UsageError: a value is invalid for its recipe field, there are too many variants, or their
            names cannot be folder names.
    """
    found = []
    number = math.prod(map(len, ablation.factors.values()))
    if number > MAX_VARIANTS:
        raise UsageError(
            f"the factors have {number:,} combinations; at most {MAX_VARIANTS:,} are allowed: "
            f"remove factors or values"
        )
    for values in itertools.product(*ablation.factors.values()):
        chosen = dict(zip(ablation.factors, values, strict=True))
        recipe = load_recipe(ablation.recipe, {**ablation.settings, **chosen})
        found.append(Variant(_name(chosen), recipe))
    if len({slug(variant.name) for variant in found}) < len(found):
        raise UsageError("two variants have the same name; remove duplicate values of the factors")
    long = next((v.name for v in found if len(slug(v.name)) > MAX_NAME), None)
    if long is not None:
        raise UsageError(
            f"the variant name {long[:40]}... has {len(slug(long))} characters; at most {MAX_NAME} "
            f"are allowed for its folder: use fewer factors or shorter values"
        )
    return found


def write_ablation(rows: Sequence[AblationRow], out: Path) -> None:
    """Write the rows as CSV and as Markdown."""
    columns = [field.name for field in fields(AblationRow)]
    write_table(out / "ablation.csv", [columns, *map(astuple, rows)])
    lines = ["| variant | accuracy | 95% interval | difference | p | M parameters | ms |"]
    lines.append("|---" * 7 + "|")
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    write_text(out / "ablation.md", "\n".join(lines) + "\n")


def cells(row: AblationRow) -> tuple[str, ...]:
    """Return a row as formatted text."""
    return (
        row.variant,
        f"{row.accuracy:.2%}",
        f"{row.low:.2%} to {row.high:.2%}" if row.num_seeds > 1 else "one seed",
        f"{100 * row.difference:+.2f}",
        f"{row.p_value:.3f}" if np.isfinite(row.p_value) else "",
        f"{row.parameters / 1e6:.2f}",
        f"{row.latency_ms:.1f}",
    )


def draw_ablation(rows: Sequence[AblationRow], path: Path) -> None:
    """Plot the mean accuracy and interval of each variant; write a PNG."""
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for y, row in enumerate(rows):
        if row.num_seeds > 1:
            axes.plot([100 * row.low, 100 * row.high], [y, y], color="#2d6fa3", lw=2)
        axes.plot([100 * row.accuracy], [y], "o", color="#c65f2d")
    axes.axvline(100 * rows[0].accuracy, color="#999999", lw=1, ls=":")
    name_bars(axes, [row.variant for row in rows])
    axes.set_xlabel("accuracy, %: mean over seeds and 95% interval")
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


def _name(chosen: Mapping[str, Any]) -> str:
    """Return a variant's name: its values, with field names if there are several factors."""
    if len(chosen) == 1:
        return str(*chosen.values())
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items())


def slug(name: str) -> str:
    """Return the folder name for a variant."""
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name).strip("-.") or "empty"
