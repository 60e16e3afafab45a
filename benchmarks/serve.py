"""Throughput and latency of `recyclenet serve`, beside the engine alone.

    python benchmarks/serve.py --photos 200 --clients 1 4 16

Each client sends one photo after another over its own connection. The engine classifies the same
photos with `Classifier.classify_many`, with as many photos per batch. Overhead is the service's
time over the engine's, minus one.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np

from recyclenet import Classifier

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
BATCH_SIZE = 8


@dataclass(frozen=True)
class Server:
    """A running service.

    Attributes:
        port: where it listens.
        process: the process.
        errors: its lines on stderr after the first.
    """

    port: int
    process: subprocess.Popen[str]
    errors: list[str]


@contextmanager
def served(*options: str) -> Iterator[Server]:
    """Run the service on a free port; at the end, check that it had no defect."""
    command = [sys.executable, "-m", "recyclenet", "serve", "--port", "0", *options]
    errors: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        reader = threading.Thread(target=errors.extend, args=(process.stderr,))
        found = re.search(r":(\d+) ", process.stderr.readline())
        reader.start()
        try:
            assert found, "the service did not start"
            yield Server(int(found[1]), process, errors)
        finally:
            process.terminate()
            reader.join()
    assert not errors, errors


def ask(port: int, photos: list[bytes], clients: int) -> tuple[float, list[float]]:
    """Return the seconds for all photos, and the seconds of each answer."""
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for photo in photos:
        waiting.put(photo)
    seconds: list[float] = []
    failed: list[int] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while True:
            try:
                photo = waiting.get_nowait()
            except Empty:
                return
            started = time.perf_counter()
            connection.request("POST", "/v1/classify", photo, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            json.loads(answer.read())
            seconds.append(time.perf_counter() - started)
            if answer.status != 200:
                failed.append(answer.status)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = time.perf_counter() - started
    assert not failed, failed
    return total, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16])
    given = parser.parse_args()
    samples = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]
    photos = [samples[number % len(samples)] for number in range(given.photos)]
    classifier = Classifier()
    list(classifier.classify_many(samples, BATCH_SIZE))
    started = time.perf_counter()
    list(classifier.classify_many(photos, BATCH_SIZE))
    engine = time.perf_counter() - started
    print(f"engine, batch {BATCH_SIZE}: {len(photos) / engine:.1f} photos/s")
    del classifier
    options = ["--batch-size", str(BATCH_SIZE), "--queue", "1000", "--deadline", "600"]
    with served(*options) as server:
        ask(server.port, samples, 1)
        for clients in given.clients:
            total, seconds = ask(server.port, photos, clients)
            p50, p95, p99 = 1000 * np.percentile(seconds, (50, 95, 99))
            print(
                f"{clients:3} clients: {len(photos) / total:.1f} photos/s, "
                f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, "
                f"overhead {100 * (total / engine - 1):+.0f}%"
            )


if __name__ == "__main__":
    main()
