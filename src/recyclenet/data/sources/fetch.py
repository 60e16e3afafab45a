"""Fetching one file from a web server: bounded, retried, and continued where it stopped."""

from __future__ import annotations

import errno
import io
import itertools
import json
import os
import random
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpcore2

from recyclenet.core.files import read_text, write_text
from recyclenet.core.progress import Progress, silent
from recyclenet.data.lock import lock_file
from recyclenet.data.sources.web import Answer, Failure, FetchError, Rules, open_url, shown
from recyclenet.errors import RecycleNetError


@dataclass
class Fetcher:
    """Fetches files; several threads may share one.

    Attributes:
        rules: what a request may do.
        num_failures: attempts in a row that bring a file no further before giving up.
        num_attempts: attempts in all, also for a file that does get further.
        first_wait_s: seconds before the second attempt; doubled after each further failure.
        longest_wait_s: upper bound of any one wait, a server's Retry-After included.
        num_received_bytes: of all bodies so far, those of failed attempts included.
    """

    rules: Rules = field(default_factory=Rules)
    num_failures: int = 6
    num_attempts: int = 40
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    num_received_bytes: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

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

        What is there is continued only if the server confirms that the file is still the same
        one; `part` with ".json" added to its name keeps what that takes.

        Raises:
            FetchError: it cannot be had, or is larger than `max_bytes`.
            RecycleNetError: `part` cannot be written, or another download is writing it.
        """
        empty = False
        try:
            with _open_part(part) as file:
                try:
                    _Transfer(self, url, max_bytes, progress, file, _note_path(part)).run()
                finally:
                    file.flush()
                    empty = file.seek(0, os.SEEK_END) == 0
        except OSError as error:
            raise RecycleNetError(
                f"cannot write {part}: {error.strerror or error}; check the folder and free space"
            ) from error
        finally:
            if empty:
                discard(part)

    def count(self, num_bytes: int) -> None:
        """Add bytes to those received."""
        with self._lock:
            self.num_received_bytes += num_bytes


@dataclass
class _Transfer:
    """One file on its way to the end of `file`; `note_path` is read by the run that continues."""

    fetcher: Fetcher
    url: str
    max_bytes: int
    progress: Progress
    file: IO[bytes]
    note_path: Path | None = None

    def __post_init__(self) -> None:
        self.note: dict[str, str] = {}
        if self.note_path is not None:
            with suppress(RecycleNetError, ValueError, RecursionError, AttributeError):
                self.note = _note(json.loads(read_text(self.note_path, max_bytes=1 << 20)))
        if self.note.get("url") != self.url:
            self.note = {}

    def run(self) -> None:
        """Attempt it until it succeeds, waiting longer after each failure."""
        fetcher, stuck, furthest = self.fetcher, 0, 0
        for num_tried in itertools.count(1):
            try:
                self.attempt()
                return
            except Failure as failure:
                place = self.size()
                if place > furthest:
                    stuck, furthest = 0, place
                # Nobody offline should have to sit through all the waits of a busy server.
                stuck += 2 if failure.unreachable else 1
                if stuck >= fetcher.num_failures or num_tried >= fetcher.num_attempts:
                    times = "once" if num_tried == 1 else f"{num_tried} times"
                    end = FetchError(f"{shown(self.url)}: {failure} (tried {times})")
                    end.no_answer = True
                    raise end from None
                backoff_s = fetcher.first_wait_s * 2 ** (stuck - 1) * random.uniform(0.5, 1.0)
                wait_s = min(max(backoff_s, failure.wait_s), fetcher.longest_wait_s)
                self.progress(place, None, f"{failure}; again in {wait_s:.0f} s")
            time.sleep(wait_s)

    def attempt(self) -> None:
        """Continue or start it once."""
        offset, headers = self.size(), {}
        if not {"etag", "last-modified"} & self.note.keys():
            offset = 0
        if offset and str(offset) == self.note.get("size"):
            return
        if offset:
            headers["Range"] = f"bytes={offset}-"
            # A weak ETag is not allowed in If-Range; the answer's own is compared below.
            etag = self.note.get("etag", "W/")
            condition = self.note.get("last-modified") if etag.startswith("W/") else etag
            headers |= {"If-Range": condition} if condition else {}
        with open_url(self.url, headers, self.fetcher.rules) as answer:
            if answer.status == 416:
                size = answer.headers.get("content-range", "").removeprefix("bytes */")
                if offset and size == str(offset):
                    return
                self.restart()
                raise Failure("the server cannot continue the file there (HTTP 416)")
            self.receive(answer, offset)
        if not self.size():
            raise FetchError(f"{shown(self.url)}: the file there is empty")

    def receive(self, answer: Answer, offset: int) -> None:
        """Append the body of an answer to the request for all that comes after `offset`."""
        if answer.status not in (200, 206):
            raise FetchError(f"{shown(self.url)}: unexpected answer HTTP {answer.status}")
        place, total = _extent(answer)
        size = None if total is None else str(total)
        note = _note({**answer.headers, "url": self.url, "size": size})
        differs = any(value != self.note.get(key, value) for key, value in note.items())
        if answer.status == 206 and (place != offset or differs):
            self.restart()
            raise Failure("the file has changed at its source")
        if place == 0:
            self.restart()
        self.check_size(total or 0)
        self.note = note
        if self.note_path is not None:
            write_text(self.note_path, json.dumps(note))
        broken = False
        try:
            for chunk in answer.body:
                chunk = chunk if total is None else chunk[: total - place]
                place += len(chunk)
                self.fetcher.count(len(chunk))
                self.check_size(place)
                self.file.write(chunk)
                self.progress(place, total)
        except httpcore2.RemoteProtocolError:
            broken = True
        if broken or (total is not None and place < total):
            raise Failure(f"the connection ended after {place} of {total or 'unknown'} bytes")

    def check_size(self, num_bytes: int) -> None:
        """Refuse a file that is larger than allowed, and forget it."""
        if num_bytes > self.max_bytes:
            self.restart()
            allowed = f"{self.max_bytes / 1e6:g} MB"
            raise FetchError(f"{shown(self.url)}: larger than the {allowed} allowed for it")

    def size(self) -> int:
        """Bytes that have come."""
        return self.file.seek(0, os.SEEK_END)

    def restart(self) -> None:
        """Forget what has come."""
        self.file.seek(0)
        self.file.truncate()
        self.note = {}


def _note(facts: Mapping[str, object]) -> dict[str, str]:
    """What must still hold for a file to be continued: its address, validators and size."""
    known = {key: facts.get(key) for key in ("url", "etag", "last-modified", "size")}
    texts = {key: text for key, text in known.items() if isinstance(text, str)}
    return {key: text for key, text in texts.items() if text.isascii() and text.isprintable()}


def _extent(answer: Answer) -> tuple[int, int | None]:
    """Where in the file a body starts (-1: it does not say), and the size of the whole file."""
    length = answer.headers.get("content-length")
    num_bytes = int(length) if length and "transfer-encoding" not in answer.headers else None
    if answer.status == 200:
        return 0, num_bytes
    value = answer.headers.get("content-range", "")
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", value)
    if found is None:
        return -1, None
    start = int(found[1])
    if found[2] != "*":
        return start, int(found[2])
    return start, None if num_bytes is None else start + num_bytes


def discard(part: Path) -> None:
    """Delete a partial download and the note beside it."""
    for path in (part, _note_path(part)):
        with suppress(OSError):
            path.unlink()


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _open_part(part: Path) -> IO[bytes]:
    """Open `part` for appending, for this process alone where the system can lock files."""
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        return lock_file(part, "download")
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise
        return part.open("ab")  # a network drive; the photos' digests still guard the result
