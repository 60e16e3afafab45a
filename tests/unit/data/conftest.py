"""A loopback web server that fails in the ways real ones do."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(kw_only=True)
class Answer:
    """How one request is answered; by default, well."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # instead of the file's content
    etag: str | None = None  # instead of the right one; "" sends none
    cut: int | None = None  # stop after so many bytes
    abrupt: bool = False  # stop with a reset instead of a close
    hold: bool = False  # stop without closing
    drip_s: float = 0.0  # wait so long after each byte
    claim: int = 0  # added to the true Content-Length
    sized: bool = True  # send a Content-Length
    ranges: bool = True


@dataclass
class Request:
    """What was asked, and how many bytes of a body went out."""

    path: str
    start: int
    num_sent: int = 0


class PhotoServer:
    """Files by path, answers scripted by path, and a log of requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.script: dict[str, list[Answer]] = defaultdict(list)
        self.always: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.release = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def num_sent(self) -> int:
        return sum(request.num_sent for request in self.requests)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        steps = self.script[path]
        answer = steps.pop(0) if steps else self.always.get(path, Answer())
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        request = Request(path, int(asked[1]) if asked else 0)
        self.requests.append(request)
        content = self.files.get(path) if answer.body is None else answer.body
        if content is None and answer.status == 200:
            answer = Answer(status=404)
        content = content or b""
        etag = answer.etag
        if etag is None:
            etag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        headers = {"ETag": etag} if etag else {}
        status, start = answer.status, 0
        if status == 200 and asked and answer.ranges:
            start, size = int(asked[1]), len(content)
            status = 206 if start < size else 416
            place = f"{start}-{size - 1}" if status == 206 else "*"
            headers["Content-Range"] = f"bytes {place}/{size}"
        body = content[start:] if status in (200, 206) else b""
        if answer.sized:
            headers["Content-Length"] = str(len(body) + answer.claim)
        handler.send_response(status)
        for name, value in {**headers, **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        self.send(handler, request, body[: answer.cut], answer)

    def send(
        self, handler: BaseHTTPRequestHandler, request: Request, body: bytes, answer: Answer
    ) -> None:
        size = 1 if answer.drip_s else 4096
        for place in range(0, len(body), size):
            handler.wfile.write(body[place : place + size])
            request.num_sent += len(body[place : place + size])
            time.sleep(answer.drip_s)
        if answer.hold:
            self.release.wait(20)
        if answer.abrupt:
            time.sleep(0.05)  # a reset would also drop what the client has not read yet
            option = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)


@pytest.fixture
def photo_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PhotoServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = PhotoServer()
    yield server
    server.close()


@pytest.fixture
def answer() -> type[Answer]:
    return Answer
