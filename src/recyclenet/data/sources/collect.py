"""Collecting photos by keyword from image search engines, or from a list of addresses."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from recyclenet.core.files import write_bytes
from recyclenet.core.images import decoded, read_header
from recyclenet.core.outputs import COLLECTED, is_earlier
from recyclenet.core.progress import Progress, silent
from recyclenet.data.manifest import MANIFEST_NAME, Manifest, Sample, write_manifest
from recyclenet.data.quality.duplicates import SIDE, is_copy, perceptual_hashes
from recyclenet.data.sources.fetch import Fetcher
from recyclenet.data.sources.journal import JOURNAL, Found, append_journal, read_journal
from recyclenet.data.sources.web import Answer, FetchError, Rules, check_url, shown
from recyclenet.errors import DataError, ImageError, UsageError, look_up

if TYPE_CHECKING:
    from protego import Protego

AGENT = "recyclenet"
ENGINES = ("baidu", "bing")
# File name endings by format; unusual ones bear their format's name.
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "HEIF": ".heic"}
_WORKERS = 8
_PAGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and how fast.

    Attributes:
        deadline_s: seconds for one attempt at one address; there are two.
        max_bytes: of one photo.
        max_total_bytes: of all that is received; what is under way then may still come.
        delay_s: seconds between two requests to one host.
        min_side: pixels; smaller pictures are refused.
        allowed: "HOST:PORT" of private servers that may be asked.
    """

    deadline_s: float
    max_bytes: int
    max_total_bytes: int
    delay_s: float
    min_side: int
    allowed: tuple[str, ...] = ()


def search(
    engine: str,
    keyword: str,
    pages: range,
    per_page: int,
    fetch: Callable[[str], bytes],
    address: str = "",
) -> Iterator[str]:
    """Yield the addresses of pictures that a search engine shows for a keyword.

    Args:
        engine: "baidu" or "bing".
        keyword: what to search for.
        pages: which result pages.
        per_page: results on one.
        fetch: reads a result page.
        address: scheme and host to ask in place of the engine's own, such as a mirror.

    Raises:
        UsageError: an unknown engine.
        FetchError: a page cannot be had.
    """
    from icrawler.builtin import baidu, bing
    from icrawler.utils import Signal

    kinds = ((baidu.BaiduFeeder, baidu.BaiduParser), (bing.BingFeeder, bing.BingParser))
    feeder_kind, parser_kind = look_up(
        engine, dict(zip(ENGINES, kinds, strict=True)), "search engine"
    )
    parts = Signal(), None  # we fetch the pages ourselves
    parser = parser_kind(1, *parts)
    for page in pages:
        feeder, urls = feeder_kind(1, *parts), list[str]()
        feeder.out_queue = SimpleNamespace(put=urls.append)
        feeder.feed(keyword=keyword, offset=page * per_page, max_num=per_page)
        for url in urls:
            if address:
                server = urlsplit(address)
                url = urlunsplit(urlsplit(url)._replace(scheme=server.scheme, netloc=server.netloc))
            content = fetch(check_url(url.replace(" ", "%20")))
            try:
                tasks = parser.parse(SimpleNamespace(content=content)) or ()
                found = [str(task["file_url"]) for task in tasks]
            except Exception as error:  # a page can make the parser raise nearly anything
                raise FetchError(f"{shown(url)}: it did not return a page of results") from error
            yield from found


@dataclass
class Collector:
    """Fetches pictures into class folders, politely, and remembers every address.

    Args:
        folder: where the photos, the journal and the manifest go.
        limits: how much and how fast.
        force: files in the folder that no collection wrote may be replaced.
    """

    folder: Path
    limits: Limits
    force: bool = False

    def __post_init__(self) -> None:
        rules = Rules(
            timeout_s=min(10.0, self.limits.deadline_s),
            deadline_s=self.limits.deadline_s,
            allowed=self.limits.allowed,
            before=self._take_turn,
        )
        self._rules_fetcher = Fetcher(rules, num_attempts=2, num_failures=2, longest_wait_s=10.0)
        self._fetcher = replace(
            self._rules_fetcher, rules=replace(rules, before=self._ask_leave, look=_check_consent)
        )
        self._lock = threading.Lock()
        self._turns: dict[str, float] = {}
        self._robots: dict[str, Protego] = {}
        self._robots_locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        journal = self.folder / JOURNAL
        if (self.folder / MANIFEST_NAME).exists() and not journal.exists() and not self.force:
            raise UsageError(
                f"{self.folder} already has another manifest; choose another --out, or add --force"
            )
        if os.path.lexists(journal) and not is_earlier(journal, COLLECTED):
            if not self.force:
                raise UsageError(
                    f"{journal} is not a list of collected photos; choose another --out, or add "
                    f"--force"
                )
            journal.unlink()
        self.journal = read_journal(journal)

    @property
    def counts(self) -> Counter[str]:
        """Number of photos of each class."""
        return Counter(found.label for found in self.journal if found.path)

    @property
    def is_full(self) -> bool:
        """Whether all bytes that are allowed have been received."""
        return self._fetcher.num_received_bytes >= self.limits.max_total_bytes

    def fetch(self, url: str, max_bytes: int = _PAGE_BYTES) -> bytes:
        """Fetch one address if its host lets us, after a due pause.

        Raises:
            FetchError: it cannot be had, or must not.
        """
        return self._fetcher.fetch(url, max_bytes)

    def collect(
        self,
        label: str,
        addresses: Iterable[tuple[str, str]],
        target: int,
        progress: Progress = silent,
    ) -> int:
        """Fetch pictures of one class until there are enough, or no more addresses.

        Args:
            label: the class.
            addresses: (url, licence) of each picture; asked for one by one, as needed.
            target: how many photos of the class the folder should hold in the end.
            progress: is told how many photos there are.

        Returns:
            How many there are now.
        """
        waiting: set[Future[None]] = set()
        seen = {found.url for found in self.journal}
        source = iter(addresses)
        pool = ThreadPoolExecutor(_WORKERS)
        try:
            while not self.is_full:
                missing = target - self.counts[label]
                progress(self.counts[label], target)
                while len(waiting) < min(missing, _WORKERS):
                    address = next(source, None)
                    if address is None:
                        break
                    url, licence = address
                    if url not in seen:
                        seen.add(url)
                        waiting.add(pool.submit(self._take, url, label, licence))
                if missing <= 0 or not waiting:
                    break
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:  # such as Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)  # a server may take minutes to answer
            raise
        pool.shutdown()
        progress(self.counts[label], target)
        return self.counts[label]

    def write_manifest(self) -> Manifest:
        """Write `manifest.csv` of all photos in the folder.

        Raises:
            DataError: there are none.
        """
        rows = tuple(
            Sample(
                self.folder / found.path,
                found.label,
                sha256=found.sha256,
                source=found.url,
                licence=found.licence,
            )
            for found in self.journal
            if found.path and (self.folder / found.path).is_file()
        )
        if not rows:
            reasons = Counter(found.reason.partition(": ")[2] for found in self.journal)
            most = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common(3))
            raise DataError(f"no photo could be collected ({most or 'no URLs'})")
        write_manifest(Manifest(rows), self.folder / MANIFEST_NAME)
        return Manifest(rows)

    def _take(self, url: str, label: str, licence: str) -> None:
        """Try one address, and write down what became of it."""
        found = Found(url, label, licence=licence)
        try:
            self._keep(self._fetcher.fetch(url, self.limits.max_bytes), found)
            return
        except FetchError as error:
            reason = str(error)
        except ImageError as error:
            reason = f"{shown(url)}: {error}"
        with self._lock:
            self._write_down(replace(found, reason=reason))

    def _keep(self, content: bytes, found: Found) -> None:
        """Keep a picture that is large enough and no copy."""
        with decoded(content, min_side=SIDE) as picture:
            phash = perceptual_hashes(picture)
        header = read_header(content)
        if min(header.width, header.height) < self.limits.min_side:
            raise ImageError(f"it is only {header.width}x{header.height} pixels")
        digest = hashlib.sha256(content).hexdigest()
        suffix = _SUFFIXES.get(header.kind, f".{header.kind.lower()}")
        found = replace(
            found, path=f"{found.label}/{digest[:16]}{suffix}", sha256=digest, phash=phash
        )
        with self._lock:
            kept = [other for other in self.journal if other.phash]
            same_bytes = digest in {other.sha256 for other in kept}
            if same_bytes or is_copy(phash, [other.phash for other in kept]):
                raise ImageError("it is a copy of a photo already collected")
            path = self.folder / found.path
            if not self.force and path.exists() and path.read_bytes() != content:
                raise ImageError(f"another file lies at {path}")
            write_bytes(path, content)
            self._write_down(found)

    def _write_down(self, found: Found) -> None:
        self.journal.append(found)
        append_journal(self.folder / JOURNAL, found)

    def _ask_leave(self, url: str) -> None:
        """Wait for the host's pause to end, unless its robots.txt forbids the address."""
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            lock = self._robots_locks[host]
        with lock:  # the first to come asks, the others wait for the answer
            if host not in self._robots:
                self._robots[host] = self._ask_robots(f"{host}/robots.txt")
        if not self._robots[host].can_fetch(url, AGENT):
            raise FetchError(f"{shown(url)}: forbidden by the host's robots.txt")
        self._take_turn(url)

    def _take_turn(self, url: str) -> None:
        """Wait until the host has had its pause."""
        host = urlsplit(url).netloc
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._turns.get(host, 0.0))
            self._turns[host] = turn + self.limits.delay_s
        time.sleep(turn - now)

    def _ask_robots(self, url: str) -> Protego:
        from protego import Protego

        try:
            rules = self._rules_fetcher.fetch(url, 512 << 10).decode("utf-8", "replace")
        except FetchError as error:
            # RFC 9309: a host without rules allows all, one that does not answer nothing.
            rules = "User-agent: *\nDisallow: /" if error.no_answer else ""
        return Protego.parse(rules)


def _check_consent(answer: Answer) -> None:
    """Refuse what its owner does not want machines to learn from."""
    tags = answer.headers.get("x-robots-tag", "").lower()
    if {"noai", "noimageai"} & {tag.rpartition(":")[2].strip() for tag in tags.split(",")}:
        raise FetchError(f"{shown(answer.url)}: marked noai or noimageai by its owner")
