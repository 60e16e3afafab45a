"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from recyclenet.errors import RecycleNetError


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
