"""Watching a source: an answer per frame where it is wanted, and one decision per item."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recyclenet.camera.frames import EndOfSource, Frame, Source
from recyclenet.camera.items import Items, State, Thresholds
from recyclenet.camera.smoothing import Smoother, average
from recyclenet.core.detection import Detection
from recyclenet.core.prediction import Prediction
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.detector import Detector

# Frames that vote on an item.
VOTES = 5
# Seconds after which the answer for a frame of a live source is stale.
MAX_AGE_S = 1.0
# Seconds of one wait for a live source; short, so that a window stays responsive.
_STEP_S = 0.05
_RATE_FRAMES = 30


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was seen in one frame.

    Attributes:
        frame: the frame.
        state: what happens in the view.
        answer: the smoothed answer; None if the frame was not classified, or its answer is stale.
        is_late: the answer was dropped because it took too long.
        fps: measured number of frames per second.
    """

    frame: Frame
    state: State
    answer: Prediction | None
    is_late: bool
    fps: float


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """The one answer for an item, or for a frame that the user captures.

    Attributes:
        item: the number of the item, from 1; None for a captured frame.
        frame: the newest frame that voted.
        answer: the answer for the mean of the votes' probabilities.
        num_votes: number of frames that voted.
        num_agreeing: number of votes with the same label.
        objects: what was found in the frame; None if several objects are not looked for.
    """

    item: int | None
    frame: Frame
    answer: Prediction
    num_votes: int
    num_agreeing: int
    objects: tuple[Detection, ...] | None = None

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        event = "capture" if self.item is None else "decision"
        row = {"event": event, "item": self.item} | frame_row(self.frame)
        votes = {"votes": self.num_votes, "agreeing": self.num_agreeing}
        row |= votes | self.answer.to_row()
        if self.objects is None:
            return row
        return row | {"objects": [one.to_row() for one in self.objects]}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A live source has sent no new frame.

    Attributes:
        age: seconds since the last frame; None if there has been none.
        is_stale: that is longer than the age limit, so no answer holds any more.
    """

    age: float | None
    is_stale: bool


def frame_row(frame: Frame) -> dict[str, Any]:
    """Return plain values for JSON: time, number and age of a frame."""
    return {"time": round(frame.time, 3), "frame": frame.number, "age": round(frame.age, 3)}


class Watcher:
    """Classifies frames and decides on items.

    Args:
        classifier: gives the answers.
        thresholds: when an item counts as there, still and gone.
        votes: number of frames that vote on an item.
        every: classify each frame, and not only those of an item that lies still.
        items: classify each frame with an item, also if it moves.
        max_age_s: seconds after which an answer is stale; None for a source that waits.
        multi: also find the objects in the frame of each decision; what came to rest together is
            still one item, with one decision.
    """

    def __init__(
        self,
        classifier: Classifier,
        thresholds: Thresholds | None = None,
        *,
        votes: int = VOTES,
        every: bool = False,
        items: bool = False,
        max_age_s: float | None = None,
        multi: bool = False,
    ) -> None:
        self._classifier = classifier
        self._detector = Detector(classifier) if multi else None
        self._items = Items(thresholds)
        self._smoother = Smoother(classifier)
        self._num_votes, self._max_age_s = votes, max_age_s
        wanted = {State.MOVING, State.DECIDED} if items else set()
        self._classified = set(State) if every else wanted | {State.STILL}
        self._votes: list[tuple[Frame, Prediction]] = []
        self._connection = 0
        self._times: deque[float] = deque(maxlen=_RATE_FRAMES)
        self.num_items = 0

    def see(self, frame: Frame) -> Iterator[Seen | Decision]:
        """Take in a frame; yield what is seen in it, and the decision if it completes one.

        Raises:
            ImageError: the frame is too large.
            ModelFileError: the model failed.
        """
        if frame.connection != self._connection:
            self.interrupt()
            self._connection = frame.connection
        before = self._items.state
        state = self._items.see(frame.image, frame.time)
        if state is not before and State.EMPTY in (state, before):
            self._smoother.reset()
        if state is not State.STILL:
            self._votes.clear()
        answer = None
        if state in self._classified:
            answer = self._classifier.classify(frame.image)
        is_late = answer is not None and self._is_late(frame)
        if is_late:
            answer = None
        if answer is not None and state is State.STILL:
            self._votes.append((frame, answer))
        shown = None if answer is None else self._smoother.add(answer)
        self._times.append(time.monotonic())
        yield Seen(frame, state, shown, is_late, self.fps)
        if len(self._votes) >= self._num_votes:
            yield self._decide()

    def finish(self) -> Iterator[Decision]:
        """Yield the decision on an item that still lies there when the source ends."""
        if self._votes:
            yield self._decide()

    def capture(self, frame: Frame) -> Decision:
        """Return the answer for one frame, whatever happens in the view."""
        answer = self._classifier.classify(frame.image)
        return Decision(None, frame, answer, 1, 1, self._objects(frame))

    def interrupt(self) -> None:
        """Forget what is not decided: frames from before and after a gap do not belong together."""
        self._votes.clear()
        self._smoother.reset()
        self._items.interrupt()

    @property
    def state(self) -> State:
        """What happens in the view."""
        return self._items.state

    @property
    def fps(self) -> float:
        """Measured frames per second, over the last frames."""
        passed = self._times[-1] - self._times[0] if len(self._times) > 1 else 0.0
        return (len(self._times) - 1) / passed if passed else 0.0

    def _is_late(self, frame: Frame) -> bool:
        return self._max_age_s is not None and frame.age > self._max_age_s

    def _decide(self) -> Decision:
        frame = self._votes[-1][0]
        answers = [answer for _, answer in self._votes]
        self._votes.clear()
        self._items.decided()
        self.num_items += 1
        answer = average(self._classifier, answers)
        agreeing = sum(one.label == answer.label for one in answers)
        objects = self._objects(frame)
        return Decision(self.num_items, frame, answer, len(answers), agreeing, objects)

    def _objects(self, frame: Frame) -> tuple[Detection, ...] | None:
        return None if self._detector is None else self._detector.detect(frame.image).objects


def watch(
    source: Source, watcher: Watcher, max_age_s: float = MAX_AGE_S
) -> Iterator[Seen | Decision | Waiting]:
    """Watch a source until it ends.

    Args:
        source: gives the frames.
        watcher: classifies them.
        max_age_s: seconds without a frame after which a live source shows nothing.

    Raises:
        RecycleNetError: the source cannot be read, or the model failed.
    """
    last: Frame | None = None
    is_stale = False
    while True:
        try:
            frame = source.next(_STEP_S)
        except EndOfSource:
            yield from watcher.finish()
            return
        last = frame or last
        if frame is not None and not (source.is_live and frame.age > max_age_s):
            is_stale = False
            yield from watcher.see(frame)
            continue
        age = None if last is None else last.age
        if age is not None and age > max_age_s and not is_stale:
            is_stale = True
            watcher.interrupt()
        yield Waiting(age, is_stale)
