"""Live sources: a thread reads them and keeps only the newest frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from recyclenet.camera.frames import EndOfSource, Frame
from recyclenet.camera.video import Capture, Video
from recyclenet.errors import DataError, RecycleNetError

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# Seconds to wait for the thread to end; it may be inside FFmpeg.
_JOIN_S = 0.3


class Live:
    """Reads a camera, a stream, or a video at its own speed, in a thread.

    Only the newest frame is kept. A camera or stream that drops is opened again after pauses that
    grow. If it cannot be opened the first time, that is an error.

    Args:
        name: for messages.
        open_it: opens the camera, stream or video.
        tell: is called with one line when the source is lost or back, in the thread.
        give_up_s: seconds without a frame after which the source is given up; None: never.
        first_pause_s: pause before the first new attempt, seconds.
    """

    is_live = True

    def __init__(
        self,
        name: str,
        open_it: Callable[[], Capture | Video],
        *,
        tell: Callable[[str], None] = lambda _: None,
        give_up_s: float | None = None,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.name = name
        self.num_damaged = 0
        self._open, self._tell, self._give_up_s = open_it, tell, give_up_s
        self._first_pause_s = first_pause_s
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._newest: Frame | None = None
        self._end: Exception | None = None
        self._num_frames = 0
        self._connection = 0
        self._start = self._last_frame_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def next(self, timeout_s: float) -> Frame | None:
        """Return the newest frame if it has not been returned before."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._end, timeout_s)
            frame, self._newest = self._newest, None
            if frame is None and self._end is not None:
                raise self._end
            return frame

    def close(self) -> None:
        """Stop the thread, which releases the source."""
        self._stop.set()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        try:
            self._read_and_reopen()
            end: Exception = EndOfSource()
        except Exception as error:  # the main thread raises it
            end = error
        with self._changed:
            self._end = end
            self._changed.notify_all()

    def _read_and_reopen(self) -> None:
        pause_s = self._first_pause_s
        while not self._stop.is_set():
            opened_at, before = time.monotonic(), self._num_frames
            try:
                if self._read_all():
                    return
            except RecycleNetError:
                if not self._num_frames:
                    raise
            if not self._num_frames:
                raise DataError(f"{self.name} sends no picture; check the source")
            if self._num_frames > before and time.monotonic() - opened_at > pause_s:
                pause_s = self._first_pause_s
            if self._stop.is_set():
                return
            gone_s = time.monotonic() - self._last_frame_at
            if self._give_up_s is not None and gone_s >= self._give_up_s:
                raise RecycleNetError(f"no picture from {self.name} for {gone_s:.0f} s; given up")
            self._tell(f"no picture from {self.name}: trying again in {pause_s:g} s")
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _read_all(self) -> bool:
        """Read until the source drops or ends; return whether it has ended for good."""
        capture = self._open()
        self._connection += 1
        is_first = True
        try:
            while not self._stop.is_set():
                frame = self._read(capture)
                if frame is None:
                    break
                if is_first and self._num_frames:
                    self._tell(f"{self.name} is back")
                is_first = False
                self._publish(frame)
        finally:
            if isinstance(capture, Video):
                self.num_damaged = capture.num_damaged
            capture.close()
        # A video behind an address states its length, a camera does not.
        return isinstance(capture, Video) or capture.num_frames > 0

    def _read(self, capture: Capture | Video) -> Frame | None:
        """Return the next frame; those of a file come at the speed of the video."""
        if isinstance(capture, Capture):
            image = capture.read()
            now = time.monotonic()
            return (
                image
                if image is None
                else Frame(self._num_frames, now - self._start, image, self._connection, now)
            )
        try:
            frame = capture.next()
        except EndOfSource:
            return None
        self._stop.wait(max(0.0, self._start + frame.time - time.monotonic()))
        return Frame(frame.number, frame.time, frame.image)

    def _publish(self, frame: Frame) -> None:
        self._num_frames += 1
        self._last_frame_at = frame.read_at
        with self._changed:
            self._newest = frame
            self._changed.notify_all()
