"""Dynamic batching: photos of several requests share one run of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from recyclenet.core.prediction import Prediction
from recyclenet.errors import ModelFileError
from recyclenet.inference.classifier import Classifier
from recyclenet.service.metrics import Metrics
from recyclenet.service.problems import overloaded, too_late
from recyclenet.service.settings import Settings

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, slots=True)
class _Job:
    """A decoded photo that waits for its answer.

    Attributes:
        classifier: the model to ask, even if another one replaces it meanwhile.
        photo: `(3, S, S)` float32.
        until: when the deadline passes, on the monotonic clock.
        answer: the prediction.
    """

    classifier: Classifier
    photo: npt.NDArray[np.float32]
    until: float
    answer: asyncio.Future[Prediction]


class Batcher:
    """Decodes photos in a few threads and classifies them in batches.

    A bounded number of photos is in progress. A photo that cannot be decoded fails alone, before
    it joins a batch. Use it in an event loop, between `start` and `close`.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._decoders = ThreadPoolExecutor(settings.decoders, thread_name_prefix="decode")
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="classify")
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="slow")
        self._ready: asyncio.Queue[_Job] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pending = 0
        self._num_slow = 0

    def start(self) -> None:
        """Start to form batches."""
        self._runner = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop. All requests have been answered; what is still in progress came too late."""
        self._runner.cancel()
        with suppress(asyncio.CancelledError):
            await self._runner
        for pool in (self._decoders, self._engine, self._slow):
            pool.shutdown(wait=False, cancel_futures=True)

    async def classify(self, classifier: Classifier, content: bytes) -> Prediction:
        """Return the answer for a photo file.

        Raises:
            Problem: too many photos are in progress, or the deadline passed.
            ImageError: the photo cannot be read.
            ModelFileError: the model failed, or returned non-finite values for this photo.
        """
        if self._pending >= self._settings.queue_length:
            raise overloaded(f"{self._pending} photos are in progress")
        return await self._within(self._settings.deadline, self._classify(classifier, content))

    async def run_slow(self, work: Callable[[], Result]) -> Result:
        """Explain or detect, which takes seconds, in a thread of its own.

        Raises:
            Problem: too much such work is in progress, or the deadline passed.
        """
        if self._num_slow >= self._settings.explain_queue:
            raise overloaded(f"{self._num_slow} explanations or detections are in progress")
        return await self._within(self._settings.explain_deadline, self._run_slow(work))

    async def _within(self, seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for work until the deadline; work that cannot stop still counts until it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        try:
            return await asyncio.wait_for(asyncio.shield(task), seconds)
        except TimeoutError:
            raise too_late() from None

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the request that asked may be gone

    async def _classify(self, classifier: Classifier, content: bytes) -> Prediction:
        until = time.monotonic() + self._settings.deadline
        loop = asyncio.get_running_loop()
        self._count(1)
        try:
            photo = await loop.run_in_executor(self._decoders, _decode, classifier, content, until)
            job = _Job(classifier, photo, until, loop.create_future())
            self._ready.put_nowait(job)
            return await job.answer
        finally:
            self._count(-1)

    async def _run_slow(self, work: Callable[[], Result]) -> Result:
        until = time.monotonic() + self._settings.explain_deadline

        def run() -> Result:
            if time.monotonic() > until:
                raise too_late()
            return work()

        self._num_slow += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._slow, run)
        finally:
            self._num_slow -= 1

    def _count(self, change: int) -> None:
        self._pending += change
        self._metrics.queue.set(self._pending)

    async def _run(self) -> None:
        while True:
            batches: dict[Classifier, list[_Job]] = {}
            for job in await self._collect():
                batches.setdefault(job.classifier, []).append(job)
            for classifier, jobs in batches.items():
                await self._answer(classifier, jobs)

    async def _collect(self) -> list[_Job]:
        """Wait for a photo and return it with those that follow within the batch delay.

        The only photo in progress does not wait.
        """
        jobs = [await self._ready.get()]
        until = time.monotonic() + self._settings.batch_delay
        while len(jobs) < min(self._settings.batch_size, self._pending):
            if not self._ready.empty():
                jobs.append(self._ready.get_nowait())
                continue
            try:
                left = max(0.0, until - time.monotonic())
                jobs.append(await asyncio.wait_for(self._ready.get(), left))
            except TimeoutError:
                break
        return jobs

    async def _answer(self, classifier: Classifier, jobs: list[_Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            if job.until < now:
                job.answer.set_exception(too_late())
        jobs = [job for job in jobs if not job.answer.done()]
        if not jobs:
            return
        self._metrics.batch_sizes.observe(len(jobs))
        loop = asyncio.get_running_loop()
        batch = np.stack([job.photo for job in jobs])
        try:
            answers = await loop.run_in_executor(self._engine, classifier.answers, batch)
        except Exception as error:
            for job in jobs:
                job.answer.set_exception(error)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, ModelFileError):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)


def _decode(classifier: Classifier, content: bytes, until: float) -> npt.NDArray[np.float32]:
    if time.monotonic() > until:
        raise too_late()
    return classifier.prepare(content)
