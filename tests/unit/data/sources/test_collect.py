"""Collecting from servers that do their worst: bounded, polite, and nothing twice."""

from __future__ import annotations

import concurrent.futures
import hashlib
import io
import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from recyclenet.core.files import write_bytes
from recyclenet.core.images import decode_image
from recyclenet.data.manifest import read_manifest
from recyclenet.data.sources.collect import JOURNAL, Collector
from recyclenet.data.sources.wanted import ENGINES, Wanted, read_addresses, read_classes, search
from recyclenet.data.sources.web import FetchError
from recyclenet.errors import DataError, RecycleNetError, UsageError


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return content.getvalue()


@pytest.fixture
def server(photo_server):
    """A server with ten pictures."""
    for number in range(10):
        photo_server.files[f"/{number}.jpg"] = jpeg(picture(number))
    return photo_server


@pytest.fixture
def collector(server, tmp_path) -> Callable[..., Collector]:
    def make(**fields: object) -> Collector:
        host = server.url.removeprefix("http://")
        usual = {
            "deadline_s": 2.0,
            "max_bytes": 1 << 20,
            "max_total_bytes": 1 << 30,
            "delay_s": 0.0,
            "min_side": 64,
            "allowed": (host,),
        }
        return Collector(tmp_path / "photos", **{**usual, **fields})

    return make


def addresses(server, *names: str) -> list[tuple[str, str]]:
    return [(f"{server.url}/{name}", "") for name in names]


def reasons(collector: Collector) -> list[str]:
    return [found.reason for found in collector.journal if found.reason]


def test_photos_lie_in_class_folders_and_say_where_they_are_from(server, collector, tmp_path):
    mine = collector()
    given = [(f"{server.url}/0.jpg", "CC BY 4.0"), (f"{server.url}/1.jpg", "")]
    assert mine.collect("可回收物_玻璃", given, 9) == 2
    manifest = mine.write_manifest()
    assert manifest == read_manifest(tmp_path / "photos" / "manifest.csv")
    assert {s.label for s in manifest} == {"可回收物_玻璃"}
    by_source = {s.source.rpartition("/")[2]: s for s in manifest}
    assert by_source["0.jpg"].licence == "CC BY 4.0"
    assert by_source["0.jpg"].path.read_bytes() == server.files["/0.jpg"]
    assert by_source["0.jpg"].path.name.startswith(by_source["0.jpg"].sha256[:16])


def test_enough_is_enough(server, collector):
    mine = collector()
    assert mine.collect("glass", addresses(server, *(f"{n}.jpg" for n in range(10))), 3) == 3
    assert sum(request.path.endswith(".jpg") for request in server.requests) == 3


def test_photos_may_come_faster_than_they_are_counted(server, collector, monkeypatch):
    def late(futures, return_when):
        done, _ = concurrent.futures.wait(futures)
        return {done.pop()}, done

    monkeypatch.setattr("recyclenet.data.sources.collect.wait", late)
    mine = collector()
    assert mine.collect("glass", addresses(server, *(f"{n}.jpg" for n in range(10))), 3) == 3


def test_the_next_call_goes_on_and_asks_nothing_twice(server, collector, tmp_path):
    names = [f"{n}.jpg" for n in range(10)]
    server.files["/3.jpg"] = b"no picture"
    collector().collect("glass", addresses(server, *names), 5)
    asked = {request.path for request in server.requests}
    server.requests.clear()
    # As a crash would leave it.
    with (tmp_path / "photos" / JOURNAL).open("a") as journal:
        journal.write('{"url": "http')
    mine = collector()
    assert mine.collect("glass", addresses(server, *names), 10) == 9
    again = {request.path for request in server.requests} - {"/robots.txt"}
    assert not again & asked
    lines = (tmp_path / "photos" / JOURNAL).read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 10


def test_copies_are_taken_once(server, collector):
    server.files["/same.jpg"] = server.files["/0.jpg"]
    server.files["/small.jpg"] = jpeg(picture(0).resize((100, 75)))
    server.files["/mirrored.jpg"] = jpeg(ImageOps.mirror(picture(0)))
    mine = collector()
    mine.collect("glass", addresses(server, "0.jpg"), 9)
    assert mine.collect("glass", addresses(server, "same.jpg", "small.jpg", "mirrored.jpg"), 9) == 1
    assert all("copy of a photo" in reason for reason in reasons(mine))


def test_what_is_no_picture_or_too_small_is_refused(server, collector, tmp_path):
    server.files["/page.jpg"] = b"<html>not found</html>"
    server.files["/half.jpg"] = server.files["/1.jpg"][:900]
    server.files["/tiny.jpg"] = jpeg(picture(5).resize((40, 30)))
    mine = collector()
    assert mine.collect("glass", addresses(server, "page.jpg", "half.jpg", "tiny.jpg"), 9) == 0
    assert len(reasons(mine)) == 3
    assert any("40x30" in reason for reason in reasons(mine))
    with pytest.raises(DataError, match="no photo could be collected"):
        mine.write_manifest()
    assert not (tmp_path / "photos" / "manifest.csv").exists()


def test_a_name_may_lie_about_the_format(server, collector, tmp_path):
    content = io.BytesIO()
    picture(20).save(content, "PNG")
    server.files["/png.jpg"] = content.getvalue()
    collector().collect("glass", addresses(server, "png.jpg"), 1)
    (path,) = (tmp_path / "photos" / "glass").iterdir()
    assert path.suffix == ".png"
    assert decode_image(path).shape == (120, 160, 3)


def test_bad_servers_cost_little_time_and_memory(server, collector, answer):
    jpg = server.files["/0.jpg"]
    server.always["/drip.jpg"] = answer(body=jpg, drip_s=0.2)
    server.always["/hold.jpg"] = answer(body=jpg[:100], claim=900, hold=True)
    server.always["/endless.jpg"] = answer(body=jpg * 400, sized=False)
    server.always["/huge.jpg"] = answer(body=jpg, claim=10**9)
    server.always["/circle.jpg"] = answer(status=302, headers={"Location": "/circle.jpg"})
    server.always["/busy.jpg"] = answer(status=429, headers={"Retry-After": "0"})
    server.always["/file.jpg"] = answer(status=302, headers={"Location": "file:///etc/passwd"})
    names = ["drip", "hold", "endless", "huge", "circle", "busy", "file"]
    mine = collector(deadline_s=1.0, max_bytes=len(jpg) * 2)
    start = time.monotonic()
    assert mine.collect("glass", addresses(server, *(f"{name}.jpg" for name in names)), 9) == 0
    assert time.monotonic() - start < 15
    assert len(reasons(mine)) == len(names)
    assert mine.collect("glass", addresses(server, "1.jpg"), 9) == 1


def test_a_private_server_hears_nothing_unless_it_is_meant(server, collector):
    mine = collector(allowed=())
    assert mine.collect("glass", addresses(server, "0.jpg"), 1) == 0
    assert "private address" in reasons(mine)[0]
    assert server.requests == []
    with pytest.raises(DataError, match="1x a private address"):
        mine.write_manifest()


def test_a_redirect_to_another_private_server_is_refused(server, collector, answer):
    server.always["/other.jpg"] = answer(
        status=302, headers={"Location": server.url.replace("127.0.0.1", "localhost") + "/0.jpg"}
    )
    mine = collector()
    assert mine.collect("glass", addresses(server, "other.jpg"), 1) == 0
    assert "private address" in reasons(mine)[0]
    assert {request.path for request in server.requests} == {"/robots.txt", "/other.jpg"}


def test_robots_and_noai_are_honoured(server, collector, answer):
    server.files["/robots.txt"] = b"User-agent: recyclenet\nDisallow: /3\n"
    server.always["/4.jpg"] = answer(headers={"X-Robots-Tag": "otherbot: noindex, NoImageAI"})
    mine = collector()
    assert mine.collect("glass", addresses(server, "3.jpg", "4.jpg", "5.jpg"), 9) == 1
    assert "/3.jpg" not in {request.path for request in server.requests}
    assert sorted("robots.txt" in reason for reason in reasons(mine)) == [False, True]


def test_rules_hold_behind_a_redirect(server, collector, answer):
    server.files["/robots.txt"] = b"User-agent: *\nDisallow: /3\n"
    server.always["/away.jpg"] = answer(status=302, headers={"Location": "/3.jpg"})
    mine = collector()
    assert mine.collect("glass", addresses(server, "away.jpg"), 1) == 0
    assert "robots.txt" in reasons(mine)[0]
    assert "/3.jpg" not in {request.path for request in server.requests}


def test_patterns_in_the_rules_hold(server, collector):
    server.files["/robots.txt"] = b"User-agent: *\nDisallow: /*.jpg$\nAllow: /5.jpg$\n"
    mine = collector()
    assert mine.collect("glass", addresses(server, "4.jpg", "5.jpg"), 9) == 1
    assert {request.path for request in server.requests} == {"/robots.txt", "/5.jpg"}


def test_an_address_that_is_none_costs_only_itself(server, collector):
    given = [("http://[x/a.jpg", ""), ("ftp://example.org/a.jpg", ""), *addresses(server, "1.jpg")]
    mine = collector()
    assert mine.collect("glass", given, 9) == 1
    assert len(reasons(mine)) == 2


def test_a_host_is_asked_for_its_rules_once(server, collector):
    collector().collect("glass", addresses(server, *(f"{n}.jpg" for n in range(8))), 8)
    assert [request.path for request in server.requests].count("/robots.txt") == 1


def test_a_folder_with_another_manifest_is_left_alone(collector, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "manifest.csv").write_text("path,label\n")
    with pytest.raises(UsageError, match="another manifest"):
        collector()


def test_a_host_whose_rules_cannot_be_had_is_left_alone(server, collector, answer):
    server.always["/robots.txt"] = answer(status=503, headers={"Retry-After": "0"})
    mine = collector()
    assert mine.collect("glass", addresses(server, "0.jpg"), 1) == 0
    assert {request.path for request in server.requests} == {"/robots.txt"}


def test_a_host_has_its_pauses(server, collector):
    mine = collector(delay_s=0.15)
    start = time.monotonic()
    mine.collect("glass", addresses(server, "0.jpg", "1.jpg", "2.jpg"), 3)
    assert time.monotonic() - start >= 3 * 0.15


def test_a_host_has_its_pauses_also_after_a_failure_and_a_redirect(server, collector, answer):
    server.always["/away.jpg"] = answer(status=302, headers={"Location": "/0.jpg"})
    server.script["/0.jpg"] = [answer(status=503)]
    mine = collector(delay_s=0.5)
    start = time.monotonic()
    assert mine.collect("glass", addresses(server, "away.jpg"), 1) == 1
    assert [request.path for request in server.requests[1:]] == ["/away.jpg", "/0.jpg"] * 2
    assert time.monotonic() - start >= 4 * 0.5


def test_all_that_is_received_is_bounded(server, collector):
    mine = collector(max_total_bytes=1)
    assert mine.collect("glass", addresses(server, "0.jpg"), 9) == 1
    assert mine.is_full
    assert mine.collect("glass", addresses(server, "1.jpg"), 9) == 1


def test_a_full_disk_is_told_also_when_all_bytes_have_come(server, collector, monkeypatch):
    calls = iter(range(9))

    def write(path: Path, content: bytes) -> None:
        if next(calls):
            raise RecycleNetError(f"cannot write {path}: the disk is full")
        write_bytes(path, content)

    monkeypatch.setattr("recyclenet.data.sources.collect.write_bytes", write)
    mine = collector(max_total_bytes=1)
    with pytest.raises(RecycleNetError, match="the disk is full"):
        mine.collect("glass", addresses(server, "0.jpg", "1.jpg"), 9)
    assert mine.counts["glass"] == 1


def test_engines_are_asked_page_by_page(server, collector):
    quote = "&quot;"
    bing = "".join(
        f'<div class="imgpt"><a m="{{{quote}murl{quote}:{quote}{server.url}/{n}.jpg{quote}}}">'
        "</a></div>"
        for n in (1, 2)
    )
    baidu = json.dumps({"data": [{"hoverURL": f"{server.url}/7.jpg"}, {}]})
    asked: list[str] = []

    def fetch(url: str) -> bytes:
        asked.append(url)
        return (bing if "/images/async" in url else baidu).encode()

    found = list(search("bing", "glass bottle", range(2, 4), 20, fetch, server.url))
    assert found == [f"{server.url}/{n}.jpg" for n in (1, 2, 1, 2)]
    assert asked[0] == f"{server.url}/images/async?q=glass%20bottle&first=40"
    asked.clear()
    assert list(search("baidu", "鼠标", range(1), 30, fetch)) == [f"{server.url}/7.jpg"]
    assert "image.baidu.com" in asked[0]
    assert "%E9%BC%A0%E6%A0%87" in asked[0]
    with pytest.raises(UsageError, match="search engine"):
        list(search("bnig", "x", range(1), 1, fetch))


def test_an_engine_may_show_what_is_no_address(server, collector):
    shown = ["", "\ud800", "http://a/\ud800", "data:x", f"{server.url}/7.jpg"]
    page = json.dumps({"data": [{"hoverURL": url} for url in shown]}).encode()
    found = search("baidu", "x", range(1), 30, lambda _: page)
    assert collector().collect("glass", ((url, "") for url in found), 9) == 1
    assert collector().counts == {"glass": 1}, "the journal can be read"


def test_an_engine_that_refuses_says_so(collector, server):
    server.files["/robots.txt"] = b"User-agent: *\nDisallow: /images\n"
    with pytest.raises(FetchError, match=r"robots\.txt"):
        list(search("bing", "x", range(1), 1, collector().fetch, server.url))


def test_lists_are_read(tmp_path: Path):
    path = tmp_path / "list.csv"
    path.write_text("# my classes\n可回收物_鼠标\nglass,glass bottle\nmetal,,7\n", encoding="utf-8")
    assert read_classes(path, 200) == [
        Wanted("可回收物_鼠标", "鼠标", 200),
        Wanted("glass", "glass bottle", 200),
        Wanted("metal", "metal", 7),
    ]
    path.write_text("glass,https://example.org/a b.jpg\n")
    with pytest.raises(UsageError):
        read_addresses(path)
    path.write_text("glass,https://example.org/玻璃.jpg,CC0\n", encoding="utf-8")
    assert read_addresses(path) == [("glass", "https://example.org/%E7%8E%BB%E7%92%83.jpg", "CC0")]


@pytest.mark.parametrize("line", ["../up", "a/b,x", ".hidden", "", "glass,x,many"])
def test_lists_with_mistakes_are_refused(tmp_path, line):
    (tmp_path / "list.csv").write_text(f"{line}\n")
    with pytest.raises(UsageError):
        read_classes(tmp_path / "list.csv", 1)


def test_a_file_under_a_photos_name_stays_but_by_force(server, collector, tmp_path):
    content = server.files["/0.jpg"]
    taken = tmp_path / "photos" / "glass" / f"{hashlib.sha256(content).hexdigest()[:16]}.jpg"
    taken.parent.mkdir(parents=True)
    taken.write_bytes(b"mine")
    mine = collector()
    assert mine.collect("glass", addresses(server, "0.jpg"), 1) == 0
    assert "another file is at" in reasons(mine)[0]
    assert taken.read_bytes() == b"mine"
    (tmp_path / "photos" / JOURNAL).unlink()
    forced = collector(force=True)
    assert forced.collect("glass", addresses(server, "0.jpg"), 1) == 1
    assert taken.read_bytes() == content


def test_a_journal_that_is_none_stays_but_by_force(server, collector, tmp_path):
    journal = tmp_path / "photos" / JOURNAL
    journal.parent.mkdir()
    journal.write_text("my notes")
    with pytest.raises(UsageError, match="--force"):
        collector()
    assert journal.read_text() == "my notes"
    assert collector(force=True).journal == []
    assert not journal.exists()


def line(**fields: object) -> str:
    good = {
        "url": "http://example.org/a.jpg",
        "label": "glass",
        "path": "glass/a.jpg",
        "reason": "",
        "sha256": "ab" * 32,
        "phash": "-".join(["cd" * 32] * 4),
        "licence": "",
    }
    return json.dumps({**good, **fields})


def test_a_journal_of_ours_is_read(collector, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / JOURNAL).write_text(line() + "\n")
    assert collector().counts == {"glass": 1}


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "null",
        "[]",
        "3",
        "{}",
        '{"url": "http://a"}',
        "[" * 100_000,
        line(url=3),
        line(url=None),
        line(label=["glass"]),
        line(sha256=float("nan")),
        line(extra=1),
        line(url=""),
        line(path="/etc/passwd"),
        line(path="../a.jpg"),
        line(path="glass/../../a.jpg"),
        line(path="glass/.."),
        line(path="glass"),
        line(path="glass/a\0.jpg"),
        line(path="glass/" + "l" * 300),
        line(path="C:\\a.jpg"),
        line(sha256="zz"),
        line(phash="zz"),
        line(phash="cd" * 128),
        '{"url": 1' + "0" * 5000 + "}",
    ],
    ids=lambda text: text[:60],
)
def test_a_line_that_no_run_has_written_is_named(collector, tmp_path, bad):
    (tmp_path / "photos").mkdir()
    content = f"{line()}\n{bad}\n{line(url='http://b', path='glass/b.jpg')}\n"
    (tmp_path / "photos" / JOURNAL).write_text(content)
    with pytest.raises(DataError, match=r"collected\.jsonl, line 2 is damaged"):
        collector()
    assert (tmp_path / "photos" / JOURNAL).read_text() == content


@pytest.mark.parametrize("size", range(1, 12))
def test_a_line_cut_anywhere_is_as_good_as_not_written(collector, tmp_path, size):
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / JOURNAL
    last = json.dumps({"url": "玻璃", "label": "g"}, ensure_ascii=False).encode()
    path.write_bytes(f"{line()}\n".encode() + last[:size])
    assert len(collector().journal) == 1
    assert path.read_text() == f"{line()}\n"


def test_a_line_that_lacks_its_end_alone_is_kept(collector, tmp_path):
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / JOURNAL
    path.write_text(line())
    assert len(collector().journal) == 1
    assert path.read_text() == f"{line()}\n"


def test_an_address_that_is_there_twice_counts_once(collector, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / JOURNAL).write_text(f"{line()}\n" * 3)
    assert collector().counts == {"glass": 1}


@pytest.mark.parametrize(
    "url", ["http://[", "javascript:x", "http://a b", "\x1b", "http://a:x/", ""]
)
def test_an_address_of_an_engine_that_is_none_is_passed_over(server, collector, url):
    mine = collector()
    assert mine.collect("glass", [(url, ""), *addresses(server, "0.jpg")], 9) == 1


@pytest.mark.parametrize(
    "page", [b"", b"\xff\x00", b"[" * 100_000, b'<a class="iusc" m="{}">', b"<a>"]
)
def test_a_page_of_an_engine_that_is_none_ends_the_search_alone(page):
    pytest.importorskip("icrawler")
    for engine in ENGINES:
        with suppress(FetchError):
            assert list(search(engine, "x", range(1), 1, lambda _: page)) == []


@pytest.mark.parametrize(
    "bad",
    [
        "glass,x," + "9" * 5000,
        "glass,x,-1",
        "glass,x,0",
        "glass,x,²",
        "a\0b",
        "\x1b[31m",
        "l" * 300,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_lists_name_the_line_of_a_mistake(tmp_path, bad):
    path = tmp_path / "list.csv"
    path.write_text(f"metal\n{bad}\n")
    with pytest.raises(UsageError, match=r"list\.csv, line 2"):
        read_classes(path, 1)
    path.write_text("metal,http://example.org/a.jpg\nglass,http://[\n")
    with pytest.raises(UsageError, match=r"list\.csv, line 2"):
        read_addresses(path)
