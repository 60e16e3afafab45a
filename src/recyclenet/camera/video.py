"""Reading videos, cameras and streams with OpenCV."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

from recyclenet.camera.frames import EndOfSource, Frame
from recyclenet.core.extras import require_camera
from recyclenet.core.images import MAX_PIXELS, ImageArray
from recyclenet.core.text import show_path
from recyclenet.errors import DataError

DEFAULT_FPS = 25.0
_HIGHEST_FPS = 1000.0
# FFmpeg waits no longer than this for a server, milliseconds.
_TIMEOUT_MS = 5000
# Frames in a row that are skipped as damaged before a video counts as ended.
_MAX_DAMAGED = 100
# By this share, a container may overstate its number of frames.
_ESTIMATE = 0.1


def opencv() -> ModuleType:
    """Import OpenCV, and keep it and FFmpeg from printing.

    Raises:
        MissingExtraError: it is not installed.
    """
    require_camera("watch")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    return cv2


class Capture:
    """An open video, camera or stream.

    Args:
        name: for messages.
        address: a path, an address or the number of a camera.
        max_pixels: refuse larger frames.
        is_file: the address is a path.

    Attributes:
        num_frames: number of frames that the container states; 0 if unknown or endless.
        fps: frames per second that the container states, or 25.

    Raises:
        DataError: it cannot be opened or its frames are too large.
    """

    def __init__(
        self, name: str, address: str | int, max_pixels: int = MAX_PIXELS, *, is_file: bool = False
    ) -> None:
        self.name = name
        self._cv = cv = opencv()
        self._max_pixels = max_pixels
        if isinstance(address, int):
            backend = cv.CAP_V4L2 if sys.platform == "linux" else cv.CAP_ANY
            self._video = cv.VideoCapture(address, backend)
        elif is_file:
            self._video = cv.VideoCapture(address, cv.CAP_FFMPEG)
        else:
            timeouts = [cv.CAP_PROP_OPEN_TIMEOUT_MSEC, cv.CAP_PROP_READ_TIMEOUT_MSEC]
            options = [word for option in timeouts for word in (option, _TIMEOUT_MS)]
            self._video = cv.VideoCapture(address, cv.CAP_FFMPEG, options)
        if not self._video.isOpened():
            raise DataError(_why_not(name, address, is_file))
        width, height = (
            self._number(what) for what in (cv.CAP_PROP_FRAME_WIDTH, cv.CAP_PROP_FRAME_HEIGHT)
        )
        self._check_size(width, height)
        fps = self._number(cv.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= _HIGHEST_FPS else DEFAULT_FPS
        self.num_frames = int(max(0.0, self._number(cv.CAP_PROP_FRAME_COUNT)))

    @classmethod
    def live(cls, name: str, address: str | int, max_pixels: int) -> Capture:
        """Open a camera or stream; a camera keeps as few frames waiting as it can."""
        capture = cls(name, address, max_pixels)
        if isinstance(address, int):
            capture._video.set(capture._cv.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def read(self) -> ImageArray | None:
        """Return the next frame as RGB, or None if there is none.

        Raises:
            DataError: the frame is too large.
        """
        done, image = self._video.read()
        if not done or image is None:
            return None
        self._check_size(image.shape[1], image.shape[0])
        code = self._cv.COLOR_GRAY2RGB if image.ndim == 2 else self._cv.COLOR_BGR2RGB
        frame: ImageArray = self._cv.cvtColor(image, code)
        return frame

    def time(self) -> float:
        """Return the time of the last frame in the video, seconds; 0 if it does not say."""
        return self._number(self._cv.CAP_PROP_POS_MSEC) / 1000

    def close(self) -> None:
        """Release the camera or file."""
        self._video.release()

    def _number(self, what: int) -> float:
        value = float(self._video.get(what))
        return value if abs(value) < 2**53 else 0.0  # also for nan

    def _check_size(self, width: float, height: float) -> None:
        if width * height > self._max_pixels:
            self._video.release()
            raise DataError(
                f"the frames of {self.name} are {width:.0f}x{height:.0f}; at most "
                f"{self._max_pixels / 1e6:g} megapixels are allowed (--max-megapixels)"
            )


def _why_not(name: str, address: str | int, is_file: bool) -> str:
    if isinstance(address, int):
        return (
            f"cannot open {name}: there is no such camera, another program uses it, or access "
            f"is denied; choose another --source"
        )
    if is_file:
        return f"{name} is not a video that can be read; convert it to MP4 (H.264)"
    return f"cannot open {name}: it cannot be reached or sends no video; check the address"


class Video:
    """A video file, read frame by frame.

    Args:
        path: the file.
        max_pixels: refuse larger frames.

    Attributes:
        fps: frames per second.

    Raises:
        DataError: the file is not a video or has no frames.
    """

    is_live = False

    def __init__(self, path: Path, max_pixels: int = MAX_PIXELS) -> None:
        self.name = show_path(path)
        self.num_damaged = 0
        if not path.stat().st_size:
            raise DataError(f"{self.name} is empty")
        # FFmpeg may take anything but an absolute path for a protocol.
        self._capture = Capture(self.name, str(path.absolute()), max_pixels, is_file=True)
        self.fps = self._capture.fps
        self._number = 0
        self._last_time = -1.0
        self._waiting = self._read()
        if self._waiting is None:
            self.close()
            raise DataError(f"{self.name} has no frames that can be read")

    def next(self, timeout_s: float = 0.0) -> Frame:
        """Return the next frame."""
        frame = self._waiting or self._read()
        self._waiting = None
        if frame is None:
            raise EndOfSource
        return frame

    def close(self) -> None:
        """Close the file."""
        self._capture.close()

    def _read(self) -> Frame | None:
        """Return the next frame; pass over those that are damaged."""
        num_frames = self._capture.num_frames
        for num_skipped in range(_MAX_DAMAGED):
            image = self._capture.read()
            if image is not None:
                break
            if self._number + num_skipped >= num_frames:
                break
        if image is None:
            # The stated number is often an estimate, so only a large difference is damage.
            num_missing = num_frames - self._number
            self.num_damaged += num_missing if num_missing > _ESTIMATE * num_frames else 0
            return None
        self.num_damaged += num_skipped
        number, seconds = self._number + num_skipped, self._capture.time()
        if seconds <= self._last_time:  # some containers have no times
            seconds = self._last_time + 1 / self.fps
        self._number, self._last_time = number + 1, seconds
        return Frame(number, seconds, image)
