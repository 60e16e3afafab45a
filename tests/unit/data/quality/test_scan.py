"""What a folder of photos is taken to be."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from recyclenet.data.manifest import read_manifest, write_manifest
from recyclenet.data.quality.scan import _deaf_children, scan_dataset
from recyclenet.errors import DataError


def place(root: Path, *names: str) -> Path:
    """Make empty files; a scan goes by names alone."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def test_a_scan_describes_every_photo(tmp_path):
    (tmp_path / "玻璃").mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:01 12:30:00"
    path = tmp_path / "玻璃" / "瓶 🍾.jpg"
    Image.new("RGB", (120, 80), "green").save(path, exif=exif)
    calls = []
    found = scan_dataset(tmp_path, lambda *numbers: calls.append(numbers))
    (sample,) = found.manifest
    assert (sample.width, sample.height) == (80, 120)  # upright
    assert sample.num_bytes == path.stat().st_size
    assert sample.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sample.taken == "2024:05:01 12:30:00"
    assert calls == [(1, 1)]
    write_manifest(found.manifest, tmp_path / "m.csv")
    assert read_manifest(tmp_path / "m.csv") == found.manifest


def test_a_scan_names_what_it_leaves_out(messy_folder):
    found = scan_dataset(messy_folder)
    assert found.manifest.class_names == ("good",)
    assert {p.sample.label for p in found.problems if p.sample} == {"bad"}
    assert all(problem.reason and "\n" not in problem.reason for problem in found.problems)


def test_processes_find_the_same_in_the_same_order(messy_folder, monkeypatch):
    alone, told = scan_dataset(messy_folder), []
    monkeypatch.setattr("recyclenet.data.quality.scan._FEW", 0)
    assert scan_dataset(messy_folder, lambda *counts: told.append(counts)) == alone
    total = len(alone.manifest) + len(alone.problems)
    assert told == [(done, total) for done in range(1, total + 1)]


def test_links_in_a_circle_are_named_and_not_followed(tmp_path, photo_folder):
    shutil.copytree(photo_folder, tmp_path / "set")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "glass" / "deeper").symlink_to(tmp_path)
    (tmp_path / "set" / "self.jpg").symlink_to(tmp_path / "set" / "self.jpg")
    found = scan_dataset(tmp_path / "set")
    assert found.manifest.counts == {"glass": 12, "metal": 12, "paper": 12}
    assert [p.reason.split(" leads")[0].rpartition("/")[2] for p in found.problems] == [
        "circle",
        "deeper",
    ]


def test_nothing_readable_is_an_error(tmp_path):
    place(tmp_path, "glass/a.jpg", "glass/b.jpg")
    with pytest.raises(DataError, match="none of the 2 photos"):
        scan_dataset(tmp_path)


def test_ctrl_c_reaches_this_process_and_not_those_it_starts() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with _deaf_children():
        ask = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
        child = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True)
    assert child.stdout.split() == [b"True"]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_windows_has_no_signals_to_block(monkeypatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delattr(signal, "pthread_sigmask")
    with _deaf_children():
        pass
