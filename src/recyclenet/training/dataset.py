"""Datasets and data loaders; a seed and an epoch determine the batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import distributed
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import InterpolationMode, v2

from recyclenet.core.images import decode_image
from recyclenet.core.preprocess import Preprocess
from recyclenet.data.manifest import Manifest
from recyclenet.training.augment import change
from recyclenet.training.machine import device, memory_bytes, num_workers
from recyclenet.training.recipe import AugmentSection, Sampling

# Largest share of the machine's memory for one dataset's decoded photos.
MEMORY_SHARE = 0.15
Example = tuple[torch.Tensor, int]
# What the sampler passes to the dataset: a photo's index and the seed of its augmentation.
Draw = tuple[int, int]


class Photos(Dataset[Example]):
    """A dataset whose targets are known in advance.

    Attributes:
        targets: N targets.
        decodes: whether reading an example is expensive enough for worker processes.
    """

    targets: Sequence[int]
    decodes = True

    def __len__(self) -> int:
        return len(self.targets)


class DecodedPhotos:
    """Decodes photos on first access and keeps them while memory allows.

    Args:
        paths: the files.
        min_side: smallest allowed length of the shorter side after decoding, pixels.
        keep: keep all photos; if False, only the last one.
    """

    def __init__(self, paths: Sequence[Path], min_side: int, *, keep: bool = True) -> None:
        self._paths = paths
        self._min_side = min_side
        self._keep = keep
        self._cache: dict[int, npt.NDArray[np.uint8]] = {}
        self._free_bytes = MEMORY_SHARE * memory_bytes() / max(1, num_workers())

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the image of a photo, `(H, W, 3)`."""
        image = self._cache.get(index)
        if image is None:
            image = decode_image(self._paths[index], min_side=self._min_side)
            if not self._keep:
                self._cache = {index: image}
            elif image.nbytes <= self._free_bytes:
                self._free_bytes -= image.nbytes
                self._cache[index] = image
        return image


class EvaluationPhotos(Photos):
    """Photos with the evaluation transform.

    Args:
        manifest: the photos.
        class_names: names of the classes, in order of the targets.
        preprocess: the evaluation transform.
        keep: keep the decoded photos for the next time.
    """

    def __init__(
        self,
        manifest: Manifest,
        class_names: tuple[str, ...],
        preprocess: Preprocess,
        *,
        keep: bool = True,
    ) -> None:
        self.targets = [class_names.index(sample.label) for sample in manifest]
        paths = [sample.path for sample in manifest]
        self._photos = DecodedPhotos(paths, preprocess.min_side, keep=keep)
        self._preprocess = preprocess

    def __getitem__(self, index: int) -> Example:
        """Return the image `(3, S, S)` float32 and its target."""
        image = self._preprocess(self._photos[index])
        return torch.from_numpy(image), self.targets[index]


class TrainingPhotos(Photos):
    """Photos with random crops and augmentation, determined by the seed of each draw.

    Args:
        manifest: the photos.
        class_names: names of the classes, in order of the targets.
        preprocess: the evaluation transform, for its mean and std.
        augment: the recipe's augmentation.
        keep: keep the decoded photos for the next epochs.
    """

    def __init__(
        self,
        manifest: Manifest,
        class_names: tuple[str, ...],
        preprocess: Preprocess,
        augment: AugmentSection,
        *,
        keep: bool = True,
    ) -> None:
        self.targets = [class_names.index(sample.label) for sample in manifest]
        paths = [sample.path for sample in manifest]
        self._photos = DecodedPhotos(paths, 2 * augment.crop_size, keep=keep)
        self._preprocess = preprocess
        self._transform = augmentation(augment)

    def __getitem__(self, draw: Draw) -> Example:
        """Return the image `(3, crop_size, crop_size)` float32 and its target."""
        index, seed = draw
        image = self._photos[index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            changed: npt.NDArray[np.uint8] = np.asarray(self._transform(Image.fromarray(image)))
        return torch.from_numpy(self._preprocess.normalise(changed)), self.targets[index]


def augmentation(augment: AugmentSection) -> v2.Transform:
    """Return a recipe's augmentation, which maps a Pillow image to a Pillow image."""
    steps: list[v2.Transform] = [
        v2.RandomResizedCrop(
            augment.crop_size,
            scale=(augment.min_scale, 1.0),
            interpolation=InterpolationMode.BICUBIC,
        )
    ]
    if augment.horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if augment.vertical_flip:
        steps.append(v2.RandomVerticalFlip())
    if augment.trivial_augment:
        steps.append(v2.TrivialAugmentWide())
    for group in augment.groups:
        steps.append(v2.Lambda(partial(change, group=group, probability=augment.probability)))
    return v2.Compose(steps)


class SeededSampler(Sampler[Draw]):
    """Shuffles the photos in every epoch; only the seed and the epoch determine the order.

    A resumed run therefore sees the same batches as an uninterrupted one. In distributed training,
    each process gets its part of every batch.

    Args:
        num_samples: number of photos.
        seed: random seed.
        probabilities: sampling probability of each photo, with replacement; empty to draw each
            photo once.
        num_branches: number of independent orders; a batch contains one block of each.
        block_size: number of draws per block.
    """

    def __init__(
        self,
        num_samples: int,
        seed: int,
        probabilities: Sequence[float] = (),
        num_branches: int = 1,
        block_size: int = 1,
    ) -> None:
        self._num_samples = num_samples
        self._seed = seed
        self._probabilities = probabilities
        self._num_branches = num_branches
        self._block_size = block_size
        self._epoch = 0
        self._skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the training loop calls this."""
        self._epoch = epoch

    def skip(self, num_draws: int) -> None:
        """Leave out this process's first draws of the next epoch: they are done already."""
        self._skipped = num_draws

    def __len__(self) -> int:
        return self._num_branches * self._num_samples // _processes()[1]

    def __iter__(self) -> Iterator[Draw]:
        random = np.random.default_rng([self._seed, self._epoch])
        orders = [self._order(random) for _ in range(self._num_branches)]
        draws = [
            draw
            for start in range(0, self._num_samples, self._block_size)
            for order in orders
            for draw in order[start : start + self._block_size]
        ]
        rank, num_processes = _processes()
        skipped, self._skipped = self._skipped, 0
        return iter(draws[rank::num_processes][skipped : len(self)])

    def _order(self, random: np.random.Generator) -> list[Draw]:
        if self._probabilities:
            order = random.choice(self._num_samples, self._num_samples, p=self._probabilities)
        else:
            order = random.permutation(self._num_samples)
        seeds = random.integers(2**31, size=self._num_samples)
        return list(zip(order.tolist(), seeds.tolist(), strict=True))


def _processes() -> tuple[int, int]:
    """Return the rank of this process and the number of processes."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def sampling_probabilities(manifest: Manifest, sampling: Sampling) -> list[float]:
    """Return the sampling probability of each photo; empty for "none".

    With n photos in its class ("class"), its domain ("domain") or its class within its domain
    ("domain-class"), the probability of a photo is proportional to 1/n, 1/n or 1/sqrt(n). The root
    is a compromise: the photos of a small cell come up more often, but four photos are not
    repeated as often as four hundred are drawn.
    """
    if sampling == "none":
        return []
    cells = [
        (sample.label if sampling != "domain" else "", sample.domain if sampling != "class" else "")
        for sample in manifest
    ]
    counts = Counter(cells)
    power = 0.5 if sampling == "domain-class" else 1.0
    weights = np.array([counts[cell] ** -power for cell in cells])
    return [float(weight) for weight in weights / weights.sum()]


def training_loader(
    photos: Photos,
    batch_size: int,
    seed: int,
    *,
    probabilities: Sequence[float] = (),
    num_branches: int = 1,
    num_processes: int = 1,
) -> DataLoader[Example]:
    """Return shuffled batches: images `(N, 3, S, S)` float32 and targets `(N,)` int64.

    An incomplete last batch is dropped, unless it is the only one: the batch statistics of a few
    images are too noisy.

    Args:
        photos: the training photos.
        batch_size: photos per step and branch, over all processes.
        seed: random seed of the order.
        probabilities: sampling probability of each photo, with replacement; empty to draw each
            photo once.
        num_branches: number of branches; a batch has one block of `batch_size` photos for each.
        num_processes: number of processes that share each batch.
    """
    sampler = SeededSampler(len(photos), seed, probabilities, num_branches, batch_size)
    size = num_branches * batch_size // num_processes
    return _loader(photos, size, sampler=sampler, drop_last=len(photos) >= batch_size)


def evaluation_loader(photos: Photos, batch_size: int) -> DataLoader[Example]:
    """Return all photos in order, in batches."""
    return _loader(photos, batch_size)


def _loader(photos: Photos, batch_size: int, **options: Any) -> DataLoader[Example]:
    workers = num_workers() if photos.decodes else 0
    return DataLoader(
        photos,
        batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device() == "cuda",
        **options,
    )
