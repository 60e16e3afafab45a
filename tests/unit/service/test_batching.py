from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra: serve")
from recyclenet.core.prediction import Prediction
from recyclenet.errors import ImageError
from recyclenet.inference.classifier import Classifier
from recyclenet.service.batching import Batcher
from recyclenet.service.metrics import Metrics
from recyclenet.service.problems import Problem
from recyclenet.service.settings import Settings

from .conftest import jpeg

LABELS = ("glass", "metal", "paper")


def run(body: Any, **changes: Any) -> Any:
    """Run `body(batcher)` in an event loop."""

    async def work() -> Any:
        batcher = Batcher(Settings(**changes), Metrics())
        batcher.start()
        try:
            return await body(batcher)
        finally:
            await batcher.close()

    return asyncio.run(work())


class Held(Classifier):
    """A classifier that records batch sizes, and answers only when it may."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, threads=1)
        self.may = threading.Event()
        self.sizes: list[int] = []

    def answers(self, batch: Any) -> Any:
        self.may.wait(10)
        self.sizes.append(len(batch))
        return super().answers(batch)


def test_answers_equal_those_of_single_photos_and_are_not_swapped(tiny_model: Path) -> None:
    classifier = Held(tiny_model)
    photos = [jpeg(LABELS[number % 3], number) for number in range(20)]
    photos[5] = b"broken"
    expected = [None if p == b"broken" else classifier.classify(p) for p in photos]

    async def body(batcher: Batcher) -> list[Any]:
        asked = [asyncio.create_task(batcher.classify(classifier, p)) for p in photos]
        await asyncio.sleep(0.3)
        classifier.may.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    answers = run(body, batch_size=6)
    assert max(classifier.sizes) == 6
    assert isinstance(answers[5], ImageError)
    for answer, single in zip(answers, expected, strict=True):
        if single is not None:
            assert isinstance(answer, Prediction)
            assert dict(answer.probabilities) == pytest.approx(dict(single.probabilities), abs=1e-4)


def test_a_lone_photo_waits_for_no_other(tiny_model: Path) -> None:
    classifier = Classifier(tiny_model, threads=1)

    async def body(batcher: Batcher) -> Prediction:
        return await asyncio.wait_for(batcher.classify(classifier, jpeg()), 20)

    assert run(body, batch_delay=60.0).label == "glass"


def test_a_full_queue_refuses_at_once_and_recovers(tiny_model: Path) -> None:
    classifier = Held(tiny_model)

    async def body(batcher: Batcher) -> Prediction:
        asked = [asyncio.create_task(batcher.classify(classifier, jpeg())) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Problem) as refused:
            await batcher.classify(classifier, jpeg())
        assert (refused.value.status, refused.value.reason) == (503, "overloaded")
        assert refused.value.headers["Retry-After"]
        classifier.may.set()
        await asyncio.gather(*asked)
        return await batcher.classify(classifier, jpeg())

    assert run(body, queue_length=3).label == "glass"


def test_a_late_answer_is_given_up_and_its_room_is_kept_until_it_ends(tiny_model: Path) -> None:
    classifier = Held(tiny_model)

    async def body(batcher: Batcher) -> None:
        for reason in ("deadline_exceeded", "overloaded"):
            with pytest.raises(Problem) as late:
                await batcher.classify(classifier, jpeg())
            assert late.value.reason == reason
        classifier.may.set()

    run(body, deadline=0.2, queue_length=1)


def test_a_failing_model_fails_its_batch_only(tiny_model: Path) -> None:
    good = Classifier(tiny_model, threads=1)
    bad = Classifier(tiny_model, threads=1)
    bad.outputs = lambda batch: 1 / 0  # type: ignore[method-assign,assignment]

    async def body(batcher: Batcher) -> list[Any]:
        asked = [batcher.classify(model, jpeg()) for model in (good, bad, good)]
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = run(body)
    assert first.label == third.label == "glass"
    assert isinstance(second, ZeroDivisionError)


def test_non_finite_outputs_fail_one_photo(tiny_model: Path) -> None:
    classifier = Classifier(tiny_model, threads=1)
    batch = np.stack([classifier.prepare(jpeg())] * 3)
    batch[1] = np.nan
    answers = classifier.answers(batch)
    assert [isinstance(answer, Prediction) for answer in answers] == [True, False, True]
