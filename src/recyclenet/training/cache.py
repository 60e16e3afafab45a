"""Cache the frozen layers' feature maps: computed once per view, not in every epoch."""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.errors import RecycleNetError, UsageError
from recyclenet.models.cost import count_layers, multiply_adds
from recyclenet.models.network import Network, freeze_first
from recyclenet.models.onnx import to_onnx
from recyclenet.models.prefix import FrozenPrefix, frozen_prefix
from recyclenet.training.dataset import Draw, Example, Photos
from recyclenet.training.machine import autocast, device, memory_bytes, precision
from recyclenet.training.recipe import Recipe

_log = logging.getLogger(__name__)
# Largest share of the machine's memory for the feature maps.
MEMORY_SHARE = 0.5
_BATCH = 32
# With fewer batches, starting worker processes takes longer than they save.
_MIN_BATCHES_FOR_WORKERS = 16
# Seeds the views' random draws independently of the epochs' draws ("view" in ASCII).
_VIEWS = 0x76696577
Runner = Callable[[torch.Tensor], torch.Tensor]


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
    unchanged: Photos,
    val: Photos,
    photos: str,
    recipe: Recipe,
    progress: Progress = silent,
    cache: MapCache | None = None,
) -> tuple[CachedMaps, CachedMaps]:
    """Compute the frozen layers' feature maps for `fit.cached_views` views of each training photo.

    With `fit.clean_view`, the evaluation transform gives one more view. A validation photo has only
    that one. Afterwards the network takes
    feature maps instead of images.

    Args:
        model: the network; this function freezes its first layer groups.
        train: training photos.
        unchanged: the same photos with the evaluation transform.
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
    if recipe.fit.clean_view and recipe.augment.crop_size != recipe.model.image_size:
        raise UsageError(
            f"fit.clean_view needs views of one size; set augment.crop_size = "
            f"{recipe.model.image_size}, the value of model.image_size"
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
        seeds = random.integers(2**31, size=(views, len(train)))
        cache.maps = None  # frees memory for the new feature maps
        runner = functools.cache(functools.partial(_runner, prefix, recipe))
        maps = _compute_maps(train, seeds, runner, progress)
        if recipe.fit.clean_view:
            clean = _compute_maps(unchanged, None, runner, progress)
            maps = torch.cat([maps, clean])
        cache.maps = maps, _compute_maps(val, None, runner, progress)
        cache.key = key
    assert cache.maps is not None
    maps, val_maps = cache.maps
    prefix.skip()
    origin = "reused" if is_cached else f"computed in {time.monotonic() - started:.0f} s"
    _log.info(
        "feature maps of the frozen layers: %d views of each photo %s, %.0f MB; training skips "
        "%.0f%% of the forward pass and all of its backward pass",
        *(len(maps), origin, maps.nbytes / 1e6, 100 * share),
    )
    return CachedMaps(maps, train.targets), CachedMaps(val_maps, val.targets)


def _key(prefix: FrozenPrefix, photos: str, recipe: Recipe) -> str:
    """Return a digest of everything the feature maps depend on."""
    digest = hashlib.sha256(photos.encode())
    fit = recipe.fit
    settings = (
        recipe.augment,
        fit.cached_views,
        fit.clean_view,
        fit.seed,
        precision(recipe),
        recipe.model.resize_mode,
    )
    digest.update(repr((*settings, recipe.model.image_size, list(prefix.stages))).encode())
    for stage in prefix.stages.values():
        for tensor in stage.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


class _Draws(Dataset[torch.Tensor | RecycleNetError]):
    """Images of draws; an error is returned, not raised, so that it survives the worker process."""

    def __init__(self, photos: Photos, draws: Sequence[Draw] | Sequence[int]) -> None:
        self._photos = photos
        self._draws = draws

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, index: int) -> torch.Tensor | RecycleNetError:
        try:
            return self._photos[self._draws[index]][0]
        except RecycleNetError as error:
            return error


def _stack(images: list[torch.Tensor | RecycleNetError]) -> torch.Tensor | RecycleNetError:
    errors = [image for image in images if isinstance(image, RecycleNetError)]
    return errors[0] if errors else torch.stack(images)  # type: ignore[arg-type]


def _compute_maps(
    photos: Photos,
    seeds: npt.NDArray[np.int64] | None,
    runner: Callable[[int], Runner],
    progress: Progress,
) -> torch.Tensor:
    """Return the feature maps `(views, N, C, H, W)`.

    Args:
        photos: N photos.
        seeds: `(views, N)` seeds of the augmentation; None for one view without a seed.
        runner: returns what runs the frozen layers on images of a size.
        progress: reports the number of views done.
    """
    views = 1 if seeds is None else len(seeds)
    # All views of a photo follow each other: it is decoded once.
    draws = (
        range(len(photos))
        if seeds is None
        else [(index, int(seed)) for index, row in enumerate(seeds.T) for seed in row]
    )
    batches = DataLoader(
        _Draws(photos, draws), _BATCH, collate_fn=_stack, num_workers=_num_workers(len(draws))
    )
    found, done = torch.empty(0), 0
    for images in batches:
        if isinstance(images, RecycleNetError):
            raise images
        maps = runner(images.shape[-1])(images)
        if not done:
            size = maps[0].nbytes * len(draws)
            if size > MEMORY_SHARE * memory_bytes():
                raise UsageError(
                    f"the feature maps would take {size / 1e9:.1f} GB of this machine's "
                    f"{memory_bytes() / 1e9:.1f} GB of memory, more than {MEMORY_SHARE:.0%}; "
                    f"lower fit.cached_views"
                )
            found = torch.empty((views, len(photos), *maps.shape[1:]), dtype=maps.dtype)
        position = torch.arange(done, done + len(maps))
        found[position % views, position // views] = maps
        done += len(maps)
        progress(done, len(draws), "frozen layers")
    return found


def _num_workers(num_draws: int) -> int:
    """Return the number of processes that decode: one per core, none for a few batches."""
    return min(num_cores(), 8) if num_draws > _MIN_BATCHES_FOR_WORKERS * _BATCH else 0


def _runner(prefix: FrozenPrefix, recipe: Recipe, image_size: int) -> Runner:
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
