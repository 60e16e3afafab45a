from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra: serve")
from starlette.requests import Request

from recyclenet.service.limits import Intake
from recyclenet.service.problems import Problem
from recyclenet.service.settings import Settings


class Client:
    """A client that sends the chunks of a body when the test says so."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.task = asyncio.create_task(self._ask())

    def send(self, chunk: bytes | None) -> None:
        """Send a chunk; None to end the body."""
        self._chunks.put_nowait(chunk)

    async def _ask(self) -> bytes | str:
        """Return the body as the service reads it, or the reason for a refusal."""

        async def receive() -> dict[str, Any]:
            chunk = await self._chunks.get()
            return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

        headers = [(b"content-type", b"image/jpeg")]
        scope = {"type": "http", "method": "POST", "headers": headers}
        try:
            async with self._intake.form(Request(scope, receive)) as form:
                return form.one_photo()
        except Problem as problem:
            return problem.reason


def test_a_body_that_still_arrives_takes_no_place() -> None:
    async def work() -> None:
        intake = Intake(Settings(max_requests=1))
        slow = [Client(intake) for _ in range(5)]
        for client in slow:
            client.send(b"a")
        await asyncio.sleep(0.01)
        quick = Client(intake)
        quick.send(b"photo")
        quick.send(None)
        assert await quick.task == b"photo"
        for client in slow:
            client.send(None)
            assert await client.task == b"a"

    asyncio.run(work())


def test_requests_with_a_complete_body_are_counted() -> None:
    async def work() -> None:
        intake = Intake(Settings(max_requests=1))
        first, second = Client(intake), Client(intake)
        second.send(b"photo")
        await asyncio.sleep(0.01)
        intake._requests = 1
        second.send(None)
        assert await second.task == "overloaded"
        assert await Client(intake).task == "overloaded"
        intake._requests = 0
        first.send(None)
        assert await first.task == b""

    asyncio.run(work())


def test_a_slow_body_gives_its_memory_to_others() -> None:
    async def work() -> None:
        intake = Intake(Settings(max_held=100, idle_seconds=0.5))
        slow = Client(intake)
        slow.send(bytes(90))
        await asyncio.sleep(0.01)
        early = Client(intake)
        early.send(bytes(20))
        early.send(None)
        assert await early.task == "overloaded"
        for _ in range(6):
            await asyncio.sleep(0.1)
            slow.send(b"a")
        late = Client(intake)
        late.send(bytes(20))
        late.send(None)
        assert await late.task == bytes(20)
        assert await slow.task == "too_slow"
        assert intake._held == 0

    asyncio.run(work())
