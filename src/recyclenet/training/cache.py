"""What the frozen layers make of each photo, computed once instead of anew each epoch."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from recyclenet.errors import UsageError
from recyclenet.models.classifier import WasteClassifier
from recyclenet.models.cost import count_layers, multiply_adds
from recyclenet.models.prefix import FrozenPrefix, frozen_prefix
from recyclenet.training.dataset import Draw, Example, Photos
from recyclenet.training.machine import autocast, device, memory_bytes, precision
from recyclenet.training.recipe import Recipe

# The maps may take this share of the machine's memory.
MEMORY_SHARE = 0.5
_BATCH = 32
# Keeps the views' draws apart from those of the epochs.
_VIEWS = 0x76696577
# The maps of the last network and photos: the next run of a comparison often wants the same.
_last: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}


class CachedMaps(Photos):
    """The maps of some views of each photo.

    Args:
        maps: `(views, N, ., ., .)`.
        targets: N targets.
    """

    def __init__(self, maps: torch.Tensor, targets: Sequence[int]) -> None:
        self.maps = maps
        self.targets = targets

    def __getitem__(self, draw: Draw | int) -> Example:
        """Return a map and its target; the seed of a draw chooses the view."""
        index, seed = (draw, 0) if isinstance(draw, int) else draw
        return self.maps[seed % len(self.maps), index], self.targets[index]

    def one_by_one(self) -> CachedMaps:
        """Return the same maps, each view as a photo of its own."""
        return CachedMaps(self.maps.flatten(0, 1)[None], [*self.targets] * len(self.maps))


def cache_maps(
    model: WasteClassifier,
    train: Photos,
    val: Photos,
    photos: str,
    recipe: Recipe,
    console: Console,
) -> tuple[CachedMaps, CachedMaps]:
    """Compute the frozen layers' output for `fit.cached_views` views of every training photo.

    The validation photos have one view, the evaluation transform's. From then on the network takes
    maps in the place of pictures.

    Args:
        model: the network, its frozen layers frozen.
        train: training photos.
        val: validation photos.
        photos: fingerprint of both.
        recipe: the resolved recipe.
        console: where progress goes.

    Raises:
        UsageError: nothing is frozen, or the maps do not fit into memory.
    """
    started = time.monotonic()
    prefix = frozen_prefix(model, recipe.model.image_size)
    if not prefix.stages:
        raise UsageError("fit.cached_views needs frozen layers; set model.freeze_groups")
    layers = count_layers(model, recipe.model.image_size)
    skipped = sum(layer.multiply_adds for layer in layers if layer.name in prefix.stages)
    share = skipped / multiply_adds(model, recipe.model.image_size)
    model.eval()
    views = recipe.fit.cached_views
    key = _key(prefix, photos, recipe)
    known = key in _last
    if not known:
        random = np.random.default_rng([recipe.fit.seed, _VIEWS])
        draws = [
            (index, int(seed))
            for row in random.integers(2**31, size=(views, len(train)))
            for index, seed in enumerate(row)
        ]
        _last.clear()
        maps = _maps(prefix, train, draws, recipe, console)
        maps = maps.view(views, len(train), *maps.shape[1:])
        _last[key] = maps, _maps(prefix, val, range(len(val)), recipe, console)[None]
    maps, val_maps = _last[key]
    prefix.skip()
    console.print(
        f"frozen layers: {views} views of each photo "
        f"{'known already' if known else f'computed in {time.monotonic() - started:.0f} s'}, "
        f"{maps.nbytes / 1e6:.0f} MB; from now on a step skips {share:.0%} of the network's work "
        "forward, and all of it back",
        highlight=False,
        soft_wrap=True,
    )
    return CachedMaps(maps, train.targets), CachedMaps(val_maps, val.targets)


def _key(prefix: FrozenPrefix, photos: str, recipe: Recipe) -> str:
    """Return a digest of everything the maps depend on."""
    digest = hashlib.sha256(photos.encode())
    fit = recipe.fit
    facts = (recipe.augment, fit.cached_views, fit.seed, precision(recipe), recipe.model.fit)
    digest.update(repr((*facts, recipe.model.image_size, list(prefix.stages))).encode())
    for stage in prefix.stages.values():
        for tensor in stage.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _maps(
    prefix: FrozenPrefix,
    photos: Photos,
    draws: Sequence[Draw] | Sequence[int],
    recipe: Recipe,
    console: Console,
) -> torch.Tensor:
    """Return the maps of the draws, one after the other."""
    found = torch.empty(0)
    batches = DataLoader(photos, _BATCH, sampler=draws)
    done = 0
    for images, _ in track(
        batches, "frozen layers", console=console, transient=True, disable=not console.is_terminal
    ):
        with torch.no_grad(), autocast(recipe):
            maps = prefix(images.to(device(), memory_format=torch.channels_last)).cpu()
        if not done:
            size = maps[0].nbytes * len(draws)
            if size > MEMORY_SHARE * memory_bytes():
                raise UsageError(
                    f"the frozen layers' maps would take {size / 1e9:.1f} GB of this machine's "
                    f"{memory_bytes() / 1e9:.1f} GB of memory; set fewer fit.cached_views"
                )
            found = torch.empty((len(draws), *maps.shape[1:]), dtype=maps.dtype)
        found[done : done + len(maps)] = maps
        done += len(maps)
    return found
