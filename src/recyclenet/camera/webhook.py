"""Sending decisions to a web server, in a thread that never holds up the camera."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import httpcore2

from recyclenet.data.sources.web import RETRIED_STATUS, check_url, shown
from recyclenet.errors import UsageError

# Decisions that wait; the oldest is dropped for a newer one.
MAX_WAITING = 100
ATTEMPTS = 5
FIRST_PAUSE_S = 0.5
TIMEOUT_S = 10.0


class Webhook:
    """Posts JSON objects to a URL, in order.

    A failed request is sent again, up to five times in all, after pauses that double. Redirects
    are not followed.

    Args:
        url: an http or https address; a user name and password in it are sent as basic
            authentication, and are in no message.
        tell: is called with one line for each object that is not delivered, in the thread.
        first_pause_s: pause before the second attempt, seconds.

    Attributes:
        num_lost: number of objects that were not delivered.

    Raises:
        UsageError: the URL is not an http or https address.
    """

    def __init__(
        self,
        url: str,
        tell: Callable[[str], None],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.name = shown(url)
        try:
            self._url = check_url(url)
        except UsageError:
            raise UsageError(
                f"cannot send to {self.name!r}: a webhook is an address that starts with https:// "
                f"or http:// and holds no spaces"
            ) from None
        self._url, self._headers = _without_login(self._url)
        self._tell, self._first_pause_s = tell, first_pause_s
        self.num_lost = 0
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_sending = False
        self._stop = threading.Event()
        threading.Thread(target=self._run, name="webhook", daemon=True).start()

    def send(self, row: dict[str, Any]) -> None:
        """Queue an object; if too many wait, drop the oldest."""
        body = json.dumps(row, allow_nan=False).encode()
        with self._changed:
            is_full = len(self._waiting) >= MAX_WAITING
            if is_full:
                self._waiting.popleft()
                self.num_lost += 1
            self._waiting.append(body)
            self._changed.notify_all()
        if is_full:
            self._tell(f"webhook {self.name} is too slow: the oldest decision is dropped")

    def close(self, timeout_s: float) -> int:
        """Wait for the queue to empty, for so long at most; return the number of lost objects."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._is_sending, timeout_s)
            self._stop.set()
            self.num_lost += len(self._waiting) + self._is_sending
            self._waiting.clear()
            self._changed.notify_all()
            return self.num_lost

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stop.is_set())
                if self._stop.is_set():
                    return
                body, self._is_sending = self._waiting.popleft(), True
            problem = self._deliver(body)
            if self._stop.is_set():
                return
            if problem:
                self._tell(f"webhook {self.name}: {problem}; this decision is not delivered")
            with self._changed:
                self._is_sending = False
                self.num_lost += problem is not None
                self._changed.notify_all()

    def _deliver(self, body: bytes) -> str | None:
        """Send an object; return why it could not be delivered, or None."""
        pause_s, problem = self._first_pause_s, None
        for attempt in range(ATTEMPTS):
            if attempt and self._stop.wait(pause_s * 2 ** (attempt - 1)):
                break
            status, problem = self._post(body)
            if problem is None or (status and status not in RETRIED_STATUS):
                break
        return problem

    def _post(self, body: bytes) -> tuple[int | None, str | None]:
        """Return the HTTP status and the problem; each is None if there is none."""
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT_S)
        try:
            with (
                httpcore2.ConnectionPool() as pool,
                pool.stream(
                    "POST",
                    self._url,
                    headers=list(self._headers.items()),
                    content=body,
                    extensions={"timeout": timeouts},
                ) as answer,
            ):
                status = answer.status  # the body, however long, is not read
        except Exception as error:  # whatever fails, the camera goes on
            return None, f"it cannot be reached ({type(error).__name__})"
        return status, None if 200 <= status < 300 else f"it answers HTTP {status}"


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without user name and password, and the headers of a request to it."""
    headers = {"Content-Type": "application/json", "User-Agent": "recyclenet"}
    parts = urlsplit(url)
    login, _, server = parts.netloc.rpartition("@")
    if login:
        words = base64.b64encode(unquote(login).encode()).decode()
        headers["Authorization"] = f"Basic {words}"
    return urlunsplit(parts._replace(netloc=server, fragment="")), headers
