"""Ablations: the same training with one thing changed at a time, over several seeds.

A TOML file names a recipe, seeds and factors; every combination of the factors' values is a
variant. Each run has its folder; what is done is not done again, what was interrupted goes on.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from pydantic import Field, ValidationError
from rich.console import Console
from scipy import stats

from recyclenet.benchmark.runs import MODEL, complete_run, mean_interval, score_run
from recyclenet.core.files import read_toml, write_figure, write_table, write_text
from recyclenet.data.manifest import Manifest
from recyclenet.errors import UsageError
from recyclenet.inference.classifier import Classifier
from recyclenet.models.classifier import create_model
from recyclenet.models.cost import num_parameters
from recyclenet.models.fields import Section, explain
from recyclenet.training.recipe import Recipe, load_recipe, to_toml

NUM_LATENCIES = 30


class Ablation(Section):
    """What to compare."""

    name: str = "ablation"
    recipe: str = Field("default", description="name of a recipe, or a TOML file")
    seeds: tuple[int, ...] = Field((0, 1, 2, 3, 4), min_length=1)
    split: str = Field("test", description="the photos that are scored: 'test' or 'val'")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="recipe fields that all variants share"
    )
    factors: dict[str, tuple[Any, ...]] = Field(
        min_length=1, description="recipe fields and their values; the first is the baseline"
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination of the factors' values.

    Attributes:
        name: the values, readable.
        recipe: the recipe with these values.
    """

    name: str
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class AblationRow:
    """One variant over all seeds.

    Attributes:
        variant: its name.
        num_seeds: number of runs.
        accuracy: mean over the seeds.
        low: lower end of its 95% interval (Student's t over seeds; nan for one seed).
        high: upper end.
        difference: mean difference to the baseline, seed by seed.
        p_value: of that difference, paired t-test (nan for the baseline, and for one seed).
        parameters: number of parameters.
        latency_ms: median time of one picture in ONNX Runtime.
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
        UsageError: it cannot be read, or a field is wrong; all in one message.
    """
    values = read_toml(path)
    try:
        return Ablation.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"ablation {path}: {explain(error, Ablation)}") from None


def variants(ablation: Ablation) -> list[Variant]:
    """Return every combination of the factors' values, the baseline first.

    Raises:
        UsageError: a value is no value of its recipe field.
    """
    shared = [f"{key}={to_toml(value)}" for key, value in ablation.settings.items()]
    found = []
    for values in itertools.product(*ablation.factors.values()):
        chosen = dict(zip(ablation.factors, values, strict=True))
        settings = [f"{key}={to_toml(value)}" for key, value in chosen.items()]
        found.append(Variant(_name(chosen), load_recipe(ablation.recipe, [*shared, *settings])))
    if len({_slug(variant.name) for variant in found}) < len(found):
        raise UsageError("two variants of the ablation have the same name")
    return found


def run_ablation(
    ablation: Ablation, manifest: Manifest, out: Path, console: Console
) -> list[AblationRow]:
    """Train and score whatever is not done yet; return one row a variant.

    Args:
        ablation: what to compare.
        manifest: the photos.
        out: folder of the run folders; made if missing.
        console: where progress goes.

    Raises:
        Interrupted: the user stopped; the same call goes on.
    """
    chosen = variants(ablation)
    table: dict[str, list[float]] = {variant.name: [] for variant in chosen}
    total = len(chosen) * len(ablation.seeds)
    # Seed by seed, so that an unfinished ablation compares all variants on the seeds it has.
    for number, (seed, variant) in enumerate(itertools.product(ablation.seeds, chosen)):
        run = out / _slug(variant.name) / f"seed-{seed}"
        console.print(
            f"[{number + 1}/{total}] {variant.name}, seed {seed}", highlight=False, markup=False
        )
        fit = variant.recipe.fit.model_copy(update={"seed": seed})
        complete_run(variant.recipe.model_copy(update={"fit": fit}), manifest, run, console)
        _, logits, targets = score_run(run, ablation.split)
        accuracy = float((logits.argmax(1) == targets).mean())
        table[variant.name].append(accuracy)
    rows = []
    baseline = np.array(table[chosen[0].name])
    latencies = _latencies([out / _slug(v.name) / f"seed-{ablation.seeds[0]}" for v in chosen])
    for variant, latency in zip(chosen, latencies, strict=True):
        scores = np.array(table[variant.name])
        low, high = mean_interval(scores)
        num_classes = len(manifest.class_names)
        config = variant.recipe.model.model_copy(update={"weights": "none"})
        rows.append(
            AblationRow(
                variant=variant.name,
                num_seeds=len(scores),
                accuracy=float(scores.mean()),
                low=low,
                high=high,
                difference=float((scores - baseline).mean()),
                p_value=_p_value(scores, baseline),
                parameters=num_parameters(create_model(config, num_classes)),
                latency_ms=latency,
            )
        )
    return rows


def write_ablation(rows: Sequence[AblationRow], out: Path) -> None:
    """Write the rows as CSV and as Markdown."""
    columns = [field.name for field in fields(AblationRow)]
    write_table(out / "ablation.csv", [columns, *map(astuple, rows)])
    lines = ["| variant | accuracy | 95% interval | difference | p | M parameters | ms |"]
    lines.append("|---" * 7 + "|")
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    write_text(out / "ablation.md", "\n".join(lines) + "\n")


def cells(row: AblationRow) -> tuple[str, ...]:
    """Return a row as people read it."""
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
    """Draw each variant's mean and interval; write a PNG."""
    figure = Figure(figsize=(9, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        if row.num_seeds > 1:
            axes.plot([100 * row.low, 100 * row.high], [place, place], color="#2d6fa3", lw=2)
        axes.plot([100 * row.accuracy], [place], "o", color="#c65f2d")
    axes.axvline(100 * rows[0].accuracy, color="#999999", lw=1, ls=":")
    axes.set_yticks(range(len(rows)), [row.variant for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("accuracy, %: mean over seeds and its 95% interval")
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


def _latencies(runs: Sequence[Path]) -> list[float]:
    """Return the median time of one picture for each run's model, ms, taken in turn."""
    classifiers = [Classifier(run / MODEL) for run in runs]
    seconds = np.empty((len(runs), NUM_LATENCIES))
    for repeat in range(-3, NUM_LATENCIES):
        for index, classifier in enumerate(classifiers):
            size = classifier.info.preprocess.image_size
            batch = np.zeros((1, 3, size, size), np.float32)
            start = time.perf_counter()
            classifier.logits(batch)
            if repeat >= 0:
                seconds[index, repeat] = time.perf_counter() - start
    return [float(1000 * value) for value in np.median(seconds, axis=1)]


def _p_value(scores: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64]) -> float:
    differences = scores - baseline
    if len(scores) < 2 or np.allclose(differences, differences[0]):
        return float("nan")
    return float(stats.ttest_rel(scores, baseline).pvalue)


def _name(chosen: Mapping[str, Any]) -> str:
    """Name a variant by its values; by their fields too where there are several factors."""
    if len(chosen) == 1:
        return str(*chosen.values())
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items())


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.=_-]+", "-", name).strip("-") or "empty"
