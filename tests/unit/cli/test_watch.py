"""`recyclenet watch`: rows, files, exit codes, and how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from PIL import Image

from conftest import colour
from videos import BACKGROUND, LABELS, Stream, block, frames_of, scene, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    return write_video(path, frames_of([block(label) for label in LABELS]))


@pytest.fixture
def watch(command, tiny_model):
    def run(*words: object) -> tuple[int, str, str]:
        return command("watch", "--headless", "--model", tiny_model, *words)

    return run


def test_a_video_gives_one_line_per_item(watch, clip) -> None:
    code, out, err = watch("--source", clip)
    assert (code, err) == (0, "6 items\n")
    assert [line.split()[0] for line in out.splitlines()] == list(LABELS)
    assert [f"item {number}" in line for number, line in enumerate(out.splitlines(), 1)]


def test_the_built_in_model_decides_once_for_each_sample(command, tmp_path) -> None:
    """Unlike the other models here, it has an unknown score."""
    samples = sorted((Path(__file__).resolve().parents[3] / "samples").glob("*.jpg"))
    items = [np.asarray(Image.open(path).convert("RGB").resize((100, 100))) for path in samples]
    clip = write_video(tmp_path / "clip.avi", frames_of(items))
    code, out, err = command("watch", "--headless", "--json", "--source", clip)
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["item"] for row in rows] == list(range(1, len(samples) + 1))
    assert all(0 <= row["unknown"] <= 1 for row in rows)
    answers = {path.stem: row["label"] for path, row in zip(samples, rows, strict=True)}
    assert answers["green_glass_bottle"] == "glass"
    assert answers["dented_drink_can"] == "metal"


def test_rows_and_saved_frames(watch, clip, tmp_path) -> None:
    (tmp_path / "000007.jpg").write_text("the user's")
    code, out, _ = watch("--source", clip, "--json", "--save", tmp_path)
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [row["label"] for row in rows] == list(LABELS)
    assert [row["item"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["event"] for row in rows} == {"decision"}
    assert {"time", "frame", "age", "votes", "agreeing", "confidence", "known", "bin"} <= set(
        rows[0]
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["000007.jpg", *(f"{n:06d}.jpg" for n in range(8, 14))]
    assert (tmp_path / "000007.jpg").read_text() == "the user's"
    assert [row["path"] for row in rows] == [str(tmp_path / name) for name in names[1:]]
    for row in rows:
        with Image.open(row["path"]) as picture:
            assert picture.size == (160, 120)


def test_every_frame(watch, clip) -> None:
    code, out, _ = watch("--source", clip, "--json", "--every")
    rows = [json.loads(line) for line in out.splitlines()]
    frames = [row for row in rows if row["event"] == "frame"]
    assert code == 0
    assert [row["frame"] for row in frames] == list(range(158))
    assert len(rows) - len(frames) == len(LABELS)
    assert {row["state"] for row in frames} == {"learning", "empty", "moving", "still", "decided"}
    assert all(row["fps"] > 0 for row in frames[1:])


def test_several_objects_have_a_line_each_below_that_of_their_item(watch, tmp_path) -> None:
    pair = np.full((60, 140, 3), BACKGROUND, np.uint8)
    pair[:, :55], pair[:, 85:] = colour("glass", 230), colour("paper", 230)
    two = write_video(tmp_path / "two.avi", frames_of([pair]))
    code, out, err = watch("--source", two, "--multi")
    assert (code, err) == (0, "1 items\n")
    item, *objects = out.splitlines()
    assert "item 1" in item
    assert [line.split()[0] for line in objects] == ["glass", "paper"]
    assert "object 2 of 2" in objects[1]
    code, out, _ = watch("--source", two, "--multi", "--json")
    (row,) = map(json.loads, out.splitlines())
    assert [one["label"] for one in row["objects"]] == ["glass", "paper"]
    code, out, err = watch("--source", two, "--multi", "--max-risk", "0.1")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_damaged_frames_end_with_code_3(watch, clip, tmp_path) -> None:
    content = bytearray(clip.read_bytes())
    start = content.index(b"\xff\xd8\xff", len(content) // 2)
    content[start : start + 300] = bytes(300)
    (tmp_path / "damaged.avi").write_bytes(content)
    code, out, err = watch("--source", tmp_path / "damaged.avi")
    assert code == 3
    assert len(out.splitlines()) == 6
    assert err.splitlines()[-1] == "1 frames could not be read"


@pytest.mark.parametrize(
    ("source", "code"),
    [("nowhere.avi", 2), ("63", 1), ("http://127.0.0.1:9/", 1), ("words.avi", 1), ("ftp://x/", 2)],
)
def test_sources_that_cannot_be_read(watch, tmp_path, monkeypatch, source, code) -> None:
    (tmp_path / "words.avi").write_text("words")
    monkeypatch.chdir(tmp_path)
    got, out, err = watch("--source", source, "--save", "saved")
    assert (got, out, len(err.splitlines())) == (code, "", 1), err
    assert not (tmp_path / "saved").exists()


def test_without_a_display_one_line_says_so(command, tiny_model, clip, monkeypatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    code, _, err = command("watch", "--model", tiny_model, "--source", clip)
    assert code == 0
    assert err.splitlines() == ["no window: there is no display (as with --headless)", "6 items"]


def test_without_the_extra_one_line_says_what_to_install(watch, clip, monkeypatch) -> None:
    monkeypatch.setattr("recyclenet.core.extras.CAMERA_MODULES", ("no_such_module",))
    code, _, err = watch("--source", clip)
    assert code == 1
    assert err == "error: watch needs the 'camera' extra: pip install 'recyclenet[camera]'\n"


def test_two_cannot_save_into_one_folder(watch, clip, tmp_path) -> None:
    from recyclenet.camera.captures import Captures

    captures = Captures(tmp_path)
    code, _, err = watch("--source", clip, "--save", tmp_path)
    assert code == 1
    assert "another watch" in err
    captures.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path) -> None:
    from recyclenet.camera.captures import Captures

    picture = np.zeros((8, 8, 3), np.uint8)
    captures = Captures(tmp_path)
    assert captures.save(picture).name == "000001.jpg"
    (tmp_path / "000002.jpg").write_bytes(b"mine")
    (tmp_path / "000003.jpg").symlink_to(tmp_path / "nowhere")
    assert captures.save(picture).name == "000004.jpg"
    captures.close()
    assert (tmp_path / "000002.jpg").read_bytes() == b"mine"
    assert not (tmp_path / "nowhere").exists()


def test_decisions_are_posted(watch, clip) -> None:
    received: list[dict] = []
    statuses = [500, 500]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = statuses.pop() if statuses else 204
            if status == 204:
                received.append(json.loads(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    code, out, err = watch("--source", clip, "--json", "--webhook", url)
    server.shutdown()
    server.server_close()
    assert (code, err) == (0, "6 items\n")
    printed = [json.loads(line) for line in out.splitlines()]
    assert [row["item"] for row in received] == [1, 2, 3, 4, 5, 6]
    assert [row["label"] for row in received] == [row["label"] for row in printed]


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("drops", [False, True])
def test_a_signal_stops_it(tiny_model, tmp_path, told, drops) -> None:
    """While frames come, and while a camera that dropped is waited for."""
    camera = Stream([[scene(seed=n) for n in range(4 if drops else 2000)]])
    words = ["--source", camera.url, "--headless", "--model", tiny_model, "--json", "--every"]
    words += ["--save", tmp_path / "saved", "--max-age", 30]
    process = subprocess.Popen(
        [sys.executable, "-m", "recyclenet", "watch", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(300, process.kill)
    timer.start()
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["event"] == "frame"
    if drops:
        assert "trying again" in process.stderr.readline()
    sent = time.monotonic()
    process.send_signal(told)
    _, err = process.communicate()
    timer.cancel()
    camera.close()
    assert time.monotonic() - sent < 5  # one, on a machine that has nothing else to do
    assert process.returncode == 128 + told
    assert err.splitlines()[-1] == "stopped"
    assert "Traceback" not in err
    assert not (tmp_path / "saved").exists()


def test_a_camera_that_hangs_is_reported_as_lost(watch) -> None:
    camera = Stream([[scene(seed=n) for n in range(4)]])
    camera.hang.set()
    words = ("--source", camera.url, "--json", "--every", "--max-age", 1, "--give-up", 1)
    code, out, err = watch(*words)
    camera.close()
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert rows[-1]["event"] == "lost"
    assert "no picture: the last answer no longer holds" in err
    assert err.splitlines()[-1].endswith("given up")
