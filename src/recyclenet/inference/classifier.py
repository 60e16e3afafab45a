"""The engine: pictures in, answers out, on a CPU and without PyTorch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import softmax
from recyclenet.core.images import MAX_PIXELS, ImageArray, ImageSource, decode_image, decoded
from recyclenet.core.prediction import Prediction
from recyclenet.core.taxonomy import UNSURE, Rules, load_rules
from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, ModelFileError, RecycleNetError, UsageError
from recyclenet.inference.session import open_session

BATCH_SIZE = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class Classifier:
    """Classifies waste pictures.

    Args:
        model: path of a RecycleNet `.onnx` file; None for the one in the package.
        tta: also look at the mirrored picture and average the two (test-time augmentation).
        threads: cores to use; None for all.
        max_pixels: refuse larger pictures.
        rules: a city's rules, by the name of those in the package or the path of a TOML file.

    Raises:
        UsageError: there is no such model file, or the rules are wrong.
        ModelFileError: the model file is damaged, altered or inconsistent.

    Example:
        >>> from recyclenet import Classifier
        >>> answer = Classifier().classify("samples/green_glass_bottle.jpg")
        >>> answer.label, answer.stream
        ('glass', 'recyclable')
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        tta: bool = False,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        rules: str | os.PathLike[str] | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be 1 or more, not {threads}")
        self._session = open_session(None if model is None else Path(model), threads)
        self._workers = threads or os.cpu_count() or 1
        self._tta = tta
        self._max_pixels = max_pixels
        self.info = self._session.info
        names = self.info.class_names
        self.rules = Rules() if rules is None else load_rules(os.fspath(rules), names)

    def __repr__(self) -> str:
        info = self.info
        return f"Classifier({info.name!r}, {len(info.class_names)} classes, {info.backbone})"

    def classify(self, source: ImageSource) -> Prediction:
        """Classify one picture: a path, file bytes, a Pillow image or a uint8 array.

        Raises:
            ImageError: it cannot be read.
            ModelFileError: the model fails, or its logits are no numbers.
        """
        (logits,) = self.logits(self._prepare(source)[None])
        self._check_numbers(source, logits)
        return self.answer(source, logits)

    def classify_many(
        self, sources: Iterable[ImageSource], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """Classify pictures in order, decoding ahead on all cores.

        A picture that cannot be read, or for which the model gives no numbers, gives a prediction
        with `error` set; the rest go on. Memory stays bounded however many sources there are.

        Raises:
            ModelFileError: as `logits_many` does.
        """
        for source, logits, error in self.logits_many(sources, batch_size):
            if logits is None:
                yield Prediction(path=_name(source), error=str(error))
            else:
                yield self.answer(source, logits)

    def logits_many(
        self, sources: Iterable[ImageSource], batch_size: int = BATCH_SIZE
    ) -> Iterator[tuple[ImageSource, npt.NDArray[np.float32] | None, RecycleNetError | None]]:
        """Yield `(source, logits (K,) float32 or None, error or None)` for each source, in order.

        The error is an `ImageError` where the picture cannot be read, a `ModelFileError` where the
        logits are no finite numbers.

        Raises:
            UsageError: `batch_size` is below one.
            ModelFileError: the model fails; or, after the last source, it gave no numbers for any.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
        num_good = num_odd = 0
        prepared = _in_order(self._try_prepare, sources, self._workers, 2 * batch_size)
        while chunk := list(islice(prepared, batch_size)):
            arrays = [array for _, (array, _) in chunk if array is not None]
            rows = iter(self.logits(np.stack(arrays))) if arrays else iter(())
            for source, (array, error) in chunk:
                if array is None:
                    yield source, None, error
                    continue
                logits = next(rows)
                try:
                    self._check_numbers(source, logits)
                except ModelFileError as odd:
                    num_odd += 1
                    yield source, None, odd
                else:
                    num_good += 1
                    yield source, logits, None
        if num_odd and not num_good:
            raise ModelFileError(
                f"the model {self.info.name} gives no numbers for any of {num_odd} pictures; "
                f"use another"
            )

    def logits(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return `(N, K)` float32 for a batch `(N, 3, S, S)` float32, with `tta` if it is set."""
        logits = self._session.run(batch)
        if self._tta:
            mirrored = self._session.run(np.ascontiguousarray(batch[..., ::-1]))
            logits = logits * np.float32(0.5) + mirrored * np.float32(0.5)
        return logits

    def decode(self, source: ImageSource) -> ImageArray:
        """Decode a picture as large as the model needs it, `(H, W, 3)` uint8.

        Raises:
            ImageError: it cannot be read.
        """
        min_side = self.info.preprocess.min_side
        return decode_image(source, min_side=min_side, max_pixels=self._max_pixels)

    def _prepare(self, source: ImageSource) -> npt.NDArray[np.float32]:
        preprocess = self.info.preprocess
        with decoded(source, min_side=preprocess.min_side, max_pixels=self._max_pixels) as picture:
            return preprocess(picture)

    def _try_prepare(
        self, source: ImageSource
    ) -> tuple[npt.NDArray[np.float32] | None, ImageError | None]:
        try:
            return self._prepare(source), None
        except ImageError as error:
            return None, error

    def _check_numbers(self, source: ImageSource, logits: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(logits).all():
            shown = ", ".join(f"{value:.3g}" for value in logits[:3])
            raise ModelFileError(
                f"the model {self.info.name} gives no numbers for "
                f"{show_path(_name(source) or 'the picture')}: its logits are {shown}, ..."
            )

    def answer(self, source: ImageSource | None, logits: npt.NDArray[np.float32]) -> Prediction:
        """Return the answer for a picture with finite `logits` (K,) float32."""
        probabilities = softmax(logits, self.info.temperature)
        order = np.argsort(-probabilities, kind="stable")
        names = self.info.class_names
        label, confidence = names[order[0]], float(probabilities[order[0]])
        stream = self.rules.streams.get(label, self.info.streams[label])
        known = confidence >= self.info.threshold
        return Prediction(
            path=_name(source),
            label=label,
            confidence=confidence,
            probabilities={names[i]: float(probabilities[i]) for i in order},
            stream=stream,
            bin=self.rules.bin_of(label, stream) if known else UNSURE,
            known=known,
            source=source,
        )


def as_classifier(
    model: str | os.PathLike[str] | Classifier | None = None, *, tta: bool = False
) -> Classifier:
    """Return a classifier, opened from its model file if need be.

    Raises:
        UsageError: there is no such model file.
        ModelFileError: the model file cannot be trusted.
    """
    return model if isinstance(model, Classifier) else Classifier(model, tta=tta)


def _name(source: ImageSource | None) -> str | None:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else None


def _in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Apply `work` on threads, at most `ahead` items beyond the one being yielded."""
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) >= ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
