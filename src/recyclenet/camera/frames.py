"""Frames, and what a source of frames offers."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from recyclenet.core.images import ImageArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        number: position in the source, from 0. A live source also counts the frames that it drops.
        time: seconds since the start of the source: of the video, or since the camera was opened.
        image: `(H, W, 3)` uint8 RGB.
        connection: grows each time that a live source is opened again.
        read_at: `time.monotonic()` when the frame was read.
    """

    number: int
    time: float
    image: ImageArray
    connection: int = 0
    read_at: float = field(default_factory=monotonic)

    @property
    def age(self) -> float:
        """Seconds since the frame was read."""
        return monotonic() - self.read_at


class Source(Protocol):
    """Gives frames until it ends.

    Attributes:
        name: for messages; holds no password.
        is_live: the source does not wait for its reader, and its frames become stale.
        num_damaged: number of frames that could not be read.
    """

    name: str
    is_live: bool
    num_damaged: int

    def next(self, timeout_s: float) -> Frame | None:
        """Return the next frame, or None if there is none within `timeout_s` seconds.

        Raises:
            EndOfSource: there are no more frames.
            RecycleNetError: the source cannot be read.
        """

    def close(self) -> None:
        """Release the camera or file."""


class EndOfSource(Exception):  # noqa: N818 - not an error
    """A source has no more frames."""
