"""Generated videos, and a camera on the local network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("cv2")

from videos import LABELS, Frames, Stream, block, frames_of, write_video


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of `LABELS`."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    return write_video(path, frames_of([block(label) for label in LABELS]))


@pytest.fixture
def stream() -> Iterator[Callable[..., Stream]]:
    """A function that starts a camera."""
    started: list[Stream] = []

    def start(*connections: Frames, fps: float = 20, hang: bool = False) -> Stream:
        started.append(Stream(connections, fps))
        if hang:
            started[-1].hang.set()
        return started[-1]

    yield start
    for one in started:
        one.close()
