"""Real photos with planted faults: each is found, no file changes, and all comes back."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

pytestmark = pytest.mark.data
EACH = 20
RunCli = Callable[..., Any]


def tree_digest(root: Path) -> str:
    """Return one digest over all names and bytes below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink()):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def jpeg(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()


def brightened(image: Image.Image, factor: float) -> Image.Image:
    return image.point(lambda value: min(255, round(value * factor)))


def broken(content: bytes, number: int) -> bytes:
    return (content[: len(content) // 2], b"", b"<html>404</html>", bytes(200))[number % 4]


FAULTS: dict[str, Callable[[bytes, Image.Image, int], bytes]] = {
    "copy": lambda content, image, number: content,
    "small copy": lambda content, image, number: jpeg(
        image.resize((image.width * 3 // 5, image.height * 3 // 5)), 60
    ),
    "mirrored": lambda content, image, number: jpeg(
        ImageOps.mirror(image) if number % 2 else ImageOps.flip(image), 90
    ),
    "unreadable": lambda content, image, number: broken(content, number),
    "overexposed": lambda content, image, number: jpeg(brightened(image, 3), 90),
    "underexposed": lambda content, image, number: jpeg(brightened(image, 0.15), 90),
    "turned": lambda content, image, number: jpeg(image.transpose(TURNS[number % 4]), 90),
    "flat": lambda content, image, number: jpeg(Image.new("RGB", image.size, FLAT[number % 4]), 90),
}
TURNS = tuple(
    Image.Transpose[name] for name in ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")
)
FLAT = ("white", "black", "grey", "navy")
COPIES = ("duplicate", "near_duplicate", "two_labels")
# What each fault may be called; `washed_out` does not go, but is reported.
KINDS = {
    "copy": {"duplicate", "two_labels"},
    "small copy": {"near_duplicate", "two_labels"},
    "mirrored": {"near_duplicate", "two_labels"},
    "unreadable": {"unreadable"},
    "overexposed": {"overexposed", "light", "washed_out"},
    "underexposed": {"dark"},
    "turned": {"near_duplicate", "two_labels"},
    "flat": {"low_information"},
}


def plant(root: Path, seed: int) -> dict[str, set[str]]:
    """Add faulty photos to a dataset; return their relative paths by fault."""
    random_photos = random.Random(seed)
    photos = sorted(root.rglob("*.jpg"))
    planted: dict[str, set[str]] = defaultdict(set)
    names = iter(random_photos.sample(photos, EACH * len(FAULTS)))
    for fault, make in FAULTS.items():
        for number in range(EACH):
            photo = next(names)
            content = photo.read_bytes()
            with Image.open(io.BytesIO(content)) as image:
                changed = make(content, image.convert("RGB"), number)
            # After its photo in the alphabet, as copies are; with names as people give them.
            path = photo.with_name(f"{photo.stem} 副本 ♻️ {fault}.jpg")
            path.write_bytes(changed)
            planted[fault].add(str(path.relative_to(root)))
    (root / "paper" / "circle").symlink_to(root)
    return planted


def gather(shared: Path, sources: dict[str, int], root: Path) -> None:
    """Copy every so-many-th photo of each source into one folder of classes."""
    for name, step in sources.items():
        for photo in sorted((shared / name).rglob("*.jpg"))[::step]:
            folder = root / photo.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photo, folder / f"{name} {photo.name}")


@pytest.mark.parametrize(
    ("sources", "least_overexposed", "overexposed_missed"),
    [
        pytest.param({"trashnet": 1}, 20, 0, marks=pytest.mark.exhaustive),
        pytest.param({"waste_web": 2}, 18, 0, marks=pytest.mark.exhaustive),
        # One photo, of paper cut out on grey, then looks like goods on white.
        ({"trashnet": 8, "waste_web": 18, "taco_crops": 8, "drinking_waste": 8}, 18, 1),
    ],
)
def test_planted_faults_are_found_taken_away_and_brought_back(
    shared_dir: Path,
    tmp_path: Path,
    run_cli: RunCli,
    sources: dict[str, int],
    least_overexposed: int,
    overexposed_missed: int,
) -> None:
    root = tmp_path / "photos"
    gather(shared_dir, sources, root)
    originals = {str(path.relative_to(root)) for path in root.rglob("*.jpg")}
    planted = plant(root, 0)
    before = tree_digest(root)

    table = tmp_path / "scan.csv"
    done = run_cli("data", "scan", root, "--out", table)
    assert done.code == 3
    assert "circle leads back" in done.err
    assert tree_digest(root) == before

    away = tmp_path / "away"
    apply = ("--apply", "--quarantine", away, "--report", tmp_path / "report")
    done = run_cli("data", "clean", root, *apply)
    assert done.code == 0, done.err
    assert tree_digest(root) != before
    assert not any((root / path).exists() for path in planted["unreadable"])
    found: dict[str, set[str]] = defaultdict(set)
    with (tmp_path / "report" / "issues.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for column in ("path", "other"):
                if row[column]:
                    relative = str(Path(row[column]).relative_to(root))
                    found[row["kind"]].add(relative)
    for fault, paths in planted.items():
        seen = set().union(*(found[kind] for kind in KINDS[fault]))
        missed = overexposed_missed if fault == "overexposed" else 0
        assert len(paths - seen) == missed, (fault, paths - seen)
    assert not planted["flat"] & set().union(*(found[kind] for kind in COPIES))
    sure = planted["overexposed"] & (found["overexposed"] | found["light"])
    assert len(sure) >= least_overexposed
    # Of the photos nobody touched, hardly any goes for its light.
    touched = {path.split(" 副本")[0] + ".jpg" for paths in planted.values() for path in paths}
    false = Counter(kind for kind, paths in found.items() for p in paths & (originals - touched))
    going = sum(false[kind] for kind in ("dark", "light", "overexposed"))
    assert going < 0.01 * len(originals)

    done = run_cli("data", "undo", away)
    assert done.code == 0, done.err
    assert tree_digest(root) == before
