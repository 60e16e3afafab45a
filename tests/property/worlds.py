"""A small random folder tree, described before it is built so that a failure can be read."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

Draw = Callable[..., Any]

HERE = "here"  # where the command runs, below the root
ROOT = "{root}"  # stands for the root in a command line

STEMS = (
    "-dash",
    "--json",
    "two words",
    " lead",
    "tail ",
    "new\nline",
    "tab\tname",
    "back\rward",
    "esc\x1b[31mred",
    "bell\x07",
    "c1\x9b31m",
    "bidi\u202etxt",
    "separator\u2028x",
    "玻璃瓶",
    "bottle 🍾",
    "e\u0301",
    "\udcff\udcfe",
    "=1+1",
    "@SUM",
    "a,b",
    'quo"te',
    "it's",
    "[x]",
    "[red]x[/red]",
    "*",
    "{x}",
    "%s",
    "$HOME",
    "~",
    "x" * 240,
    ".hidden",
    "#1",
    "a\\b",
    "&lt;<b>",
    "train",
    "__x",
)
LABELS = ("glass", "metal", "paper")


@dataclass(frozen=True)
class Item:
    """One thing in the tree.

    Attributes:
        path: below the root.
        kind: folder, file, link, fifo, socket or device.
        what: name of a file's content, or a link's target.
        content: of a file.
        earlier: it is what an earlier command of this kind wrote; empty for the user's own.
    """

    path: str
    kind: str
    what: str = ""
    content: bytes = field(default=b"", repr=False)
    earlier: str = ""


@dataclass
class World:
    """The tree, as far as it is described; values of options add what they name.

    Attributes:
        templates: contents by name.
        sober: options get sensible values, so that commands come far; photos and names may be odd.
        items: everything in the tree by its path.
        datasets: paths of the datasets among it.
        num_names: counts names made up to be new.
    """

    templates: Mapping[str, bytes] = field(repr=False)
    sober: bool = False
    items: dict[str, Item] = field(default_factory=dict)
    datasets: list[str] = field(default_factory=list)
    num_names: int = 0

    def add(self, path: str, kind: str, what: str = "", content: bytes = b"", **more: str) -> str:
        """Add one thing and the folders above it, unless something is there; return its path."""
        if os.path.normpath(path) in self.items:
            return path
        parent = os.path.dirname(path)
        if parent:
            self.add(parent, "folder")
        self.items[os.path.normpath(path)] = Item(path, kind, what, content, **more)
        return path

    def file(self, path: str, what: str, content: bytes | None = None, **more: str) -> str:
        known = self.templates.get(what, b"") if content is None else content
        return self.add(path, "file", what, known, **more)

    def folder(self, path: str, template: str, earlier: str = "") -> str:
        """Add a copy of a folder among the templates."""
        self.add(path, "folder", earlier=earlier)
        for name in self.templates:
            if name.startswith(f"{template}/"):
                self.file(f"{path}/{name.removeprefix(f'{template}/')}", name, earlier=earlier)
        return path

    def is_taken(self, path: str) -> bool:
        """Whether something is there, or a file stands where one of its folders should be."""
        parts = path.split("/")
        above = ("/".join(parts[:number]) for number in range(1, len(parts)))
        return path in self.items or any(
            self.items[place].kind != "folder" for place in above if place in self.items
        )

    def new_path(self, draw: Draw, suffix: str = "", parent: str = HERE) -> str:
        """Return a path where nothing is yet."""
        path = f"{parent}/{name(draw, suffix)}"
        while self.is_taken(path):
            self.num_names += 1
            path = f"{parent}/n{self.num_names}{suffix}"
        return path

    def build(self, root: Path) -> None:
        """Make the tree below an empty folder; all files are older than any command."""
        for item in self.items.values():
            place = root / item.path
            if item.kind == "folder":
                place.mkdir(parents=True, exist_ok=True)
            elif item.kind == "file":
                text = not item.path.endswith((".ckpt", ".onnx"))  # these hold lengths too
                content = item.content.replace(ROOT.encode(), os.fsencode(root))
                place.write_bytes(content if text else item.content)
                os.utime(place, (1_600_000_000, 1_600_000_000.25))
            elif item.kind == "link":
                place.symlink_to(item.what.replace(ROOT, str(root)))
                os.utime(place, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
            elif item.kind == "fifo":
                os.mkfifo(place)
            elif item.kind == "socket":
                _socket(place)
            else:
                raise AssertionError(item.kind)

    def describe(self) -> str:
        lines = []
        for item in sorted(self.items.values(), key=lambda item: item.path):
            what = (
                f" -> {item.what!r}" if item.kind == "link" else f" ({item.what})" * bool(item.what)
            )
            earlier = f" [earlier {item.earlier}]" if item.earlier else ""
            text = ""
            if item.kind == "file" and item.what == "text":
                text = f"\n      {item.content[:1500]!r}"
            lines.append(f"  {item.path!r} {item.kind}{what}{earlier}{text}")
        return "\n".join(lines)


def _socket(place: Path) -> None:
    """Leave a socket in the tree; its address may be too long, so it is bound from nearby."""
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as one, contextlib.suppress(OSError):
        os.chdir(place.parent)
        try:
            one.bind("s")
            os.rename("s", place.name)
        finally:
            os.chdir(here)


def name(draw: Draw, suffix: str = "") -> str:
    """Draw a file name; most are plain."""
    if not rarely(draw, 0.2):
        stem = draw(st.sampled_from("abcdefgh"))
    elif draw(st.booleans()):
        stem = draw(st.sampled_from(STEMS))
    else:
        letters = st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",))
        stem = draw(st.text(letters, min_size=1, max_size=12))
    text = stem + suffix
    return text if text not in (".", "..") and len(os.fsencode(text)) <= 255 else "odd" + suffix


def rarely(draw: Draw, share: float = 0.15) -> bool:
    """Draw True in so many of all cases; False is simpler."""
    return bool(draw(st.integers(0, 99)) >= 100 - 100 * share)


def oddly(draw: Draw, world: World, share: float = 0.15) -> bool:
    """Draw True in so many cases that are not sober."""
    return not world.sober and rarely(draw, share)


def spelled(draw: Draw, world: World, path: str) -> str:
    """Return a path as a user might type it from `HERE`."""
    relative = os.path.relpath(path, HERE)
    way = draw(st.sampled_from(("relative", "relative", "relative", "absolute", "dots", "link")))
    if way == "absolute":
        return f"{ROOT}/{path}"
    if way == "dots":
        return f"../{HERE}/./{relative}"
    if way == "link" and rarely(draw, 0.5):
        link = world.new_path(draw)
        return os.path.relpath(world.add(link, "link", relative), HERE)
    return relative
