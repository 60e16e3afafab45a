"""Fetching one file from a web server: bounded, retried, and continued where it stopped."""

from __future__ import annotations

import errno
import io
import itertools
import os
import random
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpcore2

from recyclenet.core.files import cannot_write, read_text, write_text
from recyclenet.core.progress import Progress, silent
from recyclenet.data.lock import lock_file
from recyclenet.data.sources.web import FetchError, Rules, header, open_url
from recyclenet.errors import RecycleNetError


@dataclass(kw_only=True)
class Fetcher(Rules):
    """Fetches files by its rules; several threads may share one.

    Attributes:
        num_failures: attempts in a row that bring a file no further before giving up.
        num_attempts: attempts in all, also for a file that does get further.
        first_wait_s: seconds before the second attempt; doubled after each further failure.
        longest_wait_s: upper bound of any one wait, a server's Retry-After included.
        num_received_bytes: of all bodies so far, those of failed attempts included.
    """

    num_failures: int = 6
    num_attempts: int = 40
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    num_received_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def fetch(self, url: str, max_bytes: int, progress: Progress = silent) -> bytes:
        """Fetch a small file into memory.

        Raises:
            FetchError: it cannot be had, or is larger than `max_bytes`.
        """
        file = io.BytesIO()
        _Transfer(self, url, max_bytes, progress, file).run()
        return file.getvalue()

    def fetch_into(self, part: Path, url: str, max_bytes: int, progress: Progress = silent) -> None:
        """Fetch a large file into `part`, continuing what an earlier run left there.

        Raises:
            FetchError: it cannot be had, or is larger than `max_bytes`.
            RecycleNetError: `part` cannot be written, or another download is writing it.
        """
        try:
            with _open_part(part) as file:
                transfer = _Transfer(self, url, max_bytes, progress, file, _note_path(part))
                try:
                    transfer.run()
                finally:
                    if not transfer.size():
                        discard(part)
        except OSError as error:
            raise cannot_write(part, error) from error


@dataclass
class _Transfer:
    """One file on its way to the end of `file`.

    A partial file is continued only if the server still names the same version, its ETag or date
    of change; `note` is a file that keeps the version for the next run.
    """

    fetcher: Fetcher
    url: str
    max_bytes: int
    progress: Progress
    file: IO[bytes]
    note: Path | None = None
    version: str = ""

    def __post_init__(self) -> None:
        if self.note is not None:
            with suppress(RecycleNetError):
                self.version = read_text(self.note)

    def run(self) -> None:
        """Attempt it until it succeeds, waiting longer after each failure."""
        fetcher, strikes, furthest = self.fetcher, 0, 0
        for num_tried in itertools.count(1):
            try:
                self.attempt()
                return
            except FetchError as error:
                if not error.strikes:
                    raise
                place = self.size()
                strikes = error.strikes + (0 if place > furthest else strikes)
                furthest = max(furthest, place)
                if strikes >= fetcher.num_failures or num_tried >= fetcher.num_attempts:
                    reason = f"{error.reason} (attempts: {num_tried})"
                    raise FetchError(self.url, reason, strikes=error.strikes) from error
                backoff_s = fetcher.first_wait_s * 2 ** (strikes - 1) * random.uniform(0.5, 1.0)
                wait_s = min(max(backoff_s, error.wait_s), fetcher.longest_wait_s)
                self.progress(place, None, f"{error.reason}; again in {wait_s:.0f} s")
            time.sleep(wait_s)

    def attempt(self) -> None:
        """Continue or start it once."""
        if not self.version:
            self.restart()
        offset = self.size()
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with open_url(self.url, headers, self.fetcher) as answer:
            place = header(answer, "content-range")
            is_same = _version(answer) == self.version and place.startswith(f"bytes {offset}-")
            if answer.status == 200:
                self.restart()
                self.receive(answer, header(answer, "content-length"))
            elif answer.status == 206 and is_same:
                self.receive(answer, place.rpartition("/")[2])
            elif place != f"bytes */{offset}":  # or it was complete
                self.restart()
                raise FetchError(self.url, "the file has changed at its source", strikes=1)
        if not self.size():
            raise FetchError(self.url, "the file there is empty")

    def receive(self, answer: httpcore2.Response, size: str) -> None:
        """Append the body of an answer; the whole file has `size` bytes, if that is a number."""
        place, total = self.size(), int(size) if re.fullmatch(r"\d{1,18}", size) else None
        self.version = _version(answer)
        if self.note is not None:
            write_text(self.note, self.version)
        for chunk in answer.iter_stream():
            place += len(chunk)
            with self.fetcher.lock:
                self.fetcher.num_received_bytes += len(chunk)
            if max(place, total or 0) > self.max_bytes:
                self.restart()
                allowed = f"{self.max_bytes / 1e6:g} MB"
                raise FetchError(self.url, f"larger than the {allowed} allowed for it")
            self.file.write(chunk)
            self.progress(place, total)
        if total is not None and place < total:
            raise FetchError(self.url, f"sent {place} of {total} bytes", strikes=1)

    def size(self) -> int:
        """Bytes that have come."""
        return self.file.seek(0, os.SEEK_END)

    def restart(self) -> None:
        """Forget what has come."""
        self.file.seek(0)
        self.file.truncate()


def _version(answer: httpcore2.Response) -> str:
    return header(answer, "etag") or header(answer, "last-modified")


def discard(part: Path) -> None:
    """Delete a partial download and the note beside it."""
    for path in (part, _note_path(part)):
        with suppress(OSError):
            path.unlink()


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".version")


def _open_part(part: Path) -> IO[bytes]:
    """Open `part` for appending, for this process alone where the system can lock files."""
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        return lock_file(part, "download")
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        return part.open("ab")  # a network drive; the photos' digests still guard the result
