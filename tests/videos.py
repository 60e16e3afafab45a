"""Generated videos: items slide in, rest and leave before a plain background."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from conftest import colour

FPS = 10
SIZE = (160, 120)
BACKGROUND = (90, 90, 90)
# Frames of one item: it slides in, rests, slides out, and the view is empty.
IN, REST, OUT, EMPTY = 3, 15, 3, 6
START = 8
Frames = list[np.ndarray]


def scene(item: np.ndarray | None = None, left: int = 0, seed: int = 0) -> np.ndarray:
    """Return a frame, `(120, 160, 3)` uint8 RGB, with some noise."""
    frame = np.full((SIZE[1], SIZE[0], 3), BACKGROUND, np.uint8)
    if item is not None:
        height, width = item.shape[:2]
        top = (SIZE[1] - height) // 2
        first, last = max(left, 0), min(left + width, SIZE[0])
        if first < last:
            frame[top : top + height, first:last] = item[:, first - left : last - left]
    noise = np.random.default_rng(seed).integers(-4, 5, frame.shape)
    return (frame + noise).clip(0, 255).astype(np.uint8)


def block(label: str) -> np.ndarray:
    return np.full((100, 100, 3), colour(label, 230), np.uint8)


def frames_of(items: Sequence[np.ndarray], rest: int = REST) -> Frames:
    """Return the frames of a video in which items come and go."""
    found = [scene(seed=n) for n in range(START)]
    for item in items:
        middle = (SIZE[0] - item.shape[1]) // 2
        steps = [
            *np.linspace(-item.shape[1], middle, IN + 1)[1:-1],
            *[middle] * rest,
            *np.linspace(middle, SIZE[0], OUT + 1)[1:-1],
        ]
        found += [scene(item, int(left), len(found) + n) for n, left in enumerate(steps)]
        found += [scene(seed=len(found) + n) for n in range(EMPTY)]
    return found


def write_video(path: Path, frames: Frames, code: str = "MJPG") -> Path:
    size = frames[0].shape[1], frames[0].shape[0]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), FPS, size)
    assert video.isOpened()
    for frame in frames:
        video.write(np.ascontiguousarray(frame[..., ::-1]))
    video.release()
    return path


LABELS = ("glass", "paper", "metal", "glass", "glass", "paper")


def jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, "JPEG", quality=90)
    return content.getvalue()


class Stream:
    """A camera on the local network: an HTTP server that sends MJPEG.

    Args:
        connections: the frames of each connection, after which it drops; then it refuses.
        fps: frames per second.
    """

    def __init__(self, connections: Sequence[Frames], fps: float = 20) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}/camera".format(*self._server.getsockname())
        self._connections, self._fps = connections, fps
        self.num_served = 0
        self.hang = threading.Event()  # keep the last connection open without frames
        self._stop = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for number, frames in enumerate(self._connections):
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                is_last = number == len(self._connections) - 1
                if is_last:
                    self._server.close()
                try:
                    self._send(connection, frames, is_last)
                except OSError:
                    continue

    def _send(self, connection: socket.socket, frames: Frames, is_last: bool) -> None:
        connection.recv(4096)
        self.num_served += 1
        connection.sendall(
            b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n"
        )
        for frame in frames:
            content = jpeg(frame)
            head = f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content + b"\r\n")
            if self._stop.wait(1 / self._fps):
                return
        if is_last and self.hang.is_set():
            self._stop.wait(30)

    def close(self) -> None:
        self._stop.set()
        self._server.close()


def until(is_true: Callable[[], object], seconds: float = 10) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
