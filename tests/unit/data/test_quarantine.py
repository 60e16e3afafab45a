"""What goes away comes back, byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recyclenet.data.quarantine import quarantine, read_journal, restore
from recyclenet.errors import DataError, RecycleNetError, UsageError


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    root = tmp_path / "photos" / "玻璃 🍾"
    root.mkdir(parents=True)
    paths = [root / name for name in ("a.jpg", "b,\n.JPG", "c")]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 100)
        os.utime(path, (1e9, 1e9 + number))
    return paths


def state(paths: list[Path]) -> list[tuple[bytes, float]]:
    return [(path.read_bytes(), path.stat().st_mtime) for path in paths]


def test_photos_go_and_come_back(photos, tmp_path):
    before, folder = state(photos), tmp_path / "away"
    quarantine([(photos[0], "dark"), (photos[1], "small")], folder)
    quarantine([(photos[2], "copy")], folder)
    assert not any(path.exists() for path in photos)
    assert [move.reason for move in read_journal(folder)] == ["dark", "small", "copy"]
    assert restore(folder) == photos
    assert state(photos) == before
    assert not folder.exists()


def test_nothing_moves_if_a_photo_has_gone(photos, tmp_path):
    with pytest.raises(DataError, match="nothing was moved"):
        quarantine([(photos[0], "dark"), (tmp_path / "gone.jpg", "dark")], tmp_path / "away")
    assert photos[0].exists()


def test_a_new_file_at_the_old_place_is_never_overwritten(photos, tmp_path):
    quarantine([(path, "dark") for path in photos], tmp_path / "away")
    photos[1].write_text("new")
    with pytest.raises(DataError, match="another file is at"):
        restore(tmp_path / "away")
    assert photos[1].read_text() == "new"
    assert not photos[0].exists()
    photos[1].unlink()
    assert len(restore(tmp_path / "away")) == 3


def test_a_photo_changed_meanwhile_does_not_come_back_as_the_old_one(photos, tmp_path):
    moves = quarantine([(photos[0], "dark")], tmp_path / "away")
    (tmp_path / "away" / moves[0].place).write_text("changed")
    with pytest.raises(DataError, match="is not what was"):
        restore(tmp_path / "away")


def test_half_a_move_can_be_undone(photos, tmp_path, monkeypatch):
    moved = []

    def broken(source, target):
        if moved:
            raise OSError(28, "No space left on device")
        moved.append(source)
        source.rename(target)

    monkeypatch.setattr("shutil.move", broken)
    before = state(photos)
    with pytest.raises(RecycleNetError, match="No space"):
        quarantine([(path, "dark") for path in photos], tmp_path / "away")
    monkeypatch.undo()
    assert restore(tmp_path / "away") == photos[:1]
    assert state(photos) == before


def test_other_folders_are_no_quarantine(tmp_path):
    with pytest.raises(UsageError, match="no quarantine"):
        restore(tmp_path)
    (tmp_path / "moves.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="damaged"):
        restore(tmp_path)
