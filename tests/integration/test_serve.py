"""`recyclenet serve` as a process of its own, asked over loopback."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from recyclenet.inference.classifier import Classifier

pytest.importorskip("fastapi", reason="needs the extra: serve")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "samples").glob("*.jpg"))
# Programs that slow the model down before they start the command.
SLOW_MODEL = """
import time
from recyclenet.inference.classifier import Classifier
answers = Classifier.answers
def slow(self, batch):
    time.sleep({seconds})
    return answers(self, batch)
Classifier.answers = slow
"""
QUICK_DEADLINES = """
from recyclenet.service.settings import Settings
plain = Settings.__init__
Settings.__init__ = lambda self, **given: plain(self, **(given | dict({changes})))
"""


class Running:
    """A server process.

    Attributes:
        process: the process.
        port: where it listens.
        errors: its lines on stderr so far.
    """

    def __init__(self, options: tuple[str, ...], before: str = "") -> None:
        program = f"{before}\nfrom recyclenet.cli.main import main\nmain()"
        command = [sys.executable, "-c", program, "serve", "--port", "0", *options]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.errors: list[str] = []
        self.port = 0
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._started.wait(120), self.errors
        assert self.port, self.errors

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.errors.append(line)
                if found := re.match(r"serving on http://127\.0\.0\.1:(\d+) ", line):
                    self.port = int(found[1])
                    self._started.set()
        self._started.set()

    def ask(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None, wait: float = 90
    ) -> tuple[int, Any, dict[str, str]]:
        """Return status, JSON and headers of one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=wait)
        try:
            method = "GET" if body is None else "POST"
            kind = {} if body is None else {"Content-Type": "image/jpeg"}
            connection.request(method, path, body, {**kind, **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content), dict(answer.getheaders())
        finally:
            connection.close()

    def classify(self, content: bytes) -> tuple[int, Any, dict[str, str]]:
        return self.ask("/v1/classify", content)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the server and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join()
        return code


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a server; it is stopped after the test, and has shown no traceback."""
    servers: list[Running] = []

    def start(*options: str, before: str = "") -> Running:
        servers.append(Running(options, before))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()
        server._reader.join()
        assert "Traceback" not in "".join(server.errors), server.errors


def test_many_at_once_get_the_answers_of_single_photos(serve: Serve) -> None:
    server = serve("--queue", "200", "--deadline", "120")
    good = [path.read_bytes() for path in SAMPLES]
    classifier = Classifier(threads=1)
    expected = [classifier.classify(photo).to_row() for photo in good]
    order = list(range(len(good))) * 4
    random.Random(1).shuffle(order)
    sent = [good[number] for number in order]
    broken = set(range(7, len(order), 19))  # 5%
    for place in broken:
        sent[place] = sent[place][: len(sent[place]) // 2]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(server.classify, sent))
    for place, (number, (status, answer, _)) in enumerate(zip(order, answers, strict=True)):
        if place in broken:
            assert (status, answer["reason"]) == (422, "broken_image")
            continue
        assert status == 200, answer
        row = expected[number]
        assert answer["label"] == row["label"]
        assert answer["probabilities"] == pytest.approx(row["probabilities"], abs=1e-4)
    assert server.stop() == 0


def test_overload_is_refused_quickly_and_health_answers(serve: Serve, tiny_model: Path) -> None:
    before = SLOW_MODEL.format(seconds=0.4)
    options = ("--model", str(tiny_model), "--queue", "4", "--batch-size", "2")
    server = serve(*options, before=before)
    photo = SAMPLES[0].read_bytes()
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(server.classify, photo) for _ in range(24)]
        time.sleep(0.2)
        started = time.monotonic()
        assert server.ask("/livez")[0] == 200
        assert time.monotonic() - started < 5
        answers = [future.result() for future in asked]
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503}
    for status, answer, headers in answers:
        if status == 503:
            assert answer["reason"] == "overloaded"
            assert int(headers["retry-after"]) >= 1
    assert server.classify(photo)[0] == 200


def test_sigterm_loses_no_accepted_request(serve: Serve, tiny_model: Path) -> None:
    before = SLOW_MODEL.format(seconds=0.3)
    options = ("--model", str(tiny_model), "--batch-size", "2", "--drain", "1.5")
    server = serve(*options, before=before)
    photo = SAMPLES[0].read_bytes()
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(server.classify, photo) for _ in range(20)]
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
        status, answer, headers = server.ask("/readyz")
        assert (status, answer["reason"]) == (503, "draining")
        assert headers["connection"] == "close"
        assert [future.result()[0] for future in asked] == [200] * 20
    assert server.process.wait(60) == 0


def test_ctrl_c_stops_too_and_a_second_signal_at_once(serve: Serve, tiny_model: Path) -> None:
    assert serve("--model", str(tiny_model), "--drain", "0").stop(signal.SIGINT) == 0
    server = serve("--model", str(tiny_model), "--drain", "100")
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert server.stop(signal.SIGTERM) in (130, 143)


def test_sighup_reads_the_models_again(serve: Serve, tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "m.onnx"
    file.write_bytes(tiny_model.read_bytes())
    server = serve("--models", str(tmp_path))
    file.write_bytes(b"damaged")
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 20
    while len(server.errors) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert "not reloaded" in server.errors[1]
    assert "stays in use" in server.errors[1]
    assert server.classify(SAMPLES[0].read_bytes())[0] == 200


HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


@pytest.mark.parametrize("begun", [b"", HEAD, HEAD + b"Content-Length: 1000\r\n\r\nabc"])
@pytest.mark.parametrize(
    "before",
    [
        QUICK_DEADLINES.format(changes="max_connections=20"),
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90))",
    ],
    ids=["connections", "open files"],
)
def test_many_slow_clients_leave_room_for_others(
    serve: Serve, tiny_model: Path, begun: bytes, before: str
) -> None:
    server = serve("--model", str(tiny_model), before=before)
    slow = []
    for _ in range(150):
        slow.append(socket.create_connection(("127.0.0.1", server.port)))
        with suppress(ConnectionError):
            slow[-1].sendall(begun)
    for _ in range(3):
        assert server.classify(SAMPLES[0].read_bytes())[0] == 200
    assert server.ask("/livez")[0] == 200
    for connection in slow:
        connection.close()


def test_slow_clients_are_cut_off(serve: Serve, tiny_model: Path) -> None:
    before = QUICK_DEADLINES.format(changes="idle_seconds=1.5, read_seconds=6")
    server = serve("--model", str(tiny_model), before=before)
    body = socket.create_connection(("127.0.0.1", server.port))
    body.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(HEAD)
    assert server.classify(SAMPLES[0].read_bytes())[0] == 200
    body.settimeout(30)
    assert body.recv(4096).startswith(b"HTTP/1.1 408 ")
    slow.settimeout(30)
    with suppress(ConnectionResetError):
        assert slow.recv(4096) == b""
    for connection in (body, slow):
        connection.close()


def test_a_stream_that_is_too_long_is_refused(serve: Serve, tiny_model: Path) -> None:
    server = serve("--model", str(tiny_model), "--max-body-mb", "1")
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(3):
            sent += 1
            yield bytes(2**20)

    status, answer, _ = server.ask("/v1/classify", endless())
    assert (status, answer["reason"]) == (413, "body_too_large")
    announced = {"Content-Length": str(2**40), "Expect": "100-continue"}
    status, answer, _ = server.ask("/v1/classify", b"", announced)
    assert (status, answer["reason"]) == (413, "body_too_large")
    for text in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        with connection, suppress(ConnectionError):
            connection.sendall(text)
            assert b"bad_request" in connection.recv(4096)
    assert server.ask("/livez")[0] == 200


@pytest.mark.skipif(shutil.which("schemathesis") is None, reason="schemathesis is not installed")
def test_schemathesis_finds_nothing(serve: Serve, tiny_model: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("0123456789abcdef")
    # The document cannot say which models and classes there are. In a form, one file that should
    # have been several looks like one of several.
    (tmp_path / "schemathesis.toml").write_text(
        '[[operations]]\ninclude-path = "/v1/explain"\n'
        'checks.positive_data_acceptance.expected-statuses = ["2xx", 404, 422]\n'
        '[[operations]]\ninclude-path = "/v1/classify/batch"\n'
        "checks.negative_data_rejection.expected-statuses = [200, 404, 413, 415, 422]\n"
    )
    options = ("--token-file", str(token), "--feedback", str(tmp_path / "feedback"))
    server = serve("--model", str(tiny_model), "--threads", "1", "--deadline", "60", *options)
    done = subprocess.run(
        [
            *("schemathesis", "run", f"http://127.0.0.1:{server.port}/openapi.json"),
            *("--header", "Authorization: Bearer 0123456789abcdef", "--checks", "all"),
            *("--max-examples", "10", "--seed", "1", "--request-timeout", "120"),
            *("--suppress-health-check", "all", "--warnings", "off"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert server.stop() == 0


def test_other_machines_need_a_token(run_cli: Any, tmp_path: Path) -> None:
    done = run_cli("serve", "--host", "0.0.0.0", "--port", "0", env={"RECYCLENET_TOKEN": ""})
    assert (done.code, "token" in done.err) == (2, True)
    short = tmp_path / "token"
    short.write_text("abc\n")
    done = run_cli("serve", "--host", "0.0.0.0", "--token-file", short)
    assert (done.code, "at least 16" in done.err) == (2, True)


def test_a_port_in_use_is_an_error_of_one_line(run_cli: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_cli("serve", "--port", str(taken.getsockname()[1]))
    assert done.code == 1
    assert "choose another --port" in done.err
