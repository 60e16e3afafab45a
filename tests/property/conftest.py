"""What the cases are made of: pictures, tables, models and what earlier commands left."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from feedback import give
from property.running import run_here

Templates = dict[str, bytes]


@pytest.fixture(scope="session")
def templates(
    tmp_path_factory: pytest.TempPathFactory, make_model: Any, decisive_model: Path, tiny: str
) -> Templates:
    """Contents by name; those of a folder have a slash in their name."""
    found = pictures()
    found |= models(make_model, decisive_model.read_bytes())
    found["tiny.toml"] = Path(tiny).read_bytes()
    found["words"] = b"These are words.\n"
    found["empty"] = b""
    found["table.csv"] = b"a,b\n1,2\n"
    found["odd predictions.csv"] = (
        b"path,target,logit_glass,logit_x\nx.jpg,0,nan,1e999\ny.jpg,7,1,2\n"
    )
    return found | earlier(tmp_path_factory.mktemp("earlier"), found, LIGHT)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, templates: Templates) -> Templates:
    """The same, and what commands leave that train."""
    return templates | earlier(tmp_path_factory.mktemp("trained"), templates, TRAINING)


def pictures() -> Templates:
    """Return pictures, good and bad."""
    random = np.random.default_rng(0)

    def noisy(red: int, green: int, blue: int, size: tuple[int, int] = (12, 9)) -> Image.Image:
        noise = random.integers(-30, 31, (size[1], size[0], 3))
        pixels = (np.array([red, green, blue]) + noise).clip(0, 255).astype(np.uint8)
        return Image.fromarray(pixels).resize((size[0] * 8, size[1] * 8))

    def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
        content = io.BytesIO()
        image.save(content, kind, **options)
        return content.getvalue()

    glass, metal = noisy(40, 200, 40), noisy(40, 40, 200)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.DateTime] = "=1+1\x1b[31m"
    jpeg = saved(glass, "JPEG", quality=90)
    grey = Image.new("L", (16, 16), 7)
    header = bytearray(saved(grey, "PNG"))
    header[16:24] = (60_000).to_bytes(4) * 2
    return {
        "glass.jpg": jpeg,
        "metal.jpg": saved(metal, "JPEG"),
        "paper.jpg": saved(noisy(200, 40, 40), "JPEG"),
        "other.jpg": saved(noisy(90, 150, 60), "JPEG"),
        "another.jpg": saved(noisy(30, 90, 120), "JPEG"),
        "glass.png": saved(glass, "PNG"),
        "alpha.png": saved(metal.convert("RGBA"), "PNG"),
        "grey.png": saved(grey, "PNG"),
        "metal.webp": saved(metal, "WEBP"),
        "moving.gif": saved(glass, "GIF", save_all=True, append_images=[metal]),
        "turned.jpg": saved(metal, "JPEG", exif=exif),
        "dark.jpg": saved(noisy(2, 2, 2), "JPEG"),
        "white.jpg": saved(Image.new("RGB", (96, 72), "white"), "JPEG"),
        "long.jpg": saved(noisy(90, 90, 90, (40, 2)), "JPEG"),
        "dot.png": saved(Image.new("RGB", (1, 1)), "PNG"),
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "header.png": b"\x89PNG\r\n\x1a\n",
        "corrupt.jpg": jpeg[:2] + bytes(38) + jpeg[40:],
        "huge.png": bytes(header),
    }


def models(make_model: Any, good: bytes) -> Templates:
    """Return model files, good and bad."""

    def content(**changes: Any) -> bytes:
        return bytes(make_model(**changes).read_bytes())

    return {
        "model": good,
        "unsealed.onnx": content(sealed=False),
        "no statistics.onnx": content(),
        "wrong statistics.onnx": content(statistics={"risk": [], "confusion": {"counts": 1}}),
        "wrong facts.onnx": content(facts=json.dumps({"name": None})),
        "no facts.onnx": content(facts=None),
        "too wide.onnx": content(num_outputs=5),
        "nasty names.onnx": content(class_names=("a\x1b[31m\u202e", "b\nc", "=1+1")),
    }


def earlier(root: Path, contents: Templates, commands: Mapping[str, str]) -> Templates:
    """Run commands and return what they wrote, as an earlier call of theirs would have."""
    for folder in ("here", "home", "tmp"):
        (root / folder).mkdir()
    here = root / "here"
    for label, names in {
        "glass": ("glass.jpg", "glass.png", "other.jpg", "turned.jpg"),
        "metal": ("metal.jpg", "metal.webp", "another.jpg", "dark.jpg"),
        "paper": ("paper.jpg", "white.jpg", "grey.png", "long.jpg"),
    }.items():
        for folder in ("photos", "faulty"):
            (here / folder / label).mkdir(parents=True)
            for name in names:
                (here / folder / label / name).write_bytes(contents[name])
    (here / "tiny.toml").write_bytes(contents["tiny.toml"])
    (here / "model.onnx").write_bytes(contents["model"])
    (here / "other.onnx").write_bytes(contents["no statistics.onnx"])
    for label, name in (("glass", "glass"), ("metal", "metal"), ("shoe", "other")):
        give(here / "feedback", label, Image.open(io.BytesIO(contents[f"{name}.jpg"])))
    give(here / "feedback", "glass", None)
    for name, words in commands.items():
        done = run_here(words.split(), root)
        assert done.code == 0, (name, done)
    found = {}
    for folder, _, names in os.walk(here):
        for name in names:
            path = Path(folder, name)
            content = path.read_bytes()
            if path.suffix in TEXTS:
                content = content.replace(os.fsencode(here), b"{root}/here")
            found[str(path.relative_to(here))] = content
    return found


TEXTS = (".csv", ".toml", ".html", ".json", ".yaml")
LIGHT = {
    "scan": "data scan photos --out photos/scan.csv",
    "scan again": "data scan photos --out scan.csv",
    "inspect": "data inspect photos --out inspect.html",
    "faults": "data clean photos --report faults --out clean.csv",
    "report": "evaluate --data photos --model model.onnx --report report.html "
    "--predictions predictions.csv --metrics metrics.json",
    "demo": "demo --pictures photos --model model.onnx --out demo.html",
    "explain": "explain photos/glass --model model.onnx --report explain.html",
    "card": "runs card model.onnx --out card.md",
    "audit": "audit photos --model model.onnx --report audit.html",
    "models": "models promote model.onnx --to models --name waste",
    "history": "models promote other.onnx --to models --data photos --force",
    "copies": "data augment photos --groups flips --copies copies --out copies.csv",
    "quarantine": "data clean faulty --apply --quarantine quarantine",
}
TRAINING = {
    "run": "train --data photos --recipe tiny.toml --out run",
    "sweep": "lr-find --data photos --recipe tiny.toml --steps 20 --out sweep.png",
    "folds": "crossval --data photos --recipe tiny.toml --folds 2 --out folds",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many cases the commands survived."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    numbers = [
        number
        for report in reports
        for name, number in getattr(report, "user_properties", ())
        if name == "num_cases" and report.when == "call"
    ]
    if numbers:
        terminalreporter.write_line(f"property suite: {sum(numbers)} cases of {len(numbers)} tests")
