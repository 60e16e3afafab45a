from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from recyclenet.data.scan import load_dataset
from recyclenet.errors import UsageError
from recyclenet.training import cache
from recyclenet.training.fit import prepare, usable
from recyclenet.training.recipe import Recipe, load_recipe

PLAIN = (
    "augment.min_scale=1",
    "augment.horizontal_flip=false",
    "augment.vertical_flip=false",
    "augment.trivial_augment=false",
    "model.fit=stretch",
)


@pytest.fixture
def recipe(tiny: str) -> Callable[..., Recipe]:
    return lambda *settings: load_recipe(tiny, ("model.freeze_groups=2", *settings))


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_maps_give_the_logits_of_their_photos(
    photo_folder: Path, recipe: Callable[..., Recipe], console: Console
) -> None:
    plain = recipe(*PLAIN)
    manifest = usable(load_dataset(photo_folder), plain, console)
    usual = prepare(manifest, plain, console)
    cached = prepare(manifest, recipe(*PLAIN, "fit.cached_views=2"), console)
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
    photo_folder: Path, recipe: Callable[..., Recipe], console: Console, branches: int
) -> None:
    mine = recipe("fit.cached_views=3", f"model.branches={branches}")
    ready = prepare(usable(load_dataset(photo_folder), mine, console), mine, console)
    maps = ready.train.dataset
    assert isinstance(maps, cache.CachedMaps)
    views = [maps[0, seed][0] for seed in range(6)]
    assert all(torch.equal(views[i], views[i + 3]) for i in range(3))
    assert not torch.equal(views[0], views[1])
    assert not torch.equal(views[1], views[2])
    assert len(maps.one_by_one()) == 3 * len(maps)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 views of each photo computed in" in text
    skipped = re.search(r"skips (\d+)% of the network's work", text)
    assert skipped is not None
    assert 0 < int(skipped[1]) < 100


def test_runs_of_a_comparison_share_their_maps(
    photo_folder: Path, recipe: Callable[..., Recipe], console: Console
) -> None:
    manifest = usable(load_dataset(photo_folder), recipe(), console)
    settings = ("fit.cached_views=2", "augment.min_scale=0.5")
    text = console.file

    def maps(*more: str) -> tuple[torch.Tensor, bool]:
        before = len(text.getvalue())  # type: ignore[attr-defined]
        torch.manual_seed(0)
        ready = prepare(manifest, recipe(*settings, *more), console)
        said = text.getvalue()[before:]  # type: ignore[attr-defined]
        assert isinstance(ready.train.dataset, cache.CachedMaps)
        return ready.train.dataset.maps, "known already" in said

    first, known = maps()
    assert not known
    again, known = maps("fit.epochs=5", "optim.learning_rate=1e-3")
    assert known
    assert again is first
    for other in ("augment.min_scale=0.6", "fit.seed=1", "fit.cached_views=3"):
        _, known = maps(other)
        assert not known


@pytest.mark.parametrize(
    ("settings", "memory", "reason"),
    [
        (("model.freeze_groups=0", "fit.cached_views=2"), 10**12, "needs frozen layers"),
        (("fit.cached_views=2",), 1000, "set fewer fit.cached_views"),
    ],
)
def test_what_cannot_be_cached_is_refused(
    photo_folder: Path,
    recipe: Callable[..., Recipe],
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
    memory: int,
    reason: str,
) -> None:
    monkeypatch.setattr(cache, "memory_bytes", lambda: memory)
    mine = recipe(*settings)
    with pytest.raises(UsageError, match=reason):
        prepare(usable(load_dataset(photo_folder), mine, console), mine, console)
