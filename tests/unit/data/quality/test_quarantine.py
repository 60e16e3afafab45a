"""What goes away comes back, byte for byte."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO

import pytest

from recyclenet.data.manifest import Sample, file_digest
from recyclenet.data.quality.quarantine import (
    Departure,
    Outcome,
    is_quarantine,
    open_quarantine,
    read_journal,
    restore,
)
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


@pytest.fixture
def links(photos: list[Path]) -> list[Path]:
    """Links to photos, as DVC and git-annex lay them out; the last one dangles."""
    root = photos[0].parent
    texts = ["a.jpg", f"../../photos/./{root.name}//c", "../../.annex/objects/none"]
    paths = [root / f"link{number}.jpg" for number in range(len(texts))]
    for number, (path, text) in enumerate(zip(paths, texts, strict=True)):
        os.symlink(text, path)  # noqa: PTH211
        os.utime(path, (1e9, 2e9 + number), follow_symlinks=False)
    return paths


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder is on a file system of its own."""

    def near_only(function: Callable[..., None]) -> Callable[..., None]:
        def call(source: Path, target: Path, **options: object) -> None:
            if Path(source).parent != Path(target).parent:
                raise OSError(errno.EXDEV, "Invalid cross-device link")
            function(source, target, **options)

        return call

    for name in ("link", "rename", "replace"):
        monkeypatch.setattr(os, name, near_only(getattr(os, name)))


def departure(path: Path, reason: str = "dark", stays: Path | None = None) -> Departure:
    known = None if stays is None else Sample(stays, "x", sha256=file_digest(stays))
    return Departure(
        Sample(path, "x", sha256=file_digest(path) if path.exists() else ""), reason, known
    )


def quarantine(departures: list[Departure], folder: Path) -> Outcome:
    with open_quarantine(folder) as opened:
        return opened.take(departures)


def take(paths: list[Path], folder: Path) -> Outcome:
    return quarantine([departure(path) for path in paths], folder)


def tree(root: Path) -> dict[str, tuple[object, int]]:
    """Each file and link below a folder with its content and its time."""
    return {
        str(path.relative_to(root)): (
            os.readlink(path) if path.is_symlink() else path.read_bytes(),  # noqa: PTH115
            path.lstat().st_mtime_ns,
        )
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def paths_of(outcome: Outcome) -> list[Path]:
    return [Path(move.path) for move in outcome.moved]


def test_photos_go_and_come_back(photos, tmp_path):
    before, folder = tree(tmp_path), tmp_path / "away"
    quarantine([departure(photos[0], "dark"), departure(photos[1], "small")], folder)
    quarantine([departure(photos[2], "copy")], folder)
    assert not any(path.exists() for path in photos)
    assert [move.reason for move in read_journal(folder)] == ["dark", "small", "copy"]
    assert paths_of(restore(folder)) == photos
    assert tree(tmp_path) == before
    assert not folder.exists()


def test_links_go_and_come_back_as_the_same_links(photos, links, tmp_path):
    before = tree(tmp_path)
    assert take(links, tmp_path / "away").left == []
    assert not any(path.is_symlink() for path in links)
    assert restore(tmp_path / "away").left == []
    assert tree(tmp_path) == before


@pytest.mark.usefixtures("far")
def test_another_file_system(photos, links, tmp_path):
    before = tree(tmp_path)
    assert take([*links, *photos], tmp_path / "away").left == []
    assert len(list((tmp_path / "away").glob("0*"))) == 6
    assert restore(tmp_path / "away").left == []
    assert tree(tmp_path) == before


def test_a_real_other_file_system(photos, links, tmp_path):
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system here")
    folder = memory / f"recyclenet-{os.getpid()}"
    try:
        before = tree(tmp_path)
        assert take([*links, *photos], folder).left == []
        assert restore(folder).left == []
        assert tree(tmp_path) == before
        assert not folder.exists()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Killed(BaseException):
    """Stands for SIGKILL."""


STEPS = ("link", "rename", "replace", "unlink", "symlink", "mkdir", "rmdir")


class Killer:
    """Makes the process die, or fail once, at its Nth step on files.

    A dead process takes no further step, so that no clean-up of its own can help.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = sys.maxsize
        self.error: BaseException = Killed()
        for name in STEPS:
            patch.setattr(os, name, self._hurt(getattr(os, name)))
        patch.setattr(os, "fsync", lambda _: self.step())  # it takes long, and nobody pulls a plug
        copy = shutil.copyfileobj

        def half(source: IO[bytes], target: IO[bytes]) -> None:
            target.write(source.read(50))
            target.flush()
            self.step()
            copy(source, target)

        patch.setattr(shutil, "copyfileobj", half)

    def step(self) -> None:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and isinstance(self.error, Killed)):
            raise self.error

    def at_each_step(
        self, error: BaseException, work: Callable[[], object], repair: Callable[[], object]
    ) -> int:
        """Let `work` fail at its first step, at its second, and so on; repair it after each.

        Returns:
            The number of steps.
        """
        self.error = error
        for steps in count(1):
            self.left = steps
            with suppress(Killed, RecycleNetError):
                work()
            done, self.left = self.left > 0, sys.maxsize
            repair()
            if done:
                return steps - 1
        raise AssertionError

    def _hurt(self, function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            self.step()
            return function(*arguments, **options)

        return call


@pytest.fixture
def killer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
    with monkeypatch.context() as patch:
        yield Killer(patch)


ERRORS = [Killed(), OSError(errno.ENOSPC, "No space left on device")]


@pytest.mark.parametrize("error", ERRORS, ids=["killed", "full"])
@pytest.mark.parametrize("place", ["near", "far"])
def test_a_clean_that_dies_anywhere_can_be_undone(photos, links, tmp_path, request, place, error):
    if place == "far":
        request.getfixturevalue("far")
    killer = request.getfixturevalue("killer")
    folder, before = tmp_path / "away", tree(tmp_path)

    def repair() -> None:
        if is_quarantine(folder):
            assert restore(folder).left == []
        shutil.rmtree(folder, ignore_errors=True)  # a lock, or the start of a journal
        assert tree(tmp_path) == before

    num = killer.at_each_step(error, lambda: take([*links, *photos], folder), repair)
    assert num > 10


@pytest.mark.parametrize("error", ERRORS, ids=["killed", "full"])
@pytest.mark.parametrize("place", ["near", "far"])
def test_an_undo_that_dies_anywhere_can_be_run_again(
    photos, links, tmp_path, request, place, error
):
    if place == "far":
        request.getfixturevalue("far")
    killer = request.getfixturevalue("killer")
    folder, before = tmp_path / "away", tree(tmp_path)

    take([*links, *photos], folder)

    def repair() -> None:
        if is_quarantine(folder):
            assert restore(folder).left == []
        assert tree(tmp_path / "photos") == {
            key.removeprefix("photos/"): value for key, value in before.items()
        }
        shutil.rmtree(folder, ignore_errors=True)
        take([*links, *photos], folder)

    num = killer.at_each_step(error, lambda: restore(folder), repair)
    assert num > 6


def test_a_clean_after_a_killed_one_goes_on(photos, tmp_path, killer):
    before, folder = tree(tmp_path), tmp_path / "away"
    take(photos[:1], folder)
    killer.left = 5
    with pytest.raises(Killed):
        take(photos[1:], folder)
    killer.left = sys.maxsize
    take([path for path in photos if path.exists()], folder)
    assert restore(folder).left == []
    assert tree(tmp_path) == before


def test_what_lies_in_the_quarantine_is_never_overwritten(photos, tmp_path):
    folder = tmp_path / "away"
    folder.mkdir()
    (folder / "000000.jpg").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        take(photos, folder)
    assert all(path.exists() for path in photos)
    (folder / "000000.jpg").unlink()
    take(photos[:1], folder)
    (folder / "000001.png").write_text("mine")
    (folder / "000002.jpg").write_text("mine too")
    take(photos[1:], folder)
    restore(folder)
    assert all(path.exists() for path in photos)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "000001.png": "mine",
        "000002.jpg": "mine too",
    }


def test_one_at_a_time_and_a_killed_one_does_not_count(photos, tmp_path):
    folder = tmp_path / "away"
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from recyclenet.data.quality.quarantine import open_quarantine\n"
        "with open_quarantine(Path(sys.argv[1])):\n"
        "    print('open', flush=True)\n"
        "    time.sleep(60)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", program, folder], stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(RecycleNetError, match="is running in"):
            take(photos, folder)
        assert all(path.exists() for path in photos)
    finally:
        other.kill()
        other.communicate()
    assert len(take(photos, folder).moved) == 3
    with open_quarantine(folder), pytest.raises(RecycleNetError, match="is running in"):
        restore(folder)
    assert len(restore(folder).moved) == 3


def test_a_photo_that_has_gone_or_changed_stays_and_the_others_go(photos, tmp_path):
    departures = [departure(path) for path in photos]
    photos[0].unlink()
    photos[1].write_text("new")
    outcome = quarantine(departures, tmp_path / "away")
    assert paths_of(outcome) == photos[2:]
    assert [line.rpartition(": ")[2] for line in outcome.left] == [
        "No such file or directory",
        "it changed since the scan",
    ]
    assert photos[1].read_text() == "new"
    assert restore(tmp_path / "away").left == []


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_copy_stays_if_its_original_is_not_there(photos, tmp_path, how):
    shutil.copy(photos[0], photos[1])
    copy = departure(photos[1], "duplicate", photos[0])
    if how == "gone":
        photos[0].unlink()
    else:
        photos[0].write_text("new")
    outcome = quarantine([copy], tmp_path / "away")
    assert not outcome.moved
    assert "a copy of" in outcome.left[0]
    assert photos[1].exists()
    assert not (tmp_path / "away").exists()


def test_a_link_whose_photo_changed_stays(photos, links, tmp_path):
    departures = [departure(link) for link in links]
    photos[0].write_text("new")
    (tmp_path / ".annex" / "objects").mkdir(parents=True)
    (tmp_path / ".annex" / "objects" / "none").write_text("fetched")
    outcome = quarantine(departures, tmp_path / "away")
    assert paths_of(outcome) == links[1:2]


def test_only_files_and_links_go(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    outcome = quarantine(
        [Departure(Sample(tmp_path / name, "x"), "dark") for name in ("folder.jpg", "pipe.jpg")],
        tmp_path / "away",
    )
    assert len(outcome.left) == 2
    assert not (tmp_path / "away").exists()


def test_paths_with_dots_behind_a_linked_folder(photos, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/er")
    photo = tmp_path / "deep" / "a.jpg"
    shutil.copy2(photos[0], photo)
    before = tree(tmp_path)
    take([tmp_path / "link" / ".." / "a.jpg"], tmp_path / "away")
    assert not photo.exists()
    assert paths_of(restore(tmp_path / "away")) == [photo]
    assert tree(tmp_path) == before


def test_a_new_file_at_the_old_place_is_never_overwritten(photos, tmp_path):
    before = tree(tmp_path)
    take(photos, tmp_path / "away")
    photos[1].write_text("new")
    outcome = restore(tmp_path / "away")
    assert len(outcome.moved) == 2
    assert "another file is there now" in outcome.left[0]
    assert "\n" not in outcome.left[0]
    assert photos[1].read_text() == "new"
    photos[1].unlink()
    assert len(restore(tmp_path / "away").moved) == 1
    assert tree(tmp_path) == before
    assert not (tmp_path / "away").exists()


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_what_can_come_back_does(photos, tmp_path, how):
    moves = take(photos, tmp_path / "away").moved
    away = tmp_path / "away" / moves[1].place
    content = away.read_bytes()
    if how == "gone":
        away.unlink()
    else:
        away.write_text("changed")
    for _ in range(2):  # the journal stays as long as something is missing
        outcome = restore(tmp_path / "away")
        assert len(outcome.left) == 1
        assert "b," in outcome.left[0]
        assert photos[0].exists()
        assert photos[2].exists()
        assert not photos[1].exists()
    away.write_bytes(content)
    assert len(restore(tmp_path / "away").moved) == 1


def test_two_photos_of_one_place(photos, tmp_path):
    take(photos[:1], tmp_path / "away")
    photos[0].write_text("new")
    take(photos[:1], tmp_path / "away")
    outcome = restore(tmp_path / "away")
    assert photos[0].read_bytes() == b"\0" * 100
    assert len(outcome.left) == 1
    photos[0].rename(tmp_path / "first")
    restore(tmp_path / "away")
    assert photos[0].read_text() == "new"


def test_the_old_folder_is_made_anew(photos, tmp_path):
    before = tree(tmp_path)
    take(photos, tmp_path / "away")
    photos[0].parent.rmdir()
    photos[0].parent.parent.rmdir()
    assert restore(tmp_path / "away").left == []
    assert tree(tmp_path) == before


def test_an_old_folder_that_is_a_file_now_is_named(photos, tmp_path):
    take(photos, tmp_path / "away")
    photos[0].parent.rmdir()
    photos[0].parent.write_text("a file")
    assert len(restore(tmp_path / "away").left) == 3
    photos[0].parent.unlink()
    assert restore(tmp_path / "away").left == []


def test_quarantine_behind_a_link_and_a_relative_path(photos, tmp_path, monkeypatch):
    before = tree(tmp_path / "photos")
    (tmp_path / "real").mkdir()
    (tmp_path / "away").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    take(photos, Path("away"))
    monkeypatch.chdir(photos[0].parent)
    assert restore(Path("../../away")).left == []
    assert tree(tmp_path / "photos") == before


def test_what_is_in_the_quarantine_is_not_taken_again(photos, tmp_path):
    moves = take(photos, tmp_path / "away").moved
    outcome = take([tmp_path / "away" / moves[0].place], tmp_path / "away")
    assert "in the quarantine already" in outcome.left[0]
    assert len(restore(tmp_path / "away").moved) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users here")
def test_one_photo_of_many_may_not_move(photos, links, tmp_path, monkeypatch):
    before, unlink = tree(tmp_path), os.unlink

    def denied(path, **options):
        if Path(path) == photos[1]:
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", denied)
    outcome = take(photos, tmp_path / "away")
    assert paths_of(outcome) == [photos[0], photos[2]]
    assert outcome.left[0].endswith("Permission denied")
    assert len(list((tmp_path / "away").glob("0*"))) == 2
    assert restore(tmp_path / "away").left == []
    assert tree(tmp_path) == before


def test_places_that_cannot_be_a_quarantine(photos, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to("none")
    for folder in (tmp_path / "file", tmp_path / "file" / "in", tmp_path / "dangling"):
        with pytest.raises(RecycleNetError, match="cannot use") as caught:
            take(photos, folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="holds other files"):
        take(photos, photos[0].parent)
    assert all(path.exists() for path in photos)


def test_other_folders_are_no_quarantine(tmp_path):
    with pytest.raises(UsageError, match="not a quarantine"):
        restore(tmp_path)
    (tmp_path / "moves.csv").write_text("path,label\n")
    with pytest.raises(DataError, match="damaged"):
        restore(tmp_path)
    assert not is_quarantine(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        "/tmp/a.jpg,../../a.jpg,dark,00,",
        "/tmp/a.jpg,/tmp/b.jpg,dark,00,",
        "/tmp/a.jpg,moves.csv,dark,00,",
        "/tmp/a.jpg,.lock,dark,00,",
        "/tmp/a.jpg,000000/../../a,dark,00,",
        "tmp/a.jpg,000000.jpg,dark,00,",
        "/tmp/../a.jpg,000000.jpg,dark,00,",
        "/tmp/a\0.jpg,000000.jpg,dark,00,",
        "/tmp/a.jpg,000000.jpg,dark,00",
        '/tmp/a.jpg,000000.jpg,dark,"00,',
        "/tmp/a.jpg,000000.jpg,dark,00,\n/tmp/b.jpg,000000.jpg,dark,00,",
        "/tmp/a.jpg,000000.jpg," + "x" * 200_000 + ",00,",
    ],
)
def test_an_edited_journal_is_refused(tmp_path, row):
    (tmp_path / "000000.jpg").write_text("mine")
    (tmp_path / "moves.csv").write_text(f"path,place,reason,sha256,link\n{row}\n")
    with pytest.raises(DataError, match="damaged"):
        restore(tmp_path)
    assert (tmp_path / "000000.jpg").read_text() == "mine"


def test_journals_of_earlier_versions_are_read(photos, tmp_path):
    (tmp_path / "away").mkdir()
    digest = file_digest(photos[0])
    photos[0].rename(tmp_path / "away" / "000000.jpg")
    (tmp_path / "away" / "moves.csv").write_text(
        f"path,place,reason,sha256\r\n{photos[0]},000000.jpg,dark,{digest}\r\n",
        encoding="utf-8-sig",
    )
    assert paths_of(restore(tmp_path / "away")) == photos[:1]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_quarantine_that_takes_nothing_changes_nothing(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "new" / "deeper" / "quarantine"
    if is_there:
        folder.mkdir(parents=True)
    with open_quarantine(folder):
        assert folder.is_dir()
    assert folder.is_dir() == is_there
    assert list(folder.glob("*")) == []
    assert (tmp_path / "new").exists() == is_there
