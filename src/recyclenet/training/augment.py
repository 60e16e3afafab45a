"""Groups of random augmentations, applied during training or written as files.

The groups are those of the RecycleNet paper, with torchvision's nearest equivalents of its
Albumentations transforms.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from recyclenet.core.files import write_bytes
from recyclenet.core.images import decode_image
from recyclenet.core.progress import Progress, silent
from recyclenet.core.text import show_path
from recyclenet.data.manifest import Manifest, Sample, readable_digest
from recyclenet.errors import ImageError, UsageError, look_up

PROBABILITIES = {"low": 0.1, "mid": 0.3, "high": 0.5}
_QUALITY = 92
Transforms = list[v2.Transform]


def change(image: Image.Image, group: str, probability: float) -> Image.Image:
    """Apply a group of augmentations to an image, with torch's global random generator.

    Args:
        image: RGB.
        group: one of `GROUPS`.
        probability: probability of each augmentation in the group.

    Returns:
        An image of the same size.

    Raises:
        UsageError: the group is unknown.
    """
    transforms = look_up(group, _GROUPS, "augmentation group")(probability, image.size)
    to_bytes = v2.ToDtype(torch.uint8, scale=True)
    pipeline = v2.Compose([v2.ToImage(), *transforms, to_bytes, v2.ToPILImage()])
    changed: Image.Image = pipeline(image)
    return changed


def _basic(p: float, size: tuple[int, int]) -> Transforms:
    width, height = size
    crop = v2.RandomResizedCrop((height, width), (0.5, 1.0), (width / height, width / height))
    jitters = v2.ColorJitter(brightness=0.2), v2.ColorJitter(contrast=0.2)
    return [v2.RandomApply([transform], p) for transform in (crop, *jitters)]


def _affine(p: float, size: tuple[int, int]) -> Transforms:
    bilinear = InterpolationMode.BILINEAR
    rotations: Transforms = [
        v2.RandomRotation((-90, 90), bilinear),
        v2.RandomAffine(45, (0.0625, 0.0625), (0.9, 1.1), interpolation=bilinear),
    ]
    return [v2.RandomApply([v2.RandomChoice(rotations)], p), *_flips(p, size)]


def _blur_distortion(p: float, size: tuple[int, int]) -> Transforms:
    distortions: Transforms = [
        v2.ColorJitter(saturation=0.3, hue=0.05),
        v2.RandomChannelPermutation(),
        v2.RandomEqualize(1),
        v2.RandomInvert(1),
    ]
    # These transforms fail on images with too few pixels.
    blurs: Transforms = []
    if min(size) > 3:
        blurs.append(v2.RandomApply([v2.GaussianBlur(3)], p))
        distortions.append(v2.RandomPerspective(0.2, 1))
    if min(size) > 20:
        distortions.append(v2.ElasticTransform())
    noise: Transforms = [v2.ToDtype(torch.float32, scale=True), v2.GaussianNoise(sigma=0.03)]
    return [
        *blurs,
        v2.RandomApply([v2.RandomChoice(distortions)], p),
        v2.RandomApply(noise, p),
    ]


def _flips(p: float, size: tuple[int, int]) -> Transforms:
    return [v2.RandomHorizontalFlip(p), v2.RandomVerticalFlip(p)]


_GROUPS: dict[str, Callable[[float, tuple[int, int]], Transforms]] = {
    "basic": _basic,
    "affine": _affine,
    "blur-distortion": _blur_distortion,
    "flips": _flips,
}
GROUPS = tuple(_GROUPS)


def write_copies(
    manifest: Manifest,
    groups: Sequence[str],
    probability: float,
    out: Path,
    seed: int,
    progress: Progress = silent,
    *,
    force: bool = False,
) -> Manifest:
    """Write one augmented copy of every training photo per augmentation group.

    Args:
        manifest: photos; if they have splits, only training photos get copies.
        groups: names from `GROUPS`.
        probability: probability of each augmentation.
        out: folder for the copies, with one subfolder per class; must be new or empty.
        seed: random seed; a photo's copies do not depend on the other photos.
        progress: reports the number of copies written.
        force: allow a folder that is not empty and replace files of the same name, but never a
            photo of the manifest.

    Returns:
        The manifest's rows followed by those of the copies. A photo and its copies share a group,
        so that a split never separates them.

    Raises:
        UsageError: the folder is not empty, a group is unknown, or a label cannot name a folder.
        ImageError: a photo cannot be read.
    """
    for group in groups:
        look_up(group, _GROUPS, "augmentation group")
    for label in manifest.class_names:
        if Path(label).name != label or label == "..":
            raise UsageError(f"the label {label!r} cannot name a folder; rename the class")
    if not force and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose another --copies, or add --force")
    photos = {os.path.realpath(sample.path) for sample in manifest}
    sources = [sample for sample in manifest if sample.split in ("", "train")]
    group_ids = {sample.path: sample.group or _key(sample)[:16] for sample in sources}
    copies: list[Sample] = []
    for sample in sources:
        image = Image.fromarray(decode_image(sample.path))
        for group in groups:
            digest = hashlib.sha256(f"{seed}\t{_key(sample)}\t{group}".encode()).digest()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int.from_bytes(digest[:7], "big"))
                changed = change(image, group, probability)
            content = io.BytesIO()
            changed.save(content, "JPEG", quality=_QUALITY)
            name = f"{sample.path.stem}.{_key(sample)[:8]}.{group}.jpg"
            path = out / sample.label / name
            if os.path.realpath(path) in photos:
                raise UsageError(f"{path} is a photo of the manifest; choose another --copies")
            write_bytes(path, content.getvalue())
            copies.append(
                Sample(
                    path,
                    sample.label,
                    sample.split,
                    hashlib.sha256(content.getvalue()).hexdigest(),
                    source=str(sample.path),
                    licence=sample.licence,
                    group=group_ids[sample.path],
                    domain=sample.domain,
                )
            )
            progress(len(copies), len(sources) * len(groups))
    rows = (replace(s, group=group_ids.get(s.path, s.group)) for s in manifest)
    return Manifest((*rows, *copies))


def _key(sample: Sample) -> str:
    """Return the SHA-256 digest that identifies a photo.

    Raises:
        ImageError: the photo cannot be read.
    """
    digest = sample.sha256 or readable_digest(sample.path)
    if not digest:
        raise ImageError(f"cannot read {show_path(sample.path)}: it is missing or not a photo")
    return digest
