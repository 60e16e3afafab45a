"""Sources: what they give, and what is refused."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from recyclenet.camera.frames import EndOfSource
from recyclenet.camera.live import Live
from recyclenet.camera.sources import Reading, open_source
from recyclenet.camera.video import Capture
from recyclenet.errors import DataError, RecycleNetError, UsageError
from videos import FPS, block, frames_of, scene, until, write_video


def all_frames(source):
    found = []
    while True:
        try:
            frame = source.next(1.0)
        except EndOfSource:
            source.close()
            return found
        if frame is not None:
            found.append(frame)


@pytest.mark.parametrize(("code", "name"), [("MJPG", "a.avi"), ("mp4v", "a.mp4")])
def test_a_video_gives_each_frame_once(tmp_path, code, name) -> None:
    frames = frames_of([block("glass")])
    found = all_frames(open_source(str(write_video(tmp_path / name, frames, code))))
    assert [frame.number for frame in found] == list(range(len(frames)))
    assert [frame.time for frame in found] == pytest.approx(np.arange(len(frames)) / FPS, abs=0.02)
    red = found[START_OF_REST].image[60, 80]
    assert red[1] > red[0] + 50  # green: the channels are RGB
    assert np.abs(found[0].image.astype(int) - frames[0]).mean() < 6


START_OF_REST = 14


def test_a_folder_gives_its_photos_in_order(photo_folder, tmp_path) -> None:
    for number in (10, 2, 1):
        shutil.copy(photo_folder / "glass" / "glass1.jpg", tmp_path / f"{number}.jpg")
    (tmp_path / "2.jpg").write_bytes(b"no photo")
    reasons: list[str] = []
    source = open_source(str(tmp_path), Reading(fps=4, left_out=reasons.append))
    assert [(frame.number, frame.time) for frame in all_frames(source)] == [(0, 0), (2, 0.5)]
    assert source.num_damaged == len(reasons) == 1


def test_a_folder_of_damaged_photos_is_an_error(tmp_path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"no photo")
    source = open_source(str(tmp_path))
    with pytest.raises(DataError, match="no photo in"):
        source.next(1)


@pytest.mark.parametrize(
    "source",
    [
        "nowhere.mp4", "64", "999999999", "ftp://x/y", "file:///etc/passwd", "rtsp://", "http://[",
        "concat://x", "rtsp://a b", "x\0y", "FILE:///etc/passwd", "rtsp://h:0/", "concat:a|b",
    ],
)  # fmt: skip
def test_what_is_no_source_is_a_usage_error(source) -> None:
    with pytest.raises(UsageError):
        open_source(source)


def test_what_is_no_video_is_an_error(tmp_path, photo_folder) -> None:
    (tmp_path / "words.mp4").write_text("no video " * 999)
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(DataError, match="not a video"):
        open_source(str(tmp_path / "words.mp4"))
    with pytest.raises(DataError, match="is empty"):
        open_source(str(tmp_path / "empty.mp4"))
    with pytest.raises(UsageError, match="is a photo"):
        open_source(str(photo_folder / "glass" / "glass1.jpg"))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="pipe or device"):
            open_source(str(tmp_path / "pipe"))


def test_a_video_with_large_frames_is_refused(clip) -> None:
    with pytest.raises(DataError, match="160x120"):
        open_source(str(clip), Reading(max_pixels=10_000))


def test_a_video_cut_short_gives_what_it_has(clip, tmp_path) -> None:
    content = clip.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    source = open_source(str(tmp_path / "cut.avi"))
    found = all_frames(source)
    assert 20 < len(found) < 158
    assert len(found) + source.num_damaged == 158


def test_damaged_frames_in_the_middle_are_passed_over(clip, tmp_path) -> None:
    content = bytearray(clip.read_bytes())
    for part in (3, 4, 5):
        start = content.index(b"\xff\xd8\xff", len(content) * part // 10)
        content[start : start + 300] = bytes(300)
    (tmp_path / "damaged.avi").write_bytes(content)
    source = open_source(str(tmp_path / "damaged.avi"))
    found = all_frames(source)
    assert len(found) >= 155
    assert found[-1].time == pytest.approx(15.7, abs=0.11)
    assert source.num_damaged == 158 - len(found) == 3


def test_realtime_plays_at_the_speed_of_the_video_and_drops_frames(clip) -> None:
    source = open_source(str(clip), Reading(realtime=True))
    first = source.next(5)
    until(lambda: source._num_frames >= 12)
    newest = source.next(5)
    assert first is not None
    assert newest is not None
    assert newest.number >= 11
    assert newest.read_at - first.read_at > 0.8
    source.close()


def test_a_camera_that_does_not_exist_is_an_error() -> None:
    source = open_source("63")
    with pytest.raises(DataError, match="cannot open camera 63"):
        until(lambda: source.next(5))


def test_a_password_is_in_no_message() -> None:
    source = open_source("http://me:secret@127.0.0.1:9/x?token=hidden")
    with pytest.raises(DataError) as caught:
        until(lambda: source.next(5))
    assert "127.0.0.1:9/x" in str(caught.value)
    assert "secret" not in str(caught.value) + source.name
    assert "hidden" not in str(caught.value) + source.name


def live(url: str, told: list[str], **options) -> Live:
    return Live(
        "the camera",
        lambda: Capture.live("the camera", url, 10**6),
        tell=told.append,
        first_pause_s=0.05,
        **options,
    )


def test_a_camera_that_drops_is_opened_again(stream) -> None:
    camera = stream([scene()] * 5, [scene()] * 5, [scene()] * 5, hang=True)
    told: list[str] = []
    source = live(camera.url, told)
    connections = set()

    def has_all() -> bool:
        frame = source.next(0.1)
        connections.update([frame.connection] if frame else [])
        return len(connections) == 3

    until(has_all, 20)
    source.close()
    assert [line for line in told if "is back" in line] == ["the camera is back"] * 2
    pauses = [line.rpartition("in ")[2] for line in told if "trying again" in line]
    assert pauses[0] == "0.05 s"


def test_pauses_grow_and_a_camera_may_be_given_up(stream) -> None:
    camera = stream([scene()] * 3)
    told: list[str] = []
    source = live(camera.url, told, give_up_s=0.5)
    with pytest.raises(RecycleNetError, match="given up"):
        until(lambda: source.next(1) is False, 20)
    pauses = [float(line.rpartition("in ")[2].removesuffix(" s")) for line in told]
    assert pauses == sorted(pauses)
    assert pauses[:2] == [0.05, 0.1]


def test_only_the_newest_frame_is_kept(stream) -> None:
    camera = stream([scene(seed=n) for n in range(20)], fps=50, hang=True)
    source = live(camera.url, [])
    until(lambda: source._num_frames >= 15, 20)
    frame = source.next(1)
    assert frame is not None
    assert frame.number >= 14
    source.close()


def test_a_server_that_sends_no_picture_is_an_error(stream) -> None:
    source = live(stream([]).url, [])
    with pytest.raises(DataError, match="camera"):
        until(lambda: source.next(1) is False, 20)
