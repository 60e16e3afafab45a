from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from recyclenet.data.dataset import load_dataset
from recyclenet.data.manifest import Manifest, read_manifest
from recyclenet.errors import DataError, Interrupted, RecycleNetError, UsageError
from recyclenet.training.checkpoint import load_trained
from recyclenet.training.fit import resume_run, start_run
from recyclenet.training.machine import Devices
from recyclenet.training.module import TrainingModule
from recyclenet.training.photos import check_photos
from recyclenet.training.recipe import Recipe, load_recipe, save_recipe
from recyclenet.training.run import Run

SETTINGS = {
    "model.freeze_groups": 1,
    "optim.learning_rate": 5e-3,
    "optim.head_multiplier": 1,
    "fit.ema_decay": 0.5,
    "fit.epochs": 3,
}


@pytest.fixture(scope="module")
def recipe(tiny: str) -> Recipe:
    """The tiny recipe with a frozen stem."""
    return load_recipe(tiny, SETTINGS)


@pytest.fixture(scope="module")
def whole(photo_folder: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of that recipe that nothing stopped."""
    run = Run(tmp_path_factory.mktemp("whole") / "run")
    start_run(load_dataset(photo_folder), recipe, run)
    return run


def state(path: Path) -> dict[str, Any]:
    stored: dict[str, Any] = torch.load(path, weights_only=True)
    return {**stored["state_dict"], **stored["current_model_state"]}


def test_a_run_is_described_by_its_folder(whole: Run, recipe: Recipe) -> None:
    assert load_recipe(whole.recipe_file) == recipe
    manifest = read_manifest(whole.manifest_file)
    assert {sample.split for sample in manifest} == {"train", "val", "test"}
    assert all(len(sample.sha256) == 64 and sample.path.is_file() for sample in manifest)
    rows = whole.metrics
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(0 <= row["val_accuracy"] <= 1 for row in rows)
    assert whole.last.is_file()
    assert not load_trained(whole).training
    (events,) = (whole.folder / "tensorboard").glob("events*")
    assert b"val_loss" in events.read_bytes()


def test_training_learns_what_can_be_learnt(photo_folder: Path, tiny: str, tmp_path: Path) -> None:
    more = {"fit.epochs": 12, "model.freeze_groups": 0}
    plain = {"augment.mixup": 0, "augment.trivial_augment": False}
    recipe = load_recipe(tiny, SETTINGS | more | plain)
    run = Run(tmp_path / "run")
    start_run(load_dataset(photo_folder), recipe, run)
    assert run.metrics[-1]["val_accuracy"] == 1.0


def test_an_interrupted_run_ends_as_if_it_had_never_been(
    photo_folder: Path,
    recipe: Recipe,
    whole: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Run(tmp_path / "broken")
    step = TrainingModule.training_step

    def interrupted(self: TrainingModule, batch: Any, batch_idx: int) -> None:
        if self.current_epoch == 1 and batch_idx == 1:
            raise KeyboardInterrupt
        step(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(Interrupted, match="recyclenet train --resume"):
        start_run(load_dataset(photo_folder), recipe, broken)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    resume_run(broken)

    expected, found = state(whole.last), state(broken.last)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert [row["epoch"] for row in broken.metrics] == [1, 2, 3]


# Within the first epoch, the second; its end.
@pytest.mark.parametrize(
    ("last_step", "told"), [(1, signal.SIGTERM), (4, signal.SIGINT), (6, signal.SIGTERM)]
)
def test_told_to_end_a_run_saves_its_step_and_goes_on_there(
    photo_folder: Path,
    recipe: Recipe,
    whole: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: signal.Signals,
    last_step: int,
) -> None:
    broken = Run(tmp_path / "broken")
    step = TrainingModule.training_step
    steps: list[int] = []

    def counted(self: TrainingModule, batch: Any, batch_idx: int) -> None:
        step(self, batch, batch_idx)
        steps.append(self.global_step)
        if len(steps) == last_step:
            os.kill(os.getpid(), told)

    monkeypatch.setattr(TrainingModule, "training_step", counted)
    before = signal.getsignal(told)
    with pytest.raises(Interrupted, match=f"stopped after step {last_step} of 9;") as stopped:
        start_run(load_dataset(photo_folder), recipe, broken)
    assert stopped.value.exit_code == 128 + told
    assert signal.getsignal(told) is before
    assert torch.load(broken.last, weights_only=True)["global_step"] == last_step
    resume_run(broken)
    assert steps == list(range(1, 10))

    expected, found = state(whole.last), state(broken.last)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    kept = "epoch", "val_loss", "val_accuracy", "lr"
    rows = [[[row[name] for name in kept] for row in run.metrics] for run in (whole, broken)]
    assert rows[0] == rows[1]


def test_frozen_groups_keep_weights_and_statistics(whole: Run) -> None:
    trained = load_trained(whole).state_dict()
    # A fresh network's statistics; the stem is frozen, the first stage is not.
    assert torch.equal(
        trained["backbone.bn1.running_mean"], torch.zeros_like(trained["backbone.bn1.running_mean"])
    )
    assert not torch.equal(
        trained["backbone.blocks.0.0.bn1.running_mean"],
        torch.zeros_like(trained["backbone.blocks.0.0.bn1.running_mean"]),
    )


def test_a_folder_in_use_is_refused_and_left_alone(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        start_run(load_dataset(photo_folder), recipe, Run(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_stream_of_an_unknown_class_is_refused_before_training(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    wrong = recipe.with_settings({"streams.glas": "other"})
    with pytest.raises(UsageError, match="did you mean 'glass'"):
        start_run(load_dataset(photo_folder), wrong, Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_one_class_is_not_enough(photo_folder: Path, recipe: Recipe, tmp_path: Path) -> None:
    glass = Manifest(tuple(s for s in load_dataset(photo_folder) if s.label == "glass"))
    with pytest.raises(DataError, match="only 'glass'"):
        start_run(glass, recipe, Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_unreadable_photos_are_named_and_left_out(
    photo_folder: Path, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    caplog.set_level("INFO", "recyclenet")
    samples = load_dataset(photo_folder).samples
    manifest = Manifest((*samples, replace(samples[0], path=bad)))
    short = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": 1})})
    start_run(manifest, short, Run(tmp_path / "run"))
    assert "bad.jpg" in caplog.text
    assert "epoch 1/1" in caplog.text
    assert len(read_manifest(tmp_path / "run" / "manifest.csv")) == len(samples)


def test_photos_that_are_all_unreadable_are_refused(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    missing = [
        replace(s, path=tmp_path / s.path.name, sha256="") for s in load_dataset(photo_folder)
    ]
    with pytest.raises(DataError, match="none of the 36 photos can be read"):
        start_run(Manifest(tuple(missing)), recipe, Run(tmp_path / "run"))


def changed(recipe: Recipe, **fields: object) -> Recipe:
    sections: dict[str, dict[str, object]] = {}
    for key, value in fields.items():
        section, _, field = key.partition("__")
        sections.setdefault(section, {})[field] = value
    updates = {
        name: getattr(recipe, name).model_copy(update=values) for name, values in sections.items()
    }
    return recipe.model_copy(update=updates)


ASAM = {"optim__sharpness": "asam", "optim__rho": 1.0, "fit__micro_batches": 2}
PLATEAU = {"optim__optimizer": "sgd", "optim__schedule": "plateau", "optim__step_epochs": 1}
COSINE = {"optim__schedule": "cosine", "optim__layer_decay": 0.7, "fit__sampling": "domain-class"}
CUTMIX = {"augment__cutmix": 1.0, "optim__class_weights": "balanced", "fit__freeze_norm": True}


@pytest.mark.parametrize(
    "fields",
    [
        ASAM | PLATEAU,
        COSINE | CUTMIX,
        {"fit__unfreeze_every": 1, "fit__probe": True, "fit__wise_ft_alpha": 0.5},
        {"fit__cached_views": 2, "fit__probe": True, "model__branches": 2},
    ],
    ids=["asam, plateau", "cosine, cutmix", "thaw", "cached branches"],
)
def test_an_interrupted_run_of_any_kind_ends_as_if_it_had_never_been(
    photo_folder: Path,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
) -> None:
    mine = changed(recipe, **fields)
    manifest = load_dataset(photo_folder)
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    start_run(manifest, mine, whole)
    step = TrainingModule.training_step

    def interrupted(self: TrainingModule, batch: Any, batch_idx: int) -> None:
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        step(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", interrupted)
    with pytest.raises(Interrupted):
        start_run(manifest, mine, broken)
    monkeypatch.undo()
    resume_run(broken)
    expected = load_trained(whole).state_dict()
    found = load_trained(broken).state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert state(whole.last).keys() == state(broken.last).keys()


def test_a_share_of_the_start_comes_back(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    half = changed(recipe, fit__wise_ft_alpha=0.5, fit__epochs=1)
    start_run(load_dataset(photo_folder), half, run)
    start = load_file(run.start)
    averaged = load_trained(run).state_dict()
    save_recipe(changed(half, fit__wise_ft_alpha=1.0), run.recipe_file)
    trained = load_trained(Run(run.folder)).state_dict()
    for name, tensor in averaged.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (start[name] + trained[name]) / 2)


def test_the_network_before_fine_tuning_can_be_one_more_branch(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    settings = {"model__branches": 2, "model__freeze_groups": 2, "fit__epochs": 2}
    kept = changed(recipe, fit__probe=True, fit__keep_start=True, **settings)
    start_run(load_dataset(photo_folder), kept, run)
    start, trained = load_file(run.start), load_trained(run)
    added = trained.backbone.branches[2].state_dict()
    assert len(trained.backbone.branches) == 3
    for name, tensor in added.items():
        torch.testing.assert_close(tensor, start[f"backbone.branches.0.{name}"])
    tuned = trained.backbone.branches[0].state_dict()
    assert any(not torch.equal(tuned[name], tensor) for name, tensor in added.items())
    with pytest.raises(UsageError, match=r"fit\.keep_start needs"):
        start_run(load_dataset(photo_folder), changed(kept, fit__probe=False), Run(tmp_path / "no"))


def test_a_run_stops_early_without_progress(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    still = changed(recipe, fit__early_stop=1, fit__epochs=30, optim__learning_rate=1e-12)
    run = Run(tmp_path / "run")
    start_run(load_dataset(photo_folder), still, run)
    assert len(run.metrics) < 30


def test_shares_of_a_recipe_draw_the_splits_anew(photo_folder: Path, recipe: Recipe) -> None:
    even = recipe.model_copy(update={"split": (0.5, 0.25, 0.25)})
    manifest = check_photos(load_dataset(photo_folder), even)
    assert [len(manifest.select(split)) for split in ("train", "val", "test")] == [18, 9, 9]


def test_a_training_that_fails_says_so_and_keeps_the_last_good_epoch(
    photo_folder: Path,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run(tmp_path / "run")
    ordinary = TrainingModule.on_train_epoch_start
    before = b""

    def spoil(module: TrainingModule) -> None:
        nonlocal before
        ordinary(module)
        if module.current_epoch == 1:
            before = run.last.read_bytes()
            with torch.no_grad():
                next(p for p in module.model.parameters() if p.requires_grad).fill_(torch.nan)

    monkeypatch.setattr(TrainingModule, "on_train_epoch_start", spoil)
    with pytest.raises(
        RecycleNetError, match=r"diverged in epoch 2.*non-finite logits.*lower learning rate"
    ):
        start_run(load_dataset(photo_folder), recipe, run)
    assert before
    assert run.last.read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fit__unfreeze_every": 1}, "fit.unfreeze_every needs a single device"),
        ({"fit__batch_size": 7}, "cannot be shared by 2 processes"),
    ],
)
def test_what_several_devices_cannot_do_is_refused(
    photo_folder: Path,
    recipe: Recipe,
    tmp_path: Path,
    fields: dict[str, object],
    reason: str,
) -> None:
    with pytest.raises(UsageError, match=reason):
        start_run(
            load_dataset(photo_folder),
            changed(recipe, **fields),
            Run(tmp_path / "run"),
            devices=Devices((0, 1)),
        )


def test_a_recipe_that_does_not_fit_leaves_a_folder_that_can_be_used_again(
    photo_folder: Path, recipe: Recipe, tmp_path: Path
) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(UsageError, match="freeze_groups must be"):
        start_run(load_dataset(photo_folder), changed(recipe, model__freeze_groups=99), run)
    start_run(load_dataset(photo_folder), changed(recipe, fit__epochs=1), run)
    assert run.last.is_file()
