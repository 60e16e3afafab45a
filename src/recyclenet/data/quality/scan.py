"""Scanning a dataset: every photo read once, described, and compared with the others."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from pathlib import Path

from recyclenet.core.images import decode_image, read_header
from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.core.text import show_path
from recyclenet.data.dataset import load_dataset
from recyclenet.data.identity import find_repeats
from recyclenet.data.manifest import (
    Manifest,
    Sample,
    change_since_scan,
    readable_digest,
)
from recyclenet.data.quality.duplicates import (
    SIDE,
    Pair,
    find_pairs,
    perceptual_hashes,
    with_groups,
)
from recyclenet.errors import DataError, ImageError

# This many photos are described sooner than further processes start.
_FEW = 500
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not in the manifest, and why.

    Attributes:
        sample: the row it would have been; None for what is no photo.
        reason: one line.
        kind: "unreadable", "folder" (one that was not searched), "repeat" (of another row's file)
            or "changed" (since its row was written).
    """

    sample: Sample | None
    reason: str
    kind: str = "unreadable"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan found.

    Attributes:
        manifest: the photos that can be read, described.
        problems: what was left out and why.
        pairs: the rows that show one picture.
    """

    manifest: Manifest
    problems: tuple[Problem, ...]
    pairs: tuple[Pair, ...]


def scan_dataset(source: Path, progress: Progress = silent, *, once: bool = False) -> Scan:
    """Read every photo of a dataset once and describe it; copies of one photo share a group.

    Args:
        source: as for `load_dataset`.
        progress: is told how many photos are done.
        once: leave out rows that repeat the file of another row.

    Raises:
        UsageError: the source does not exist, or holds no labelled pictures.
        DataError: no photo can be read.
    """
    folders: dict[str, None] = {}
    manifest = load_dataset(source, folders.setdefault)
    problems = [Problem(None, reason, "folder") for reason in folders]
    if once:
        manifest, repeats = without_repeats(manifest)
        problems += repeats
    described, unreadable = describe(manifest, progress)
    problems += unreadable
    if not described:
        raise DataError(
            f"none of the {len(manifest)} photos can be read; the first: {problems[0].reason}"
        )
    return group_copies(Manifest(tuple(described)), problems)


def describe(manifest: Manifest, progress: Progress = silent) -> tuple[list[Sample], list[Problem]]:
    """Read every photo once; return the described rows, and what cannot be read."""
    from joblib import Parallel, delayed

    described: list[Sample] = []
    problems: list[Problem] = []
    # Much of the work holds Python's lock, so many photos are divided among processes.
    many = len(manifest) > _FEW
    parallel = Parallel(n_jobs=-1 if many else 1, return_as="generator", batch_size=_BATCH)
    with _deaf_children() if many else nullcontext():
        results = parallel(delayed(_described)(sample) for sample in manifest)
    for done, result in enumerate(results, start=1):
        if isinstance(result, Sample):
            described.append(result)
        else:
            problems.append(result)
        progress(done, len(manifest))
    return described, problems


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach; this process receives it and ends them."""
    if sys.platform == "win32":  # no signals to block
        yield
        return
    resource_tracker.ensure_running()  # unblocks the signal when it starts, in earlier Pythons
    # They inherit the blocked signal; another thread of this process still receives it.
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def without_repeats(manifest: Manifest) -> tuple[Manifest, list[Problem]]:
    """Keep one row of each file; return the others as problems."""
    samples = manifest.samples
    repeats = find_repeats([sample.path for sample in samples])
    problems = []
    for row, first in sorted(repeats.items()):
        sample, kept = samples[row], samples[first]
        reason = f"{show_path(sample.path)} is listed twice: as {show_path(kept.path)} too"
        if kept.label != sample.label:
            reason += f", with the label {kept.label}"
        if kept.split != sample.split:
            reason += f", in the split {kept.split or 'none'}"
        problems.append(Problem(sample, reason, "repeat"))
    kept_rows = (sample for row, sample in enumerate(samples) if row not in repeats)
    return Manifest(tuple(kept_rows)), problems


def unchanged(manifest: Manifest, progress: Progress = silent) -> tuple[Manifest, list[Problem]]:
    """Keep the photos that are as their rows say; return the others as problems.

    Args:
        manifest: photos as a scan describes them.
        progress: called with the number of photos done and the number of all.

    Raises:
        DataError: none is as its row says.
    """
    kept, problems = [], []
    with ThreadPoolExecutor(num_cores()) as pool:
        for sample, change in zip(manifest, pool.map(change_since_scan, manifest), strict=True):
            if change:
                reason = f"{show_path(sample.path)} {change}"
                problems.append(Problem(sample, reason, "changed"))
            else:
                kept.append(sample)
            progress(len(kept) + len(problems), len(manifest))
    if not kept:
        raise DataError(
            f"none of the {len(manifest)} photos is unchanged since the scan; the first: "
            f"{problems[0].reason}; scan them again"
        )
    return Manifest(tuple(kept)), problems


def group_copies(manifest: Manifest, problems: Sequence[Problem] = ()) -> Scan:
    """Find the copies among described photos and give them common groups.

    Raises:
        DataError: the rows have no hashes.
    """
    pairs = find_pairs(manifest)
    grouped = with_groups(manifest, (pair.rows for pair in pairs))
    return Scan(grouped, tuple(problems), tuple(pairs))


def _described(sample: Sample) -> Sample | Problem:
    """Return the row with everything its file tells, or why that cannot be read."""
    try:
        decoded = decode_image(sample.path, min_side=SIDE)  # checks that it is a file, and its size
        content = sample.path.read_bytes()
        header = read_header(content)
    except (ImageError, OSError) as error:
        return Problem(replace(sample, sha256=readable_digest(sample.path)), str(error))
    return replace(
        sample,
        sha256=hashlib.sha256(content).hexdigest(),
        width=header.width,
        height=header.height,
        num_bytes=len(content),
        taken=header.taken,
        phash=perceptual_hashes(decoded),
    )
