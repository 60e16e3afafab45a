"""What a user gets from `data download` when servers, disks and archives misbehave."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import httpcore2
import pytest
import typer
from typer.testing import CliRunner

from recyclenet.cli import data as data_cli
from recyclenet.data.manifest import Manifest, Sample, read_manifest
from recyclenet.data.sources import download, origins
from recyclenet.data.sources.download import get_trashnet, verify_trashnet
from recyclenet.data.sources.fetch import Fetcher
from recyclenet.errors import DataError, Interrupted, RecycleNetError, UsageError

ZIP = "/set.zip"


def fast(timeout_s: float = 2.0, **fields: object) -> Fetcher:
    fields = {"num_failures": 4, "num_attempts": 12, "first_wait_s": 0.01, **fields}
    return Fetcher(timeout_s=timeout_s, **fields)


PHOTOS = {
    f"{label}/{label}{number}.jpg": random.Random(f"{label}{number}").randbytes(20_000)
    for label in ("glass", "paper")
    for number in range(1, 7)
}
FIRST = "glass/glass1.jpg"
MANIFEST = Manifest(
    tuple(
        Sample(Path(name), name.split("/")[0], "test" if "6" in name else "train",
               hashlib.sha256(content).hexdigest())
        for name, content in PHOTOS.items()
    )
)  # fmt: skip


def zipped(contents: dict[str, bytes], prefix: str = "dataset-resized/") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in contents.items():
            archive.writestr(prefix + name, content)
    return file.getvalue()


GOOD = zipped(PHOTOS)


def get(folder, *sources, **options):
    return get_trashnet(
        folder, sources=sources, manifest=MANIFEST, fetcher=options.pop("fetcher", None) or fast(),
        **options,
    )  # fmt: skip


def photos_in(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob("*/*")}


def assert_complete(folder: Path) -> None:
    assert photos_in(folder) == PHOTOS
    assert sorted(p.name for p in folder.iterdir()) == ["glass", "manifest.csv", "paper"]


@pytest.fixture
def server(photo_server):
    photo_server.files[ZIP] = GOOD
    return photo_server


@pytest.fixture
def zip_url(server):
    return server.url + ZIP


def test_complete_copy_has_photos_labels_and_splits(server, zip_url, tmp_path):
    report = get(tmp_path / "new" / "set", zip_url)
    assert_complete(tmp_path / "new" / "set")
    assert report.complete
    assert report.exit_code == 0
    assert report.num_added == 12
    assert report.num_received_bytes == len(GOOD) == server.num_sent
    table = read_manifest(tmp_path / "new" / "set" / "manifest.csv")
    assert table.fingerprint == MANIFEST.fingerprint
    assert all(sample.path.is_file() for sample in table)
    assert "/" not in (tmp_path / "new/set/manifest.csv").read_text().replace("glass/", "").replace(
        "paper/", ""
    )


def test_second_run_asks_nothing_and_writes_nothing(server, zip_url, tmp_path):
    get(tmp_path, zip_url)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    num_requests = len(server.requests)
    report = get(tmp_path, zip_url)
    assert (report.num_added, report.num_received_bytes) == (0, 0)
    assert len(server.requests) == num_requests
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


@pytest.mark.parametrize("how", [{"abrupt": True}, {}, {"hold": True}])
def test_dropped_connections_are_continued_where_they_stopped(
    server, zip_url, tmp_path, answer, how
):
    server.script[ZIP] = [answer(cut=40_000, **how), answer(cut=60_000, **how)]
    report = get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [request.start for request in server.requests] == [0, 40_000, 100_000]
    assert report.num_received_bytes == len(GOOD)


def test_body_shorter_than_announced_for_ever_ends_in_an_error(server, zip_url, tmp_path, answer):
    server.always[ZIP] = answer(claim=500, ranges=False)
    with pytest.raises(DataError, match=r"connection was lost .*attempts: 4"):
        get(tmp_path, zip_url)
    assert len(server.requests) <= 12


def test_wrongly_announced_length_is_settled_by_the_range_answer(server, zip_url, tmp_path, answer):
    server.script[ZIP] = [answer(claim=500)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert server.num_sent == len(GOOD)


def test_server_that_always_truncates_and_ignores_ranges_is_given_up(
    server, zip_url, tmp_path, answer
):
    server.always[ZIP] = answer(cut=30_000, ranges=False)
    with pytest.raises(DataError, match="attempts: 4"):
        get(tmp_path, zip_url)
    assert not list(tmp_path.glob("*/*"))


def test_trickle_of_progress_is_bounded(server, zip_url, tmp_path, answer):
    server.always[ZIP] = answer(cut=10)
    with pytest.raises(DataError, match="attempts: 12"):
        get(tmp_path, zip_url)


def test_body_without_announced_length(server, zip_url, tmp_path, answer):
    server.always[ZIP] = answer(sized=False)
    get(tmp_path, zip_url)
    assert_complete(tmp_path)


def test_ignored_range_restarts_from_zero(server, zip_url, tmp_path, answer):
    server.script[ZIP] = [answer(cut=40_000), answer(ranges=False)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [r.start for r in server.requests] == [0, 40_000]
    assert server.requests[1].num_sent == len(GOOD)


@pytest.mark.parametrize("etag", ['"old"', 'W/"old"'])
def test_changed_file_is_not_glued_to_the_old_part(server, zip_url, tmp_path, answer, etag):
    other = random.Random(1).randbytes(len(GOOD))
    server.script[ZIP] = [answer(body=other, etag=etag, cut=40_000)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)


def test_part_of_an_unknown_version_is_never_continued(server, zip_url, tmp_path, answer):
    part = tmp_path / "x.part"
    part.write_bytes(b"somebody else's")
    inside = f"bytes 0-{len(GOOD) - 1}/{len(GOOD)}"
    server.script[ZIP] = [answer(status=206, etag="", headers={"Content-Range": inside})]
    fast().fetch_into(part, zip_url, 10**6)
    assert part.read_bytes() == GOOD


def test_changed_etag_means_a_new_start(server, zip_url, tmp_path, answer):
    other = random.Random(1).randbytes(len(GOOD))
    inside = f"bytes 40000-{len(GOOD) - 1}/{len(GOOD)}"
    server.script[ZIP] = [
        answer(body=other, etag='"old"', cut=40_000),
        answer(status=206, headers={"Content-Range": inside}),
    ]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [r.start for r in server.requests] == [0, 40_000, 0]


def test_no_validator_means_no_range(server, zip_url, tmp_path, answer):
    server.always[ZIP] = answer(etag="")
    server.script[ZIP] = [answer(cut=40_000, etag="")]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [r.start for r in server.requests] == [0, 0]


@pytest.mark.parametrize("etag", ['"\xe9"', '"\x01"', '"\t"', 'W/"a"', "a" * 5_000])
def test_odd_etag_is_compared_like_any_other(server, zip_url, tmp_path, answer, etag):
    server.always[ZIP] = answer(etag=etag)
    server.script[ZIP] = [answer(etag=etag, cut=40_000)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [request.start for request in server.requests] == [0, 40_000]


@pytest.mark.parametrize("note", ["", "[1]", '"older"', "[" * 100_000, "\0", "\r\nHost: a"])
def test_note_that_is_damaged_means_a_new_start(server, zip_url, tmp_path, answer, note):
    server.script[ZIP] = [answer(cut=40_000, status=200), answer(status=404)]
    with pytest.raises(DataError):
        get(tmp_path, zip_url)
    (path,) = tmp_path.glob(".*.version")
    path.write_text(note)
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert server.requests[-1].start == 0


def test_date_of_change_serves_where_there_is_no_etag(server, zip_url, tmp_path, answer):
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    dated = {"etag": "", "headers": {"Last-Modified": date}}
    server.script[ZIP] = [answer(cut=40_000, **dated), answer(**dated)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [request.start for request in server.requests] == [0, 40_000]


def test_range_beyond_a_shrunken_file_restarts(server, zip_url, tmp_path, answer):
    server.script[ZIP] = [answer(cut=40_000), answer(status=416)]
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert [r.start for r in server.requests] == [0, 40_000, 0]


RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from recyclenet.data.sources.download import get_trashnet
from recyclenet.data.manifest import read_manifest, Manifest
from recyclenet.errors import RecycleNetError
table = Path(sys.argv[2])
rows = (replace(s, path=s.path.relative_to(table.parent)) for s in read_manifest(table))
try:
    get_trashnet(Path(sys.argv[1]), sources=[sys.argv[3]], manifest=Manifest(tuple(rows)))
except RecycleNetError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGINT"])
def test_new_run_continues_a_stopped_one(server, zip_url, tmp_path, answer, kind):
    complete = tmp_path / "table"
    get(complete, zip_url)
    server.requests.clear()
    server.script[ZIP] = [answer(cut=120_000, hold=True)]
    folder = tmp_path / "set"
    command = [sys.executable, "-c", RUN, folder, complete / "manifest.csv", zip_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 10
        while sum(p.stat().st_size for p in folder.glob(".recyclenet-*.part")) < 60_000:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(getattr(signal, kind))
        said, _ = process.communicate(timeout=10)
    if kind == "SIGINT":
        assert process.returncode == Interrupted.exit_code == 130
        assert said.count("\n") == 1
        assert "0 of 12 photos" in said
    assert not photos_in(folder)
    kept = sum(p.stat().st_size for p in folder.glob(".recyclenet-*.part"))
    report = get(folder, zip_url)
    assert_complete(folder)
    assert server.requests[1].start == kept >= 60_000
    assert report.num_received_bytes == len(GOOD) - kept


def test_two_downloads_into_one_folder_do_not_mix(server, zip_url, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    part = tmp_path / "x.part"
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RecycleNetError, match="another download is running"):
            fast().fetch_into(part, zip_url, 10**6)
    assert part.exists()


def test_busy_server_is_asked_again_after_the_time_it_names(server, zip_url, tmp_path, answer):
    server.script[ZIP] = [answer(status=429, headers={"Retry-After": "3600"}), answer(status=503)]
    began = time.monotonic()
    get(tmp_path, zip_url, fetcher=Fetcher(first_wait_s=0.01, longest_wait_s=0.3))
    assert_complete(tmp_path)
    assert 0.3 <= time.monotonic() - began < 3  # the hour it asks for is capped


@pytest.mark.parametrize(
    "value", ["-1", "soon", "9" * 5_000, "Mon, 01 Jan 2020 00:00:00 +99999999999999"]
)
def test_busy_server_that_names_no_time_is_asked_again_soon(
    server, zip_url, tmp_path, answer, value
):
    server.script[ZIP] = [answer(status=503, headers={"Retry-After": value})]
    began = time.monotonic()
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("status", "num_tries", "message"), [(500, 4, "HTTP 500"), (404, 1, "HTTP 404")]
)
def test_failing_server_is_left_for_the_next_source(
    server, zip_url, tmp_path, answer, caplog, status, num_tries, message
):
    server.always["/bad.zip"] = answer(status=status)
    caplog.set_level("INFO")
    report = get(tmp_path, server.url + "/bad.zip", zip_url)
    assert_complete(tmp_path)
    assert sum(r.path == "/bad.zip" for r in server.requests) == num_tries
    assert message in report.problems[0]
    assert len(caplog.messages) == 3


def test_nothing_to_be_had_is_an_error_with_each_reason(server, tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/a.zip"
        with pytest.raises(DataError) as caught:
            get(tmp_path, server.url + "/none.zip", closed)
    assert "none.zip" in str(caught.value)
    assert "cannot be reached" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "target", ["/loop.zip", "ftp://127.0.0.1/set.zip", "file:///etc/passwd", "gopher:x"]
)
def test_bad_redirects_are_refused(server, tmp_path, answer, target):
    server.always["/loop.zip"] = answer(status=302, headers={"Location": target})
    with pytest.raises(DataError, match="redirect"):
        get(tmp_path, server.url + "/loop.zip")


def test_redirect_is_followed_and_continued(server, tmp_path, answer):
    server.always["/moved.zip"] = answer(status=302, headers={"Location": ZIP})
    server.script[ZIP] = [answer(cut=40_000)]
    get(tmp_path, server.url + "/moved.zip")
    assert_complete(tmp_path)
    assert [r.start for r in server.requests if r.path == ZIP] == [0, 40_000]


def test_downgrade_from_https_is_refused(tmp_path, monkeypatch):
    found = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://example.org/b\r\n\r\n"
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(
        httpcore2.SyncBackend, "connect_tcp", lambda *_: httpcore2.MockStream([found])
    )
    with pytest.raises(DataError, match="from https to http"):
        get(tmp_path, "https://example.org/a")


def test_proxy_of_the_environment_is_used(server, zip_url, tmp_path, monkeypatch):
    server.files["http://photos.example/set.zip"] = GOOD
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("http_proxy", server.url)
    get(tmp_path, "http://photos.example/set.zip")
    assert_complete(tmp_path)


def test_proxy_of_the_environment_is_used_for_https(tmp_path, monkeypatch):
    reached = []

    def connect(backend, host, port, *_):
        reached.append(f"{host}:{port}")
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD)}\r\n\r\n"
        return httpcore2.MockStream([b"HTTP/1.1 200 OK\r\n\r\n", head.encode() + GOOD])

    monkeypatch.setattr(httpcore2.SyncBackend, "connect_tcp", connect)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    get(tmp_path, "https://photos.example/set.zip")
    assert_complete(tmp_path)
    assert reached == ["proxy.example:3128"]


def test_dripping_server_is_given_up(server, zip_url, tmp_path, answer):
    server.always[ZIP] = answer(drip_s=0.05)
    began = time.monotonic()
    with pytest.raises(DataError, match="too slow"):
        get(tmp_path, zip_url, fetcher=fast(0.3, num_attempts=2))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_head_that_never_ends_is_given_up(tmp_path, sent):
    def serve() -> None:
        with suppress(OSError):
            while True:
                client = listener.accept()[0]
                with client, suppress(OSError):
                    client.sendall(sent)
                    for _ in range(100):
                        client.sendall(b"a" if sent.endswith(b" ") else sent)
                        time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/set.zip"
        began = time.monotonic()
        with pytest.raises(DataError, match="too slow"):
            get(tmp_path, url, fetcher=fast(0.3, num_attempts=1))
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://x/y.zip", "set.zip", "http://", "http://a b/", "http://a:x/"],
)
def test_only_web_addresses_are_sources(tmp_path, url):
    with pytest.raises(UsageError, match="starts with https://"):
        get(tmp_path / "new", url)
    assert not (tmp_path / "new").exists()


def test_secrets_in_an_address_are_not_shown(server, tmp_path):
    with pytest.raises(DataError) as caught:
        get(tmp_path, server.url.replace("//", "//me:pass@") + "/a.zip?token=abc")
    assert "pass" not in str(caught.value)
    assert "abc" not in str(caught.value)
    with pytest.raises(UsageError) as refused:
        get(tmp_path, "ftp://me:pass@example.org/a.zip?token=abc")
    assert "pass" not in str(refused.value)
    assert "abc" not in str(refused.value)


def test_second_source_supplies_only_what_the_first_spoiled(server, tmp_path):
    spoiled = {**PHOTOS, FIRST: PHOTOS[FIRST][:-1] + b"?"}
    del spoiled["paper/paper3.jpg"]
    server.files["/spoiled.zip"] = zipped(spoiled)
    server.files.update({f"/raw/{name}": content for name, content in PHOTOS.items()})
    report = get(tmp_path, server.url + "/spoiled.zip", server.url + "/raw/")
    assert_complete(tmp_path)
    asked = [request.path for request in server.requests]
    assert asked == ["/spoiled.zip", f"/raw/{FIRST}", "/raw/paper/paper3.jpg"]
    assert "2 photos" in report.problems[0]


def test_damage_inside_the_archive_leaves_the_photo_out(server, zip_url, tmp_path):
    damaged = bytearray(GOOD)
    place = damaged.index(PHOTOS[FIRST][:64])
    damaged[place + 10] ^= 1
    server.files[ZIP] = bytes(damaged)
    report = get(tmp_path, zip_url)
    assert report.exit_code == 3
    assert report.missing == (FIRST,)
    assert FIRST not in photos_in(tmp_path)
    assert not (tmp_path / "manifest.csv").exists()
    assert not list(tmp_path.glob(".*")), "a spoiled archive is not taken up again"


def test_archive_with_members_at_impossible_places_is_left_for_the_next_source(
    server, zip_url, tmp_path
):
    odd = bytearray(GOOD)
    end = odd.rindex(b"PK\x05\x06")
    (start,) = struct.unpack_from("<I", odd, end + 16)
    struct.pack_into("<I", odd, end + 16, start + 1_000)  # all members move to before the file
    server.files["/odd.zip"] = bytes(odd)
    report = get(tmp_path, server.url + "/odd.zip", zip_url)
    assert_complete(tmp_path)
    assert "odd.zip" in report.problems[0]


def test_photo_by_photo_survives_drops_and_refuses_large_files(server, tmp_path, answer):
    server.files.update({f"/raw/{name}": content for name, content in PHOTOS.items()})
    server.script[f"/raw/{FIRST}"] = [answer(cut=5_000, abrupt=True), answer(status=503)]
    server.always["/raw/paper/paper6.jpg"] = answer(claim=6_000_000)
    report = get(tmp_path, server.url + "/raw/")
    assert report.missing == ("paper/paper6.jpg",)
    assert photos_in(tmp_path)[FIRST] == PHOTOS[FIRST]


def test_base_address_without_the_photos_is_soon_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(origins, "MAX_MISSES_IN_A_ROW", 3)
    with pytest.raises(DataError, match="HTTP 404"):
        get(tmp_path, server.url + "/raw/")
    assert len(server.requests) == 3


@pytest.mark.parametrize("how", [{"claim": 10_000_000, "cut": 10}, {"sized": False}])
def test_too_large_archive_is_refused(server, zip_url, tmp_path, answer, monkeypatch, how):
    monkeypatch.setattr(origins, "MAX_ARCHIVE_BYTES", 100_000)
    server.always[ZIP] = answer(**how)
    with pytest.raises(DataError, match=r"larger than the 0\.1 MB"):
        get(tmp_path, zip_url)
    assert not list(tmp_path.iterdir())


def test_bombs_and_lies_in_an_archive_are_refused(server, zip_url, tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in PHOTOS.items():
            if name != FIRST and name != "glass/glass2.jpg":
                archive.writestr(name, content)
        bomb = bytes(20_000_000)
        archive.writestr(FIRST, bomb, zipfile.ZIP_DEFLATED)  # states its true, too large size
        archive.writestr("glass/glass2.jpg", bomb, zipfile.ZIP_DEFLATED)
    lying = bytearray(file.getvalue())
    entry = lying.rindex(b"PK\x01\x02", 0, lying.rindex(b"glass/glass2.jpg"))
    lying[entry + 24 : entry + 28] = struct.pack("<I", 20_000)  # the directory's stated size
    server.files[ZIP] = bytes(lying)
    report = get(tmp_path, zip_url)
    assert set(report.missing) == {FIRST, "glass/glass2.jpg"}
    assert set(photos_in(tmp_path)) == set(PHOTOS) - set(report.missing)


def test_member_larger_than_it_says_is_not_unpacked_whole(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FIRST, bytes(60_000_000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 20_000)
    (tmp_path / "a.zip").write_bytes(content)
    tracemalloc.start()
    try:
        assert verify_trashnet(tmp_path / "a.zip", manifest=MANIFEST).different == (FIRST,)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_archive_that_unpacks_to_too_much_is_refused(server, zip_url, tmp_path, monkeypatch):
    monkeypatch.setattr("recyclenet.data.sources.origins.MAX_UNPACKED_BYTES", 100_000)
    report = get(tmp_path, zip_url)
    assert report.num_verified == 5
    assert "unpacks to over" in report.problems[0]


@pytest.mark.parametrize("content", [b"<html>sign in</html>", GOOD[:100_000], b"PK\5\6" * 9])
def test_what_is_no_archive_is_dropped_for_the_next_source(server, zip_url, tmp_path, content):
    server.files["/odd.zip"] = content
    report = get(tmp_path, server.url + "/odd.zip", zip_url)
    assert_complete(tmp_path)
    assert "not a zip archive" in report.problems[0]


def test_empty_file_is_left_for_the_next_source(server, zip_url, tmp_path):
    server.files["/odd.zip"] = b""
    report = get(tmp_path, server.url + "/odd.zip", zip_url)
    assert_complete(tmp_path)
    assert "empty" in report.problems[0]


def test_member_names_never_become_paths(server, zip_url, tmp_path):
    folder = tmp_path / "inner" / "set"
    hostile = {f"../../{name}": content for name, content in PHOTOS.items()}
    hostile |= {
        "/../../evil/evil.jpg": b"x",
        "glass\\..\\..\\evil.jpg": b"x",
        "C:/e/evil.jpg": b"x",
    }
    hostile |= {f"__MACOSX/glass/._{n}.jpg": b"x" for n in range(3)}
    server.files[ZIP] = zipped({f"__MACOSX/{FIRST}": b"x", **hostile}, prefix="")
    get(folder, zip_url)
    assert_complete(folder)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == sorted(
        [*(name.split("/")[1] for name in PHOTOS), "manifest.csv"]
    )


@pytest.mark.parametrize("kind", ["file", "folder", "dead link", "huge"])
def test_users_own_file_is_kept_and_named(server, zip_url, tmp_path, kind):
    mine = tmp_path / FIRST
    mine.parent.mkdir()
    if kind == "file":
        mine.write_bytes(b"my own picture")
    elif kind == "folder":
        mine.mkdir()
    elif kind == "dead link":
        mine.symlink_to(tmp_path / "nowhere")
    else:
        with mine.open("wb") as file:
            file.truncate(6_000_000)
    before = mine.lstat()
    with pytest.raises(DataError, match=r"glass1\.jpg differs from the dataset"):
        get(tmp_path, zip_url)
    assert mine.lstat() == before
    assert not server.requests
    assert [p.name for p in tmp_path.iterdir()] == ["glass"]


def test_file_that_appears_during_the_download_is_kept(server, zip_url, tmp_path):
    def put(done: int, total: int | None, note: str) -> None:
        (tmp_path / "glass").mkdir(exist_ok=True)
        (tmp_path / FIRST).write_bytes(b"my own picture")

    with pytest.raises(DataError, match=r"glass1\.jpg differs from the dataset"):
        get(tmp_path, zip_url, progress=put)
    assert (tmp_path / FIRST).read_bytes() == b"my own picture"


def test_users_own_manifest_is_kept(server, zip_url, tmp_path):
    (tmp_path / "manifest.csv").write_text("path,label\nglass/glass1.jpg,glass\n")
    report = get(tmp_path, zip_url)
    assert report.complete
    assert "left as it is" in report.problems[0]
    assert (tmp_path / "manifest.csv").read_text().count("\n") == 2


def test_folder_reached_through_a_link_still_gets_relative_paths(server, zip_url, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    get(tmp_path / "link", zip_url)
    assert str(tmp_path) not in (tmp_path / "real" / "manifest.csv").read_text()


def test_unwritable_folder_is_one_line(server, zip_url, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecycleNetError, match="cannot write") as caught:
        get(tmp_path / "file" / "set", zip_url)
    assert caught.value.exit_code == 1
    with pytest.raises(UsageError, match="is a file"):
        get(tmp_path / "file", zip_url)


def test_full_disk_is_one_line_and_can_be_continued(server, zip_url, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(RecycleNetError, match=r"cannot write .* free space") as caught:
            get(tmp_path, zip_url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    get(tmp_path, zip_url)
    assert_complete(tmp_path)
    assert 0 < server.requests[-1].start <= 50_000


def copy_of(folder: Path) -> Path:
    for name, content in PHOTOS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_verify_counts_and_changes_nothing(tmp_path):
    copy_of(tmp_path / "dataset-resized")
    (tmp_path / "dataset-resized" / FIRST).write_bytes(b"other")
    (tmp_path / "dataset-resized/glass/glass2.jpg").unlink()
    (tmp_path / "dataset-resized/glass/holiday.jpg").write_bytes(b"x")
    before = sorted(tmp_path.rglob("*"))
    report = verify_trashnet(tmp_path, manifest=MANIFEST)
    assert (report.num_verified, report.exit_code) == (10, 3)
    assert report.missing == ("glass/glass2.jpg",)
    assert report.different == (FIRST,)
    assert report.extra == ("glass/holiday.jpg",)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    assert verify_trashnet(tmp_path / "empty", manifest=MANIFEST).exit_code == 1


def test_verify_an_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({**PHOTOS, FIRST: b"other", "glass/more.jpg": b"x"}))
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("__MACOSX/glass/shadow.jpg", b"x")
    report = verify_trashnet(tmp_path / "a.zip", manifest=MANIFEST)
    assert (report.num_verified, report.different) == (11, (FIRST,))
    assert report.extra == ("dataset-resized/glass/more.jpg",)
    (tmp_path / "b.zip").write_text("no archive")
    with pytest.raises(DataError, match="not a zip archive"):
        verify_trashnet(tmp_path / "b.zip", manifest=MANIFEST)
    with pytest.raises(UsageError, match="does not exist"):
        verify_trashnet(tmp_path / "c.zip", manifest=MANIFEST)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_no_source(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a folder nor a file"):
        verify_trashnet(tmp_path / "pipe", manifest=MANIFEST)


@pytest.mark.parametrize("packed", [True, False])
def test_copying_takes_only_verified_photos(tmp_path, packed):
    origin = copy_of(tmp_path / "origin")
    (origin / FIRST).write_bytes(b"other")
    if packed:
        (tmp_path / "a.zip").write_bytes(zipped(photos_in(origin)))
        origin = tmp_path / "a.zip"
    report = get(tmp_path / "set", origin)
    assert (report.num_added, report.missing, report.exit_code) == (11, (FIRST,), 3)
    assert photos_in(tmp_path / "set") == {n: c for n, c in PHOTOS.items() if n != FIRST}


def test_package_manifest_is_the_published_one():
    manifest = download.trashnet_manifest()
    assert len(manifest) == 2527
    assert len({sample.sha256 for sample in manifest}) == 2524
    assert manifest.counts["trash"] == 137
    assert not any(sample.path.is_absolute() for sample in manifest)


@pytest.fixture
def cli(monkeypatch):
    monkeypatch.setattr(download, "trashnet_manifest", lambda: MANIFEST)
    app = typer.Typer()
    app.add_typer(data_cli.app, name="data")
    return lambda *words: CliRunner().invoke(app, ["data", "download", *map(str, words)])


def test_command_prints_a_summary_and_one_json_object(cli, server, zip_url, tmp_path):
    done = cli("trashnet", "--to", tmp_path / "set", "--source", zip_url)
    assert done.exit_code == 0
    assert "12 of 12 photos verified, 12 of them new" in done.stdout
    assert done.stderr.count("\n") == 1
    (tmp_path / "set" / FIRST).unlink()
    done = cli("trashnet", "--from", tmp_path / "set", "--json")
    summary = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (summary["num_verified"], summary["missing"]) == (11, [FIRST])
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trashnt", "--to", "x"], "did you mean 'trashnet'"),
        (["trashnet"], "--to"),
        (["trashnet", "--from", ".", "--source", "http://a/"], "give only one of them"),
    ],
)
def test_wrong_usage_says_what_to_do(cli, words, message):
    done = cli(*words)
    assert isinstance(done.exception, UsageError)
    assert message in str(done.exception)


def test_progress_says_which_server_and_why_it_waits(server, zip_url, tmp_path, answer):
    server.script[ZIP] = [answer(cut=40_000), answer(status=503)]
    told: list[tuple[int, int | None, str]] = []
    get(tmp_path, zip_url, progress=lambda *step: told.append(step))
    assert (len(GOOD), len(GOOD), "127.0.0.1") in told
    assert any("127.0.0.1: the server answers HTTP 503; again in" in note for *_, note in told)
    assert told[-1][2] == "verifying"


@pytest.mark.data
def test_real_copy_is_the_published_one(trashnet_dir):
    report = verify_trashnet(trashnet_dir)
    assert report.complete, (report.missing[:3], report.different[:3])
