"""A table of photos comes back as it was written, and a bad table is refused by line."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from recyclenet.data.manifest import Manifest, Sample, file_digest, read_manifest, write_manifest
from recyclenet.errors import DataError, RecycleNetError, UsageError

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0\\"), min_size=1, max_size=12
).filter(lambda name: name not in (".", ".."))
LABELS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8
).filter(lambda label: label.strip() == label)
SPLITS = st.sampled_from(["train", "val", "test", ""])


def table(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "manifest.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    return str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAMES, LABELS, SPLITS), min_size=1, max_size=5))
@example(rows=[('say "cheese", 玻璃 🍾\n.jpg', '纸,"x"', "train")])
@example(rows=[("a\rb\r\nc.jpg", "glass", "")])
@example(rows=[(" lead and trail ", "glass", "val"), ("=1+1.jpg", "-", "test")])
def test_any_names_and_labels_survive(tmp_path, rows):
    written = Manifest(
        tuple(Sample(tmp_path / "sub" / n, label, split, "ab" * 32) for n, label, split in rows)
    )
    write_manifest(written, tmp_path / "t.csv")
    assert read_manifest(tmp_path / "t.csv") == written


def test_names_that_are_no_utf8_survive(tmp_path):
    written = Manifest((Sample(tmp_path / "\udcff\udc80.jpg", "glass"),))
    write_manifest(written, tmp_path / "t.csv")
    assert read_manifest(tmp_path / "t.csv") == written


def test_table_moves_with_its_photos(tmp_path):
    inside, outside = tmp_path / "set" / "glass" / "a.jpg", tmp_path / "elsewhere" / "b.jpg"
    write_manifest(
        Manifest((Sample(inside, "glass"), Sample(outside, "glass"))), tmp_path / "set" / "m.csv"
    )
    (tmp_path / "set").rename(tmp_path / "moved")
    first, second = read_manifest(tmp_path / "moved" / "m.csv")
    assert first.path == tmp_path / "moved" / "glass" / "a.jpg"
    assert second.path == outside


def test_what_a_spreadsheet_would_run_is_inert_and_still_found(tmp_path):
    photo = tmp_path / "=cmd.jpg"
    photo.write_bytes(b"x")
    written = Manifest((Sample(photo, "-x"), Sample(tmp_path / "'a.jpg", "@b", source="'=1")))
    write_manifest(written, tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    assert text.startswith("path,label,split,sha256,")
    assert not re.search("(^|,)[-=@]", text, re.MULTILINE)
    assert read_manifest(tmp_path / "t.csv") == written


def test_names_like_formulas_in_a_table_by_hand_are_read_as_they_are(tmp_path):
    path = table(tmp_path, "path,label\n=cmd.jpg,-x\n'=cmd.jpg,'-x\n")
    names = [(sample.path.name, sample.label) for sample in read_manifest(path)]
    assert names == [("=cmd.jpg", "-x"), ("'=cmd.jpg", "'-x")]


def test_table_as_spreadsheets_save_it(tmp_path):
    path = table(tmp_path, '\ufefflabel,note,path\r\n 玻璃 ,"a, b",x/1.jpg\r\n\r\n纸,,x/2.jpg\r\n')
    read = read_manifest(path)
    assert [(s.path, s.label, s.split) for s in read] == [
        (tmp_path / "x/1.jpg", "玻璃", ""),
        (tmp_path / "x/2.jpg", "纸", ""),
    ]
    assert read.class_names == ("玻璃", "纸")
    assert not read.has_splits


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no column path and label"),
        ("\n\n", "has no column"),
        ("path,label\n", "lists no photos"),
        ("path,class\na.jpg,glass\n", "has no column label"),
        ("a.jpg,glass\n", "has no column path and label"),
        ("path,label\na.jpg,glass\nb.jpg\n", "line 3: a row needs both"),
        ("path,label\n,glass\n", "line 2: a row needs both"),
        ("path,label\na.jpg,  \n", "line 2: a row needs both"),
        ("path,label,split\na.jpg,glass,dev\n", "line 2: split 'dev' is none of train, val, test"),
        ("path,label\na\0b.jpg,glass\n", "line 2: a NUL byte"),
        ("path,label\n" + "x" * 200_000 + ",glass\n", "not a CSV table"),
        ("path,label\na.jpg,glass\n".encode("utf-16"), "UTF-16 text; save it as UTF-8"),
        (random.Random(0).randbytes(3000), "a NUL byte"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_unusable_table_is_refused(tmp_path, content, message):
    assert message in refusal(table(tmp_path, content))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(alphabet='path,label"\n\r\0 x', max_size=60))
def test_any_file_is_a_table_or_a_data_error(tmp_path, content):
    if isinstance(content, str):
        content = ("path,label\n" + content).encode()
    try:
        read = read_manifest(table(tmp_path, content))
    except DataError:
        return
    assert all(sample.label for sample in read)


def test_table_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"none\.csv"):
        read_manifest(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot read"):
        read_manifest(tmp_path)


def test_counts_and_selection(tmp_path):
    read = read_manifest(
        table(tmp_path, "path,label,split\na,paper,train\nb,glass,train\nc,glass,test\n")
    )
    assert read.counts == {"glass": 2, "paper": 1}
    assert len(read.select("train")) == 2
    assert read.select("all") == read
    with pytest.raises(UsageError, match=r"split 'val': its splits are test, train"):
        read.select("val")
    with pytest.raises(UsageError, match=r"unknown split 'dev'; known: all, train, val, test"):
        read.select("dev")
    with pytest.raises(UsageError, match=r"use --split all"):
        Manifest((Sample(Path("a"), "glass"),)).select("test")


def test_unknown_label_is_named_with_the_nearest_right_one():
    samples = Manifest(tuple(Sample(Path(f"{n}.jpg"), n) for n in ("glass", "carboard", "zz")))
    with pytest.raises(DataError, match=r"'carboard' and 1 more.*carboard\.jpg.*'cardboard'"):
        samples.check_labels(["cardboard", "glass"])
    samples.check_labels(["carboard", "glass", "zz", "unused"])


def test_fingerprint_knows_the_data_and_nothing_else():
    rows = [Sample(Path(f"/a/{i}.jpg"), "glass", "train", f"{i:064}") for i in range(9)]
    fingerprint = Manifest(tuple(rows)).fingerprint
    shuffled = [Sample(Path("/b") / s.path.name, s.label, s.split, s.sha256) for s in rows]
    random.Random(0).shuffle(shuffled)
    assert Manifest(tuple(shuffled)).fingerprint == fingerprint
    for change in (
        Sample(rows[0].path, "metal", "train", rows[0].sha256),
        Sample(rows[0].path, "glass", "val", rows[0].sha256),
        Sample(rows[0].path, "glass", "train", "f" * 64),
    ):
        assert Manifest((change, *rows[1:])).fingerprint != fingerprint
    assert Manifest(tuple(rows[1:])).fingerprint != fingerprint


def test_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    path = table(tmp_path, "path,label\na.jpg,glass\n")
    old = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(RecycleNetError, match="No space left"):
        write_manifest(Manifest((Sample(tmp_path / "b.jpg", "metal"),)), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_digest_of_a_file(tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    assert file_digest(tmp_path / "f") == hashlib.sha256(b"x" * 100_000).hexdigest()


def test_paths_with_dots_behind_a_linked_folder_stay_true(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/er")
    (tmp_path / "deep" / "a.jpg").write_text("x")
    write_manifest(
        Manifest((Sample(tmp_path / "link" / ".." / "a.jpg", "glass"),)), tmp_path / "m.csv"
    )
    assert read_manifest(tmp_path / "m.csv").samples[0].path == tmp_path / "deep" / "a.jpg"
