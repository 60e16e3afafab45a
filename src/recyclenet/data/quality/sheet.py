"""Contact sheets: many small pictures with a line below each, Chinese ones included."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from recyclenet.core.files import picture_png, write_bytes, write_table
from recyclenet.core.images import decode_image
from recyclenet.core.outputs import PICTURE, is_earlier
from recyclenet.data.quality.clean import KINDS, Issue
from recyclenet.errors import ImageError

COLUMNS = 8
WIDTH, HEIGHT, LINE = 168, 126, 17
# The faces in the font's file begin with the Japanese and the Korean one.
SIMPLIFIED_CHINESE = 2
MOST = 64


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        path: of the photo; what cannot be read is left blank.
        lines: what is written below it.
        mark: "red" or another colour of a frame around it; empty for none.
    """

    path: Path
    lines: tuple[str, ...]
    mark: str = ""


def sheet_png(tiles: Sequence[Tile]) -> bytes:
    """Draw pictures row by row; return a PNG."""
    from noto_cjk_sans_otc import FONT_PATH

    font = ImageFont.truetype(str(FONT_PATH), 12, index=SIMPLIFIED_CHINESE)
    num_lines = max(len(tile.lines) for tile in tiles)
    columns = min(COLUMNS, len(tiles))
    width, height = WIDTH + 6, HEIGHT + num_lines * LINE + 8
    sheet = Image.new("RGB", (columns * width, -(-len(tiles) // columns) * height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, tile in enumerate(tiles):
        left, top = number % columns * width + 3, number // columns * height + 3
        try:
            picture = Image.fromarray(decode_image(tile.path, min_side=HEIGHT))
            picture.thumbnail((WIDTH, HEIGHT))
            sheet.paste(picture, (left, top))
        except ImageError:
            pen.rectangle((left, top, left + WIDTH, top + HEIGHT), outline="grey")
        if tile.mark:
            pen.rectangle(
                (left - 1, top - 1, left + WIDTH, top + HEIGHT), outline=tile.mark, width=3
            )
        for row, line in enumerate(tile.lines):
            place = left, top + HEIGHT + row * LINE
            pen.text(place, _fitted(line, font), fill="black", font=font)
    return picture_png(sheet)


def write_issues(issues: Sequence[Issue], kinds: Iterable[str], folder: Path) -> list[Path]:
    """Write the faults of a dataset as a table and as one contact sheet a kind.

    The sheets of an earlier report in the same folder go.

    Args:
        issues: what was found.
        kinds: for these, photos go; they have a red frame.
        folder: made if missing.

    Returns:
        The files.
    """
    going = frozenset(kinds)
    table = folder / "issues.csv"
    rows = [
        (i.sample.path, i.sample.label, i.kind, i.detail, i.other.path if i.other else "")
        for i in issues
    ]
    write_table(table, [("path", "label", "kind", "detail", "other"), *rows])
    files = [table]
    found = {issue.kind for issue in issues}
    for kind in KINDS.keys() - found:
        sheet = folder / f"{kind}.png"
        if is_earlier(sheet, PICTURE):
            sheet.unlink()
    for kind in sorted(found):
        tiles = []
        for issue in [issue for issue in issues if issue.kind == kind][:MOST]:
            sample, other = issue.sample, issue.other
            mark = "red" if kind in going else ""
            tiles.append(
                Tile(sample.path, (f"{sample.label}/{sample.path.name}", issue.detail), mark)
            )
            if other is not None:
                tiles.append(Tile(other.path, (f"{other.label}/{other.path.name}", "the other")))
        files.append(folder / f"{kind}.png")
        write_bytes(files[-1], sheet_png(tiles))
    return files


def _fitted(line: str, font: ImageFont.FreeTypeFont) -> str:
    """Shorten a line to the width of a picture."""
    line = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    if font.getlength(line) <= WIDTH:
        return line
    while line and font.getlength(f"{line}…") > WIDTH:
        line = line[:-1]
    return f"{line}…"
