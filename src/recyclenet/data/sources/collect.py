"""Collecting photos from the web into class folders, politely; a journal keeps every address."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from recyclenet.core.files import cannot_write, read_text, write_bytes, write_text
from recyclenet.core.images import decoded, read_header
from recyclenet.core.outputs import COLLECTED, Output, check_outputs, is_earlier
from recyclenet.core.progress import Progress, silent
from recyclenet.data.folders import is_label
from recyclenet.data.manifest import MANIFEST_NAME, Manifest, Sample, write_manifest
from recyclenet.data.quality.duplicates import HASHES, SIDE, is_copy, perceptual_hashes
from recyclenet.data.sources.fetch import Fetcher
from recyclenet.data.sources.web import FetchError, header, shown
from recyclenet.errors import DataError, ImageError, UsageError

if TYPE_CHECKING:
    import httpcore2
    from protego import Protego

Addresses = Iterable[tuple[str, str]]  # URL and licence of each picture
AGENT = "recyclenet"
JOURNAL = "collected.jsonl"
# File name endings by format; unusual ones bear their format's name.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}
_WORKERS = 8
_PAGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one address: where its photo lies in the folder, or why there is none."""

    url: str
    label: str
    path: str = ""
    reason: str = ""
    sha256: str = ""
    phash: str = ""
    licence: str = ""

    def is_plausible(self) -> bool:
        """Whether a run of ours can have written it: its path names a photo in a class folder."""
        if not all(isinstance(value, str) for value in astuple(self)) or not self.url:
            return False
        folder, _, name = self.path.partition("/")
        is_known = re.fullmatch("[0-9a-f]{64}", self.sha256) and HASHES.fullmatch(self.phash)
        return not self.path or bool(is_label(folder) and is_label(name) and is_known)

    def as_line(self) -> str:
        """Return the line of the journal."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


def read_journal(path: Path) -> list[Found]:
    """Return what earlier calls did; a last line cut off by a crash counts as not written.

    Raises:
        DataError: a line is not as it was written; the message names it.
    """
    if not os.path.lexists(path):
        return []
    rows: dict[str, Found] = {}
    lines = read_text(path).split("\n")
    for number, line in enumerate(lines, 1):
        found = None
        with suppress(ValueError, TypeError, RecursionError):
            found = Found(**json.loads(line))
        if found is not None and found.is_plausible():
            rows.setdefault(found.url, found)
        elif line and number < len(lines):
            raise DataError(f"{path}, line {number} is damaged; delete that line")
    if lines[-1]:  # without its line break
        write_text(path, "".join(found.as_line() for found in rows.values()))
    return list(rows.values())


@dataclass
class Collector:
    """Fetches pictures into class folders, politely, and remembers every address.

    Attributes:
        folder: where the photos, the journal and the manifest go.
        deadline_s: seconds for one attempt at one address; there are two.
        max_bytes: of one photo.
        max_total_bytes: of all that is received; what is under way then may still come.
        delay_s: seconds between two requests to one host.
        min_side: pixels; smaller pictures are refused.
        allowed: "HOST:PORT" of private servers that may be asked.
        force: files in the folder that no collection wrote may be replaced.
        journal: what became of each address so far.
    """

    folder: Path
    deadline_s: float
    max_bytes: int
    max_total_bytes: int
    delay_s: float
    min_side: int
    allowed: tuple[str, ...] = ()
    force: bool = False

    def __post_init__(self) -> None:
        self._asker = Fetcher(
            timeout_s=min(10.0, self.deadline_s),
            deadline_s=self.deadline_s,
            allowed=self.allowed,
            before=self._take_turn,
            num_attempts=2,
            num_failures=2,
            longest_wait_s=10.0,
        )
        self._fetcher = replace(self._asker, before=self._ask_leave, look=_check_consent)
        self._lock = threading.Lock()
        self._turns: dict[str, float] = {}
        self._robots: dict[str, Protego] = {}
        self._robots_locks: dict[str, threading.Lock] = {}
        journal = self.folder / JOURNAL
        if (self.folder / MANIFEST_NAME).exists() and not journal.exists() and not self.force:
            raise UsageError(
                f"{self.folder} already has another manifest; choose another --out, or add --force"
            )
        check_outputs([Output("--out", journal, COLLECTED)], (), self.force)
        if self.force and not is_earlier(journal, COLLECTED):
            journal.unlink(missing_ok=True)
        self.journal = read_journal(journal)

    @property
    def counts(self) -> Counter[str]:
        """Number of photos of each class."""
        return Counter(found.label for found in self.journal if found.path)

    @property
    def is_full(self) -> bool:
        """Whether all bytes that are allowed have been received."""
        return self._fetcher.num_received_bytes >= self.max_total_bytes

    def fetch(self, url: str) -> bytes:
        """Fetch one page if its host lets us, after a due pause; raise a FetchError otherwise."""
        return self._fetcher.fetch(url, _PAGE_BYTES)

    def collect(
        self, label: str, addresses: Addresses, target: int, progress: Progress = silent
    ) -> int:
        """Fetch pictures of one class until the folder holds `target`; return how many it holds.

        `addresses` are asked for as needed; `progress` is told how many photos there are.
        """
        waiting: set[Future[None]] = set()
        seen = {found.url for found in self.journal}
        fresh = ((url, label, licence) for url, licence in addresses if url not in seen)
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            while not self.is_full and (missing := target - self.counts[label]) > 0:
                progress(target - missing, target)
                num_idle = max(0, min(missing, _WORKERS) - len(waiting))
                for address in islice(fresh, num_idle):
                    seen.add(address[0])
                    waiting.add(pool.submit(self._take, *address))
                if not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:  # such as Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)  # a server may take minutes to answer
            raise
        pool.shutdown()
        for future in waiting:
            future.result()
        progress(self.counts[label], target)
        return self.counts[label]

    def write_manifest(self) -> Manifest:
        """Write `manifest.csv` of all photos in the folder.

        Raises:
            DataError: there are none.
        """
        rows = [row for row in self.journal if row.path and (self.folder / row.path).is_file()]
        if not rows:
            reasons = Counter(found.reason.partition(": ")[2] for found in self.journal)
            most = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common(3))
            raise DataError(f"no photo could be collected ({most or 'no URLs'})")
        photos = (
            Sample(
                self.folder / row.path,
                row.label,
                sha256=row.sha256,
                source=row.url,
                licence=row.licence,
            )
            for row in rows
        )
        manifest = Manifest(tuple(photos))
        write_manifest(manifest, self.folder / MANIFEST_NAME)
        return manifest

    def _take(self, url: str, label: str, licence: str) -> None:
        """Try one address, and write down what became of it."""
        found = Found(url, label, licence=licence)
        try:
            self._keep(self._fetcher.fetch(url, self.max_bytes), found)
        except (FetchError, ImageError) as error:
            reason = str(error) if isinstance(error, FetchError) else f"{shown(url)}: {error}"
            with self._lock:
                self._write_down(replace(found, reason=reason))

    def _keep(self, content: bytes, found: Found) -> None:
        """Keep a picture that is large enough and no copy."""
        with decoded(content, min_side=SIDE) as picture:
            phash = perceptual_hashes(picture)
        header = read_header(content)
        if min(header.width, header.height) < self.min_side:
            raise ImageError(f"it is only {header.width}x{header.height} pixels")
        digest = hashlib.sha256(content).hexdigest()
        suffix = _SUFFIXES.get(header.kind, f".{header.kind.lower()}")
        name = f"{found.label}/{digest[:16]}{suffix}"
        with self._lock:
            kept = {other.sha256: other.phash for other in self.journal if other.path}
            if digest in kept or is_copy(phash, list(kept.values())):
                raise ImageError("it is a copy of a photo already collected")
            path = self.folder / name
            if not self.force and path.exists() and path.read_bytes() != content:
                raise ImageError(f"another file is at {path}")
            write_bytes(path, content)
            self._write_down(replace(found, path=name, sha256=digest, phash=phash))

    def _write_down(self, found: Found) -> None:
        self.journal.append(found)
        path = self.folder / JOURNAL
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(found.as_line())
        except OSError as error:
            raise cannot_write(path, error) from error

    def _ask_leave(self, url: str) -> None:
        """Wait for the host's pause to end, unless its robots.txt forbids the address."""
        host = urlunsplit(urlsplit(url)._replace(path="", query="", fragment=""))
        # The first thread asks, the others wait for the answer.
        with self._robots_locks.setdefault(host, threading.Lock()):
            if host not in self._robots:
                self._robots[host] = self._ask_robots(f"{host}/robots.txt")
        if not self._robots[host].can_fetch(url, AGENT):
            raise FetchError(url, "forbidden by the host's robots.txt")
        self._take_turn(url)

    def _take_turn(self, url: str) -> None:
        """Wait until the pause between requests to the host is over."""
        host = urlsplit(url).netloc
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._turns.get(host, 0.0))
            self._turns[host] = turn + self.delay_s
        time.sleep(turn - now)

    def _ask_robots(self, url: str) -> Protego:
        from protego import Protego

        try:
            rules = self._asker.fetch(url, 512 << 10).decode("utf-8", "replace")
        except FetchError as error:
            # RFC 9309: a host without rules allows everything, an unreachable host nothing.
            rules = "User-agent: *\nDisallow: /" if error.strikes else ""
        return Protego.parse(rules)


def _check_consent(url: str, answer: httpcore2.Response) -> None:
    """Refuse what its owner does not want machines to learn from."""
    tags = header(answer, "x-robots-tag").lower().split(",")
    if {"noai", "noimageai"} & {tag.rpartition(":")[2].strip() for tag in tags}:
        raise FetchError(url, "marked noai or noimageai by its owner")
