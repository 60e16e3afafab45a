"""When an item lies still, and when it has left."""

from __future__ import annotations

import numpy as np
import pytest

from recyclenet.camera.items import Items, State, Thresholds
from videos import FPS, block, frames_of, scene


def states(frames, items: Items | None = None, fps: float = FPS) -> list[State]:
    items = items or Items()
    return [items.see(frame, number / fps) for number, frame in enumerate(frames)]


def runs(found: list[State]) -> list[State]:
    return [s for n, s in enumerate(found) if n == 0 or s is not found[n - 1]]


def test_an_item_comes_rests_and_leaves() -> None:
    expected = [State.LEARNING, State.EMPTY, State.MOVING, State.STILL, State.MOVING, State.EMPTY]
    assert runs(states(frames_of([block("glass")]))) == expected


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_thresholds_are_in_seconds(fps: float) -> None:
    frames = [scene()] * fps + [scene(block("glass"), 30)] * (3 * fps)
    found = states(frames, Items(Thresholds(settle_s=1.0)), fps)
    first = found.index(State.STILL) / fps
    assert 2.0 <= first <= 2.0 + 2 / fps


def test_an_item_has_one_decision_until_it_has_left() -> None:
    items = Items()
    for number, frame in enumerate(frames_of([block("glass"), block("glass")])):
        if items.see(frame, number / FPS) is State.STILL:
            items.decided()
    again = [scene(block("paper"), 30, n) for n in range(10)]
    moved = [scene(block("paper"), 30 + n, n) for n in range(10)]
    found = states([*again, *moved, *again], items)
    assert found.count(State.STILL) > 0
    items = Items()
    states([scene()] * 10 + again, items)
    items.decided()
    found = [items.see(frame, 3 + n / FPS) for n, frame in enumerate([*moved, *again])]
    assert set(found) == {State.DECIDED}  # moved about, but never gone


def test_light_that_changes_is_no_item() -> None:
    dark = [np.clip(scene(seed=n).astype(int) - n, 0, 255).astype(np.uint8) for n in range(40)]
    assert set(states([scene()] * 10 + dark)) == {State.LEARNING, State.EMPTY}


def test_a_small_thing_is_no_item_unless_the_threshold_says_so() -> None:
    frames = [scene(seed=n) for n in range(10)]
    frames += [scene(np.full((14, 14, 3), 255, np.uint8), 70, n) for n in range(10)]
    assert State.MOVING not in states(frames)
    assert State.STILL in states(frames, Items(Thresholds(item_area=0.005)))


def test_a_thing_that_stays_becomes_part_of_the_view_and_may_leave_later() -> None:
    items = Items(Thresholds(adopt_s=2.0))
    states([scene()] * 10 + [scene(block("glass"), 30)] * 10, items)
    items.decided()
    stays = [items.see(scene(block("glass"), 30), 2 + n / FPS) for n in range(30)]
    assert stays[-1] is State.EMPTY
    gone = [items.see(scene(), 5 + n / FPS) for n in range(10)]
    assert set(gone) == {State.EMPTY}  # the earlier view is remembered


def test_after_a_gap_an_item_must_be_still_again() -> None:
    items = Items()
    found = states([scene()] * 10 + [scene(block("glass"), 30)] * 10, items)
    assert found[-1] is State.STILL
    items.interrupt()
    assert items.see(scene(block("glass"), 30), 2.0) is State.MOVING
    assert items.see(scene(block("glass"), 30), 2.6) is State.STILL
