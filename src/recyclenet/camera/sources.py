"""The sources of frames: cameras, streams, video files and folders of photos."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from recyclenet.camera.frames import EndOfSource, Frame, Source
from recyclenet.camera.live import Live
from recyclenet.camera.video import Capture, Video
from recyclenet.core.images import MAX_PIXELS, SUFFIXES, decode_image
from recyclenet.core.text import show_path
from recyclenet.data.folders import LeftOut, find_pictures
from recyclenet.data.sources.web import shown
from recyclenet.errors import DataError, ImageError, UsageError

SCHEMES = ("rtsp", "rtsps", "http", "https")
LARGEST_CAMERA = 63
FOLDER_FPS = 10.0
_CAMERA = re.compile(r"(?:/dev/video)?([0-9]{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a source is read.

    Attributes:
        realtime: play a file at its own speed and drop frames that come too fast.
        fps: frames per second of a folder of photos.
        give_up_s: seconds without a frame after which a live source is given up; None: never.
        max_pixels: refuse larger frames.
        tell: is called with one line when a live source is lost or back, from another thread.
        left_out: is called with one line for each file that is not read.
    """

    realtime: bool = False
    fps: float = FOLDER_FPS
    give_up_s: float | None = None
    max_pixels: int = MAX_PIXELS
    tell: Callable[[str], None] = lambda _: None
    left_out: LeftOut = lambda _: None


def open_source(source: str, reading: Reading | None = None) -> Source:
    """Open a camera (`0`, `/dev/video0`), a stream (`rtsp://`, `http://`), a video or a folder.

    A camera or stream is opened in a thread; `Source.next` raises what goes wrong.

    Raises:
        UsageError: there is no such file, or the source is none of these.
        DataError: the file is not a video, or has no frames.
    """
    reading = reading or Reading()
    if camera := _CAMERA.fullmatch(source):
        number = int(camera[1])
        if number > LARGEST_CAMERA:
            raise UsageError(f"camera {number}: the number must be 0 to {LARGEST_CAMERA}")
        return _live(f"camera {number}", number, reading)
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", source):
        return _live(shown(_check_stream(source)), source, reading)
    path = Path(source)
    name = show_path(source)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot read {name}: {reason}; --source is a camera number, a video, a folder of "
            f"photos, or an rtsp:// or http:// address"
        ) from error
    if stat.S_ISDIR(mode):
        return Photos(path, reading)
    if not stat.S_ISREG(mode):
        raise UsageError(f"cannot read {name}: it is a pipe or device; use a regular file")
    if path.suffix.lower() in SUFFIXES - {".gif", ".apng"}:
        raise UsageError(f"{name} is a photo, not a video; use: recyclenet classify {name}")
    if reading.realtime:
        Video(path, reading.max_pixels).close()  # the errors of a file are reported at once
        return Live(
            name,
            lambda: Video(path, reading.max_pixels),
            tell=reading.tell,
            give_up_s=reading.give_up_s,
        )
    return Video(path, reading.max_pixels)


def _live(name: str, address: str | int, reading: Reading) -> Live:
    return Live(
        name,
        lambda: Capture.live(name, address, reading.max_pixels),
        tell=reading.tell,
        give_up_s=reading.give_up_s,
    )


def _check_stream(url: str) -> str:
    """Refuse addresses that are not of a stream; FFmpeg knows others that read local files."""
    with suppress(ValueError):
        parts = urlsplit(url)
        is_stream = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
        if is_stream and not re.search(r"[\x00-\x20\x7f]", url):
            return url
    raise UsageError(
        f"cannot read {shown(url)!r}: a stream's address starts with {'://, '.join(SCHEMES)}:// "
        f"and holds no spaces"
    )


class Photos:
    """A folder of photos, read as frames in the order of their names.

    Args:
        folder: the folder; those below it are read too.
        reading: how.

    Raises:
        UsageError: the folder holds no photos.
    """

    is_live = False

    def __init__(self, folder: Path, reading: Reading) -> None:
        self.name = show_path(folder)
        self.num_damaged = 0
        self._reading = reading
        self._paths = find_pictures(os.fspath(folder), reading.left_out)
        self._number = -1
        self._first = next(self._paths, None)
        if self._first is None:
            raise UsageError(f"the folder {self.name} holds no photos")

    def next(self, timeout_s: float) -> Frame:
        """Return the next photo that can be decoded."""
        while True:
            path = self._first or next(self._paths, None)
            self._first = None
            self._number += 1
            if path is None and self.num_damaged == self._number:
                raise DataError(f"no photo in the folder {self.name} can be read")
            if path is None:
                raise EndOfSource
            try:
                image = decode_image(path, max_pixels=self._reading.max_pixels)
            except ImageError as error:
                self.num_damaged += 1
                self._reading.left_out(str(error))
                continue
            return Frame(self._number, self._number / self._reading.fps, image)

    def close(self) -> None:
        """Do nothing: no file is open between frames."""
