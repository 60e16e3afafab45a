"""What is wrong with the photos of a dataset, and which of them should go."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import ImageArray, ImageSource, decoded
from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.duplicates import Pair, clusters
from recyclenet.data.quality.looks import SIDE, blurriness
from recyclenet.data.quality.quarantine import Departure

# Kind of fault -> whether photos with it are removed by default.
KINDS = {
    "unreadable": True,
    "marked": True,
    "small": True,
    "odd_aspect": True,
    "dark": True,
    "light": True,
    "overexposed": True,
    "washed_out": False,
    "low_information": False,
    "duplicate": True,
    "near_duplicate": True,
    "two_labels": True,
    "label": False,
    "blurry": False,
    "grey": False,
}
# Faults for which a photo is removed because another one stays.
COPIES = ("duplicate", "near_duplicate")
# Pixels with all channels at `BLOWN` or above have lost their detail. Of the others, those with
# two channels at `CLIPPED` have lost their colour, those with all at `FADED` nearly their detail.
BLOWN, CLIPPED, FADED = 250, 254, 240
# In an overexposed photo, much of the remaining object is clipped, and the blown part has a long
# ragged border (`BORDER` pixels wide). Goods on pure white have a clean border, and shadows that
# fade into the white. A photo is overexposed if the weighted sum of the square roots of these
# shares exceeds `OVEREXPOSED` and the object is clipped at all; above `WASHED_OUT`, it may be.
# The weights are the rounded ones of a logistic regression that tells every other photo of four
# sources from the same photo made three times as bright; 0.7% of the worst source's photos are
# above the limit. `benchmarks/clean.py exposure` fits them anew and measures on the other photos.
BORDER = 2
WEIGHTS = {"clipped": 22, "faded": -41, "border": 30}
OVEREXPOSED, WASHED_OUT, MIN_CLIPPED = 3.6, 2.4, 0.005
# Pixels whose channels differ by more have colour; a photo with hardly any is grey.
COLOURED = 8
MIN_COLOURED_SHARE = 0.001
# 0 is sharp, 1 has no edge. 1% of TrashNet's photos (every fifth was measured) are above, and 92%
# of them after a blur with a radius of 4 of their 512 pixels.
MAX_BLUR = 0.52
_CHUNK = 512
# What cleanvision looks for (https://github.com/cleanlab/cleanvision). Its blur is not used:
# TrashNet photos blurred with a radius of 16 pixels keep a score far from its threshold.
_VISION = ("dark", "light", "low_information")


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault of one photo.

    Attributes:
        sample: the photo.
        kind: one of `KINDS`.
        detail: in words or numbers.
        other: the photo it is a copy of; None for other kinds.
    """

    sample: Sample
    kind: str
    detail: str
    other: Sample | None = None


def find_issues(
    manifest: Manifest,
    pairs: Sequence[Pair],
    *,
    min_side: int,
    max_aspect: float,
    going: Collection[Path] = (),
    progress: Progress = silent,
) -> list[Issue]:
    """Look for every fault that the photos themselves show.

    Args:
        manifest: photos as a scan describes them.
        pairs: its rows that show one picture.
        min_side: pixels; a photo with a shorter side is small.
        max_aspect: long side over short side; above it is odd.
        going: photos that are removed in any case; of their copies, another one stays.
        progress: is told how many photos are done.

    Raises:
        ImageError: a photo can no longer be read.
    """
    issues = list(_shapes(manifest, min_side, max_aspect))
    for start in range(0, len(manifest), _CHUNK):
        samples = manifest.samples[start : start + _CHUNK]
        with ThreadPoolExecutor(num_cores()) as pool:
            pictures = list(pool.map(shrunk, (sample.path for sample in samples)))
            tones = list(pool.map(_tone, pictures))
        for sample, tone in zip(samples, tones, strict=True):
            issues += _faults(sample, tone)
        issues += _looks(samples, pictures)
        progress(start + len(samples), len(manifest))
    faulty = {issue.sample.path for issue in issues}
    return issues + list(_copies(manifest, pairs, faulty, going))


def find_label_issues(
    samples: Sequence[Sample],
    probabilities: npt.NDArray[np.floating],
    class_names: Sequence[str],
) -> list[Issue]:
    """Look for labels that are likely wrong, by confident learning (arXiv:1911.00068).

    Args:
        samples: N photos.
        probabilities: `(N, K)`, each row from a model that did not train on its photo.
        class_names: K names.

    Returns:
        The likely errors, the worst first.
    """
    from cleanlab.filter import find_label_issues as confident_learning

    labels = np.array([class_names.index(sample.label) for sample in samples])
    rows = confident_learning(
        labels,
        probabilities,
        return_indices_ranked_by="self_confidence",
        # Finds more than cleanlab's default, with as few false alarms, at every size and rate tried
        # (`benchmarks/clean.py labels`).
        filter_by="prune_by_class",
        # Its worker processes read global variables, which only a forked worker has.
        n_jobs=1,
    )
    return [
        Issue(
            samples[row],
            "label",
            f"rather {class_names[int(probabilities[row].argmax())]} "
            f"({probabilities[row].max():.0%}, {samples[row].label} "
            f"{probabilities[row, labels[row]]:.0%})",
        )
        for row in rows
    ]


def without(manifest: Manifest, issues: Iterable[Issue], kinds: Iterable[str]) -> Manifest:
    """Return the manifest without the photos that have an issue of these kinds."""
    chosen = frozenset(kinds)
    gone = {issue.sample.path for issue in issues if issue.kind in chosen}
    return Manifest(tuple(sample for sample in manifest if sample.path not in gone))


def find_departures(issues: Iterable[Issue], kinds: Iterable[str]) -> list[Departure]:
    """Return the photos to remove for these kinds of faults, sorted by path.

    If the original of a copy is itself removed as a copy, the copy refers to the photo that stays.
    """
    chosen = frozenset(kinds)
    going: dict[Path, Issue] = {}
    for issue in issues:
        if issue.kind in chosen:
            going.setdefault(issue.sample.path, issue)
    departures = []
    for _, issue in sorted(going.items()):
        last: Issue | None = issue
        stays = None
        while last is not None:
            stays = last.other if last.kind in COPIES else None
            last = going.get(stays.path) if stays else None
        departures.append(Departure(issue.sample, issue.kind, stays))
    return departures


def _shapes(manifest: Manifest, min_side: int, max_aspect: float) -> Iterator[Issue]:
    for sample in manifest:
        short, long = sorted((sample.width, sample.height))
        size = f"{sample.width}x{sample.height}"
        if short < min_side:
            yield Issue(sample, "small", size)
        elif long / short > max_aspect:
            yield Issue(sample, "odd_aspect", size)


def _copies(
    manifest: Manifest,
    pairs: Sequence[Pair],
    faulty: Collection[Path],
    going: Collection[Path],
) -> Iterator[Issue]:
    """Keep the best of the photos that show one picture; none if their labels differ."""
    samples = manifest.samples

    def merit(row: int) -> tuple[bool, bool, int, int, int]:
        sample = samples[row]
        stays, good = sample.path not in going, sample.path not in faulty
        return stays, good, sample.width * sample.height, sample.num_bytes, -row

    for cluster in clusters(len(samples), (pair.rows for pair in pairs)):
        if len({samples[row].label for row in cluster}) > 1:
            for row in cluster:
                other = next(r for r in cluster if samples[r].label != samples[row].label)
                yield Issue(
                    samples[row], "two_labels", f"also {samples[other].label}", samples[other]
                )
            continue
        best = max(cluster, key=merit)
        first = {samples[best].sha256: best}  # of the same bytes
        for row in (row for row in cluster if row != best):
            same = first.setdefault(samples[row].sha256, row)
            if same != row:
                yield Issue(samples[row], "duplicate", "same bytes", samples[same])
            else:
                yield Issue(samples[row], "near_duplicate", "same picture", samples[best])


def _faults(sample: Sample, tone: _Tone) -> Iterator[Issue]:
    """Yield faults of light, colour and sharpness; they depend on this photo alone."""
    score = exposure(tone.shares)
    if score > WASHED_OUT:
        sure = score > OVEREXPOSED and tone.shares["clipped"] > MIN_CLIPPED
        detail = ", ".join(f"{share:.0%} {name}" for name, share in tone.shares.items())
        yield Issue(sample, "overexposed" if sure else "washed_out", detail)
    if tone.coloured < MIN_COLOURED_SHARE:
        yield Issue(sample, "grey", "no colours")
    if tone.blur > MAX_BLUR:
        yield Issue(sample, "blurry", f"blur {tone.blur:.2f}")


def shrunk(source: ImageSource) -> Image.Image:
    """Return a photo at reduced size, at most `SIDE` pixels a side."""
    with decoded(source, min_side=SIDE) as pixels:
        picture = Image.fromarray(pixels)
        picture.thumbnail((SIDE, SIDE))
        return picture


@dataclass(frozen=True, slots=True)
class _Tone:
    """What a picture's pixels say.

    Attributes:
        shares: how much of them shows too much light; see `exposure_shares`.
        coloured: share with colour.
        blur: 0 to 1.
    """

    shares: dict[str, float]
    coloured: float
    blur: float


def _tone(picture: Image.Image) -> _Tone:
    pixels = np.asarray(picture)
    return _Tone(
        shares=exposure_shares(pixels),
        coloured=float((np.ptp(pixels, axis=2) > COLOURED).mean()),
        blur=blurriness(np.asarray(picture.convert("L"), np.float32)),
    )


def exposure_shares(pixels: ImageArray) -> dict[str, float]:
    """Return how much of a picture `(H, W, 3)` shows too much light.

    Returns:
        "clipped", a share of the pixels that are not blown; "faded" and "border", shares of all.
    """
    from scipy.ndimage import binary_dilation

    lowest, middle, _ = np.moveaxis(np.sort(pixels, axis=2), 2, 0)
    blown = lowest >= BLOWN
    rest = ~blown
    return {
        "clipped": float((middle[rest] >= CLIPPED).sum() / max(1, rest.sum())),
        "faded": float((rest & (lowest >= FADED)).mean()),
        "border": float((rest & binary_dilation(blown, iterations=BORDER)).mean()),
    }


def exposure(shares: Mapping[str, float]) -> float:
    """Return how much a picture of such shares looks overexposed; see `WEIGHTS`."""
    return float(sum(weight * shares[name] ** 0.5 for name, weight in WEIGHTS.items()))


def _looks(samples: Sequence[Sample], pictures: Sequence[Image.Image]) -> list[Issue]:
    from cleanvision import Imagelab

    # What it needs of a torchvision dataset: pictures by number, each in a tuple.
    lab = Imagelab(torchvision_dataset=[(picture,) for picture in pictures])
    with redirect_stderr(io.StringIO()):  # it draws a bar of its own
        lab.find_issues({kind: {} for kind in _VISION}, verbose=False)
    issues = []
    for number, sample in enumerate(samples):
        row = lab.issues.loc[number]
        issues += [
            Issue(sample, kind, f"score {row[f'{kind}_score']:.2f}")
            for kind in _VISION
            if row[f"is_{kind}_issue"]
        ]
    return issues
