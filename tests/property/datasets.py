"""Random datasets: class folders and manifests, whole and broken."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence

from hypothesis import strategies as st

from property.worlds import LABELS, ROOT, Draw, World, name, rarely

GOOD = (
    "glass.jpg",
    "metal.jpg",
    "paper.jpg",
    "other.jpg",
    "another.jpg",
    "glass.png",
    "alpha.png",
    "grey.png",
    "metal.webp",
    "moving.gif",
    "turned.jpg",
    "dark.jpg",
    "white.jpg",
    "long.jpg",
    "dot.png",
)
BAD = ("empty", "words", "cut.jpg", "header.png", "corrupt.jpg", "huge.png")
SUFFIXES = (".jpg", ".JPG", ".png", ".webp", ".gif", ".tiff", ".jpeg", ".heic", "")
NASTY_CELLS = (
    "",
    " ",
    "0",
    "-1",
    "1e9",
    "nan",
    "9" * 30,
    "9" * 5000,
    "\u0661",
    "test",
    "=1+1",
    "\x1b[2J",
    "\u202e",
    "a\nb",
    "a\rb",
    "\0",
    "ffff",
    "zz-zz",
    "../../nowhere.jpg",
    "x" * 300,
    "\udcff",
)
MOST_PHOTOS = 4


def dataset(draw: Draw, world: World) -> str:
    """Add a dataset; return the path of its folder or manifest."""
    if world.datasets and draw(st.booleans()):
        return draw(st.sampled_from(world.datasets))
    folder = world.new_path(draw)
    photos = class_folders(draw, world, folder)
    way = draw(st.sampled_from(("folder", "folder", "table", "table", "inside", "scanned")))
    path = folder
    if way == "table":
        path = world.new_path(draw, ".csv")
        world.file(path, "text", table(draw, photos, os.path.dirname(path)))
    elif way == "inside":
        world.file(f"{folder}/manifest.csv", "text", table(draw, photos, folder))
    elif way == "scanned":  # what `data scan` wrote of the template photos
        path = f"{world.folder(world.new_path(draw), 'photos')}/scan.csv"
    world.datasets.append(path)
    return path


def class_folders(draw: Draw, world: World, folder: str) -> list[tuple[str, str]]:
    """Add class folders with photos; return (path, label) of each photo."""
    world.add(folder, "folder")
    photos = []
    for number in range(draw(st.integers(1, 3)) - rarely(draw, 0.05)):
        label = name(draw) if rarely(draw) else LABELS[number]
        place = f"{folder}/{label}"
        if world.is_taken(place):
            continue
        world.add(place, "folder")
        for _ in range(draw(st.integers(0, MOST_PHOTOS))):
            suffix = draw(st.sampled_from(SUFFIXES)) if rarely(draw) else ".jpg"
            path = world.new_path(draw, suffix, place)
            photos.append((thing(draw, world, path), label))
    if rarely(draw, 0.1):
        world.add(
            world.new_path(draw, "", folder), "link", draw(st.sampled_from((".", "..", "../..")))
        )
    if rarely(draw, 0.1):
        beyond = f"outside/{LABELS[0]}"
        world.file(f"{beyond}/far.jpg", "glass.jpg")
        world.add(world.new_path(draw, "", folder), "link", f"{ROOT}/{beyond}")
    return photos


def thing(draw: Draw, world: World, path: str) -> str:
    """Add something under a photo's name: mostly a photo."""
    if not rarely(draw, 0.2):
        return world.file(path, draw(st.sampled_from(GOOD)))
    if draw(st.booleans()):
        return world.file(path, draw(st.sampled_from(BAD)))
    kind = draw(st.sampled_from(("fifo", "socket", "folder", "near", "far", "dangling", "loop")))
    if kind in ("fifo", "socket", "folder"):
        return world.add(path, kind)
    parent = os.path.dirname(path)
    if kind == "near":
        target = world.file(world.new_path(draw, ".jpg", parent), "metal.jpg")
        return world.add(path, "link", os.path.basename(target))
    if kind == "far":
        return world.add(path, "link", f"{ROOT}/{world.file('outside/one.jpg', 'paper.jpg')}")
    return world.add(path, "link", "nowhere" if kind == "dangling" else os.path.basename(path))


def table(draw: Draw, photos: Sequence[tuple[str, str]], folder: str) -> bytes:
    """Return a manifest of photos; some have a fault."""
    columns = ["path", "label", *draw(st.sampled_from(((), ("split",), ("split", "sha256"))))]
    if rarely(draw):
        columns += [draw(st.sampled_from(("width", "phash", "group", "taken", "num_bytes", "x")))]
    rows = []
    for path, label in photos:
        place = os.path.relpath(path, folder) if draw(st.booleans()) else f"{ROOT}/{path}"
        known = {"path": place, "label": label, "split": draw(st.sampled_from(SPLITS))}
        rows.append([known.get(column, "") for column in columns])
    if rarely(draw, 0.15):
        rows.append([draw(st.sampled_from(NASTY_CELLS)) for _ in columns])
    if rows and rarely(draw, 0.15):
        row = draw(st.integers(0, len(rows) - 1))
        column = draw(st.integers(0, len(columns) - 1))
        rows[row][column] = draw(st.sampled_from(NASTY_CELLS))
    if rarely(draw, 0.1):
        columns[draw(st.integers(0, len(columns) - 1))] = draw(st.sampled_from(NASTY_CELLS))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=draw(st.sampled_from(("\n", "\r\n")))).writerows(
        [columns, *rows]
    )
    content = text.getvalue().encode(errors="surrogateescape")
    if rarely(draw, 0.1):
        content = b"\xef\xbb\xbf" + content
    return content[: draw(st.integers(0, len(content)))] if rarely(draw, 0.05) else content


SPLITS = ("", "train", "train", "val", "test", "test")
