"""From a manifest and a recipe to a run folder that can be interrupted, resumed and exported."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from recyclenet.core.images import decode_image
from recyclenet.data.manifest import Manifest, Sample, file_digest, write_manifest
from recyclenet.data.split import with_splits
from recyclenet.errors import DataError, ImageError, Interrupted, RecycleNetError, UsageError
from recyclenet.models.classifier import create_model
from recyclenet.training.cache import cache_maps
from recyclenet.training.callbacks import EpochTable, GracefulStop, ProgressLine
from recyclenet.training.checkpoint import BEST, LAST, backbone_preprocess, save_start
from recyclenet.training.dataset import (
    EvaluationPhotos,
    Example,
    Photos,
    TrainingPhotos,
    evaluation_loader,
    training_loader,
)
from recyclenet.training.machine import (
    Devices,
    autocast,
    device,
    keep_freed_memory,
    precision,
    process_rank,
)
from recyclenet.training.module import TrainingModule
from recyclenet.training.probe import fit_head
from recyclenet.training.recipe import Recipe, load_recipe, save_recipe

ONE = Devices()
RECIPE, MANIFEST, METRICS, TENSORBOARD = "recipe.toml", "manifest.csv", "metrics.csv", "tensorboard"


def start_run(
    manifest: Manifest, recipe: Recipe, run: Path, console: Console, devices: Devices = ONE
) -> None:
    """Make a run folder and train in it.

    Args:
        manifest: the dataset; splits are drawn (70/13/17) where it has none.
        recipe: the resolved recipe.
        run: a folder that does not exist yet, or is empty.
        console: where progress goes.
        devices: what to train on.

    Raises:
        UsageError: the folder is in use.
        DataError: the photos cannot be trained on.
        Interrupted: the user stopped; `resume_run` goes on.
    """
    leads = process_rank() == 0
    if (
        leads
        and run.exists()
        and (not run.is_dir() or {p.name for p in run.iterdir()} - {MANIFEST})
    ):
        raise UsageError(
            f"{run} is not an empty folder; continue its run with --resume, or choose another --out"
        )
    manifest = usable(manifest, recipe, console)
    if leads:
        write_manifest(manifest, run / MANIFEST)
    ready = prepare(manifest, recipe, console, devices)
    if leads:
        save_recipe(recipe, run / RECIPE)  # where it lies, the run can be resumed
    _fit(ready, recipe, run, console, devices)


def resume_run(manifest: Manifest, run: Path, console: Console, devices: Devices = ONE) -> None:
    """Continue an interrupted run from its last checkpoint.

    Raises:
        UsageError: there is no run to continue.
        Interrupted: the user stopped again.
    """
    recipe = load_recipe(str(run / RECIPE))
    _fit(prepare(manifest, recipe, console, devices), recipe, run, console, devices)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A recipe's network and batches, ready to train."""

    module: TrainingModule
    train: DataLoader[Example]
    val: DataLoader[Example]


def prepare(
    manifest: Manifest, recipe: Recipe, console: Console, devices: Devices = ONE
) -> Preparation:
    """Build what a recipe trains and what it trains on, and say what it is.

    Args:
        manifest: photos with splits.
        recipe: the resolved recipe.
        console: where the summary goes.
        devices: what will train; each process has its part of a batch.

    Raises:
        UsageError: the recipe does not fit the network or the devices.
    """
    fit = recipe.fit
    devices.check(fit.batch_size)
    if devices.num_processes > 1 and fit.unfreeze_every:
        raise UsageError("fit.unfreeze_every works on one device only; choose one of the two")
    keep_freed_memory()
    names = manifest.class_names
    pl.seed_everything(recipe.fit.seed, verbose=False)
    model = create_model(recipe.model, len(names)).to(device())
    preprocess = backbone_preprocess(model, recipe)
    train, val = manifest.select("train"), manifest.select("val")
    console.print(
        f"{len(train)} training and {len(val)} validation photos of {len(names)} classes; "
        f"{recipe.model.name}, {precision(recipe)}; {model.report}",
        highlight=False,
        soft_wrap=True,
    )
    counts = Counter(sample.label for sample in train)
    weights = torch.ones(len(names))
    if recipe.optim.class_weights == "balanced":
        weights = torch.tensor([len(train) / (len(names) * counts[name]) for name in names])
    module = TrainingModule(model, weights, recipe).to(memory_format=torch.channels_last)
    examples: Photos = TrainingPhotos(train, names, preprocess, recipe.augment)
    unchanged: Photos = EvaluationPhotos(train, names, preprocess)
    checked: Photos = EvaluationPhotos(val, names, preprocess)
    if fit.cached_views:
        cached, checked = cache_maps(
            model, examples, checked, manifest.fingerprint, recipe, console
        )
        examples, unchanged = cached, cached.one_by_one()
    val_batches = evaluation_loader(checked, fit.batch_size)
    if fit.probe:
        with autocast(recipe):
            accuracy = fit_head(model, evaluation_loader(unchanged, fit.batch_size), val_batches)
        console.print(f"head alone: val accuracy {accuracy:.2%}", highlight=False)
    batches = training_loader(
        examples,
        fit.batch_size,
        fit.seed,
        balanced=fit.balanced_sampling,
        num_branches=recipe.model.branches,
        num_processes=devices.num_processes,
    )
    return Preparation(module, batches, val_batches)


def _fit(ready: Preparation, recipe: Recipe, run: Path, console: Console, devices: Devices) -> None:
    last = run / LAST
    if recipe.fit.wise < 1 and not last.is_file() and process_rank() == 0:
        save_start(ready.module.model, run)
    with _quiet():
        trainer = _trainer(recipe, run, console, devices)
        try:
            trainer.fit(
                ready.module,
                ready.train,
                ready.val,
                ckpt_path=last if last.is_file() else None,
                weights_only=True,
            )
        except OSError as error:
            raise RecycleNetError(
                f"cannot write to {run}: {error.strerror or error}; make room or give leave, then "
                f"{_hint(run)}"
            ) from error
        except SystemExit:
            # The loop turns a Ctrl-C that does not wait into an exit, and from then on ignores it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise Interrupted(f"stopped at once; {_hint(run)}") from None


def _hint(run: Path) -> str:
    return f"continue with: recyclenet train --resume {run}"


def _trainer(recipe: Recipe, run: Path, console: Console, devices: Devices) -> pl.Trainer:
    best = ModelCheckpoint(
        dirpath=run / BEST.parent,
        filename=BEST.stem,
        monitor="val_loss",
        mode="min",
        enable_version_counter=False,
    )
    # Its own `save_last` would write only where an epoch is a new best.
    last = ModelCheckpoint(
        dirpath=run / LAST.parent, filename=LAST.stem, enable_version_counter=False
    )
    callbacks: list[pl.Callback] = [
        EpochTable(run / METRICS, console),
        ProgressLine(console, recipe.fit.batch_size * recipe.model.branches),
        best,
        last,  # after the best: it remembers which that is
    ]
    if recipe.fit.early_stop:
        callbacks.append(EarlyStopping("val_loss", patience=recipe.fit.early_stop))
    if recipe.fit.ema_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=recipe.fit.ema_decay))
    callbacks.append(GracefulStop(run / LAST, _hint(run)))  # the average is of the step before
    return pl.Trainer(
        max_epochs=recipe.fit.epochs,
        precision="bf16-mixed" if precision(recipe) == "bf16" else "32-true",
        callbacks=callbacks,
        logger=TensorBoardLogger(run, name=None, version=TENSORBOARD),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator=device(),
        devices=list(devices.numbers) if device() == "cuda" else len(devices.numbers),
        num_nodes=devices.num_nodes,
        strategy="ddp" if devices.num_processes > 1 else "auto",
        use_distributed_sampler=False,
        default_root_dir=run,
    )


def usable(manifest: Manifest, recipe: Recipe, console: Console) -> Manifest:
    """Return the photos that can be trained on, with splits and digests; name the unreadable.

    Raises:
        DataError: the photos cannot be trained on.
    """
    manifest = with_splits(readable(manifest, console), recipe.fit.seed, recipe.split)
    _check_trainable(manifest)
    return manifest


def readable(manifest: Manifest, console: Console) -> Manifest:
    """Decode every photo once: leave out and name the unreadable, add digests."""

    def check(sample: Sample) -> Sample | str:
        try:
            decode_image(sample.path, min_side=64)
            return replace(sample, sha256=sample.sha256 or file_digest(sample.path))
        except (ImageError, OSError) as error:
            return str(error)

    good: list[Sample] = []
    bad: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(check, manifest)
        for result in track(
            checked,
            "checking photos",
            len(manifest),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            if isinstance(result, Sample):
                good.append(result)
            else:
                bad.append(result)
    for reason in bad[:10]:
        console.print(f"left out: {reason}", highlight=False, markup=False, soft_wrap=True)
    if bad:
        console.print(f"left out {len(bad)} of {len(manifest)} photos that cannot be read")
    if not good:
        raise DataError(f"none of the {len(manifest)} photos can be read; the first: {bad[0]}")
    return Manifest(tuple(good))


def _check_trainable(manifest: Manifest) -> None:
    names = manifest.class_names
    if len(names) < 2:
        raise DataError(
            f"training needs photos of two or more classes; here is only {names[0]!r} "
            f"(expected: one folder a class)"
        )
    missing = set(names) - set(manifest.select("train").class_names)
    if missing:
        raise DataError(f"no training photo of {', '.join(sorted(missing))}; add photos or splits")
    manifest.select("val")


def _quiet() -> warnings.catch_warnings[None]:
    """Keep Lightning's hints to developers from users; its errors still come through."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return warnings.catch_warnings(action="ignore")
