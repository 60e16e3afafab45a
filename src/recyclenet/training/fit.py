"""Train a recipe on a manifest; the run can be interrupted and resumed."""

from __future__ import annotations

import logging
import signal
import warnings
from collections import Counter
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import assign_streams
from recyclenet.data.manifest import Manifest, write_manifest
from recyclenet.errors import Interrupted, RecycleNetError, UsageError
from recyclenet.models.network import create_model
from recyclenet.models.pooled import frozen_stages
from recyclenet.training.cache import MapCache, cache_maps
from recyclenet.training.callbacks import EpochTable, GracefulStop, ProgressBar
from recyclenet.training.checkpoint import backbone_preprocess, check_resumable, save_start
from recyclenet.training.dataset import (
    EvaluationPhotos,
    Example,
    Photos,
    TrainingPhotos,
    evaluation_loader,
    sampling_probabilities,
    training_loader,
)
from recyclenet.training.machine import (
    Devices,
    autocast,
    device,
    precision,
    prepare_process,
    process_rank,
)
from recyclenet.training.module import TrainingModule
from recyclenet.training.photos import check_photos
from recyclenet.training.probe import fit_head
from recyclenet.training.recipe import Recipe, save_recipe
from recyclenet.training.run import Run

_log = logging.getLogger(__name__)
ONE = Devices()


def start_run(
    manifest: Manifest,
    recipe: Recipe,
    run: Run,
    progress: Progress = silent,
    devices: Devices = ONE,
    maps: MapCache | None = None,
    *,
    force: bool = False,
) -> None:
    """Create a run folder and train in it.

    Args:
        manifest: the dataset; without splits, they are drawn (70/13/17).
        recipe: the resolved recipe.
        run: the run; its folder must be new or empty.
        progress: reports photos checked, feature maps cached and photos trained on.
        devices: the devices to train on.
        maps: feature maps shared with other runs.
        force: allow a folder that is not empty, and replace the run in it.

    Raises:
        UsageError: the folder is not empty, or the recipe gives an unknown class a stream.
        DataError: the photos are unsuitable for training.
        Interrupted: the user stopped the run; `resume_run` continues it.
    """
    leads = process_rank() == 0
    if leads and not force:
        check_unused(run)
    assign_streams(manifest.class_names, recipe.streams)  # fails here rather than after training
    manifest = check_photos(manifest, recipe, progress)
    if leads:
        for path in run.files:
            path.unlink(missing_ok=True)
        write_manifest(manifest, run.manifest_file)
    ready = prepare(manifest, recipe, progress, devices, maps)
    if leads:
        save_recipe(recipe, run.recipe_file)
    _fit(ready, recipe, run, progress, devices)


def check_unused(run: Run) -> None:
    """Check that a run's folder is new or empty; the manifest of a failed start may remain.

    Raises:
        UsageError: the folder holds other files.
    """
    folder = run.folder
    if folder.exists() and (
        not folder.is_dir() or {p.name for p in folder.iterdir()} - {run.manifest_file.name}
    ):
        raise UsageError(
            f"{folder} is not an empty folder; choose another --out, resume its run with --resume, "
            f"or replace it with --force"
        )


def resume_run(
    run: Run,
    progress: Progress = silent,
    devices: Devices = ONE,
    maps: MapCache | None = None,
) -> None:
    """Continue an interrupted run from its last checkpoint.

    Raises:
        UsageError: the folder holds no run, or its recipe has changed.
        ModelFileError: the checkpoint is damaged.
        Interrupted: the user stopped the run again.
    """
    resumes = run.last.is_file()
    if resumes:
        check_resumable(run.last, run.recipe)
    ready = prepare(run.manifest, run.recipe, progress, devices, maps, resumes=resumes)
    _fit(ready, run.recipe, run, progress, devices)


@dataclass(frozen=True, slots=True)
class Preparation:
    """The network and data loaders of a recipe."""

    module: TrainingModule
    train: DataLoader[Example]
    val: DataLoader[Example]


def prepare(
    manifest: Manifest,
    recipe: Recipe,
    progress: Progress = silent,
    devices: Devices = ONE,
    maps: MapCache | None = None,
    *,
    resumes: bool = False,
) -> Preparation:
    """Build the network and the data loaders of a recipe.

    Args:
        manifest: photos with splits.
        recipe: the resolved recipe.
        progress: reports the number of feature maps cached.
        devices: the devices to train on; each process gets its part of a batch.
        maps: feature maps shared with other runs.
        resumes: whether a checkpoint gives the weights, so that the linear probe is not needed.

    Raises:
        UsageError: the recipe does not fit the network or the devices.
    """
    fit = recipe.fit
    devices.check(fit.batch_size)
    if fit.keep_start and not (fit.probe and recipe.model.branches > 1):
        raise UsageError("fit.keep_start needs fit.probe = true and model.branches of 2 or more")
    if fit.clean_view and not fit.cached_views:
        raise UsageError("fit.clean_view needs fit.cached_views of 1 or more")
    if devices.num_processes > 1 and fit.unfreeze_every:
        raise UsageError(
            f"fit.unfreeze_every needs a single device, not {devices.num_processes}; set it to 0 "
            f"or train on one device"
        )
    prepare_process()
    names = manifest.class_names
    pl.seed_everything(recipe.fit.seed, verbose=False)
    model = create_model(recipe.model, len(names))
    if fit.kernel:  # refused before the training, not after it
        frozen_stages(model, recipe.model.freeze_groups, recipe.model.image_size)
    model.to(device())
    preprocess = backbone_preprocess(model, recipe)
    train, val = manifest.select("train"), manifest.select("val")
    _log.info(
        "%d training and %d validation photos of %d classes; %s, %s; %s",
        *(len(train), len(val), len(names)),
        *(recipe.model.name, precision(recipe), model.report),
    )
    counts = Counter(sample.label for sample in train)
    weights = torch.ones(len(names))
    if recipe.optim.class_weights == "balanced":
        weights = torch.tensor([len(train) / (len(names) * counts[name]) for name in names])
    module = TrainingModule(model, weights, recipe).to(memory_format=torch.channels_last)
    keep = not fit.cached_views  # feature maps are kept instead of photos
    examples: Photos = TrainingPhotos(train, names, preprocess, recipe.augment, keep=keep)
    unchanged: Photos = EvaluationPhotos(train, names, preprocess, keep=keep)
    checked: Photos = EvaluationPhotos(val, names, preprocess, keep=keep)
    if fit.cached_views:
        cached, checked = cache_maps(
            model, examples, unchanged, checked, manifest.fingerprint, recipe, progress, maps
        )
        examples, unchanged = cached, cached.flatten_views()
    val_batches = evaluation_loader(checked, fit.batch_size)
    if fit.probe and not resumes:
        with autocast(recipe):
            unchanged_batches = evaluation_loader(unchanged, fit.batch_size)
            accuracy = fit_head(model, unchanged_batches, val_batches, fit.probe_penalty)
        _log.info("linear probe: validation accuracy %.2f%%", 100 * accuracy)
    batches = training_loader(
        examples,
        fit.batch_size,
        fit.seed,
        probabilities=sampling_probabilities(train, fit.sampling),
        num_branches=recipe.model.branches,
        num_processes=devices.num_processes,
    )
    return Preparation(module, batches, val_batches)


def _fit(
    ready: Preparation, recipe: Recipe, run: Run, progress: Progress, devices: Devices
) -> None:
    last = run.last
    needs_start = recipe.fit.wise_ft_alpha < 1 or recipe.fit.keep_start
    if needs_start and not last.is_file() and process_rank() == 0:
        save_start(ready.module.model, run)
    with _quiet():
        trainer = _trainer(recipe, run, progress, devices)
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
                f"cannot write to {run.folder}: {error.strerror or error}; free space or grant "
                f"write access, then {_hint(run)}"
            ) from error
        except SystemExit:
            # On a second Ctrl-C, Lightning exits and leaves the signal ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise Interrupted(f"stopped immediately; {_hint(run)}") from None


def _hint(run: Run) -> str:
    return f"resume with: recyclenet train --resume {run.folder}"


def _trainer(recipe: Recipe, run: Run, progress: Progress, devices: Devices) -> pl.Trainer:
    best = ModelCheckpoint(
        dirpath=run.best.parent,
        filename=run.best.stem,
        monitor="val_loss",
        mode="min",
        enable_version_counter=False,
    )
    # A second ModelCheckpoint, because `save_last` saves only epochs that are a new best.
    last = ModelCheckpoint(
        dirpath=run.last.parent, filename=run.last.stem, enable_version_counter=False
    )
    callbacks: list[pl.Callback] = [
        EpochTable(run.metrics_file),
        ProgressBar(progress, recipe.fit.batch_size * recipe.model.branches),
        best,
        last,  # after `best`, because the checkpoint includes the state of `best`
    ]
    if recipe.fit.early_stop:
        callbacks.append(EarlyStopping("val_loss", patience=recipe.fit.early_stop))
    if recipe.fit.ema_decay > 0:
        callbacks.append(EMAWeightAveraging(decay=recipe.fit.ema_decay))
    callbacks.append(GracefulStop(run.last, _hint(run)))  # after the moving average is updated
    return pl.Trainer(
        max_epochs=recipe.fit.epochs,
        precision="bf16-mixed" if precision(recipe) == "bf16" else "32-true",
        callbacks=callbacks,
        logger=TensorBoardLogger(run.folder, name=None, version="tensorboard"),
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        accelerator=device(),
        devices=list(devices.numbers) if device() == "cuda" else len(devices.numbers),
        num_nodes=devices.num_nodes,
        strategy="ddp" if devices.num_processes > 1 else "auto",
        use_distributed_sampler=False,
        default_root_dir=run.folder,
    )


def _quiet() -> warnings.catch_warnings[None]:
    """Silence Lightning's warnings and hints, but not its errors."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return warnings.catch_warnings(action="ignore")
