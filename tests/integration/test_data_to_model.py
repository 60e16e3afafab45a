"""The documented way from a list of addresses to an evaluated model, command by command."""

from __future__ import annotations

import csv
import re
import shlex
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("可回收物_玻璃", "metal", "paper")
NUM_PER_CLASS = 14


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a log."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web server with pictures of three classes; returns HOST:PORT."""
    root = tmp_path / "site"
    root.mkdir()
    for channel in range(3):
        for number in range(NUM_PER_CLASS):
            noise = np.random.default_rng(100 * channel + number).integers(20, 90, (6, 8, 3))
            noise[..., channel] += 110
            picture = Image.fromarray(noise.astype(np.uint8))
            picture = picture.resize((128, 96), Image.Resampling.BICUBIC)
            picture.save(root / f"{channel}-{number}.jpg", quality=92)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def documented() -> list[list[str]]:
    """Return the sequence of docs/data.md as words."""
    text = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    section = text.partition("## From nothing to a model")[2].partition("\n## ")[0]
    return [shlex.split(line) for line in re.findall(r"^    (recyclenet .*)$", section, re.M)]


def test_the_documented_sequence_ends_with_an_evaluated_model(
    site: str, tmp_path: Path, tiny: str, run_cli: Callable[..., Any]
) -> None:
    lines = [
        f"{label},http://{site}/{channel}-{number}.jpg,CC0"
        for channel, label in enumerate(LABELS)
        for number in range(NUM_PER_CLASS)
    ]
    lines.append(f"metal,http://{site}/gone.jpg")
    (tmp_path / "urls.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    more = {
        "collect": ["--allow-host", site, "--delay", "0"],
        "train": ["--set", "fit.epochs=10", "--set", "optim.learning_rate=5e-3"],
    }
    commands = documented()
    assert [words[2] if words[1] == "data" else words[1] for words in commands] == [
        "collect", "scan", "clean", "split", "balance", "augment", "train", "evaluate",
    ]  # fmt: skip
    for words in commands:
        verb = words[2] if words[1] == "data" else words[1]
        words = [tiny if word == "quick" else word for word in words]
        done = run_cli(*words[1:], *more.get(verb, ()), cwd=tmp_path)
        # One address leads nowhere, so one photo is missing.
        assert done.code == (3 if verb == "collect" else 0), (verb, done.err)
    with (tmp_path / "work" / "augmented.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    photos = [row for row in rows if row["source"].startswith("http")]
    assert len(photos) == len(LABELS) * NUM_PER_CLASS
    assert {row["licence"] for row in rows} == {"CC0"}
    assert {row["split"] for row in rows if row not in photos} == {"train"}
    accuracy = re.search(r"accuracy +([\d.]+)%", done.out)
    assert accuracy is not None, done.out
    assert float(accuracy[1]) > 60  # three classes of bright colours
