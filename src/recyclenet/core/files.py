"""Atomic writing of files, and safe reading of text, tables and TOML."""

from __future__ import annotations

import codecs
import csv
import errno
import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias

from recyclenet.core.text import show_path
from recyclenet.errors import DataError, RecycleNetError, UsageError

GENERATOR = "RecycleNet"
# A spreadsheet runs a cell that begins with one of these as a formula, unless it is a plain number.
# Such a cell gets a leading apostrophe, and an extra column marks the rows that have one.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.ASCII)
ESCAPED = "escaped"

# Far above what any table, list or recipe needs, yet small enough for memory.
MAX_TEXT_BYTES = 256 << 20
MAX_LINE = 1 << 20
MAX_COLUMNS = 20_000

TableRow: TypeAlias = tuple[int, list[str]]
# Temporary files and folders in use.
_unfinished: set[Path] = set()


@contextmanager
def atomic_writer(path: Path, *, follow: bool = True) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` and move it there only if the block succeeds.

    If `path` is a link, its target is replaced and the link stays. A replaced file keeps its
    permissions. Devices, FIFOs and the file that stdout or stderr goes to are written to directly.

    Args:
        path: the finished file; its folder is created if missing.
        follow: whether to replace what a link points to; otherwise the link is replaced.

    Yields:
        A binary file open for writing.

    Raises:
        RecycleNetError: the folder is not writable, the disk is full, or no program reads the
            FIFO.
    """
    temporary = None
    try:
        if follow and is_stream(path):
            with _stream(path) as file:
                yield file
            return
        target = Path(os.path.realpath(path)) if follow else path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{os.urandom(8).hex()}.part"
        _unfinished.add(temporary)
        with temporary.open("xb") as file:
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # the folder may be unusable
                temporary.unlink()
            _unfinished.discard(temporary)


def cannot_write(path: Path, error: OSError) -> RecycleNetError:
    """Return the error that says in one line why a file or folder cannot be written."""
    reason = f"{error.strerror or error}; check the folder and the free space"
    if error.errno == errno.ENXIO:  # a FIFO without a reader
        reason = "no program is reading from it; start one first"
    return RecycleNetError(f"cannot write {show_path(path)}: {reason}")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside `path` and move it there only if the block succeeds.

    Args:
        path: the finished folder; nothing may be there yet.

    Yields:
        The folder to fill.

    Raises:
        UsageError: something is there.
        RecycleNetError: the folder cannot be written, or the disk is full.
    """
    if os.path.lexists(path):
        raise UsageError(f"{show_path(path)} exists; choose a new folder")
    temporary = path.parent / f".{os.urandom(8).hex()}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        _unfinished.add(temporary)
        yield temporary
        temporary.rename(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _unfinished.discard(temporary)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for the duration of the block."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _unfinished.add(folder)
        try:
            yield folder
        finally:
            _unfinished.discard(folder)


def discard_unfinished() -> None:
    """Remove all temporary files and folders, before the process ends in the middle of its work."""
    for temporary in tuple(_unfinished):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                temporary.unlink()


def is_stream(path: Path) -> bool:
    """Return whether a path is written to directly and never replaced.

    True for a character device, a FIFO, and the file that stdout or stderr goes to.

    Raises:
        OSError: the path is inaccessible, or is a block device or a socket.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    if stat.S_ISBLK(status.st_mode) or stat.S_ISSOCK(status.st_mode):
        raise OSError(errno.EINVAL, "it is a block device or a socket")
    kind = stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode)
    return kind or _own_stream(status) is not None


def _own_stream(status: os.stat_result) -> int | None:
    """Return 1 or 2 if stdout or stderr goes to the file with this status, else None."""
    for number in (1, 2):
        with suppress(OSError):  # the stream may be closed
            if os.path.samestat(os.fstat(number), status):
                return number
    return None


def _stream(path: Path) -> IO[bytes]:
    number = _own_stream(path.stat())
    if number is not None:
        (sys.stdout if number == 1 else sys.stderr).flush()
        return os.fdopen(os.dup(number), "wb")
    # A blocking open of a FIFO would wait for a reader.
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return os.fdopen(descriptor, "wb")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV to `path` atomically; the first row holds the column names.

    Cells that a spreadsheet would run as formulas are escaped; `read_table` restores them.
    """
    names, *texts = ([str(cell) for cell in row] for row in rows)
    if any(_is_formula(cell) for row in texts for cell in row):
        names, texts = [*names, ESCAPED], [_escaped(row) for row in texts]
    # Before Python 3.13 the csv writer does not quote "\r".
    unusual = any("\r" in cell for row in texts for cell in row)
    text = io.StringIO(newline="")
    table = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if unusual else csv.QUOTE_MINIMAL
    )
    table.writerows([names, *texts])
    write_text(path, text.getvalue())


def _is_formula(cell: str) -> bool:
    return cell.startswith(_FORMULA) and not _NUMBER.fullmatch(cell)


def _escaped(row: Sequence[str]) -> list[str]:
    if not any(map(_is_formula, row)):
        return [*row, ""]
    return [f"'{cell}" if _is_formula(cell) or cell[:1] == "'" else cell for cell in row] + ["yes"]


def generator() -> str:
    """Return the program name and release that pages and plots carry in their metadata."""
    from importlib.metadata import version  # slow to import

    return f"{GENERATOR} {version('recyclenet')}"


def picture_png(picture: Any) -> bytes:
    """Return a Pillow image as PNG, with `generator()` in its metadata."""
    from PIL.PngImagePlugin import PngInfo

    note = PngInfo()
    note.add_text("Software", generator())
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True, pnginfo=note)
    return content.getvalue()


def read_text(
    path: Path, *, max_bytes: int = MAX_TEXT_BYTES, wrong: type[RecycleNetError] = DataError
) -> str:
    """Read a whole text file.

    Bytes that are not UTF-8 become lone surrogates, as in file names; a byte-order mark is dropped.

    Args:
        path: a regular file. Pipes and devices are refused because they may never end.
        max_bytes: the largest size allowed.
        wrong: the error to raise if the content is not text.

    Raises:
        UsageError: the file is missing, unreadable or too large.
    """
    name = show_path(path)
    try:
        kind = path.stat()
        if stat.S_ISDIR(kind.st_mode):
            raise UsageError(f"cannot read {name}: it is a folder")
        if not stat.S_ISREG(kind.st_mode):
            raise UsageError(f"cannot read {name}: it is a pipe or device; use a regular file")
        content = b""
        if kind.st_size <= max_bytes:
            with path.open("rb") as file:
                content = file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read {name}: {reason}") from error
    if max(kind.st_size, len(content)) > max_bytes:
        raise UsageError(
            f"cannot read {name}: it is larger than {max_bytes:,} bytes, the most allowed"
        )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise wrong(f"{name} is UTF-16 text; save it as UTF-8")
    if (offset := content.find(b"\0")) >= 0:
        line = _line_of(content, offset)
        raise wrong(f"{name}, line {line}: a NUL byte, so this is not a text file")
    return content.decode("utf-8-sig", errors="surrogateescape")


def read_table(path: Path) -> Iterator[TableRow]:
    """Yield each row of a CSV file with the number of its last line, the column names first.

    Cells that `write_table` escaped are restored; tables from elsewhere are read unchanged.

    Raises:
        UsageError: the file cannot be read.
        DataError: the content is not CSV; the message gives the line.
    """
    column = None
    for number, (line, row) in enumerate(read_rows(path)):
        if number == 0 and ESCAPED in row:
            column = row.index(ESCAPED)
        if column is not None and column < len(row) and row.pop(column) == "yes":
            row = [cell.removeprefix("'") for cell in row]
        yield line, row


def read_rows(path: Path, *, wrong: type[RecycleNetError] = DataError) -> Iterator[TableRow]:
    """Yield the non-empty rows of a CSV file, each with the number of its last line.

    Args:
        path: a regular file, UTF-8.
        wrong: the error to raise if the content is not CSV; its message gives the line.

    Raises:
        UsageError: as for `read_text`.
    """
    lines = io.StringIO(read_text(path, wrong=wrong), newline="")
    rows = csv.reader(_short_lines(lines, path, wrong), strict=True)
    name = show_path(path)
    try:
        for row in filter(None, rows):
            if len(row) > MAX_COLUMNS:
                raise wrong(f"{name}, line {rows.line_num}: over {MAX_COLUMNS:,} columns")
            yield rows.line_num, row
    except csv.Error as error:
        raise wrong(f"{name}, line {rows.line_num}: not a CSV table ({error})") from error


def _short_lines(lines: Iterable[str], path: Path, wrong: type[RecycleNetError]) -> Iterator[str]:
    """Yield lines unchanged; refuse one that is too long for any real table."""
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise wrong(f"{show_path(path)}, line {number}: over {MAX_LINE:,} characters")
        yield line


def _line_of(content: bytes, offset: int) -> int:
    return content.count(b"\n", 0, offset) + 1
