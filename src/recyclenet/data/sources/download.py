"""Getting TrashNet, copying it, and checking a copy of it, photo by photo.

A photo is put into the user's folder only if its SHA-256 digest is the one that the package's own
manifest names. What already lies there is never overwritten or deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from recyclenet.core.files import write_bytes
from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    read_manifest,
    trashnet_manifest,
    write_manifest,
)
from recyclenet.data.sources.fetch import Fetcher, discard
from recyclenet.data.sources.origins import (
    ArchiveError,
    Photos,
    at_archive_url,
    at_base_url,
    in_folder,
    other_files,
    photos_at,
)
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
    """How a copy of a dataset compares with its manifest. Names are relative to `place`.

    Attributes:
        place: the folder, or the archive, that was checked.
        num_expected: photos in the manifest.
        num_verified: photos that are there with the right content.
        num_added: those of them that this run put there.
        num_received_bytes: bytes that came over the network, failed attempts included.
        missing: photos that are not there.
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


class _Wanted:
    """The photos of a manifest, and what has been found of them.

    Attributes:
        samples: its rows by relative path, the way archives and addresses write it.
        missing: those of them whose right content nobody has shown yet.
        seen: the names of those that somebody has shown, with whatever content.
    """

    def __init__(self, manifest: Manifest | None) -> None:
        self.manifest = manifest or trashnet_manifest()
        self.samples = {sample.path.as_posix(): sample for sample in self.manifest}
        self.missing = dict(self.samples)
        self.seen: set[str] = set()

    def right(self, photos: Photos) -> Iterator[tuple[Path, bytes]]:
        """Yield the photos that are right; each is missing until the next one is asked for."""
        for name, content in photos:
            self.seen.add(name)
            sample = self.missing[name]
            if content is not None and hashlib.sha256(content).hexdigest() == sample.sha256:
                yield sample.path, content
                del self.missing[name]

    def check(self, photos: Photos) -> tuple[str, ...]:
        """Look at all `photos` and return the names under which only others lie.

        Raises:
            Interrupted: the user stopped it.
        """
        try:
            for _ in self.right(photos):
                pass
        except KeyboardInterrupt:
            raise Interrupted("stopped; nothing was changed") from None
        return tuple(name for name in self.missing if name in self.seen)


def verify_trashnet(
    place: Path, *, manifest: Manifest | None = None, progress: Progress = silent
) -> DownloadReport:
    """Compare a folder or a zip archive with the manifest; nothing is written.

    Raises:
        UsageError: `place` does not exist.
        DataError: it is neither a folder nor a readable zip archive.
        Interrupted: the user stopped it.
    """
    wanted = _Wanted(manifest)
    place, photos = photos_at(place, wanted.missing, progress)
    different = wanted.check(photos)
    table = place / MANIFEST_NAME
    return DownloadReport(
        place=place,
        num_expected=len(wanted.samples),
        num_verified=len(wanted.samples) - len(wanted.missing),
        missing=tuple(name for name in wanted.missing if name not in wanted.seen),
        different=different,
        extra=other_files(place, wanted.samples),
        manifest=table if table.is_file() else None,
    )


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
    wanted, fetcher = _Wanted(manifest), fetcher or Fetcher()
    offers = []
    for source in sources:
        if isinstance(source, Path):
            offers.append((str(source), photos_at(source, wanted.missing, progress)[1]))
            continue
        url = check_url(source)
        if url.endswith("/"):
            photos = at_base_url(url, wanted.missing, fetcher, progress)
        else:
            part = to / f".recyclenet-{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
            photos = at_archive_url(url, part, wanted.missing, fetcher, progress)
        offers.append((shown(url), photos))
    report = _fill(to, wanted, offers, progress, force)
    if report.complete:
        for path in to.iterdir():
            if re.fullmatch(r"\.recyclenet-[0-9a-f]{16}\.part", path.name):
                discard(path)
    return replace(report, num_received_bytes=fetcher.num_received_bytes)


def _fill(
    folder: Path,
    wanted: _Wanted,
    offers: Sequence[tuple[str, Photos]],
    progress: Progress,
    force: bool,
) -> DownloadReport:
    """Ask one source after the other for what `folder` does not have yet, and report."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder to put the photos in")
    if different := wanted.check(in_folder(folder, wanted.missing, progress)):
        raise _taken(folder / wanted.samples[different[0]].path, len(different))
    num_all, num_before, problems = len(wanted.samples), len(wanted.missing), []
    for name, photos in offers:
        if not wanted.missing:
            break
        _log.info("getting %d photos from %s", len(wanted.missing), name)
        try:
            for path, content in wanted.right(photos):
                if os.path.lexists(folder / path):  # somebody has put a file there meanwhile
                    raise _taken(folder / path, 1)
                write_bytes(folder / path, content)
            problem = f"{name}: {len(wanted.missing)} photos missing or damaged"
        except (FetchError, ArchiveError) as error:
            problem = str(error)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped with {num_all - len(wanted.missing)} of {num_all} photos in {folder}; "
                f"the same command continues from here"
            ) from None
        if wanted.missing:
            problems.append(problem)
            _log.info("%s", problem)
    if len(wanted.missing) == num_all:
        raise DataError(
            "no photo could be downloaded: " + "; ".join(problems or ["no source given"])
        )
    table = None
    if not wanted.missing:
        table = folder / MANIFEST_NAME
        if problem := _write_table(folder.resolve(), wanted.manifest, force):
            problems.append(f"{table} {problem}")
            _log.info("%s", problems[-1])
    return DownloadReport(
        place=folder,
        num_expected=num_all,
        num_verified=num_all - len(wanted.missing),
        num_added=num_before - len(wanted.missing),
        missing=tuple(wanted.missing),
        extra=other_files(folder, wanted.samples),
        problems=tuple(problems),
        manifest=table,
    )


def _taken(path: Path, num_taken: int) -> DataError:
    more = f" and {num_taken - 1} more" if num_taken > 1 else ""
    return DataError(
        f"{path}{more} differs from the dataset's photo of that name and is never "
        f"overwritten; move it away or choose another folder"
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
                "is not the published table of splits and was left as it is; run the command "
                "again with --force to get that table"
            )
    write_manifest(Manifest(tuple(replace(s, path=folder / s.path) for s in manifest)), table)
    return ""
