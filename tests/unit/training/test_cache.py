from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recyclenet.data.dataset import load_dataset
from recyclenet.errors import UsageError
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


def test_maps_give_the_logits_of_their_photos(
    photo_folder: Path, recipe: Callable[..., Recipe]
) -> None:
    plain = recipe(**PLAIN)
    manifest = check_photos(load_dataset(photo_folder), plain)
    usual = prepare(manifest, plain)
    cached = prepare(manifest, recipe(**PLAIN, **{"fit.cached_views": 2}))
    cached.module.model.load_state_dict(usual.module.model.state_dict())
    for ready in (usual, cached):
        ready.module.eval()
    with torch.no_grad():
        for pictures, maps in zip(usual.val, cached.val, strict=True):
            assert maps[0].shape != pictures[0].shape
            torch.testing.assert_close(cached.module(maps[0]), usual.module(pictures[0]))
            assert torch.equal(maps[1], pictures[1])


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
