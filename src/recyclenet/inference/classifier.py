"""The classifier: photos to predictions, on a CPU and without PyTorch."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import ASK, bin_chooser, softmax, trust
from recyclenet.core.images import MAX_PIXELS, ImageArray, ImageSource, decode_image, decoded
from recyclenet.core.prediction import Prediction
from recyclenet.core.resources import num_cores
from recyclenet.core.risk import RiskChoice, RiskTable
from recyclenet.core.taxonomy import UNSURE, Rules, load_rules
from recyclenet.core.text import show_path
from recyclenet.errors import ImageError, ModelFileError, RecycleNetError, UsageError
from recyclenet.inference.session import Outputs, open_session

BATCH_SIZE = 16

Item = TypeVar("Item")
Result = TypeVar("Result")
# Is shown a photo while it is decoded.
Look: TypeAlias = Callable[[ImageSource, ImageArray], None]


class Classifier:
    """Classifies photos of waste.

    Args:
        model: path of a model file or of a run folder; None for the built-in model.
        tta: average the logits of the image and its mirror image (test-time augmentation).
        threads: number of threads; None for all cores that this process may use.
        max_pixels: reject photos with more pixels.
        rules: a city's rules: a built-in name or the path of a TOML file.
        max_risk: the largest share of wrong answers accepted among the known ones, 0.001 to 0.99,
            which replaces the model's threshold; None for the model's threshold.

    Attributes:
        info: the model's metadata.
        sha256: digest of the model file, hexadecimal.
        tta: whether logits are averaged with those of the mirror image.
        rules: the rules in use.
        streams: class to stream under these rules, in the order of the logits.
        bins: chooses the bin.
        threshold: the lowest confidence that counts as known.
        risk: how `threshold` was chosen; None without `max_risk`.

    Raises:
        UsageError: the model file does not exist, the rules are invalid, or no threshold of the
            model keeps the risk.
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
        max_risk: float | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads must be 1 or more, not {threads}")
        self._session = open_session(None if model is None else Path(model), threads)
        self._workers = threads or num_cores()
        self.tta = tta
        self._max_pixels = max_pixels
        self.info = self._session.info
        self.sha256 = self._session.sha256
        names = self.info.class_names
        self.rules = Rules() if rules is None else load_rules(os.fspath(rules), names)
        self.streams = {n: self.rules.streams.get(n, self.info.streams[n]) for n in names}
        self.bins = bin_chooser(self.rules, self.streams)
        self.risk: RiskChoice | None = None
        self.threshold = self.info.threshold
        if max_risk is not None:
            self.risk = RiskTable.from_statistics(self.info.statistics).choose(max_risk)
            self.threshold = self.risk.threshold

    def __repr__(self) -> str:
        info = self.info
        return f"Classifier({info.name!r}, {len(info.class_names)} classes, {info.backbone})"

    def classify(self, source: ImageSource) -> Prediction:
        """Classify one photo: a path, file bytes, a Pillow image or a uint8 array.

        Raises:
            ImageError: the photo cannot be read.
            ModelFileError: the model failed or returned non-finite logits.
        """
        outputs = _row(self.outputs(self.prepare(source)[None]), 0)
        self.check_finite(source, outputs)
        return self.answer(source, outputs.logits, outputs.unknown)

    def classify_many(
        self, sources: Iterable[ImageSource], batch_size: int = BATCH_SIZE
    ) -> Iterator[Prediction]:
        """Classify photos in order; decode ahead on all cores.

        A photo that cannot be read or has non-finite logits yields a prediction with `error` set;
        the others are classified. Memory use does not grow with the number of sources.

        Raises:
            ModelFileError: as for `outputs_many`.
        """
        for source, outputs, error in self.outputs_many(sources, batch_size):
            if outputs is None:
                yield Prediction(path=_name(source), error=str(error))
            else:
                yield self.answer(source, outputs.logits, outputs.unknown)

    def outputs_many(
        self,
        sources: Iterable[ImageSource],
        batch_size: int = BATCH_SIZE,
        look: Look | None = None,
    ) -> Iterator[tuple[ImageSource, Outputs | None, RecycleNetError | None]]:
        """Yield `(source, outputs or None, error or None)` for each source, in order.

        The outputs are the logits `(K,)` and the features `(D,)` of one photo. The error is an
        `ImageError` if the photo cannot be read, and a `ModelFileError` if an output is not finite.

        Args:
            sources: the photos.
            batch_size: number of photos per call of the model.
            look: is shown each source and its decoded image, in several threads at once.

        Raises:
            UsageError: `batch_size` is below 1.
            ModelFileError: the model failed; or, after the last source, all outputs were
                non-finite.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
        num_finite = num_nonfinite = 0
        work = partial(self._try_prepare, look=look)
        prepared = _in_order(work, sources, self._workers, 2 * batch_size)
        while chunk := list(islice(prepared, batch_size)):
            arrays = [array for _, (array, _) in chunk if array is not None]
            batch = self.outputs(np.stack(arrays)) if arrays else None
            number = 0
            for source, (array, error) in chunk:
                if array is None or batch is None:
                    yield source, None, error
                    continue
                outputs = _row(batch, number)
                number += 1
                try:
                    self.check_finite(source, outputs)
                except ModelFileError as nonfinite:
                    num_nonfinite += 1
                    yield source, None, nonfinite
                else:
                    num_finite += 1
                    yield source, outputs, None
        if num_nonfinite and not num_finite:
            raise ModelFileError(
                f"the model {self.info.name} returned non-finite logits or features for all "
                f"{num_nonfinite} photos; use another model"
            )

    def logits(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits `(N, K)` float32 for a batch `(N, 3, S, S)` float32, with `tta` if set."""
        return self.outputs(batch).logits

    def outputs(self, batch: npt.NDArray[np.float32]) -> Outputs:
        """Return logits and features for a batch `(N, 3, S, S)` float32, with `tta` if set."""
        outputs = self._session.run(batch)
        if not self.tta:
            return outputs
        mirrored = self._session.run(np.ascontiguousarray(batch[..., ::-1]))
        return Outputs(
            _mean(outputs.logits, mirrored.logits),
            _mean_or_none(outputs.features, mirrored.features),
            _mean_or_none(outputs.unknown, mirrored.unknown),
        )

    def decode(self, source: ImageSource, min_side: int | None = None) -> ImageArray:
        """Decode a photo at a resolution sufficient for the model, `(H, W, 3)` uint8.

        Args:
            source: the photo.
            min_side: as in `decode_image`; None for what the model needs of a whole photo.

        Raises:
            ImageError: the photo cannot be read.
        """
        if min_side is None:
            min_side = self.info.preprocess.min_side
        return decode_image(source, min_side=min_side, max_pixels=self._max_pixels)

    def prepare(self, source: ImageSource, look: Look | None = None) -> npt.NDArray[np.float32]:
        """Decode a photo and return the model's input for it, `(3, S, S)` float32.

        Args:
            source: a path, the bytes of a picture file, a Pillow image or a uint8 array.
            look: is called with the photo and its decoded image.

        Raises:
            ImageError: the photo cannot be read.
        """
        preprocess = self.info.preprocess
        with decoded(source, min_side=preprocess.min_side, max_pixels=self._max_pixels) as image:
            if look is not None:
                look(source, image)
            return preprocess(image)

    def _try_prepare(
        self, source: ImageSource, look: Look | None = None
    ) -> tuple[npt.NDArray[np.float32] | None, ImageError | None]:
        try:
            return self.prepare(source, look), None
        except ImageError as error:
            return None, error

    def check_finite(self, source: ImageSource | None, outputs: Outputs) -> None:
        """Refuse outputs for one photo, or for several views of it, that are not finite.

        Raises:
            ModelFileError: a logit, feature or unknown score is not finite.
        """
        for kind, values in outputs._asdict().items():
            if values is None or np.isfinite(values).all():
                continue
            shown = ", ".join(f"{value:.3g}" for value in np.ravel(values)[:3])
            raise ModelFileError(
                f"the model {self.info.name} returned non-finite {kind} for "
                f"{show_path(_name(source) or 'the image')}: {shown}, ...; use another model"
            )

    def answer(
        self,
        source: ImageSource | None,
        logits: npt.NDArray[np.float32],
        unknown: npt.NDArray[np.float32] | None = None,
    ) -> Prediction:
        """Return the prediction for a photo with finite `logits` (K,) float32.

        Args:
            source: the photo.
            logits: the model's logits.
            unknown: probability that the photo shows none of the classes, `()`; None if the model
                has no unknown score.
        """
        probabilities = softmax(logits, self.info.temperature)
        unknowns = None if unknown is None else np.reshape(unknown, 1)
        order = np.argsort(-probabilities, kind="stable")
        names = self.info.class_names
        label, confidence = names[order[0]], float(probabilities[order[0]])
        known = bool(trust(probabilities[None], unknowns)[0] >= self.threshold)
        choices, costs = self.choose_bins(probabilities[None], unknowns)
        choice, cost = int(choices[0]), float(costs[0])
        return Prediction(
            path=_name(source),
            label=label,
            confidence=confidence,
            probabilities={names[i]: float(probabilities[i]) for i in order},
            stream=self.streams[label],
            bin=UNSURE if choice == ASK else self.bins.bins[choice],
            known=known,
            unknown=None if unknown is None else float(unknown),
            expected_cost=None if np.isnan(cost) else cost,
            source=source,
        )

    def answers(self, batch: npt.NDArray[np.float32]) -> list[Prediction | ModelFileError]:
        """Return the prediction for each photo of a prepared batch `(N, 3, S, S)` float32.

        A photo with non-finite outputs gets an error; the others are answered.

        Raises:
            ModelFileError: the model failed.
        """
        outputs = self.outputs(batch)
        answers: list[Prediction | ModelFileError] = []
        for number in range(len(batch)):
            row = _row(outputs, number)
            try:
                self.check_finite(None, row)
                answers.append(self.answer(None, row.logits, row.unknown))
            except ModelFileError as error:
                answers.append(error)
        return answers

    def choose_bins(
        self,
        probabilities: npt.NDArray[np.float64],
        unknown: npt.NDArray[np.float32] | None = None,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Choose bins under the rules and the threshold in use, as `BinChooser.choose` does.

        A photo for which `must_ask` holds goes to a person, unless the rules give the cost of
        asking one: then the costs decide, but an explicit `max_risk` and the unknown score still
        apply.

        Args:
            probabilities: calibrated probabilities, `(N, K)`.
            unknown: probability that a photo shows none of the classes, `(N,)`; None if the model
                has no unknown score.
        """
        asks = self.must_ask(probabilities, unknown)
        if self.bins.abstain is not None and self.risk is None:
            foreign = np.zeros(len(probabilities)) if unknown is None else unknown
            asks = 1 - foreign < self.threshold
        return self.bins.choose(probabilities, asks)

    def must_ask(
        self,
        probabilities: npt.NDArray[np.float64],
        unknown: npt.NDArray[np.float32] | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return which photos a person must decide if there are no costs, `(N,)`.

        An answer that is not known still gets its bin if all classes of the bin together reach the
        threshold and exceed the unknown score. Without such a score, an unclear class may mean that
        the photo shows something else; and the promise of `max_risk` is about classes.
        """
        asks = trust(probabilities, unknown) < self.threshold
        if unknown is not None and self.risk is None:
            of_bins = trust(probabilities, unknown, self.bins.right)
            asks &= of_bins < np.maximum(self.threshold, unknown)
        return np.asarray(asks)


def as_classifier(
    model: str | os.PathLike[str] | Classifier | None = None, *, tta: bool = False
) -> Classifier:
    """Return a classifier; open it if `model` is a path or None.

    Raises:
        UsageError: the model file does not exist.
        ModelFileError: the model file is damaged, altered or inconsistent.
    """
    return model if isinstance(model, Classifier) else Classifier(model, tta=tta)


def _row(outputs: Outputs, number: int) -> Outputs:
    """Return the outputs for one image of a batch."""
    features, unknown = outputs.features, outputs.unknown
    return Outputs(
        outputs.logits[number],
        None if features is None else features[number],
        None if unknown is None else unknown[number],
    )


def _mean_or_none(
    first: npt.NDArray[np.float32] | None, second: npt.NDArray[np.float32] | None
) -> npt.NDArray[np.float32] | None:
    return None if first is None or second is None else _mean(first, second)


def _mean(
    first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return first * np.float32(0.5) + second * np.float32(0.5)


def _name(source: ImageSource | None) -> str | None:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else None


def _in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Apply `work` in threads and yield in order; keep at most `ahead` results in memory."""
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        try:
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) >= ahead:
                    first, future = pending.popleft()
                    yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            for _, future in pending:
                future.cancel()
