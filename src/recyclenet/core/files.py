"""Writing files so that a reader never meets half of one, and reading TOML."""

from __future__ import annotations

import csv
import io
import os
import secrets
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from recyclenet.errors import RecycleNetError, UsageError


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` and move it there only if the block succeeds.

    Args:
        path: where the finished file goes; its folder is made if missing.

    Yields:
        A binary file open for writing.

    Raises:
        RecycleNetError: the folder cannot be written to, or the disk is full.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RecycleNetError(
            f"cannot write {path}: {error.strerror or error}; check the folder and the free space"
        ) from error
    finally:
        with suppress(OSError):  # the folder may be what is wrong
            temporary.unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_writer(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8", errors="surrogateescape"))


def write_table(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """Write rows as CSV to `path` atomically; the first row has the column names."""
    texts = [[str(cell) for cell in row] for row in rows]
    # Before Python 3.13 the writer does not see by itself that "\r" needs quotes.
    unusual = any("\r" in cell for row in texts for cell in row)
    text = io.StringIO(newline="")
    table = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if unusual else csv.QUOTE_MINIMAL
    )
    table.writerows(texts)
    write_text(path, text.getvalue())


def figure_png(figure: Any) -> bytes:
    """Return a matplotlib figure as PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib figure as PNG to `path` atomically."""
    write_bytes(path, figure_png(figure))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        UsageError: it cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
