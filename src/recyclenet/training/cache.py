"""The output of the frozen layers, computed once per photo instead of in every epoch."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader

from recyclenet.core.progress import Progress, silent
from recyclenet.errors import UsageError
from recyclenet.models.cost import count_layers, multiply_adds
from recyclenet.models.network import Network, freeze_first
from recyclenet.models.prefix import FrozenPrefix, frozen_prefix
from recyclenet.training.dataset import Draw, Example, Photos
from recyclenet.training.machine import autocast, device, memory_bytes, num_workers, precision
from recyclenet.training.recipe import Recipe

_log = logging.getLogger(__name__)
# The maps may take this share of the machine's memory.
MEMORY_SHARE = 0.5
_BATCH = 32
# Keeps the random draws of the views apart from those of the epochs.
_VIEWS = 0x76696577


@dataclass
class MapCache:
    """The maps of the latest network and photos, which the next run of a comparison often shares.

    Attributes:
        key: digest of everything the maps depend on.
        maps: of the training and of the validation photos.
    """

    key: str = ""
    maps: tuple[torch.Tensor, torch.Tensor] | None = None


class CachedMaps(Photos):
    """The maps of several views of each photo.

    Args:
        maps: `(views, N, ., ., .)`.
        targets: N targets.
    """

    decodes = False

    def __init__(self, maps: torch.Tensor, targets: Sequence[int]) -> None:
        self.maps = maps
        self.targets = targets

    def __getitem__(self, draw: Draw | int) -> Example:
        """Return a map `(C, H, W)` and its target; the seed of a draw chooses the view."""
        index, seed = (draw, 0) if isinstance(draw, int) else draw
        return self.maps[seed % len(self.maps), index], self.targets[index]

    def one_by_one(self) -> CachedMaps:
        """Return the same maps, with each view as a separate photo."""
        return CachedMaps(self.maps.flatten(0, 1)[None], [*self.targets] * len(self.maps))


def cache_maps(
    model: Network,
    train: Photos,
    val: Photos,
    photos: str,
    recipe: Recipe,
    progress: Progress = silent,
    cache: MapCache | None = None,
) -> tuple[CachedMaps, CachedMaps]:
    """Compute the frozen layers' output for `fit.cached_views` views of every training photo.

    A validation photo has one view, that of the evaluation transform. Afterwards the network
    expects maps instead of pictures.

    Args:
        model: the network; its first layer groups are frozen here.
        train: training photos.
        val: validation photos.
        photos: fingerprint of both.
        recipe: the resolved recipe.
        progress: reports how many photos are done.
        cache: where the maps may be found, and are kept.

    Raises:
        UsageError: no layer is frozen, or the maps do not fit into memory.
    """
    started = time.monotonic()
    cache = cache or MapCache()
    freeze_first(model, recipe.model.freeze_groups)
    prefix = frozen_prefix(model, recipe.model.image_size)
    if not prefix.stages:
        raise UsageError("fit.cached_views needs frozen layers; set model.freeze_groups")
    layers = count_layers(model, recipe.model.image_size)
    skipped = sum(layer.multiply_adds for layer in layers if layer.name in prefix.stages)
    share = skipped / multiply_adds(model, recipe.model.image_size)
    model.eval()
    views = recipe.fit.cached_views
    key = _key(prefix, photos, recipe)
    known = cache.maps is not None and cache.key == key
    if not known:
        random = np.random.default_rng([recipe.fit.seed, _VIEWS])
        draws = [
            (index, int(seed))
            for row in random.integers(2**31, size=(views, len(train)))
            for index, seed in enumerate(row)
        ]
        cache.maps = None  # make room before the new ones are computed
        maps = _maps(prefix, train, draws, recipe, progress)
        val_maps = _maps(prefix, val, range(len(val)), recipe, progress)
        cache.key = key
        cache.maps = maps.view(views, len(train), *maps.shape[1:]), val_maps[None]
    assert cache.maps is not None
    maps, val_maps = cache.maps
    prefix.skip()
    origin = "reused" if known else f"computed in {time.monotonic() - started:.0f} s"
    _log.info(
        "frozen layers: %d views of each photo %s, %.0f MB; training skips %.0f%% of the network's "
        "forward pass and all of its backward pass",
        *(views, origin, maps.nbytes / 1e6, 100 * share),
    )
    return CachedMaps(maps, train.targets), CachedMaps(val_maps, val.targets)


def _key(prefix: FrozenPrefix, photos: str, recipe: Recipe) -> str:
    """Return a digest of everything the maps depend on."""
    digest = hashlib.sha256(photos.encode())
    fit = recipe.fit
    facts = (
        recipe.augment,
        fit.cached_views,
        fit.seed,
        precision(recipe),
        recipe.model.resize_mode,
    )
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
    progress: Progress,
) -> torch.Tensor:
    """Return the maps of the draws, in their order."""
    found = torch.empty(0)
    batches = DataLoader(photos, _BATCH, sampler=draws, num_workers=num_workers())
    done = 0
    for images, _ in batches:
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
        progress(done, len(draws), "frozen layers")
    return found
