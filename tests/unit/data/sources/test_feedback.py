from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.sources.feedback import (
    MAX_RECORD_BYTES,
    Outcome,
    Record,
    decide,
    find_records,
    read_file,
    read_record,
    screen,
)
from recyclenet.errors import UsageError

CLASSES = ("glass", "metal")


def name(number: int) -> str:
    return f"{number:032x}"


def record(number: int, label: str = "glass", **facts: object) -> Record:
    return Record(name(number), **{"time": float(number), "has_photo": True, **facts}, label=label)


def described(number: int, look: int | None = None, size: int = 100, **facts: str) -> Sample:
    """Return a photo; those with the same look are one picture."""
    bits = np.random.default_rng(number if look is None else look).permutation([0, 1] * 128)
    digest = np.packbits(bits).tobytes().hex()
    facts = {"label": "glass", "sha256": f"{number:064x}", **facts}
    phash = "-".join([digest] * 8)
    return Sample(Path(f"{number}.jpg"), width=size, height=size, phash=phash, **facts)


def kinds(outcomes: Iterable[Outcome]) -> dict[str, str]:
    return {outcome.record.id.lstrip("0"): outcome.kind for outcome in outcomes}


def decided(
    photos: dict[int, Sample],
    records: list[Record],
    known: Iterable[Sample] = (),
    **limits: float,
) -> dict[str, str]:
    by_id = {name(number): sample for number, sample in photos.items()}
    outcomes = decide(by_id, records, Manifest(tuple(known)), **limits)
    assert len(outcomes) == len(records)
    return kinds(outcomes)


def test_only_files_with_names_of_the_service_are_records(tmp_path: Path) -> None:
    for file in (f"{name(1)}.json", f"{name(2)}.jpg", "notes.txt", f".{name(3)}.part", "A.json"):
        (tmp_path / file).touch()
    (tmp_path / f"{name(4)}.json.bak").touch()
    assert find_records(tmp_path) == ([name(1)], 3)
    for place in (tmp_path / "none", tmp_path / "notes.txt"):
        with pytest.raises(UsageError, match="--feedback"):
            find_records(place)
    (tmp_path / f"{name(1)}.json").unlink()
    with pytest.raises(UsageError, match="holds no feedback"):
        find_records(tmp_path)


GOOD = {"id": name(1), "time": 5.5, "photo": True, "label": "glass", "predicted": "metal"}


def test_a_record_is_read_with_what_older_services_lack(tmp_path: Path) -> None:
    (tmp_path / f"{name(1)}.json").write_text(json.dumps(GOOD))
    found = read_record(tmp_path, name(1))
    assert found == Record(name(1), 5.5, "glass", "metal", has_photo=True)
    assert found.date == "1970-01-01T00:00:05"


@pytest.mark.parametrize(
    "change",
    [
        {"id": name(2)},
        {"time": "now"},
        {"time": float("nan")},
        {"time": 1e300},
        {"time": True},
        {"photo": "yes"},
        {"label": ""},
        {"label": 5},
        {"label": "a\nb"},
        {"label": "x" * 300},
        {"predicted": "\x1b[31m"},
        {"model": ["a"]},
    ],
)
def test_a_record_that_the_service_cannot_have_written_is_damaged(
    tmp_path: Path, change: dict[str, object]
) -> None:
    (tmp_path / f"{name(1)}.json").write_text(json.dumps({**GOOD, **change}))
    found = read_record(tmp_path, name(1))
    assert isinstance(found, Outcome)
    assert found.kind == "damaged"


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 50_000, b"\xff\xfe", b"5", b"null"])
def test_what_is_no_json_object_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{name(1)}.json").write_bytes(content)
    assert isinstance(read_record(tmp_path, name(1)), Outcome)


def test_links_pipes_folders_and_large_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"x")
    assert read_file(tmp_path / "good", 1) == b"x"
    (tmp_path / "link").symlink_to("good")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"x" * (MAX_RECORD_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")
    for file in ("link", "folder", "large", "pipe", "none"):
        with pytest.raises(OSError, match=r"."):
            read_file(tmp_path / file, MAX_RECORD_BYTES)


def test_records_without_photo_or_class_and_corrected_ones_are_left_out() -> None:
    records = [
        record(1),
        record(2, has_photo=False),
        record(3, "Glass"),
        record(5, "metal", answer="a"),
        record(4, "glass", answer="a"),
    ]
    kept, left_out = screen(records, CLASSES)
    assert [one.id for one in kept] == [name(1), name(5)]
    assert kinds(left_out) == {"2": "no photo", "3": "unknown label", "4": "changed"}
    assert "did you mean 'glass'" in next(o.reason for o in left_out if o.kind == "unknown label")


def test_one_photo_of_each_picture_is_imported_the_largest_one() -> None:
    photos = {1: described(1, look=1), 2: described(2, look=1, size=200), 3: described(3)}
    found = decided(photos, [record(n) for n in photos])
    assert found == {"1": "duplicate", "2": "imported", "3": "imported"}


def test_equal_files_without_features_are_one_picture() -> None:
    flat = {"phash": "-".join(["0" * 64] * 8), "sha256": "f" * 64}
    photos = {n: Sample(Path(f"{n}"), "glass", width=9, height=9, **flat) for n in (1, 2)}
    photos[3] = Sample(Path("3"), "glass", phash=flat["phash"], sha256="e" * 64)
    found = decided(photos, [record(n) for n in photos])
    assert Counter(found.values()) == {"imported": 2, "duplicate": 1}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("gm", {"contradiction": 2}),
        ("ggm", {"contradiction": 3}),
        ("gggm", {"contradiction": 1, "duplicate": 2, "imported": 1}),
        ("ggggmm", {"contradiction": 6}),
        ("ggggggmm", {"contradiction": 2, "duplicate": 5, "imported": 1}),
    ],
)
def test_contradicting_labels_need_a_clear_majority(labels: str, expected: dict[str, int]) -> None:
    names = {"g": "glass", "m": "metal"}
    records = [record(n, names[letter]) for n, letter in enumerate(labels, 1)]
    photos = {n: described(n, look=1) for n in range(1, len(labels) + 1)}
    outcomes = decide({name(n): s for n, s in photos.items()}, records, Manifest(()))
    assert Counter(outcome.kind for outcome in outcomes) == expected
    for outcome in outcomes:
        if outcome.kind == "imported":
            assert outcome.record.label == "glass"
            assert outcome.num_votes == labels.count("g")


def test_photos_of_the_data_set_are_left_out_even_through_a_copy() -> None:
    known = [described(50, look=1, label="metal", split="test")]
    photos = {1: described(1, look=1), 2: described(2), 3: described(3, look=1)}
    by_id = {name(n): s for n, s in photos.items()}
    outcomes = decide(by_id, [record(n) for n in photos], Manifest(tuple(known)))
    assert kinds(outcomes) == {"1": "known", "2": "imported", "3": "known"}
    assert "50.jpg (metal, test)" in outcomes[0].reason


def test_a_class_takes_only_so_many_the_most_agreed_and_oldest_first() -> None:
    photos = {n: described(n) for n in range(1, 6)} | {6: described(6, look=5)}
    records = [record(n) for n in photos]
    found = decided(photos, records, max_per_class=3)
    assert [n for n, kind in found.items() if kind == "limit"] == ["3", "4"]
    others = [described(100 + n, label="glass", split="train") for n in range(8)]
    others += [described(200 + n, label="glass", split="test") for n in range(40)]
    found = decided(photos, records, others, max_share=0.2)
    assert list(found.values()).count("imported") == 2  # 2 of 2 + 8 photos are 20%
    others += [described(300, label="glass", domain="feedback", split="train")]
    found = decided(photos, records, others, max_share=0.2)
    assert list(found.values()).count("imported") == 1  # an earlier import counts
    metal = [record(n, "metal") for n in photos]
    assert "limit" not in decided(photos, metal, others, max_share=0.2).values()
