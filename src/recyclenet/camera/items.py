"""Items: when one lies still in the view, and when it has left.

A small copy of each frame is compared with the empty view, to see whether an item is there, and
with an earlier frame, to see whether anything moves.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recyclenet.camera.video import opencv
from recyclenet.core.images import ImageArray

Small: TypeAlias = npt.NDArray[np.float32]

# Columns and rows of the small copies.
SIZE = (64, 48)
# Differences of brightness of the whole view up to this many grey levels are evened out.
_BRIGHTNESS = 40.0
# Seconds in which the empty view follows a change of the light.
_FOLLOW_S = 5.0


class State(Enum):
    """What happens in the view.

    `LEARNING`: the empty view is not known yet. `EMPTY`: no item. `MOVING`: something is there and
    moves, or has not been still for long enough. `STILL`: an item lies still and has no decision.
    `DECIDED`: the item has its decision and has not left.
    """

    LEARNING = "learning"
    EMPTY = "empty"
    MOVING = "moving"
    STILL = "still"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When an item counts as there, still and gone.

    Attributes:
        item_area: smallest share of the view that an item changes; below half of that, the item
            has left.
        still_area: largest share of the view that may change while an item lies still.
        contrast: difference of a pixel that counts as a change, grey levels of 255.
        learn_s: seconds that the view must be still at the start; it is then the empty view.
        settle_s: seconds that an item must lie still before it is classified.
        leave_s: seconds that the view must be empty before the next item.
        adopt_s: seconds after which an item that has its decision and does not move becomes part of
            the empty view.
    """

    item_area: float = 0.02
    still_area: float = 0.01
    contrast: float = 18.0
    learn_s: float = 0.4
    settle_s: float = 0.4
    leave_s: float = 0.2
    adopt_s: float = 60.0


class Items:
    """Follows the items in the view, one at a time.

    Args:
        thresholds: when an item counts as there, still and gone.

    Attributes:
        state: what happens in the view.
    """

    def __init__(self, thresholds: Thresholds | None = None) -> None:
        self.thresholds = thresholds or Thresholds()
        self.state = State.LEARNING
        # What the view looks like without an item; the second is older.
        self._empty: deque[Small] = deque(maxlen=2)
        self._anchor: Small | None = None  # the frame since which nothing has moved
        self._anchor_time = self._present_time = self._time = 0.0

    def see(self, image: ImageArray, time_s: float) -> State:
        """Take in the next frame, `(H, W, 3)` uint8, and return the state."""
        small = _shrink(image)
        limits = self.thresholds
        if self._anchor is None or self._change(small, self._anchor) > limits.still_area:
            self._anchor, self._anchor_time = small, time_s
        still_s = time_s - self._anchor_time
        is_present = self._is_present(small)
        if is_present:
            self._present_time = time_s
        absent_s = time_s - self._present_time
        match self.state:
            case State.LEARNING:
                if still_s >= limits.learn_s:
                    self._empty.appendleft(small)
                    self.state = State.EMPTY
            case State.EMPTY:
                if is_present:
                    self.state = State.MOVING
                else:
                    self._follow(small, time_s - self._time)
            case State.MOVING | State.STILL:
                if not is_present:
                    self.state = State.EMPTY if absent_s >= limits.leave_s else State.MOVING
                else:
                    self.state = State.STILL if still_s >= limits.settle_s else State.MOVING
            case State.DECIDED:
                if still_s >= limits.adopt_s and is_present:
                    self._empty.appendleft(small)
                    self.state = State.EMPTY
                elif not is_present and absent_s >= limits.leave_s:
                    self.state = State.EMPTY
        self._time = time_s
        return self.state

    def decided(self) -> None:
        """Note that the item has its decision."""
        self.state = State.DECIDED

    def interrupt(self) -> None:
        """Note that frames are missing: an item that lay still must be seen to lie still again."""
        self._anchor = None
        if self.state is State.STILL:
            self.state = State.MOVING

    def _is_present(self, small: Small) -> bool:
        area = self.thresholds.item_area
        if self.state not in (State.LEARNING, State.EMPTY):
            area /= 2
        changes = [self._change(small, empty) for empty in self._empty]
        return bool(changes) and min(changes) > area

    def _follow(self, small: Small, passed_s: float) -> None:
        """Let the empty view follow the light."""
        share = np.float32(1 - np.exp(-max(passed_s, 0.0) / _FOLLOW_S))
        nearest = min(range(len(self._empty)), key=lambda n: self._change(small, self._empty[n]))
        self._empty[nearest] = self._empty[nearest] + share * (small - self._empty[nearest])

    def _change(self, one: Small, other: Small) -> float:
        """Return the share of the pixels that differ, whatever the brightness of the whole."""
        difference = one - other
        shift = np.median(difference, axis=(0, 1)).clip(-_BRIGHTNESS, _BRIGHTNESS)
        largest = np.abs(difference - shift).max(axis=2)
        return float((largest > self.thresholds.contrast).mean())


def _shrink(image: ImageArray) -> Small:
    cv = opencv()
    small: Small = cv.resize(image, SIZE, interpolation=cv.INTER_AREA).astype(np.float32)
    return small
