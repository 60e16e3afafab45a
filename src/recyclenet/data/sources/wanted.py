"""What to collect: lists of classes and of addresses, and what search engines find."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit, urlunsplit

from recyclenet.core.files import read_rows
from recyclenet.data.folders import is_label
from recyclenet.data.sources.web import FetchError, check_url
from recyclenet.errors import UsageError, look_up

ENGINES = ("baidu", "bing")
Fetch = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One class to collect: its name, what to search for, how many photos to have in the end."""

    label: str
    keyword: str
    target: int


def read_classes(path: Path, target: int) -> list[Wanted]:
    """Read a list of classes: a line each, LABEL or LABEL,KEYWORD or LABEL,KEYWORD,TARGET.

    Without a keyword, a label such as "可回收物_鼠标" (group_item) is searched by its item.

    Raises:
        UsageError: the file cannot be read, or has no classes.
    """
    classes = []
    for place, label, keyword, count in _rows(path):
        if count and not re.fullmatch("0*[1-9][0-9]{0,8}", count):
            raise UsageError(f"{place}: the number of photos cannot be {count[:40]!r}")
        word = keyword or label.partition("_")[2] or label
        classes.append(Wanted(label, word, int(count) if count else target))
    return classes


def read_addresses(path: Path) -> list[tuple[str, str, str]]:
    """Read a list of addresses: a line each, LABEL,URL or LABEL,URL,LICENCE.

    Raises:
        UsageError: the file cannot be read, or a line is something else.
    """
    found = []
    for place, label, url, licence in _rows(path):
        try:
            found.append((label, check_url(url), licence))
        except UsageError as error:
            raise UsageError(f"{place}: {error}") from None
    return found


def _rows(path: Path) -> list[tuple[str, str, str, str]]:
    """Return the lines of a list: where each is, a label, and two more cells."""
    rows = []
    for number, row in read_rows(path, wrong=UsageError):
        label, second, third, *_ = (cell.strip() for cell in [*row, "", ""])
        if label.startswith("#"):
            continue
        place = f"{path}, line {number}"
        if not is_label(label):
            raise UsageError(f"{place}: {label!r} cannot be the name of a class folder")
        rows.append((place, label, second, third))
    if not rows:
        raise UsageError(f"{path} is empty")
    return rows


def search(
    engine: str, keyword: str, pages: range, per_page: int, fetch: Fetch, mirror: str = ""
) -> Iterator[str]:
    """Yield the addresses of pictures that an engine shows for a keyword on some result pages.

    `fetch` reads a result page; `mirror` is a server to ask in place of the engine's own.

    Raises:
        UsageError: an unknown engine.
        FetchError: a page cannot be had.
    """
    from icrawler.builtin import baidu, bing
    from icrawler.utils import Signal

    kinds = {
        "baidu": (baidu.BaiduFeeder, baidu.BaiduParser),
        "bing": (bing.BingFeeder, bing.BingParser),
    }
    make_feeder, make_parser = look_up(engine, kinds, "search engine")
    parts = Signal(), None  # we fetch the pages ourselves
    feeder, parser = make_feeder(1, *parts), make_parser(1, *parts)
    for page in pages:
        urls: list[str] = []
        feeder.out_queue = SimpleNamespace(put=urls.append)
        feeder.feed(keyword=keyword, offset=page * per_page, max_num=per_page)
        for url in urls:
            if mirror:
                server = urlsplit(mirror)
                url = urlunsplit(urlsplit(url)._replace(scheme=server.scheme, netloc=server.netloc))
            content = fetch(check_url(url.replace(" ", "%20")))
            try:
                tasks = parser.parse(SimpleNamespace(content=content)) or ()
                found = [str(task["file_url"]) for task in tasks]
            except Exception as error:  # a page can make the parser raise nearly anything
                raise FetchError(url, "it did not return a page of results") from error
            for address in found:
                with suppress(UsageError):  # engines also show what is no address
                    yield check_url(address)
