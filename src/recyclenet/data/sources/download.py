"""Getting TrashNet, copying it, and checking a copy of it, photo by photo.

A photo is put into the user's folder only if its SHA-256 digest is the one that the package's own
manifest names. What already lies there is never overwritten or deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from recyclenet.core.files import write_bytes
from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Sample,
    read_manifest,
    trashnet_manifest,
    write_manifest,
)
from recyclenet.data.sources import origins
from recyclenet.data.sources.fetch import Fetcher, discard
from recyclenet.data.sources.web import FetchError, check_url, shown
from recyclenet.errors import (
    EXIT_FAILURE,
    EXIT_OK,
    EXIT_PARTIAL,
    DataError,
    Interrupted,
    UsageError,
)

_log = logging.getLogger(__name__)
# Two archives of about 43 MB and, as a last resort, the same photos one by one.
SOURCES = (
    "https://github.com/garythung/trashnet/raw/master/data/dataset-resized.zip",
    "https://huggingface.co/datasets/garythung/trashnet/resolve/main/dataset-resized.zip",
    "https://raw.githubusercontent.com/sangminwoo/RecycleNet/HEAD/data/dataset-resized/",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadReport:
    """How a copy of a dataset, in a folder or an archive, compares with its manifest.

    Attributes:
        num_verified: photos that are there with the right content.
        num_added: those of them that this run put there.
        num_received_bytes: bytes that came over the network, failed attempts included.
        different: names of the manifest under which something else lies.
        extra: other visible files beside the photos.
        problems: one line for each source that could not give everything asked of it, and for
            what else the user should know.
        manifest: the table of photos, labels and splits in `place`, if there is one.
    """

    place: Path
    num_expected: int
    num_verified: int
    num_added: int = 0
    num_received_bytes: int = 0
    missing: tuple[str, ...] = ()
    different: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    manifest: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether every photo is there with the right content."""
        return self.num_verified == self.num_expected

    @property
    def exit_code(self) -> int:
        """0 if complete, 3 if some photos are missing or wrong, 1 if none is there."""
        if self.complete:
            return EXIT_OK
        return EXIT_PARTIAL if self.num_verified else EXIT_FAILURE


def verify_trashnet(
    place: Path, *, manifest: Manifest | None = None, progress: Progress = silent
) -> DownloadReport:
    """Compare a folder or a zip archive with the manifest; nothing is written.

    Raises:
        UsageError: `place` does not exist.
        DataError: it is neither a folder nor a readable zip archive.
        Interrupted: the user stopped it.
    """
    manifest = manifest or trashnet_manifest()
    missing = _by_name(manifest)
    place, photos = origins.photos_at(place, missing, progress)
    try:
        _take(photos, missing)
    except KeyboardInterrupt:
        raise Interrupted("stopped; nothing was changed") from None
    return _report(place, manifest, missing)


def get_trashnet(
    to: Path,
    *,
    sources: Sequence[str | Path] = SOURCES,
    manifest: Manifest | None = None,
    fetcher: Fetcher | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> DownloadReport:
    """Bring TrashNet into a folder; a later call continues and completes an earlier one.

    Which source is used and what went wrong with it is logged.

    Args:
        to: the folder; made if missing.
        sources: in order, folders or zip archives, or addresses of either; that of a folder ends
            in "/". Each supplies what the ones before it could not.
        manifest: the photos to get, with relative paths and digests; TrashNet's if None.
        fetcher: what asks servers.
        progress: is told how many bytes have come or are checked.
        force: another manifest in the folder is replaced.

    Raises:
        UsageError: a source does not exist or is no http(s) address, or `to` is a file.
        DataError: another file lies in `to` under a photo's name, or no photo could be had.
        RecycleNetError: the folder cannot be written, or the disk is full.
        Interrupted: the user stopped it; what has arrived is kept.
    """
    manifest, fetcher = manifest or trashnet_manifest(), fetcher or Fetcher()
    missing = _by_name(manifest)
    offers = [_offer(source, to, missing, fetcher, progress) for source in sources]
    if to.exists() and not to.is_dir():
        raise UsageError(f"{to} is a file; name a folder to put the photos in")
    try:
        _take(origins.in_folder(to, missing, progress), missing)
        for name in missing:
            _check_free(to / name)
        num_missing = len(missing)
        problems = _fill(to, missing, offers)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped with {len(manifest) - len(missing)} of {len(manifest)} photos in {to}; the "
            f"same command continues from here"
        ) from None
    if len(missing) == len(manifest):
        raise DataError(
            "no photo could be downloaded: " + "; ".join(problems or ["no source given"])
        )
    if not missing:
        for part in to.glob(f".recyclenet-{'[0-9a-f]' * 16}.part"):
            discard(part)
        if problem := _write_table(to, manifest, force):
            problems.append(problem)
            _log.info("%s", problem)
    return replace(
        _report(to, manifest, missing),
        num_added=num_missing - len(missing),
        num_received_bytes=fetcher.num_received_bytes,
        problems=tuple(problems),
    )


def _by_name(manifest: Manifest) -> dict[str, Sample]:
    """The rows by CLASS/PHOTO, as archives and addresses write it."""
    return {sample.path.as_posix(): sample for sample in manifest}


def _take(photos: origins.Photos, missing: dict[str, Sample], folder: Path | None = None) -> None:
    """Take the photos that are right from `missing`, and put them into `folder`, if it is given."""
    for name, content in photos:
        if hashlib.sha256(content).hexdigest() == missing[name].sha256:
            if folder is not None:
                _check_free(folder / name)  # somebody may have put a file there meanwhile
                write_bytes(folder / name, content)
            del missing[name]


def _offer(
    source: str | Path, to: Path, missing: dict[str, Sample], fetcher: Fetcher, progress: Progress
) -> tuple[str, origins.Photos]:
    """Return the name of a source, and what it has of the photos that are missing."""
    if isinstance(source, Path):
        return str(source), origins.photos_at(source, missing, progress)[1]
    url = check_url(source)
    if url.endswith("/"):
        return shown(url), origins.at_base_url(url, missing, fetcher, progress)
    part = to / f".recyclenet-{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    return shown(url), origins.at_archive_url(url, part, missing, fetcher, progress)


def _fill(
    folder: Path, missing: dict[str, Sample], offers: Iterable[tuple[str, origins.Photos]]
) -> list[str]:
    """Ask one source after the other for what is missing; return what they could not give."""
    problems: list[str] = []
    for title, photos in offers:
        if not missing:
            break
        _log.info("getting %d photos from %s", len(missing), title)
        try:
            _take(photos, missing, folder)
            problem = f"{title}: {len(missing)} photos missing or damaged"
        except (FetchError, origins.ArchiveError) as error:
            problem = str(error)
        if missing:
            problems.append(problem)
            _log.info("%s", problem)
    return problems


def _check_free(path: Path) -> None:
    if os.path.lexists(path):
        raise DataError(
            f"{path} differs from the dataset's photo of that name and is never overwritten; move "
            f"it away or choose another folder"
        )


def _write_table(folder: Path, manifest: Manifest, force: bool) -> str:
    """Write the manifest beside the photos; if the user has another one there, say so."""
    table = folder / MANIFEST_NAME
    if os.path.lexists(table):
        with suppress(DataError, UsageError):
            if read_manifest(table).fingerprint == manifest.fingerprint:
                return ""
        if not force:
            return (
                f"{table} is not the published table of splits and was left as it is; run the "
                f"command again with --force to get that table"
            )
    folder = folder.resolve()
    rows = (replace(sample, path=folder / sample.path) for sample in manifest)
    write_manifest(Manifest(tuple(rows)), folder / MANIFEST_NAME)
    return ""


def _report(place: Path, manifest: Manifest, missing: Collection[str]) -> DownloadReport:
    files, known = origins.files_at(place), _by_name(manifest)
    names, table = set(files.values()), place / MANIFEST_NAME
    return DownloadReport(
        place=place,
        num_expected=len(manifest),
        num_verified=len(manifest) - len(missing),
        missing=tuple(name for name in missing if name not in names),
        different=tuple(name for name in missing if name in names),
        extra=tuple(sorted(path for path, name in files.items() if name not in known)),
        manifest=table if table.is_file() else None,
    )
