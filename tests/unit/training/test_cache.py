from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recyclenet.data.dataset import load_dataset
from recyclenet.errors import ImageError, RecycleNetError, UsageError
from recyclenet.training import cache
from recyclenet.training.fit import prepare
from recyclenet.training.photos import check_photos
from recyclenet.training.recipe import Recipe, load_recipe

PLAIN = {
    "augment.min_scale": 1,
    "augment.horizontal_flip": False,
    "augment.vertical_flip": False,
    "augment.trivial_augment": False,
    "model.resize_mode": "stretch",
}


@pytest.fixture
def recipe(tiny: str) -> Callable[..., Recipe]:
    return lambda **settings: load_recipe(tiny, {"model.freeze_groups": 2, **settings})


def check_logits(photo_folder: Path, plain: Recipe) -> None:
    """Compare the logits of maps with those of their photos."""
    manifest = check_photos(load_dataset(photo_folder), plain)
    usual = prepare(manifest, plain)
    cached = prepare(manifest, plain.with_settings({"fit.cached_views": 2}))
    cached.module.model.load_state_dict(usual.module.model.state_dict())
    for ready in (usual, cached):
        ready.module.eval()
    with torch.no_grad():
        for pictures, maps in zip(usual.val, cached.val, strict=True):
            assert maps[0].shape != pictures[0].shape
            torch.testing.assert_close(cached.module(maps[0]), usual.module(pictures[0]))
            assert torch.equal(maps[1], pictures[1])


def test_maps_give_the_logits_of_their_photos(
    photo_folder: Path, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    export = cache.to_onnx

    def counted(network: torch.nn.Module, size: int, *more: Any) -> Any:
        sizes.append(size)
        return export(network, size, *more)

    monkeypatch.setattr(cache, "to_onnx", counted)
    plain = recipe(**PLAIN)
    check_logits(photo_folder, plain)
    assert sizes == [plain.model.image_size]  # one export for all photos of a size


def test_without_a_graph_too(
    photo_folder: Path, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise RecycleNetError("no graph expresses this network")

    monkeypatch.setattr(cache, "to_onnx", refuse)
    check_logits(photo_folder, recipe(**PLAIN))


@pytest.mark.parametrize("branches", [1, 2])
def test_each_view_is_another_and_the_draw_chooses(
    photo_folder: Path,
    recipe: Callable[..., Recipe],
    branches: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "recyclenet")
    mine = recipe(**{"fit.cached_views": 3, "model.branches": branches})
    ready = prepare(check_photos(load_dataset(photo_folder), mine), mine)
    maps = ready.train.dataset
    assert isinstance(maps, cache.CachedMaps)
    views = [maps[0, seed][0] for seed in range(6)]
    assert all(torch.equal(views[i], views[i + 3]) for i in range(3))
    assert not torch.equal(views[0], views[1])
    assert not torch.equal(views[1], views[2])
    assert len(maps.flatten_views()) == 3 * len(maps)
    assert "3 views of each photo computed in" in caplog.text
    skipped = re.search(r"skips (\d+)% of the forward", caplog.text)
    assert skipped is not None
    assert 0 < int(skipped[1]) < 100


def test_the_clean_view_is_the_last_one(photo_folder: Path, recipe: Callable[..., Recipe]) -> None:
    size = recipe().model.image_size
    plain = {**PLAIN, "fit.cached_views": 1, "augment.crop_size": size}
    mine = recipe(**plain, **{"fit.clean_view": True})
    ready = prepare(check_photos(load_dataset(photo_folder), mine), mine)
    maps = ready.train.dataset
    assert isinstance(maps, cache.CachedMaps)
    assert len(maps.maps) == 2
    changed = recipe(**{**plain, "fit.clean_view": True, "augment.min_scale": 0.3})
    others = prepare(check_photos(load_dataset(photo_folder), changed), changed).train.dataset
    assert isinstance(others, cache.CachedMaps)
    assert torch.equal(others.maps[1], maps.maps[1])
    assert not torch.equal(others.maps[0], maps.maps[0])


def test_worker_processes_give_the_same_maps(
    photo_folder: Path, recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = recipe(**{"fit.cached_views": 2})
    manifest = check_photos(load_dataset(photo_folder), mine)

    def maps() -> torch.Tensor:
        torch.manual_seed(0)
        dataset = prepare(manifest, mine).train.dataset
        assert isinstance(dataset, cache.CachedMaps)
        return dataset.maps

    alone = maps()
    monkeypatch.setattr(cache, "_num_workers", lambda _: 2)
    assert torch.equal(maps(), alone)


def test_a_photo_that_vanishes_is_named_by_a_worker_process(
    photo_folder: Path,
    recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    copy = tmp_path / "photos"
    shutil.copytree(photo_folder, copy)
    mine = recipe(**{"fit.cached_views": 2})
    manifest = check_photos(load_dataset(copy), mine)
    gone = manifest.select("train").samples[3].path
    gone.unlink()
    monkeypatch.setattr(cache, "_num_workers", lambda _: 2)
    with pytest.raises(ImageError, match=gone.name) as caught:
        prepare(manifest, mine)
    assert "\n" not in str(caught.value)


def test_runs_of_a_comparison_share_their_maps(
    photo_folder: Path, recipe: Callable[..., Recipe]
) -> None:
    manifest = check_photos(load_dataset(photo_folder), recipe())
    kept = cache.MapCache()

    def maps(**more: object) -> torch.Tensor:
        torch.manual_seed(0)
        mine = recipe(**{"fit.cached_views": 2, "augment.min_scale": 0.5, **more})
        ready = prepare(manifest, mine, maps=kept)
        assert isinstance(ready.train.dataset, cache.CachedMaps)
        return ready.train.dataset.maps

    first = maps()
    assert maps(**{"fit.epochs": 5, "optim.learning_rate": 1e-3}) is first
    for field, value in (("augment.min_scale", 0.6), ("fit.seed", 1), ("fit.cached_views", 3)):
        other = maps(**{field: value})
        assert other is not first
        first = other


@pytest.mark.parametrize(
    ("settings", "memory", "reason"),
    [
        ({"model.freeze_groups": 0, "fit.cached_views": 2}, 10**12, "needs frozen layers"),
        ({"fit.cached_views": 2}, 1000, "lower fit.cached_views"),
        ({"fit.clean_view": True}, 10**12, "needs fit.cached_views of 1 or more"),
        (
            {"fit.clean_view": True, "fit.cached_views": 2, "augment.crop_size": 64},
            10**12,
            "set augment.crop_size = ",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused(
    photo_folder: Path,
    recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, object],
    memory: int,
    reason: str,
) -> None:
    monkeypatch.setattr(cache, "memory_bytes", lambda: memory)
    mine = recipe(**settings)
    with pytest.raises(UsageError, match=reason):
        prepare(check_photos(load_dataset(photo_folder), mine), mine)
