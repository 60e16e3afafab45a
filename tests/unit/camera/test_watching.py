"""One decision per item, in order; nothing stale is an answer."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

from conftest import colour
from recyclenet.camera.frames import EndOfSource, Frame
from recyclenet.camera.items import State
from recyclenet.camera.live import Live
from recyclenet.camera.sources import open_source
from recyclenet.camera.video import Capture
from recyclenet.camera.watching import Decision, Seen, Waiting, Watcher, watch
from recyclenet.core.detection import Box
from recyclenet.errors import RecycleNetError
from recyclenet.inference.classifier import Classifier
from videos import BACKGROUND, FPS, LABELS, START, block, frames_of, scene


@pytest.fixture(scope="module")
def classifier(tiny_model):
    return Classifier(tiny_model, threads=1)


class Given:
    """A source with given frames."""

    name, num_damaged = "given", 0

    def __init__(self, frames, *, is_live: bool = False, age_s: float = 0.0) -> None:
        self.is_live = is_live
        self._frames = iter(frames)
        self._number, self._age_s = -1, age_s

    def next(self, timeout_s: float) -> Frame | None:
        try:
            image = next(self._frames)
        except StopIteration:
            raise EndOfSource from None
        self._number += 1
        if image is None:
            time.sleep(timeout_s)
            return None
        read_at = time.monotonic() - self._age_s
        return Frame(self._number, self._number / FPS, image, read_at=read_at)

    def close(self) -> None:
        pass


def decisions(events) -> list[Decision]:
    return [event for event in events if isinstance(event, Decision)]


def test_each_item_of_a_video_has_one_right_decision(classifier, clip) -> None:
    found = decisions(watch(open_source(str(clip)), Watcher(classifier)))
    assert [one.answer.label for one in found] == list(LABELS)
    assert [one.item for one in found] == [1, 2, 3, 4, 5, 6]
    assert all(one.num_votes == one.num_agreeing == 5 for one in found)
    length = (len(frames_of([block("glass")])) - START) / FPS
    for number, one in enumerate(found):
        arrives = START / FPS + number * length + 0.2
        assert arrives <= one.frame.time <= arrives + 1.3


@pytest.mark.parametrize("votes", [1, 3, 8])
def test_so_many_frames_vote(classifier, votes) -> None:
    watcher = Watcher(classifier, votes=votes)
    found = decisions(watch(Given(frames_of([block("metal")])), watcher))
    assert [one.num_votes for one in found] == [votes]


def test_an_item_that_lies_there_at_the_end_has_its_decision(classifier) -> None:
    frames = frames_of([block("metal")])
    rests = START + 2 + 4 + 3
    found = decisions(watch(Given(frames[:rests]), Watcher(classifier)))
    assert [(one.answer.label, one.item) for one in found] == [("metal", 1)]
    assert 1 <= found[0].num_votes < 5


def test_what_passes_without_rest_has_no_decision(classifier) -> None:
    frames = frames_of([block("glass"), block("metal")], rest=2)
    assert decisions(watch(Given(frames), Watcher(classifier))) == []


def test_only_frames_of_still_items_are_classified_unless_asked(classifier) -> None:
    frames = frames_of([block("glass")])
    few = [one for one in watch(Given(frames), Watcher(classifier)) if isinstance(one, Seen)]
    assert sum(one.answer is not None for one in few) == 5
    every = watch(Given(frames), Watcher(classifier, every=True))
    assert all(one.answer is not None for one in every if isinstance(one, Seen))
    items = watch(Given(frames), Watcher(classifier, items=True))
    assert all(
        (one.answer is None) == (one.state in (State.LEARNING, State.EMPTY))
        for one in items
        if isinstance(one, Seen)
    )


def test_late_answers_of_a_live_source_are_dropped(classifier) -> None:
    source = Given(frames_of([block("glass")]), is_live=True, age_s=0.5)
    found = list(watch(source, Watcher(classifier, every=True, max_age_s=0.4), 60))
    assert decisions(found) == []
    assert all(one.answer is None and one.is_late for one in found if isinstance(one, Seen))


def test_old_frames_of_a_live_source_are_not_looked_at(classifier) -> None:
    source = Given([scene()] * 5, is_live=True, age_s=5)
    found = list(watch(source, Watcher(classifier, every=True, max_age_s=1)))
    assert all(isinstance(one, Waiting) for one in found)


def test_without_frames_the_answer_becomes_stale_and_votes_are_forgotten(classifier) -> None:
    frames = frames_of([block("glass")], rest=30)
    rests = START + 2 + 4 + 3  # two or three votes
    gap = [None] * 40
    watcher = Watcher(classifier, every=True, max_age_s=60)
    source = Given([*frames[:rests], *gap, *frames[rests:]], is_live=True)
    found = list(watch(source, watcher, max_age_s=1.5))
    waiting = [one for one in found if isinstance(one, Waiting)]
    assert not waiting[0].is_stale
    assert waiting[-1].is_stale
    only = decisions(found)
    assert [one.answer.label for one in only] == ["glass"]
    assert only[0].frame.number > rests + len(gap) + 4  # five votes since the gap


def test_a_camera_that_drops_while_an_item_lies_there(classifier, stream) -> None:
    """No item is decided twice, and none is lost."""
    frames = frames_of([block("glass"), block("paper")], rest=40)
    decided = START + 2 + 20  # the first item has its decision, and lies there
    camera = stream(frames[:decided], frames[decided:], fps=FPS)
    source = Live(
        "camera",
        lambda: Capture("camera", camera.url),
        first_pause_s=0.05,
        give_up_s=0.2,
    )
    watcher = Watcher(classifier, max_age_s=30)
    found = []
    with pytest.raises(RecycleNetError, match="given up"):
        found.extend(watch(source, watcher, 30))
    source.close()
    assert [one.answer.label for one in decisions(found)] == ["glass", "paper"]
    assert {one.frame.connection for one in decisions(found)} == {1, 2}


def test_a_captured_frame_has_an_answer_and_is_no_item(classifier) -> None:
    watcher = Watcher(classifier)
    row = watcher.capture(Frame(3, 0.3, scene(block("metal"), 30))).to_row()
    assert (row["event"], row["item"], row["label"]) == ("capture", None, "metal")
    assert watcher.num_items == 0


def test_memory_stays_flat_over_thousands_of_frames(classifier) -> None:
    item = frames_of([block("glass")])[START:]
    frames = [*frames_of([])] + item * 3
    watcher = Watcher(classifier)

    def run(repeats: int) -> int:
        for _ in range(repeats):
            for _ in watch(Given(frames), watcher):
                pass
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = run(2)
        assert run(20) - before < 200_000  # one frame has 57,600 bytes
    finally:
        tracemalloc.stop()
    assert watcher.num_items >= 60


def test_items_that_rest_together_have_one_decision_with_their_boxes(classifier) -> None:
    pair = np.full((60, 140, 3), BACKGROUND, np.uint8)
    pair[:, :55], pair[:, 85:] = colour("glass", 230), colour("paper", 230)
    (one,) = decisions(watch(Given(frames_of([pair])), Watcher(classifier, multi=True)))
    assert [each.prediction.label for each in one.objects] == ["glass", "paper"]
    assert one.objects[0].box.overlap(Box(10, 30, 65, 90)) > 0.7
    row = one.to_row()
    assert row["item"] == 1
    assert [each["label"] for each in row["objects"]] == ["glass", "paper"]
    captured = Watcher(classifier, multi=True).capture(one.frame)
    assert len(captured.objects) == 2
    alone = Watcher(classifier).capture(one.frame)
    assert alone.objects is None
    assert "objects" not in alone.to_row()
