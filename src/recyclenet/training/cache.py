"""Cache the frozen layers' feature maps: computed once per view, not in every epoch."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import nn
from torch.utils.data import DataLoader

from recyclenet.core.progress import Progress, silent
from recyclenet.errors import RecycleNetError, UsageError
from recyclenet.models.cost import count_layers, multiply_adds
from recyclenet.models.network import Network, freeze_first
from recyclenet.models.onnx import to_onnx
from recyclenet.models.prefix import FrozenPrefix, frozen_prefix
from recyclenet.training.dataset import Draw, Example, Photos
from recyclenet.training.machine import autocast, device, memory_bytes, num_workers, precision
from recyclenet.training.recipe import Recipe

_log = logging.getLogger(__name__)
# Largest share of the machine's memory for the feature maps.
MEMORY_SHARE = 0.5
_BATCH = 32
# Seeds the views' random draws independently of the epochs' draws ("view" in ASCII).
_VIEWS = 0x76696577


@dataclass
class MapCache:
    """The feature maps of the previous run, which the next run of a comparison can often reuse.

    Attributes:
        key: digest of everything the feature maps depend on.
        maps: feature maps of the training photos and of the validation photos.
    """

    key: str = ""
    maps: tuple[torch.Tensor, torch.Tensor] | None = None


class CachedMaps(Photos):
    """Cached feature maps of several views of each photo.

    Args:
        maps: `(views, N, C, H, W)`.
        targets: N targets.
    """

    decodes = False

    def __init__(self, maps: torch.Tensor, targets: Sequence[int]) -> None:
        self.maps = maps
        self.targets = targets

    def __getitem__(self, draw: Draw | int) -> Example:
        """Return a feature map `(C, H, W)` and its target; a draw's seed selects the view."""
        index, seed = (draw, 0) if isinstance(draw, int) else draw
        return self.maps[seed % len(self.maps), index], self.targets[index]

    def flatten_views(self) -> CachedMaps:
        """Return the same feature maps with each view as a separate example."""
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
    """Compute the frozen layers' feature maps for `fit.cached_views` views of each training photo.

    A validation photo has one view, from the evaluation transform. Afterwards the network takes
    feature maps instead of images.

    Args:
        model: the network; this function freezes its first layer groups.
        train: training photos.
        val: validation photos.
        photos: fingerprint of both.
        recipe: the resolved recipe.
        progress: reports the number of views done.
        cache: reused if it matches, updated otherwise.

    Raises:
        UsageError: no layer is frozen, or the feature maps do not fit in memory.
    """
    started = time.monotonic()
    cache = cache or MapCache()
    freeze_first(model, recipe.model.freeze_groups)
    prefix = frozen_prefix(model, recipe.model.image_size)
    if not prefix.stages:
        raise UsageError(
            f"fit.cached_views = {recipe.fit.cached_views} needs frozen layers; set "
            f"model.freeze_groups"
        )
    layers = count_layers(model, recipe.model.image_size)
    skipped = sum(layer.multiply_adds for layer in layers if layer.name in prefix.stages)
    share = skipped / multiply_adds(model, recipe.model.image_size)
    model.eval()
    views = recipe.fit.cached_views
    key = _key(prefix, photos, recipe)
    is_cached = cache.maps is not None and cache.key == key
    if not is_cached:
        random = np.random.default_rng([recipe.fit.seed, _VIEWS])
        draws = [
            (index, int(seed))
            for row in random.integers(2**31, size=(views, len(train)))
            for index, seed in enumerate(row)
        ]
        cache.maps = None  # frees memory for the new feature maps
        maps = _compute_maps(prefix, train, draws, recipe, progress)
        val_maps = _compute_maps(prefix, val, range(len(val)), recipe, progress)
        cache.key = key
        cache.maps = maps.view(views, len(train), *maps.shape[1:]), val_maps[None]
    assert cache.maps is not None
    maps, val_maps = cache.maps
    prefix.skip()
    origin = "reused" if is_cached else f"computed in {time.monotonic() - started:.0f} s"
    _log.info(
        "feature maps of the frozen layers: %d views of each photo %s, %.0f MB; training skips "
        "%.0f%% of the forward pass and all of its backward pass",
        *(views, origin, maps.nbytes / 1e6, 100 * share),
    )
    return CachedMaps(maps, train.targets), CachedMaps(val_maps, val.targets)


def _key(prefix: FrozenPrefix, photos: str, recipe: Recipe) -> str:
    """Return a digest of everything the feature maps depend on."""
    digest = hashlib.sha256(photos.encode())
    fit = recipe.fit
    settings = (
        recipe.augment,
        fit.cached_views,
        fit.seed,
        precision(recipe),
        recipe.model.resize_mode,
    )
    digest.update(repr((*settings, recipe.model.image_size, list(prefix.stages))).encode())
    for stage in prefix.stages.values():
        for tensor in stage.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _compute_maps(
    prefix: FrozenPrefix,
    photos: Photos,
    draws: Sequence[Draw] | Sequence[int],
    recipe: Recipe,
    progress: Progress,
) -> torch.Tensor:
    """Return the feature maps of the draws, in order."""
    found = torch.empty(0)
    batches = DataLoader(photos, _BATCH, sampler=draws, num_workers=num_workers())
    done = 0
    run: Callable[[torch.Tensor], torch.Tensor] | None = None
    for images, _ in batches:
        run = run or _runner(prefix, images.shape[-1], recipe)
        maps = run(images)
        if not done:
            size = maps[0].nbytes * len(draws)
            if size > MEMORY_SHARE * memory_bytes():
                raise UsageError(
                    f"the feature maps would take {size / 1e9:.1f} GB of this machine's "
                    f"{memory_bytes() / 1e9:.1f} GB of memory, more than {MEMORY_SHARE:.0%}; "
                    f"lower fit.cached_views"
                )
            found = torch.empty((len(draws), *maps.shape[1:]), dtype=maps.dtype)
        found[done : done + len(maps)] = maps
        done += len(maps)
        progress(done, len(draws), "frozen layers")
    return found


def _runner(
    prefix: FrozenPrefix, image_size: int, recipe: Recipe
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from images to feature maps; on a CPU, ONNX Runtime is the faster one."""

    def with_torch(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), autocast(recipe):
            return prefix(images.to(device(), memory_format=torch.channels_last)).cpu()

    if device() != "cpu":
        return with_torch
    try:
        proto = to_onnx(nn.Sequential(*prefix.stages.values()), image_size, ("maps",))
    except RecycleNetError:  # not every network can be exported
        return with_torch
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    dtype = torch.bfloat16 if precision(recipe) == "bf16" else torch.float32

    def with_onnx(images: torch.Tensor) -> torch.Tensor:
        (maps,) = session.run(None, {"batch": images.numpy()})
        return torch.from_numpy(maps).to(dtype)

    return with_onnx
