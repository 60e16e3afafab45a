"""Numbered pictures of decisions in a folder."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path

from PIL import Image

from recyclenet.core.files import write_bytes
from recyclenet.core.images import ImageArray
from recyclenet.core.text import show_path
from recyclenet.data.lock import lock_file
from recyclenet.errors import RecycleNetError

LOCK_NAME = ".watch.lock"


class Captures:
    """Writes frames as `000001.jpg`, `000002.jpg` and so on, after those already in the folder.

    Args:
        folder: made if missing, and removed by `close` if nothing was saved in it.

    Raises:
        RecycleNetError: the folder is not writable, or another watch writes into it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_file(folder / LOCK_NAME, "watch")
            numbers = [int(n[1]) for n in map(_match, os.listdir(folder)) if n]  # noqa: PTH208
        except OSError as error:
            raise RecycleNetError(
                f"cannot write into {show_path(folder)}: {error.strerror}; choose another --save"
            ) from error
        self._number = max(numbers, default=0)

    def save(self, image: ImageArray) -> Path:
        """Write one frame, `(H, W, 3)` uint8 RGB, and return its path.

        Raises:
            RecycleNetError: the folder is not writable or the disk is full.
        """
        content = io.BytesIO()
        Image.fromarray(image).save(content, "JPEG", quality=92)
        path = self._new_file()
        try:
            write_bytes(path, content.getvalue())
        except RecycleNetError:
            path.unlink(missing_ok=True)
            raise
        return path

    def _new_file(self) -> Path:
        """Make an empty file under the next free number; another program may have taken some."""
        while True:
            self._number += 1
            path = self.folder / f"{self._number:06d}.jpg"
            try:
                path.open("xb").close()
            except FileExistsError:
                continue
            except OSError as error:
                raise RecycleNetError(
                    f"cannot write {show_path(path)}: {error.strerror}; check the folder"
                ) from error
            return path

    def close(self) -> None:
        """Let other processes write into the folder, and remove it if it was made for nothing."""
        with suppress(OSError):
            (self.folder / LOCK_NAME).unlink(missing_ok=True)
            self._lock.close()
            for place in self._made:
                place.rmdir()


def _match(name: str) -> re.Match[str] | None:
    return re.fullmatch(r"([0-9]{6,9})\.jpg", name, re.IGNORECASE)
