"""Fetching one file over HTTP: bounded, retried, and continued where it stopped."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, TypeVar
from urllib.request import OpenerDirector

from recyclenet.core.files import write_text
from recyclenet.data.meter import Meter
from recyclenet.data.web import (
    Failure,
    FetchError,
    RangeRefused,
    network_failure,
    open_url,
    shown,
)
from recyclenet.errors import RecycleNetError

T = TypeVar("T")
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait and how often to try again.

    Attributes:
        timeout_s: seconds without an answer or a byte before a connection counts as dropped.
        min_bytes_per_s: a slower transfer, over `timeout_s`, counts as dropped too.
        num_failures: attempts in a row that bring the file no further before giving up.
        num_attempts: attempts in all, also for a file that does get further.
        first_wait_s: seconds before the second attempt; doubled after each further failure.
        longest_wait_s: upper bound of any one wait, a server's Retry-After included.
    """

    timeout_s: float = 30.0
    min_bytes_per_s: float = 512.0
    num_failures: int = 6
    num_attempts: int = 40
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


def fetch_bytes(
    url: str,
    *,
    max_bytes: int,
    patience: Patience | None = None,
    meter: Meter | None = None,
    opener: OpenerDirector | None = None,
    look: Callable[[HTTPResponse], object] = lambda _: None,
) -> bytes:
    """Fetch a small file into memory.

    Args:
        url: its address.
        max_bytes: refuse more.
        patience: how long and how often.
        meter: is told how it goes.
        opener: what connects, see `open_url`.
        look: sees the answer before its body is read; may refuse it.

    Raises:
        FetchError: it cannot be had, or is larger than `max_bytes`.
    """
    patience, meter = patience or Patience(), meter or Meter()

    def attempt() -> bytes:
        content = bytearray()
        with open_url(url, {}, patience.timeout_s, opener) as response:
            look(response)
            if response.status != 200:
                raise FetchError(f"{shown(url)}: unexpected answer HTTP {response.status}")
            total = response.length
            _receive(response, 0, total, max_bytes, url, patience, meter, content.extend)
        return bytes(content)

    return _retry(attempt, url, patience, meter)


def fetch_file(
    url: str,
    part: Path,
    *,
    max_bytes: int,
    patience: Patience | None = None,
    meter: Meter | None = None,
) -> None:
    """Fetch a large file into `part`, continuing what an earlier run left there.

    What is there is continued only if the server confirms that the file is still the same one;
    `part` with ".json" added to its name keeps what that takes.

    Raises:
        FetchError: it cannot be had, or is larger than `max_bytes`.
        RecycleNetError: `part` cannot be written, or another download is writing it.
    """
    transfer = _Transfer(url, part, max_bytes, patience or Patience(), meter or Meter())
    empty = False
    try:
        with _open_part(part) as file:
            try:
                _retry(lambda: transfer.attempt(file), url, transfer.patience, transfer.meter)
            finally:
                file.flush()
                empty = file.seek(0, os.SEEK_END) == 0
    except OSError as error:
        raise RecycleNetError(
            f"cannot write {part}: {error.strerror or error}; check the folder and the free space"
        ) from error
    finally:
        if empty:
            discard(part)


def discard(part: Path) -> None:
    """Delete a partial download and the note beside it."""
    for path in (part, _note_path(part)):
        with suppress(OSError):
            path.unlink()


@dataclass(frozen=True, slots=True)
class _Note:
    """What must still hold for a partial file to be continued."""

    url: str
    etag: str
    last_modified: str
    total: int | None

    def admits(self, other: _Note) -> bool:
        """Whether `other`, from a later answer, speaks of the same bytes."""
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified))
        same = all(old == new for old, new in pairs if old and new)
        return same and (self.total is None or other.total in (None, self.total))


@dataclass(slots=True)
class _Transfer:
    """One file on its way into one part file."""

    url: str
    part: Path
    max_bytes: int
    patience: Patience
    meter: Meter

    def attempt(self, file: IO[bytes]) -> None:
        """Continue or start the file once.

        Raises:
            Failure: it stopped short of the end.
        """
        note, offset = self._note(), file.seek(0, os.SEEK_END)
        if note is None or (note.total is not None and offset > note.total):
            offset = 0
        elif offset and offset == note.total:
            return
        headers = {}
        if note is not None and offset:
            headers["Range"] = f"bytes={offset}-"
            # A weak ETag is not allowed in If-Range; the answer's own is compared below.
            strong = "" if note.etag.startswith("W/") else note.etag
            if strong or note.last_modified:
                headers["If-Range"] = strong or note.last_modified
        try:
            with open_url(self.url, headers, self.patience.timeout_s) as response:
                self._take(response, file, offset, note)
        except RangeRefused as refusal:
            if refusal.size == offset and offset:
                return
            file.truncate(0)
            raise

    def _take(
        self, response: HTTPResponse, file: IO[bytes], offset: int, old: _Note | None
    ) -> None:
        start, total = 0, response.length
        if response.status == 206:
            start, total = _content_range(response)
        elif response.status != 200:
            raise FetchError(f"{shown(self.url)}: unexpected answer HTTP {response.status}")
        etag, modified = response.headers["ETag"], response.headers["Last-Modified"]
        note = _Note(self.url, etag or "", modified or "", total)
        if response.status == 206 and (start != offset or (old and not old.admits(note))):
            file.truncate(0)
            raise Failure("the file has changed at its source")
        if start == 0:
            file.truncate(0)
        if total is not None and total > self.max_bytes:
            raise _too_large(self.url, self.max_bytes)
        write_text(_note_path(self.part), json.dumps(asdict(note)))
        limit, patience = self.max_bytes, self.patience
        try:
            _receive(response, start, total, limit, self.url, patience, self.meter, file.write)
        except FetchError:
            file.truncate(0)
            raise
        finally:
            file.flush()
        if file.seek(0, os.SEEK_END) == 0:
            raise FetchError(f"{shown(self.url)}: the file there is empty")

    def _note(self) -> _Note | None:
        """What an earlier attempt learned, if the part can be continued with it."""
        try:
            note = _Note(**json.loads(_note_path(self.part).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        sound = all(isinstance(text, str) for text in (note.url, note.etag, note.last_modified))
        sound = sound and (note.total is None or isinstance(note.total, int))
        printable = sound and (note.etag + note.last_modified).isprintable()
        known = printable and bool(note.etag or note.last_modified)
        return note if known and note.url == self.url else None


def _retry(attempt: Callable[[], T], url: str, patience: Patience, meter: Meter) -> T:
    """Repeat `attempt` until it succeeds, waiting longer after each failure."""
    failures = furthest = 0
    for num_tried in itertools.count(1):
        try:
            return attempt()
        except Failure as failure:
            if failure.reached > furthest:
                failures, furthest = 0, failure.reached
            # Nobody offline should have to sit through all the waits of a busy server.
            failures += 1
            strikes = 2 * failures if failure.unreachable else failures
            if strikes >= patience.num_failures or num_tried >= patience.num_attempts:
                times = "once" if num_tried == 1 else f"{num_tried} times"
                end = FetchError(f"{shown(url)}: {failure} (tried {times})")
                end.no_answer = True
                raise end from None
            backoff_s = patience.first_wait_s * 2 ** (failures - 1) * random.uniform(0.5, 1.0)
            wait_s = min(max(backoff_s, failure.wait_s), patience.longest_wait_s)
            meter.waiting(str(failure), wait_s)
        time.sleep(wait_s)
    raise AssertionError("count() does not end")


def _receive(
    response: HTTPResponse,
    start: int,
    total: int | None,
    max_bytes: int,
    url: str,
    patience: Patience,
    meter: Meter,
    keep: Callable[[bytes], object],
) -> None:
    """Hand the body to `keep` piece by piece; `start` and `total` are places in the whole file."""
    place = window_start = start
    window_began_s = time.monotonic()
    try:
        while total is None or place < total:
            size = CHUNK_BYTES if total is None else min(CHUNK_BYTES, total - place)
            try:
                chunk = response.read1(size)
            except (HTTPException, OSError) as error:
                raise network_failure(url, error) from error
            if not chunk:
                break
            place += len(chunk)
            meter.num_received_bytes += len(chunk)
            if place > max_bytes:
                raise _too_large(url, max_bytes)
            keep(chunk)
            meter.at(place, total)
            waited_s = time.monotonic() - window_began_s
            if waited_s >= patience.timeout_s:
                if place - window_start < patience.min_bytes_per_s * waited_s:
                    raise Failure("the connection became too slow")
                window_start, window_began_s = place, time.monotonic()
        if total is not None and place < total:
            raise Failure(f"the connection ended after {place} of {total} bytes")
    except Failure as failure:
        failure.reached = place
        raise


def _content_range(response: HTTPResponse) -> tuple[int, int | None]:
    """Where in the file the body starts, and how large the file is, in bytes."""
    value = response.headers.get("Content-Range", "")
    found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", value)
    if not found:
        return -1, None
    start = int(found[1])
    if found[2] != "*":
        return start, int(found[2])
    return start, None if response.length is None else start + response.length


def _too_large(url: str, max_bytes: int) -> FetchError:
    return FetchError(f"{shown(url)}: larger than the {max_bytes / 1e6:g} MB allowed for it")


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")


@contextmanager
def _open_part(part: Path) -> Iterator[IO[bytes]]:
    """Open `part` for appending, for this process alone where the system can lock files."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecycleNetError(
                    f"another download into {part.parent} is running; wait for it to end"
                ) from None
            except OSError:
                pass  # some network drives cannot lock; the photos' digests still guard the result
        yield file
