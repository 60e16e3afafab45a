"""Makers of values: words, paths and files, sensible and odd, that an option may be given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from property.datasets import dataset, thing
from property.worlds import ROOT, Draw, World, name, oddly, rarely, spelled


@dataclass(frozen=True)
class Output:
    """Something that a command is told to write.

    Attributes:
        path: below the root; empty for a path that lies elsewhere or cannot be.
        is_folder: it becomes a folder, so what lies below it may be written too.
        certain: after exit code 0 it is there.
    """

    path: str
    is_folder: bool = False
    certain: bool = True


@dataclass(frozen=True)
class Value:
    """Words for the command line.

    Attributes:
        text: the words.
        output: what the command may write for them.
        read: the path below the root that the command reads for them.
    """

    text: str
    output: Output | None = None
    read: str = ""


Maker = Callable[[Draw, World], Value]


def words(*choices: str, odd: Sequence[str] = ()) -> Maker:
    """One of the sensible words, or, in a case that is not sober, of the odd ones."""

    def make(draw: Draw, world: World) -> Value:
        return Value(draw(st.sampled_from(odd if odd and oddly(draw, world, 0.3) else choices)))

    return make


def any_path(draw: Draw, world: World) -> str:
    """Return something in the tree, or nothing."""
    if world.items and draw(st.booleans()):
        return draw(st.sampled_from(sorted(world.items)))
    way = draw(st.sampled_from(("missing", "thing", "fifo", "below")))
    if way == "missing":
        return world.new_path(draw)
    if way == "below":
        return f"{world.file(world.new_path(draw), 'words')}/x"
    if way == "fifo":
        return world.add(world.new_path(draw), "fifo")
    return thing(draw, world, world.new_path(draw, ".jpg"))


def given(*templates: str, suffix: str) -> Maker:
    """A file of the right kind, whole or damaged; now and then anything else."""

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            return _read(draw, world, any_path(draw, world))
        what = templates[0] if world.sober else draw(st.sampled_from(templates))
        path = world.file(world.new_path(draw, suffix), what)
        if oddly(draw, world):
            content = world.items.pop(os.path.normpath(path)).content
            world.file(path, "damaged " + what, damaged(draw, content))
        return _read(draw, world, path)

    return make


def _read(draw: Draw, world: World, path: str, slash: str = "") -> Value:
    return Value(spelled(draw, world, path) + slash, read=path)


def damaged(draw: Draw, content: bytes) -> bytes:
    """Return content cut short, or with some bytes changed."""
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if draw(st.booleans()):
        return content[:place]
    other = draw(st.binary(min_size=1, max_size=8))
    return content[:place] + other + content[place + len(other) :]


def datasets(draw: Draw, world: World) -> Value:
    path = any_path(draw, world) if oddly(draw, world, 0.1) else dataset(draw, world)
    slash = "/" if oddly(draw, world, 0.1) else ""
    return _read(draw, world, path, slash)


def named_datasets(draw: Draw, world: World) -> Value:
    """A data set, or NAME=SOURCE."""
    value = datasets(draw, world)
    if not draw(st.booleans()):
        return value
    return Value(f"{name(draw).replace('=', '')}={value.text}", read=value.read)


def pictures(draw: Draw, world: World) -> Value:
    ways = ("photo", "photo", "photo", "folder", "glob", "any", "nothing")
    way = draw(st.sampled_from(ways[:5] if world.sober else ways))
    if way == "photo":
        return _read(draw, world, thing(draw, world, world.new_path(draw, ".jpg")))
    if way == "folder":
        return datasets(draw, world)
    if way == "glob":
        return words("*", "**", "**/*.jpg", "[", "*.jpg", "?", "../**", "[!a]*")(draw, world)
    if way == "nothing":
        return Value(
            draw(st.sampled_from(("", "-", ".", "..", "nowhere.jpg", "x" * 300, "a/../b")))
        )
    return _read(draw, world, any_path(draw, world))


def folders_of(template: str, broken: bool = True) -> Maker:
    """A folder that a command made, whole or with one file missing or damaged."""

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            path = any_path(draw, world)
        else:
            path = world.folder(world.new_path(draw), template, earlier=template)
            inside = [p for p in world.items if p.startswith(f"{path}/") and _is_file(world, p)]
            if broken and inside and oddly(draw, world, 0.3):
                place = draw(st.sampled_from(inside))
                item = world.items.pop(place)
                if draw(st.booleans()):
                    content = damaged(draw, item.content)
                    world.file(place, f"damaged {item.what}", content, earlier=template)
        return Value(spelled(draw, world, path), Output(path, is_folder=True, certain=False))

    return make


def _is_file(world: World, path: str) -> bool:
    return world.items[path].kind == "file"


def written(
    suffix: str, template: str = "", *, is_folder: bool = False, certain: bool = True
) -> Maker:
    """A place for an output: mostly new, else something in the way.

    Args:
        suffix: of the name.
        template: what an earlier command of the same kind wrote there.
        is_folder: the output is a folder.
        certain: after exit code 0 it is there.
    """

    def make(draw: Draw, world: World) -> Value:
        path = _place(draw, world, suffix, template, is_folder)
        return Value(spelled(draw, world, path), Output(path, is_folder, certain))

    return make


def _place(draw: Draw, world: World, suffix: str, template: str, is_folder: bool) -> str:
    ways = ("new", "new", "new", "new", "deep", "taken", "earlier", "input", "link")
    way = draw(st.sampled_from(ways[:5] if world.sober and not rarely(draw, 0.2) else ways))
    path = world.new_path(draw, suffix)
    if way == "deep":
        return f"{path}/{name(draw)}/{name(draw, suffix)}"
    if way == "taken":
        kind = draw(st.sampled_from(("file", "file", "folder", "fifo", "socket", "below")))
        if kind == "file" or kind == "below":
            world.file(path, draw(st.sampled_from(("words", "glass.jpg", "empty", "table.csv"))))
            return f"{path}/x{suffix}" if kind == "below" else path
        world.add(path, kind)
        if kind == "folder" and draw(st.booleans()):
            world.file(f"{path}/mine.txt", "words")
            world.file(f"{path}/{draw(st.sampled_from(OWN_NAMES))}", "words")
        return path
    if way == "earlier" and template:
        if is_folder:
            return world.folder(path, template, earlier=template)
        return world.file(path, template, earlier=template)
    if way == "input" and world.items:
        return draw(st.sampled_from(sorted(world.items)))
    if way == "link":
        target = draw(st.sampled_from(("nowhere", "file", "folder")))
        if target == "file":
            target = f"{ROOT}/{world.file('outside/mine.txt', 'words')}"
        elif target == "folder":
            target = f"{ROOT}/{world.add('outside/mine', 'folder')}"
        return world.add(path, "link", target)
    return path


# What commands call their own files, in case a user has such files too.
OWN_NAMES = (
    "manifest.csv",
    "issues.csv",
    "dark.png",
    "moves.csv",
    "000000.jpg",
    "models.csv",
    "recipe.toml",
    "metrics.csv",
    "model.onnx",
    "predictions.csv",
    "folds.csv",
    "ablation.csv",
    "collected.jsonl",
    "glass/glass1.jpg",
)


def text_file(suffix: str, *contents: str, num_good: int = 1) -> Maker:
    """A small file with one of these contents; now and then anything else.

    Args:
        suffix: of its name.
        contents: the first are sensible.
        num_good: so many are.
    """

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            return _read(draw, world, any_path(draw, world))
        text = draw(st.sampled_from(contents[:num_good] if world.sober else contents))
        content = text.encode(errors="surrogateescape")
        return _read(draw, world, world.file(world.new_path(draw, suffix), "text", content))

    return make


def either(*makers: Maker) -> Maker:
    """One of these; in a sober case the first."""
    return lambda draw, world: (makers[0] if world.sober else draw(st.sampled_from(makers)))(
        draw, world
    )


def listed(draw: Draw, world: World) -> Value:
    """A SPLIT=FILE of `data split --list`."""
    if oddly(draw, world, 0.2):
        return Value(draw(st.sampled_from(("train", "=", "", "x=y", "train=\x1b"))))
    split = draw(st.sampled_from(("train", "val", "test")))
    content = "".join(f"{letter}.jpg\n" for letter in draw(st.text("abcdefgh\x1b", max_size=6)))
    path = world.file(world.new_path(draw, ".txt"), "text", content.encode())
    if oddly(draw, world):
        path = any_path(draw, world)
    return Value(f"{split}={spelled(draw, world, path)}", read=path)
