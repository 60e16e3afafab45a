"""Getting TrashNet, and checking a copy of it, photo by photo.

A photo is put into the user's folder only if its SHA-256 digest is the one that the package's
own manifest names. What already lies there is never overwritten or deleted.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from recyclenet.core.files import write_bytes
from recyclenet.data.archive import ArchiveError, open_archive
from recyclenet.data.fetch import Patience, discard, fetch_bytes, fetch_file
from recyclenet.data.manifest import (
    MANIFEST_NAME,
    Manifest,
    Sample,
    read_manifest,
    trashnet_manifest,
    write_manifest,
)
from recyclenet.data.meter import show_bar
from recyclenet.data.verify import (
    MAX_PHOTO_BYTES,
    DownloadReport,
    by_name,
    check_place,
    extra_files,
    photo_folder,
    photos_in,
    scan,
    verify_trashnet,
)
from recyclenet.data.web import FetchError, check_url, shown
from recyclenet.errors import DataError, Interrupted, UsageError

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = [
    "SOURCES",
    "DownloadReport",
    "copy_trashnet",
    "download_trashnet",
    "trashnet_manifest",
    "verify_trashnet",
]

# Two archives of about 43 MB and, as a last resort, the same photos one by one.
SOURCES = (
    "https://github.com/garythung/trashnet/raw/master/data/dataset-resized.zip",
    "https://huggingface.co/datasets/garythung/trashnet/resolve/main/dataset-resized.zip",
    "https://raw.githubusercontent.com/sangminwoo/RecycleNet/HEAD/data/dataset-resized/",
)
MAX_ARCHIVE_BYTES = 500_000_000
# A base address that has none of this many photos in a row is not worth thousands of requests.
MAX_MISSES_IN_A_ROW = 20


def download_trashnet(
    to: Path,
    *,
    sources: Sequence[str] = SOURCES,
    manifest: Manifest | None = None,
    patience: Patience | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> DownloadReport:
    """Download TrashNet into a folder; a later call continues and completes an earlier one.

    Args:
        to: the folder; made if missing.
        sources: addresses in order: of a zip archive or, ending in "/", of an unpacked copy.
            Each supplies what the ones before it could not.
        manifest: the photos to get, with relative paths and digests; TrashNet's if None.
        patience: time-outs and numbers of attempts.
        progress: where to show progress.
        note: is told in one line which source is used and what went wrong with it.

    Raises:
        UsageError: a source is no http(s) address, or `to` is a file.
        DataError: another file lies in `to` under a photo's name, or no photo could be had.
        RecycleNetError: the folder cannot be written, or the disk is full.
        Interrupted: the user stopped it; what has arrived is kept.
    """
    urls = [check_url(url) for url in sources]
    intake = _Intake(to, manifest or trashnet_manifest(), progress)

    def ask(url: str) -> None:
        note(f"getting {len(intake.needed)} photos from {shown(url)}")
        if url.endswith("/"):
            _ask_base_url(url, intake, patience)
        else:
            _ask_archive_url(url, intake, patience)

    report = _fill(intake, [(shown(url), partial(ask, url)) for url in urls], note)
    if report.complete:
        for path in to.iterdir():
            if re.fullmatch(r"\.recyclenet-[0-9a-f]{16}\.part", path.name):
                discard(path)
    return report


def copy_trashnet(
    origin: Path,
    to: Path,
    *,
    manifest: Manifest | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> DownloadReport:
    """Copy the verified photos of an existing folder or zip archive into a folder; no network.

    Raises:
        UsageError: `origin` does not exist, or `to` is a file.
        DataError: `origin` is no zip archive or holds no photo of TrashNet, or another file lies
            in `to` under a photo's name.
        RecycleNetError: the folder cannot be written, or the disk is full.
        Interrupted: the user stopped it; what was copied is kept.
    """
    check_place(origin)
    intake = _Intake(to, manifest or trashnet_manifest(), progress)
    ask = _ask_folder if origin.is_dir() else _ask_archive
    return _fill(intake, [(str(origin), lambda: ask(origin, intake))], note)


@dataclass
class _Intake:
    """The door to the user's folder: lets a photo in only if its digest agrees."""

    folder: Path
    manifest: Manifest
    progress: Progress | None
    names: dict[str, Sample] = field(init=False)
    needed: dict[str, Sample] = field(init=False)
    num_added: int = 0
    num_received_bytes: int = 0

    def __post_init__(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is a file; name a folder to put the photos in")
        self.names = by_name(self.manifest)
        try:
            right, different = scan(self.folder, self.names, self.progress)
        except KeyboardInterrupt:
            raise Interrupted("stopped; nothing was changed") from None
        if different:
            raise _taken(self.folder / different[0], len(different))
        self.needed = {name: s for name, s in self.names.items() if name not in right}

    def offer(self, name: str, content: bytes) -> bool:
        """Store the photo `name` if `content` is right; say whether it is."""
        sample = self.needed[name]
        if hashlib.sha256(content).hexdigest() != sample.sha256:
            return False
        path = self.folder / sample.path
        if os.path.lexists(path):  # someone else has put a file there since the scan
            raise _taken(path, 1)
        write_bytes(path, content)
        del self.needed[name]
        self.num_added += 1
        return True


def _fill(
    intake: _Intake,
    sources: Sequence[tuple[str, Callable[[], None]]],
    note: Callable[[str], None],
) -> DownloadReport:
    """Ask one source after the other for what is needed still, and report."""
    problems = []
    for shown_name, ask in sources:
        if not intake.needed:
            break
        try:
            ask()
            problem = f"{shown_name}: {len(intake.needed)} photos missing or damaged"
        except (FetchError, ArchiveError) as error:
            problem = str(error)
        except KeyboardInterrupt:
            num_here = len(intake.names) - len(intake.needed)
            raise Interrupted(
                f"stopped with {num_here} of {len(intake.names)} photos in {intake.folder}; "
                f"the same command continues from here"
            ) from None
        if intake.needed:
            problems.append(problem)
            note(problem)
    num_verified = len(intake.names) - len(intake.needed)
    if not num_verified:
        raise DataError("no photo could be had: " + "; ".join(problems or ["no source given"]))
    table = None
    if not intake.needed:
        table, problem = _write_table(intake)
        if problem:
            problems.append(problem)
            note(problem)
    return DownloadReport(
        place=intake.folder,
        num_expected=len(intake.names),
        num_verified=num_verified,
        num_added=intake.num_added,
        num_received_bytes=intake.num_received_bytes,
        missing=tuple(intake.needed),
        extra=extra_files(intake.folder, intake.names),
        problems=tuple(problems),
        manifest=table,
    )


def _write_table(intake: _Intake) -> tuple[Path, str]:
    """Write the manifest beside the photos; say so if the user has another one there."""
    folder = intake.folder.resolve()
    table = intake.folder / MANIFEST_NAME
    if not os.path.lexists(table):
        rows = tuple(replace(s, path=folder / s.path) for s in intake.manifest)
        write_manifest(Manifest(rows), folder / MANIFEST_NAME)
        return table, ""
    try:
        ours = read_manifest(table).fingerprint == intake.manifest.fingerprint
    except (DataError, UsageError):
        ours = False
    if ours:
        return table, ""
    return table, (
        f"{table} is not the published table of splits and was left as it is; move it away "
        f"and run the command again to get that table"
    )


def _ask_archive_url(url: str, intake: _Intake, patience: Patience | None) -> None:
    part = intake.folder / f".recyclenet-{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    with show_bar(intake.progress, urlsplit(url).hostname or url) as meter:
        try:
            fetch_file(url, part, max_bytes=MAX_ARCHIVE_BYTES, patience=patience, meter=meter)
        finally:
            intake.num_received_bytes += meter.num_received_bytes
    try:
        _ask_archive(part, intake, shown(url))
    except ArchiveError:
        discard(part)
        raise
    discard(part)  # it has given all it can; a damaged one must not be taken up again


def _ask_base_url(url: str, intake: _Intake, patience: Patience | None) -> None:
    host, num_asked, misses = urlsplit(url).hostname, len(intake.needed), 0
    error = FetchError(f"{shown(url)}: holds other photos than the manifest's")
    with show_bar(intake.progress, "") as meter:
        for index, name in enumerate(list(intake.needed)):
            meter.label = f"{host} {index + 1}/{num_asked}"
            right = False
            try:
                content = fetch_bytes(
                    url + quote(name), max_bytes=MAX_PHOTO_BYTES, patience=patience, meter=meter
                )
                right = intake.offer(name, content)
            except FetchError as failure:
                error = failure
                if failure.no_answer:
                    raise
            finally:
                intake.num_received_bytes += meter.num_received_bytes
                meter.num_received_bytes = 0
            misses = 0 if right else misses + 1
            if misses >= MAX_MISSES_IN_A_ROW:
                raise error


def _ask_archive(path: Path, intake: _Intake, name: str = "") -> None:
    with open_archive(path, name) as archive, show_bar(intake.progress, "verifying") as meter:
        found = archive.find(intake.needed)
        total = sum(members[0].file_size for members in found.values())
        for photo, members in found.items():
            for member in members:
                content = archive.read(member, MAX_PHOTO_BYTES)
                if content is not None and intake.offer(photo, content):
                    break
            meter.at(archive.num_unpacked_bytes, total)


def _ask_folder(origin: Path, intake: _Intake) -> None:
    folder = photo_folder(origin, intake.names)
    for name, content in photos_in(folder, intake.needed.copy(), intake.progress):
        if content is not None:
            intake.offer(name, content)


def _taken(path: Path, num_taken: int) -> DataError:
    more = f" and {num_taken - 1} more" if num_taken > 1 else ""
    return DataError(
        f"{path}{more} is another file than the data set's of that name and is never "
        f"overwritten; move it away or choose another folder"
    )
