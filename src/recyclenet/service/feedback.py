"""Stores feedback in a folder of bounded size."""

from __future__ import annotations

import io
import json
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

from PIL import Image

from recyclenet.core.files import write_bytes
from recyclenet.core.images import decode_image
from recyclenet.errors import RecycleNetError
from recyclenet.service.problems import Problem

# The least that a file takes on a disk.
BLOCK = 4096
QUALITY = 95
# The folder is counted again after so many seconds, because others may change it: another service,
# or whoever takes the feedback out. When it seems full, it is counted sooner.
COUNT_SECONDS = 60.0
COUNT_FULL_SECONDS = 1.0


class FeedbackStore:
    """A folder with one JSON file for each piece of feedback, and a JPEG where the user agreed.

    Names are random; nothing that the user sent becomes part of a path. A photo is decoded and
    saved anew, so no metadata of it, such as its place, is stored.

    Args:
        folder: the folder; created if missing.
        max_bytes: size of all files in it, at most.

    Raises:
        RecycleNetError: the folder cannot be used.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._used = self._count()
        except OSError as error:
            raise RecycleNetError(f"cannot use the folder {folder}: {error.strerror}") from error

    def store(self, facts: dict[str, object], photo: bytes | None) -> str:
        """Store feedback, and return its id.

        Args:
            facts: what to store as JSON.
            photo: a photo file; None to store none.

        Raises:
            ImageError: the photo cannot be read.
            Problem: the folder is full, or cannot be written to.
        """
        picture = None if photo is None else _plain_jpeg(photo)
        name = uuid.uuid4().hex
        row = {"id": name, "time": round(time.time(), 3), "photo": picture is not None, **facts}
        text = json.dumps(row, ensure_ascii=False).encode()
        files = {f"{name}.json": text}
        if picture is not None:
            files = {f"{name}.jpg": picture, **files}
        self._take(sum(_room(len(content)) for content in files.values()))
        try:
            for file, content in files.items():
                write_bytes(self._folder / file, content)
        except (OSError, RecycleNetError) as error:
            with suppress(OSError):
                (self._folder / f"{name}.jpg").unlink(missing_ok=True)
            raise Problem(
                507, "feedback_failed", "the feedback cannot be stored; tell the operator"
            ) from error
        return name

    def _count(self) -> int:
        """Return the room that the files in the folder take."""
        self._counted = time.monotonic()
        used = 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # taken out meanwhile, or renamed
                used += _room(path.stat().st_size)
        return used

    def _take(self, room: int) -> None:
        with self._lock:
            age = time.monotonic() - self._counted
            is_full = self._used + room > self._max_bytes
            if age > COUNT_SECONDS or (is_full and age > COUNT_FULL_SECONDS):
                with suppress(OSError):  # then writing fails, too
                    self._used = self._count()
            if self._used + room > self._max_bytes:
                raise Problem(
                    507, "feedback_full", "the folder for feedback is full; tell the operator"
                )
            self._used += room


def _plain_jpeg(photo: bytes) -> bytes:
    content = io.BytesIO()
    Image.fromarray(decode_image(photo)).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def _room(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
