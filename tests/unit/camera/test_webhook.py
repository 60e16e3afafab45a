"""Decisions reach a server that fails, and a server that is gone holds nothing up."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from recyclenet.camera.webhook import MAX_WAITING, Webhook
from recyclenet.errors import UsageError


class Receiver:
    """A server that answers with these statuses, then with 200."""

    def __init__(self, statuses: Sequence[int] = (), pause_s: float = 0) -> None:
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.answered: list[int] = []
        remaining = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                body = handler.rfile.read(int(handler.headers["Content-Length"]))
                time.sleep(pause_s)
                status = remaining.pop(0) if remaining else 200
                self.answered.append(status)
                self.headers.append(dict(handler.headers))
                if status == 200:
                    self.bodies.append(json.loads(body))
                handler.send_response(status)
                handler.send_header("Content-Length", "0")
                handler.send_header("Location", "/other")
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receive() -> Iterator[type[Receiver]]:
    started: list[Receiver] = []

    def start(*arguments, **options) -> Receiver:
        started.append(Receiver(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.server.shutdown()
        one.server.server_close()


def test_a_server_that_fails_twice_gets_all_in_order(receive) -> None:
    receiver = receive([500, 503])
    told: list[str] = []
    hook = Webhook(f"http://{receiver.host}/x", told.append, first_pause_s=0.01)
    for number in range(3):
        hook.send({"item": number})
    assert hook.close(20) == 0
    assert [body["item"] for body in receiver.bodies] == [0, 1, 2]
    assert receiver.answered == [500, 503, 200, 200, 200]
    assert told == []


@pytest.mark.parametrize("status", [400, 404, 301])
def test_a_refusal_is_told_and_not_repeated(receive, status) -> None:
    receiver = receive([status])
    told: list[str] = []
    hook = Webhook(f"http://me:secret@{receiver.host}/x?key=hidden", told.append)
    hook.send({"item": 0})
    hook.send({"item": 1})
    assert hook.close(20) == 1
    assert [body["item"] for body in receiver.bodies] == [1]
    assert told == [
        f"webhook http://{receiver.host}/x: it answers HTTP {status}; "
        f"this decision is not delivered"
    ]
    words = receiver.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(words) == b"me:secret"


def test_a_server_that_is_gone_holds_nothing_up() -> None:
    told: list[str] = []
    hook = Webhook("http://127.0.0.1:9/", told.append, first_pause_s=0.001)
    started = time.monotonic()
    hook.send({"item": 0})
    assert time.monotonic() - started < 0.5
    assert hook.close(20) == 1
    assert len(told) == 1


def test_the_queue_is_bounded_and_drops_the_oldest(receive) -> None:
    receiver = receive(pause_s=0.3)
    told: list[str] = []
    hook = Webhook(f"http://{receiver.host}/", told.append)
    for number in range(MAX_WAITING + 5):
        hook.send({"item": number})
    assert 3 <= len(told) <= 5
    assert hook.close(0) == MAX_WAITING + 5 - len(receiver.bodies)


@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "x", "http://", "http://a b"])
def test_other_addresses_are_refused(url) -> None:
    with pytest.raises(UsageError, match="webhook"):
        Webhook(url, print)
