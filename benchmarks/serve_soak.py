"""Proofs that `recyclenet serve` gives right answers, stays up and loses nothing under load.

    python benchmarks/serve_soak.py --data ../shared            # all of them
    python benchmarks/serve_soak.py --data ../shared slow stop  # some

Each proof runs a service of its own on this machine, prints figures, and fails with an
`AssertionError`. It reads the photos of `--data`, in any folders, and needs Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mutants import bombs, mutants
from recyclenet import Classifier
from recyclenet.errors import ImageError
from serve import Server, served

SEED = 1
# Seconds between two bytes of a slow client; the service waits for 5.
SLOW_PAUSE = 2.0
# Seconds in which health answers, on a machine that does much besides.
HEALTH = 10.0
THREADS = ["--threads", "1"]  # the clients need a core, too
TOLERANCE = 1e-4
# A connection that was not accepted, and one that ended without an answer.
NOT_ACCEPTED, LOST = -1, 0
JPEG = "image/jpeg"
FORM = "multipart/form-data; boundary=b"
# What a picture may be refused for.
REFUSALS = {(422, "broken_image"), (413, "image_too_large")}


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: HTTP status, `NOT_ACCEPTED` or `LOST`.
        headers: its headers, by name in small letters.
        content: its body.
        seconds: from the start of the connection to the end of the answer.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    seconds: float = 0.0

    @property
    def facts(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.content)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and reason of a refusal."""
        assert self.headers.get("content-type") == "application/problem+json", self
        return self.status, self.facts["reason"]


def head(method: str, path: str, *lines: str, host: str = "localhost") -> bytes:
    """Return the head of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


def request(path: str, body: bytes | None = None, kind: str = JPEG) -> bytes:
    """Return a request; with a body, a POST."""
    if body is None:
        return head("GET", path, "Connection: close")
    lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
    return head("POST", path, *lines) + body


def form(*parts: tuple[str, bytes]) -> bytes:
    """Return the body of a form; the part `file` is a file."""
    lines = []
    for name, value in parts:
        file = '; filename="a"' if name == "file" else ""
        lines.append(f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode())
        lines += [value, b"\r\n"]
    return b"".join([*lines, b"--b--\r\n"])


def classify(photo: bytes) -> bytes:
    """Return the request to classify a photo."""
    return request("/v1/classify", photo)


async def send(port: int, *pieces: bytes, pause: float = 0.0) -> Reply:
    """Send the pieces of a request over a new connection, and return the answer."""
    started = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return Reply(NOT_ACCEPTED)
    raw = b""
    try:
        with suppress(OSError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
        with suppress(OSError):
            while part := await reader.read(2**16):
                raw += part
    finally:
        writer.close()
    start, _, content = raw.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
    status = int(first.split()[1]) if first else LOST
    if status != LOST and len(content) != int(headers.get("content-length", len(content))):
        status = LOST
    return Reply(status, headers, content, time.perf_counter() - started)


async def send_all(port: int, requests: Iterable[bytes], clients: int) -> list[Reply]:
    """Send requests with some clients, each one after another; return the answers in order."""
    waiting = iter(enumerate(requests))
    replies: dict[int, Reply] = {}

    async def client() -> None:
        for number, content in waiting:
            replies[number] = await send(port, content)

    await asyncio.gather(*(client() for _ in range(clients)))
    return [replies[number] for number in range(len(replies))]


def milliseconds(replies: Sequence[Reply]) -> str:
    """Return the median and the extremes of the times of some answers."""
    p50, p99, most = 1000 * np.percentile([reply.seconds for reply in replies], (50, 99, 100))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {most:.0f} ms"


def memory(server: Server, line: str = "VmRSS") -> float:
    """Return the memory of the service, MiB; with the line VmHWM, the most so far."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(text.partition(f"{line}:")[2].split()[0]) / 1024


def share(server: Server) -> str:
    """Return how long the service's event loop ran, and how long it waited for a free core."""
    numbers = Path(f"/proc/{server.process.pid}/schedstat").read_text().split()
    ran, waited = (int(number) / 1e9 for number in numbers[:2])
    return f"event loop: {ran:.1f} s of work, {waited:.1f} s waiting for a core"


@asynccontextmanager
async def healthy(port: int) -> AsyncIterator[list[Reply]]:
    """Ask for health five times a second; at the end, check that it answered in time."""
    replies: list[Reply] = []

    async def ask() -> None:
        while True:
            replies.append(await send(port, request("/livez")))
            await asyncio.sleep(0.2)

    task = asyncio.create_task(ask())
    try:
        yield replies
    finally:
        task.cancel()
    assert replies, "health was never answered"
    assert {reply.status for reply in replies} == {200}, replies
    assert max(reply.seconds for reply in replies) < HEALTH, milliseconds(replies)


def answers(photos: list[bytes]) -> str:
    """Different photos, all at once and 5% of them broken, get the answers of batch 1."""
    chance = random.Random(SEED)
    sent = list(photos)
    broken = set(chance.sample(range(len(sent)), len(sent) // 20))
    for number in broken:
        sent[number] = sent[number][: len(sent[number]) // 2]
    classifier = Classifier(threads=1)
    expected: list[dict[str, float] | None] = []
    for photo in sent:
        try:
            expected.append(dict(classifier.classify(photo).probabilities))
        except ImageError:
            expected.append(None)
    assert {number for number, row in enumerate(expected) if row is None} == broken
    # Otherwise a swapped answer would not show.
    rows = {tuple(sorted(row.items())) for row in expected if row is not None}
    assert len(rows) == len(sent) - len(broken)
    del classifier
    with served(*THREADS, "--queue", str(len(sent)), "--deadline", "600") as server:
        replies = asyncio.run(send_all(server.port, map(classify, sent), clients=len(sent)))
        use = share(server)
    most = 0.0
    for reply, row in zip(replies, expected, strict=True):
        if row is None:
            assert reply.refusal == (422, "broken_image")
            continue
        assert reply.status == 200, reply
        given = reply.facts["probabilities"]
        assert given.keys() == row.keys()
        assert next(iter(given)) == reply.facts["label"]
        most = max(most, *(abs(given[label] - row[label]) for label in row))
    assert most < TOLERANCE, most
    return (
        f"{len(sent)} photos at once, {len(broken)} broken: all right, {len(broken)} refused; "
        f"largest difference from batch 1: {most:.1e}; {use}"
    )


def overload(photos: list[bytes], seconds: float = 10, times: float = 5) -> str:
    """At five times the capacity, refusals are quick, health answers, and it recovers at once."""

    async def work(port: int) -> str:
        started = time.perf_counter()
        measured = await send_all(port, map(classify, photos), clients=16)
        capacity = len(measured) / (time.perf_counter() - started)
        assert {reply.status for reply in measured} == {200}
        pause = 1 / (times * capacity)
        tasks: list[asyncio.Task[Reply]] = []
        async with healthy(port) as health:
            began = time.perf_counter()
            while time.perf_counter() - began < seconds:
                while len(tasks) * pause < time.perf_counter() - began:
                    photo = photos[len(tasks) % len(photos)]
                    tasks.append(asyncio.create_task(send(port, classify(photo))))
                await asyncio.sleep(0.005)
            ended = time.perf_counter()
            while (await send(port, classify(photos[0]))).status != 200:
                await asyncio.sleep(0.05)
            recovery = time.perf_counter() - ended
        replies = await asyncio.gather(*tasks)
        refused = [reply for reply in replies if reply.status != 200]
        assert len(refused) > len(replies) / 4
        for reply in refused:
            assert reply.status in (429, 503), reply
            assert int(reply.headers["retry-after"]) >= 1
        assert recovery < 5, recovery
        return (
            f"capacity {capacity:.0f} photos/s; {len(replies)} sent in {seconds:g} s: "
            f"{len(replies) - len(refused)} answered, {len(refused)} refused "
            f"({milliseconds(refused)}); health {milliseconds(health)}; "
            f"a photo is answered {recovery:.1f} s after the load ends"
        )

    # A full queue delays a photo by its length over the capacity.
    with served(*THREADS, "--queue", "32") as server:
        return f"{asyncio.run(work(server.port))}; {share(server)}"


async def _slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for byte in head("POST", "/v1/classify", *(f"X-{n}: a" for n in range(99))):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(SLOW_PAUSE)


async def _slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head("POST", "/v1/classify", f"Content-Type: {JPEG}", "Content-Length: 99999"))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(SLOW_PAUSE)


async def _idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(head("GET", "/livez"))
    await reader.readuntil(b"}")
    await reader.read()


SLOW = {"slow heads": _slow_head, "slow bodies": _slow_body, "idle connections": _idle}


def slow(photos: list[bytes], connections: int = 200, seconds: float = 12) -> str:
    """Slow heads, slow bodies and idle connections do not keep others from their answers."""

    async def keep(port: int, way: Callable[..., Awaitable[None]]) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await way(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(0.1)

    async def usual(port: int) -> list[Reply]:
        replies = []
        ended = time.perf_counter() + seconds
        while time.perf_counter() < ended:
            replies += await send_all(port, map(classify, photos[:8]), clients=4)
        assert {reply.status for reply in replies} == {200}, replies
        return replies

    async def work(port: int) -> str:
        lines = [f"alone: {milliseconds(await usual(port))}"]
        for name, way in SLOW.items():
            tasks = [asyncio.create_task(keep(port, way)) for _ in range(connections)]
            await asyncio.sleep(1)
            async with healthy(port):
                lines.append(f"{connections} {name}: {milliseconds(await usual(port))}")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return "; ".join(lines)

    with served(*THREADS, "--deadline", "60") as server:
        return f"{asyncio.run(work(server.port))}; {share(server)}"


def stop(photos: list[bytes], clients: int = 48) -> str:
    """SIGTERM under load: every connection that was accepted gets its answer."""

    async def work(server: Server) -> str:
        replies: list[Reply] = []

        async def client(number: int) -> None:
            while not replies or replies[-1].status != NOT_ACCEPTED:
                replies.append(await send(server.port, classify(photos[number % len(photos)])))

        tasks = [asyncio.create_task(client(number)) for number in range(clients)]
        while len(replies) < clients:
            await asyncio.sleep(0.01)
        before = len(replies)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.gather(*tasks)
        statuses = Counter(reply.status for reply in replies)
        statuses.pop(NOT_ACCEPTED)
        assert set(statuses) == {200}, statuses
        return f"{before} answered before SIGTERM, {statuses[200] - before} after it, none lost"

    with served(*THREADS, "--deadline", "300") as server:
        line = asyncio.run(work(server))
        assert server.process.wait(60) == 0
        return line


def flat(
    photos: list[bytes], requests: int = 20_000, clients: int = 8, growth: float = 1.05
) -> str:
    """The memory, files and threads of the service do not grow with mixed requests."""
    chance = random.Random(SEED)

    def batch() -> bytes:
        parts = [("file", chance.choice(photos)), ("file", b"no photo")]
        return request("/v1/classify/batch", form(*parts), FORM)

    def feedback() -> bytes:
        parts = [("label", b"glass"), ("consent", b"true"), ("file", chance.choice(photos))]
        return request("/v1/feedback", form(*parts), FORM)

    def broken() -> bytes:
        photo = chance.choice(photos)
        return classify(photo[: chance.randrange(len(photo) // 2)])

    def damaged_form() -> bytes:
        content = form(("file", chance.choice(photos)))
        return request("/v1/classify", content[: chance.randrange(len(content))], FORM)

    def cut_off() -> bytes:
        content = classify(chance.choice(photos))
        return content[: chance.randrange(len(content))]

    ways: dict[Callable[[], bytes], tuple[float, set[int]]] = {
        lambda: classify(chance.choice(photos)): (12, {200}),
        batch: (2, {200}),
        feedback: (4, {201, 507}),
        broken: (15, {422}),
        damaged_form: (6, {200, 422}),
        cut_off: (4, {LOST, 400, 408}),
        lambda: request("/v1/labels"): (15, {200}),
        lambda: request("/livez"): (15, {200}),
        lambda: request("/readyz"): (5, {200}),
        lambda: request("/v1/models"): (5, {200}),
        lambda: request("/metrics"): (4, {200}),
        lambda: request(f"/v1/labels?model={chance.random()}"): (4, {404}),
        lambda: request(f"/{chance.random()}"): (4, {404}),
        lambda: request("/v1/labels", b"x"): (3, {405}),
        lambda: head("GET", "/", "Connection: close", host="evil.example"): (2, {421}),
    }
    weights = [weight for weight, _ in ways.values()]
    chosen = chance.choices(list(ways), weights, k=requests)
    curve: list[tuple[float, int, int]] = []

    async def work(server: Server) -> None:
        place = Path(f"/proc/{server.process.pid}")

        async def one(number: int) -> None:
            content, (_, allowed) = chosen[number](), ways[chosen[number]]
            left = allowed == ways[cut_off][1]
            try:
                reply = await asyncio.wait_for(send(server.port, content), 0.2 if left else 600)
            except TimeoutError:
                return  # this client goes away without waiting for an answer
            assert reply.status in allowed, (content[:80], reply)

        waiting = iter(range(requests))

        async def client() -> None:
            for number in waiting:
                await one(number)
                if number % max(1, requests // 40) == 0:
                    files = sum(1 for _ in (place / "fd").iterdir())
                    threads = sum(1 for _ in (place / "task").iterdir())
                    curve.append((memory(server), files, threads))

        await asyncio.gather(*(client() for _ in range(clients)))

    with (
        tempfile.TemporaryDirectory() as folder,
        served(*THREADS, "--deadline", "60", "--feedback", folder, "--feedback-mb", "2") as server,
    ):
        asyncio.run(work(server))
        use = share(server)
    sizes = [size for size, _, _ in curve]
    quarter = len(sizes) // 4
    early, late = np.median(sizes[quarter : 2 * quarter]), np.median(sizes[-quarter:])
    assert late < growth * early, sizes
    assert max(files for _, files, _ in curve[quarter:]) < 64 + clients, curve
    assert curve[-1][2] <= max(threads for _, _, threads in curve[quarter : 2 * quarter]) + 4
    return (
        f"{requests} requests: {late - early:+.1f} MiB from the second quarter to the last; MiB: "
        f"{' '.join(f'{size:.0f}' for size in sizes)}; {curve[-1][1]} open files, "
        f"{curve[-1][2]} threads; {use}"
    )


def hostile(photos: list[bytes], number: int = 5000) -> str:
    """Mutants get an answer or a reason, the same over HTTP and from the command line."""
    files = list(mutants(photos[:50], number))

    async def work(port: int) -> list[Reply]:
        async with healthy(port):
            return await send_all(port, (classify(content) for _, content in files), clients=4)

    with served(*THREADS) as server:
        replies = asyncio.run(work(server.port))
    refused = 0
    for reply in replies:
        if reply.status != 200:
            refused += 1
            assert reply.refusal in REFUSALS, reply
    with tempfile.TemporaryDirectory() as folder:
        for count, (kind, content) in enumerate(files):
            (Path(folder) / f"{count:05}.{kind.lower()}").write_bytes(content)
        command = [sys.executable, "-m", "recyclenet", "classify", "--json", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = {Path(row["path"]).stem: row for row in map(json.loads, done.stdout.splitlines())}
    assert len(rows) == number
    assert done.returncode == (3 if refused else 0), done
    for count, reply in enumerate(replies):
        row = rows[f"{count:05}"]
        assert (row["error"] is None) == (reply.status == 200), (row, reply)
        assert row["error"] is None or "\n" not in row["error"]
        if row["error"] is None:
            for label, share in reply.facts["probabilities"].items():
                assert abs(row["probabilities"][label] - share) < TOLERANCE
    assert len(done.stderr.splitlines()) < 5, done.stderr
    kinds = Counter(kind for kind, _ in files)
    return (
        f"{number} mutants ({', '.join(f'{count} {kind}' for kind, count in kinds.items())}): "
        f"{number - refused} answered, {refused} refused with 422 or 413, over HTTP as by classify"
    )


def bombed(photos: list[bytes]) -> str:
    """Decompression bombs are refused, or answered, without decompressing them."""
    with served(*THREADS) as server:
        # A usual photo brings the memory to its usual size.
        asyncio.run(send_all(server.port, map(classify, photos[:4]), clients=1))
        before = memory(server, "VmHWM")
        lines, slowest = [], 0.0
        for name, content in bombs().items():
            reply = asyncio.run(send(server.port, classify(content)))
            if "claims" in name or name == "png of zeros":
                assert reply.refusal == (413, "image_too_large"), (name, reply)
            elif reply.status != 200:
                assert reply.refusal in REFUSALS, (name, reply)
            slowest = max(slowest, reply.seconds)
            lines.append(f"{name} {reply.status}")
        grown = memory(server, "VmHWM") - before
    assert grown < 100, grown
    assert slowest < 10, slowest
    return f"{', '.join(lines)}; slowest {slowest:.2f} s; peak memory {grown:+.0f} MiB"


def hostile_bodies(photos: list[bytes]) -> str:
    """Endless, lying and overgrown bodies are refused at their limits."""
    mib = 2**20
    chunk = b"100000\r\n" + bytes(mib) + b"\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="'
    post = ("POST", "/v1/classify", "Connection: close")
    chunked = head(*post, f"Content-Type: {JPEG}", "Transfer-Encoding: chunked")
    photo = photos[0]

    def sized(size: int) -> bytes:
        return head(*post, f"Content-Type: {JPEG}", f"Content-Length: {size}")

    def multi(content: bytes) -> list[bytes]:
        return [request("/v1/classify", content, FORM)]

    attacks: dict[str, tuple[list[bytes], set[tuple[int, str]]]] = {
        "chunks without an end": ([chunked, *[chunk] * 40], {(413, "body_too_large")}),
        "more than announced": ([sized(40 * mib), *[bytes(mib)] * 40], {(413, "body_too_large")}),
        "less than announced": ([sized(len(photo) + 9), photo], {(408, "too_slow")}),
        "cut by its length": ([sized(len(photo) // 2), photo], {(422, "broken_image")}),
        "a chunk of odd size": ([chunked, b"zz\r\n\r\n"], {(400, "bad_request")}),
        "two lengths": (
            [head(*post, "Content-Length: 3", "Content-Length: 4"), b"abc"],
            {(400, "bad_request")},
        ),
        "a name of 8 MiB": (multi(part + b"a" * 8 * mib + b'"\r\n\r\n'), {(422, "invalid_form")}),
        "a header of 8 MiB": (
            multi(part + b'a"\r\nX: ' + b"a" * 8 * mib + b"\r\n\r\nx\r\n--b--\r\n"),
            {(422, "invalid_form")},
        ),
        "many headers": (
            multi(part + b'a"\r\n' + b"X: y\r\n" * mib + b"\r\nx\r\n--b--\r\n"),
            {(422, "invalid_form")},
        ),
        "20,000 fields": (multi(form(*[("a", b"x")] * 20_000)), {(422, "invalid_form")}),
        "20,000 files": (multi(form(*[("file", b"x")] * 20_000)), {(413, "too_many_photos")}),
        "a text field of 8 MiB": (multi(form(("a", bytes(8 * mib)))), {(422, "invalid_form")}),
        "nothing but line ends": (multi(b"\r\n" * 8 * mib), {(422, "invalid_form")}),
        "almost boundaries": (
            multi(part + b'file"\r\n\r\n' + b"\r\n--a" * 4 * mib),
            {(422, "invalid_form")},
        ),
    }
    lines, slowest = [], 0.0

    async def work(server: Server) -> None:
        nonlocal slowest
        async with healthy(server.port):
            for name, (pieces, expected) in attacks.items():
                reply = await send(server.port, *pieces)
                assert reply.refusal in expected, (name, reply)
                slowest = max(slowest, reply.seconds)
                lines.append(f"{name} {reply.status}")

    with served(*THREADS) as server:
        asyncio.run(work(server))
        most = memory(server, "VmHWM")
    return f"{', '.join(lines)}; slowest {slowest:.1f} s; peak memory {most:.0f} MiB"


def photos_in(folder: Path, number: int, largest: int = 2**20) -> list[bytes]:
    """Return different photos below a folder, drawn with a seed."""
    paths = sorted(folder.rglob("*.jpg"))
    random.Random(SEED).shuffle(paths)
    found: dict[bytes, None] = {}
    for path in paths:
        if path.stat().st_size <= largest:
            found.setdefault(path.read_bytes())
        if len(found) == number:
            return list(found)
    sys.exit(f"{folder} has only {len(found)} photos; {number} are needed")


PROOFS: dict[str, tuple[Callable[[list[bytes]], str], int]] = {
    "answers": (answers, 1000),
    "overload": (overload, 200),
    "slow": (slow, 50),
    "stop": (stop, 50),
    "bodies": (hostile_bodies, 1),
    "bombs": (bombed, 10),
    "mutants": (hostile, 50),
    "memory": (flat, 200),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of JPEG photos")
    parser.add_argument("proofs", nargs="*", choices=[*PROOFS, []], help="default: all")
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))
    for name in given.proofs or PROOFS:
        proof, number = PROOFS[name]
        started = time.perf_counter()
        print(f"{name}: {proof(photos_in(given.data, number))}", end="", flush=True)
        print(f" ({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
