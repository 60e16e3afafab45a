"""Finishing and scoring one of many runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from scipy import stats

from recyclenet.data.manifest import Manifest, Sample, read_manifest
from recyclenet.errors import UsageError
from recyclenet.export.onnx import export_run
from recyclenet.inference.classifier import Classifier
from recyclenet.training.fit import MANIFEST, RECIPE, resume_run, start_run
from recyclenet.training.recipe import Recipe, load_recipe

MODEL = "model.onnx"


def complete_run(recipe: Recipe, manifest: Manifest, run: Path, console: Console) -> None:
    """Start a run, or continue it, or leave it alone: in the end it has its model file.

    Raises:
        UsageError: the folder holds a run of another recipe, or on other photos.
    """
    if not (run / RECIPE).is_file():
        start_run(manifest, recipe, run, console)
    else:
        stored = read_manifest(run / MANIFEST)
        splits = {sample.path: sample.split for sample in manifest}
        if load_recipe(str(run / RECIPE)) != recipe:
            raise UsageError(f"{run} is a run of another recipe; choose another --out")
        if any(splits.get(sample.path) not in ("", sample.split) for sample in stored):
            raise UsageError(f"{run} is a run on other photos or splits; choose another --out")
        if (run / MODEL).is_file():
            return
        resume_run(stored, run, console)
    export_run(run, run / MODEL)


def score_run(
    run: Path, split: str
) -> tuple[list[Sample], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return what a run's model says of the photos of one split.

    Returns:
        The N photos that can be read, their logits `(N, K)` and their targets `(N,)`.
    """
    classifier = Classifier(run / MODEL)
    samples, rows = [], []
    chosen = read_manifest(run / MANIFEST).select(split)
    answers = classifier.logits_many(sample.path for sample in chosen)
    for sample, (_, logits, _) in zip(chosen, answers, strict=True):
        if logits is not None:
            samples.append(sample)
            rows.append(logits)
    names = classifier.info.class_names
    return samples, np.stack(rows), np.array([names.index(sample.label) for sample in samples])


def mean_interval(scores: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% interval of a mean (Student's t), nan for one score."""
    if len(scores) < 2:
        return float("nan"), float("nan")
    half = stats.t.ppf(0.975, len(scores) - 1) * scores.std(ddof=1) / np.sqrt(len(scores))
    return float(scores.mean() - half), float(scores.mean() + half)
