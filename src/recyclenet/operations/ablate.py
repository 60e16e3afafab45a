"""Ablation: what each part of a training is worth."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recyclenet.core.progress import Progress, silent, titled
from recyclenet.data.dataset import as_manifest
from recyclenet.data.manifest import Manifest
from recyclenet.evaluation.predict import predict
from recyclenet.experiments.ablation import (
    Ablation,
    AblationRow,
    draw_ablation,
    load_ablation,
    slug,
    variants,
    write_ablation,
)
from recyclenet.experiments.statistics import mean_interval, paired_p_value
from recyclenet.models.cost import num_parameters
from recyclenet.models.network import create_model
from recyclenet.operations.train import check_run, complete_run
from recyclenet.training.cache import MapCache
from recyclenet.training.run import Run

NUM_LATENCIES = 30


def ablate(
    ablation: str | os.PathLike[str] | Ablation,
    data: str | os.PathLike[str] | Manifest,
    out: str | os.PathLike[str],
    *,
    progress: Progress = silent,
    force: bool = False,
) -> list[AblationRow]:
    """Train every combination of factors over several seeds, and compare them.

    Finished runs are not trained again. Writes `ablation.csv`, `ablation.md` and `ablation.png`.

    Args:
        ablation: a TOML file, or a loaded ablation.
        data: a folder of class folders, a CSV manifest, or a loaded dataset.
        out: folder for the run folders and the tables; made if missing.
        progress: reports photos checked, trained on and evaluated.
        force: the run folders may hold other files, though no other runs.

    Returns:
        One row a variant, the baseline first.

    Raises:
        UsageError: the ablation is wrong, or the folder holds other runs.
        Interrupted: the user stopped; the same call continues.
    """
    if not isinstance(ablation, Ablation):
        ablation = load_ablation(Path(ablation))
    manifest, out = as_manifest(data), Path(out)
    chosen = variants(ablation)
    runs: dict[str, list[Run]] = {variant.name: [] for variant in chosen}
    maps = MapCache()
    # Seed by seed, so that an unfinished ablation compares all variants on the seeds it has.
    plan = [
        (
            f"{variant.name}, seed {seed}",
            variant.name,
            variant.recipe.with_settings({"fit.seed": seed}),
            out / slug(variant.name) / f"seed-{seed}",
        )
        for seed, variant in itertools.product(ablation.seeds, chosen)
    ]
    for _, _, recipe, folder in plan:
        check_run(manifest, recipe, folder, force=force)
    for number, (title, name, recipe, folder) in enumerate(plan, 1):
        reported = titled(progress, f"run {number} of {len(plan)}: {title}")
        run = complete_run(manifest, recipe, folder, reported, maps, force=force)
        runs[name].append(run)
    accuracies = {
        name: np.array([_accuracy(run, ablation.split) for run in done])
        for name, done in runs.items()
    }
    baseline = accuracies[chosen[0].name]
    latencies = _latencies([runs[variant.name][0] for variant in chosen])
    rows = []
    for variant, latency_ms in zip(chosen, latencies, strict=True):
        scores = accuracies[variant.name]
        low, high = mean_interval(scores)
        config = variant.recipe.model.model_copy(update={"weights": "none"})
        rows.append(
            AblationRow(
                variant=variant.name,
                num_seeds=len(scores),
                accuracy=float(scores.mean()),
                low=low,
                high=high,
                difference=float((scores - baseline).mean()),
                p_value=paired_p_value(scores, baseline),
                parameters=num_parameters(create_model(config, len(manifest.class_names))),
                latency_ms=latency_ms,
            )
        )
    write_ablation(rows, out)
    draw_ablation(rows, out / "ablation.png")
    return rows


def _accuracy(run: Run, split: str) -> float:
    table = predict(run.classifier(), run.manifest.select(split))
    return float((table.logits.argmax(1) == table.targets).mean())


def _latencies(runs: Sequence[Run]) -> list[float]:
    """Return each model's median time for one picture, ms, measured in turn."""
    classifiers = [run.classifier() for run in runs]
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
