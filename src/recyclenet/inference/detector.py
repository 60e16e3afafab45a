"""Several objects in one photo, with a classifier of single objects.

Parts of a photo that stand out from a plain background are shown to the classifier one by one. In
other photos, it looks through windows of several sizes, and what neighbouring windows agree on
becomes a box. Each box is classified from two views.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.decision import softmax
from recyclenet.core.detection import Box, Detection, Detections
from recyclenet.core.images import ImageArray, ImageSource, upright_size
from recyclenet.core.prediction import Prediction
from recyclenet.errors import ImageError, ModelFileError, UsageError
from recyclenet.inference.classifier import BATCH_SIZE, Classifier
from recyclenet.inference.regions import MAX_WINDOWS, SCALES, Part, look, windows
from recyclenet.inference.session import Outputs

# The classifier is shown a box itself, and the square around it.
NUM_VIEWS = 2
MAX_BOXES = 16
# Pictures that the model is shown for one photo, at most: the whole, windows, two rounds of boxes.
MAX_RUNS = 1 + MAX_WINDOWS + 2 * MAX_BOXES * NUM_VIEWS
# Trust from which something that stands out counts as an object.
LEAST_TRUST = 0.4
_MAX_SIDE = 1200  # shorter side of the photo that is looked at, pixels
# Of two boxes that share more than this, the one with more trust stays: of their union, and of the
# smaller.
_UNION, _SMALLER = 0.35, 0.6
# Windows are neighbours from this intersection over union.
_NEIGHBOUR = 0.25
# Places that windows agree on, at most.
_MAX_PLACES = 8
# Mean lead over the background, of neighbouring windows, that such a place needs.
_AGREEMENT = 0.4


@dataclass(frozen=True, eq=False, slots=True)
class _Found:
    """A classified box.

    Attributes:
        box: where it is, in pixels of the decoded image.
        prediction: the answer.
        trust: the confidence, times the probability that the box shows one of the classes.
        is_agreed: every view of the box, alone, has the same most probable class.
    """

    box: Box
    prediction: Prediction
    trust: float
    is_agreed: bool


class Detector:
    """Finds several objects in one photo.

    Args:
        classifier: gives the answers.

    Raises:
        UsageError: the classifier has a `max_risk`, which holds for whole photos only.

    Example:
        >>> from recyclenet import Classifier, Detector
        >>> found = Detector(Classifier()).detect("samples/green_glass_bottle.jpg")
        >>> [one.prediction.label for one in found.objects]
        ['glass']
    """

    def __init__(self, classifier: Classifier) -> None:
        if classifier.risk is not None:
            raise UsageError(
                "max_risk is measured on photos of one item, so it does not hold for parts "
                "of a photo; leave it out, or classify without looking for several objects"
            )
        self.classifier = classifier

    def detect(self, source: ImageSource) -> Detections:
        """Find the objects in one photo: a path, file bytes, a Pillow image or a uint8 array.

        Raises:
            ImageError: the photo cannot be read.
            ModelFileError: the model failed or returned non-finite outputs.
        """
        # The smallest windows have as many pixels as the model takes.
        side = min(round(self.classifier.info.preprocess.image_size / min(SCALES)), _MAX_SIDE)
        image = self.decode(source, side)
        width, height = upright_size(source)
        across, down = width / image.shape[1], height / image.shape[0]
        work = _Work(self.classifier, image, source)
        objects = [
            Detection(
                Box(
                    round(one.box.left * across),
                    round(one.box.top * down),
                    round(one.box.right * across),
                    round(one.box.bottom * down),
                ),
                one.prediction,
            )
            for one in work.find()
        ]
        return Detections(
            path=os.fspath(source) if isinstance(source, str | os.PathLike) else None,
            width=width,
            height=height,
            objects=tuple(sorted(objects, key=lambda one: (one.box.top, one.box.left))),
            num_runs=work.num_runs,
            source=source,
        )

    def decode(self, source: ImageSource, side: int) -> ImageArray:
        """Decode a photo, `(H, W, 3)` uint8, and shrink it if its shorter side is above `side`.

        Raises:
            ImageError: the photo cannot be read.
        """
        image = self.classifier.decode(source, side)
        height, width = image.shape[:2]
        scale = side / min(height, width)
        if scale >= 1:
            return image
        size = max(1, round(width * scale)), max(1, round(height * scale))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))

    def detect_many(self, sources: Iterable[ImageSource]) -> Iterator[Detections]:
        """Find the objects in photos, in order.

        A photo that cannot be read or has non-finite outputs yields a result with `error` set; the
        others are done.

        Raises:
            ModelFileError: after the last photo, if none has an answer and the model is the reason.
        """
        model_error: ModelFileError | None = None
        num_answered = 0
        for source in sources:
            try:
                found = self.detect(source)
            except (ImageError, ModelFileError) as error:
                if isinstance(error, ModelFileError):
                    model_error = model_error or error
                path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
                yield Detections(path=path, error=str(error))
            else:
                num_answered += 1
                yield found
        if model_error is not None and not num_answered:
            raise model_error


class _Work:
    """The work on one photo.

    Args:
        classifier: gives the answers.
        image: `(H, W, 3)` uint8.
        source: the photo, for error messages.

    Attributes:
        num_runs: how many pictures the model was shown.
    """

    def __init__(self, classifier: Classifier, image: ImageArray, source: ImageSource) -> None:
        self._classifier = classifier
        self._source = source
        self._image = image
        self._height, self._width = image.shape[:2]
        self.num_runs = 0

    def find(self) -> list[_Found]:
        """Return the objects."""
        scene = look(self._image)
        found = self._standing_out(scene.parts)
        if scene.is_plain and any(one.prediction.known for one in found):
            return found
        boxes = windows(self._width, self._height)
        outputs = self._run([None, *boxes])
        whole = self._answer(Box(0, 0, self._width, self._height), outputs, 0, 1)
        trusts = self._trusts(outputs)[1:]
        background = self._background(boxes, trusts)
        lead = (trusts - background) / (1 - background).clip(1e-6)
        places = self._classify(_agreed(boxes, lead))
        agreed = [one for one in places if one.is_agreed and one.prediction.known]
        found = _best([*found, *agreed])
        return [whole] if _is_one(whole, found) else found

    def _standing_out(self, parts: Sequence[Part]) -> list[_Found]:
        """Return what stands out and is recognised; a part or its pieces, whichever is clearer."""
        asked: list[Box] = []
        for part in parts:
            boxes = [part.box, *part.pieces]
            if len(asked) + len(boxes) > MAX_BOXES:
                break
            asked += boxes
        answers = {one.box: one for one in self._classify(asked)}
        found = []
        for part in parts:
            if part.box not in answers:
                break
            pieces = [answers[box] for box in part.pieces]
            mean = sum(one.trust for one in pieces) / max(len(pieces), 1)
            found += pieces if mean >= answers[part.box].trust else [answers[part.box]]
        return _best([one for one in found if one.trust >= LEAST_TRUST])

    def _classify(self, boxes: Sequence[Box]) -> list[_Found]:
        """Classify boxes: the mean of the logits of the views of each."""
        if not boxes:
            return []
        views: list[Box | None] = []
        for box in boxes:
            views += [box, _square(box, self._width, self._height)]
        outputs = self._run(views)
        starts = range(0, len(views), NUM_VIEWS)
        return [
            self._answer(box, outputs, start, start + NUM_VIEWS)
            for box, start in zip(boxes, starts, strict=True)
        ]

    def _run(self, views: Sequence[Box | None]) -> Outputs:
        """Return the outputs for parts of the photo, without features; None is the whole of it."""
        preprocess = self._classifier.info.preprocess
        found: list[Outputs] = []
        for start in range(0, len(views), BATCH_SIZE):
            chosen = views[start : start + BATCH_SIZE]
            batch = np.stack([preprocess.resize(self._image, view) for view in chosen])
            found.append(self._classifier.outputs(preprocess.normalise(batch)))
            self._classifier.check_finite(self._source, found[-1])
        self.num_runs += len(views)
        unknown = [one.unknown for one in found if one.unknown is not None]
        return Outputs(
            np.concatenate([one.logits for one in found]),
            unknown=np.concatenate(unknown) if unknown else None,
        )

    def _answer(self, box: Box, outputs: Outputs, start: int, end: int) -> _Found:
        """Return the answer for a box from the outputs for its views."""
        logits = outputs.logits[start:end].mean(axis=0)
        unknown = None if outputs.unknown is None else outputs.unknown[start:end].mean()
        prediction = self._classifier.answer(None, logits, unknown)
        assert prediction.confidence is not None
        trust = prediction.confidence * (1 - (prediction.unknown or 0.0))
        labels = set(outputs.logits[start:end].argmax(axis=1).tolist())
        return _Found(box, prediction, trust, len(labels) == 1)

    def _background(
        self, boxes: Sequence[Box], trusts: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the trust in each class that the background causes, `(K,)`.

        It is the median over the smallest windows at the border: where a wooden table looks like
        cardboard, all of it does.
        """
        if not boxes:
            return np.zeros(trusts.shape[1])
        least = min(box.width for box in boxes)
        chosen = [
            number
            for number, box in enumerate(boxes)
            if box.width <= least and self._touches_border(box)
        ]
        return np.asarray(np.median(trusts[chosen], axis=0))

    def _touches_border(self, box: Box) -> bool:
        right, bottom = self._width - box.right, self._height - box.bottom
        return bool(min(box.left, box.top, right, bottom) < 0.5)

    def _trusts(self, outputs: Outputs) -> npt.NDArray[np.float64]:
        """Return the trust in each class, `(N, K)`."""
        probabilities = softmax(outputs.logits, self._classifier.info.temperature)
        if outputs.unknown is None:
            return probabilities
        return np.asarray(probabilities * (1 - outputs.unknown[:, None].astype(np.float64)))


def _square(box: Box, width: int, height: int) -> Box:
    """Return the square around a box, moved into the photo and cut where it is too large for it."""
    side = max(box.width, box.height)
    across, down = min(side, width), min(side, height)
    left = min(max((box.left + box.right - across) / 2, 0), width - across)
    top = min(max((box.top + box.bottom - down) / 2, 0), height - down)
    return Box(left, top, left + across, top + down)


def _agreed(boxes: Sequence[Box], leads: npt.NDArray[np.float64]) -> list[Box]:
    """Return the places that neighbouring windows agree on.

    The score of a window is the mean lead of its neighbours in one class, weighted by how much
    they overlap. From the best one on, each place is the mean of the windows that agree there.

    Args:
        boxes: N windows.
        leads: how far the trust in each class lies between that in the background and 1, `(N, K)`.
    """
    if not boxes:
        return []
    overlaps = _overlaps(np.array(boxes))
    near = np.where(overlaps >= _NEIGHBOUR, overlaps, 0.0)
    scores = near @ leads / near.sum(axis=1, keepdims=True)
    labels, best = scores.argmax(axis=1), scores.max(axis=1)
    places: list[Box] = []
    for number in np.argsort(-best, kind="stable"):
        if best[number] < _AGREEMENT or len(places) == _MAX_PLACES:
            break
        label = labels[number]
        given = np.where(leads.argmax(axis=1) == label, leads[:, label], 0.0).clip(0)
        weights = near[number] * given**2
        if not weights.any():
            continue
        place = Box(*map(float, weights @ np.array(boxes) / weights.sum()))
        if not any(_is_same(place, other) for other in places):
            places.append(place)
    return places


def _overlaps(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the intersection over the union of each pair of N boxes, `(N, N)`."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(common / (areas[:, None] + areas[None] - common))


def _best(found: Sequence[_Found]) -> list[_Found]:
    """Drop boxes that overlap one with more trust (non-maximum suppression)."""
    kept: list[_Found] = []
    for one in sorted(found, key=lambda each: -each.trust):
        if not any(_is_same(one.box, other.box) for other in kept):
            kept.append(one)
    return kept


def _is_one(whole: _Found, found: Sequence[_Found]) -> bool:
    """Whether one object fills the photo: its answer is known, and most boxes say the same."""
    same = sum(one.trust for one in found if one.prediction.label == whole.prediction.label)
    return whole.prediction.known and same >= sum(one.trust for one in found) / 2


def _is_same(one: Box, other: Box) -> bool:
    common = one.common(other)
    return one.overlap(other) > _UNION or common > _SMALLER * min(one.area, other.area)
