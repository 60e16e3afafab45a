"""Random changes to pictures, in groups: while training, or as files beside the photos.

The groups are those of the RecycleNet paper, which are made of Albumentations' changes; here they
are torchvision's nearest.
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
Steps = list[v2.Transform]


def change(picture: Image.Image, group: str, probability: float) -> Image.Image:
    """Return a picture of the same size, changed at random; torch's generator decides how.

    Args:
        picture: RGB.
        group: one of `GROUPS`.
        probability: of each change in the group.

    Raises:
        UsageError: an unknown group.
    """
    steps = look_up(group, _GROUPS, "group of changes")(probability, picture.size)
    to_bytes = v2.ToDtype(torch.uint8, scale=True)
    changed: Image.Image = v2.Compose([v2.ToImage(), *steps, to_bytes, v2.ToPILImage()])(picture)
    return changed


def _basic(p: float, size: tuple[int, int]) -> Steps:
    width, height = size
    crop = v2.RandomResizedCrop((height, width), (0.5, 1.0), (width / height, width / height))
    jitters = v2.ColorJitter(brightness=0.2), v2.ColorJitter(contrast=0.2)
    return [v2.RandomApply([one], p) for one in (crop, *jitters)]


def _affine(p: float, size: tuple[int, int]) -> Steps:
    bilinear = InterpolationMode.BILINEAR
    turns: Steps = [
        v2.RandomRotation((-90, 90), bilinear),
        v2.RandomAffine(45, (0.0625, 0.0625), (0.9, 1.1), interpolation=bilinear),
    ]
    return [v2.RandomApply([v2.RandomChoice(turns)], p), *_flips(p, size)]


def _blur_distortion(p: float, size: tuple[int, int]) -> Steps:
    looks: Steps = [
        v2.ColorJitter(saturation=0.3, hue=0.05),
        v2.RandomChannelPermutation(),
        v2.RandomEqualize(1),
        v2.RandomInvert(1),
    ]
    # What a tiny picture has too few pixels for is left out.
    blurs: Steps = []
    if min(size) > 3:
        blurs.append(v2.RandomApply([v2.GaussianBlur(3)], p))
        looks.append(v2.RandomPerspective(0.2, 1))
    if min(size) > 20:
        looks.append(v2.ElasticTransform())
    noise: Steps = [v2.ToDtype(torch.float32, scale=True), v2.GaussianNoise(sigma=0.03)]
    return [
        *blurs,
        v2.RandomApply([v2.RandomChoice(looks)], p),
        v2.RandomApply(noise, p),
    ]


def _flips(p: float, size: tuple[int, int]) -> Steps:
    return [v2.RandomHorizontalFlip(p), v2.RandomVerticalFlip(p)]


_GROUPS: dict[str, Callable[[float, tuple[int, int]], Steps]] = {
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
    """Write a changed copy of every training photo for every group of changes.

    Args:
        manifest: photos; where they have splits, only training photos get copies.
        groups: names out of `GROUPS`.
        probability: of each change.
        out: folder for the copies, one folder a class; must be new or empty.
        seed: decides the changes of a photo, whatever the others are.
        progress: is told how many copies are written.
        force: the folder may be in use; files of the same names are replaced, but no photo of
            the manifest.

    Returns:
        All rows and those of the copies; a photo and its copies share a group, so that they can
        never come into two splits.

    Raises:
        UsageError: the folder is in use, an unknown group, or a label that is no folder's name.
        ImageError: a photo cannot be read.
    """
    for group in groups:
        look_up(group, _GROUPS, "group of changes")
    for label in manifest.class_names:
        if Path(label).name != label or label == "..":
            raise UsageError(f"the label {label!r} cannot be a folder's name")
    if not force and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose another --copies, or add --force")
    photos = {os.path.realpath(sample.path) for sample in manifest}
    sources = [sample for sample in manifest if sample.split in ("", "train")]
    together = {sample.path: sample.group or _key(sample)[:16] for sample in sources}
    copies: list[Sample] = []
    for sample in sources:
        picture = Image.fromarray(decode_image(sample.path))
        for group in groups:
            digest = hashlib.sha256(f"{seed}\t{_key(sample)}\t{group}".encode()).digest()
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int.from_bytes(digest[:7], "big"))
                changed = change(picture, group, probability)
            content = io.BytesIO()
            changed.save(content, "JPEG", quality=_QUALITY)
            name = f"{sample.path.stem}.{_key(sample)[:8]}.{group}.jpg"
            path = out / sample.label / name
            if os.path.realpath(path) in photos:
                raise UsageError(f"{path} is what is read; choose another --copies")
            write_bytes(path, content.getvalue())
            copies.append(
                Sample(
                    path,
                    sample.label,
                    sample.split,
                    hashlib.sha256(content.getvalue()).hexdigest(),
                    source=str(sample.path),
                    licence=sample.licence,
                    group=together[sample.path],
                )
            )
            progress(len(copies), len(sources) * len(groups))
    rows = (replace(s, group=together.get(s.path, s.group)) for s in manifest)
    return Manifest((*rows, *copies))


def _key(sample: Sample) -> str:
    """Return what names a photo for good: the digest of its bytes.

    Raises:
        ImageError: it cannot be read.
    """
    digest = sample.sha256 or readable_digest(sample.path)
    if not digest:
        raise ImageError(f"cannot read {show_path(sample.path)}: it is missing, or no photo")
    return digest
