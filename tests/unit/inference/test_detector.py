"""Objects are found with boxes in the upright photo, and what is none is not."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from conftest import colour
from recyclenet.core.detection import Box
from recyclenet.errors import ImageError, ModelFileError, UsageError
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.detector import MAX_RUNS, Detector, _agreed
from recyclenet.inference.regions import windows

GREY = (120, 120, 120)
Truth = dict[tuple[int, int, int, int], str]


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    return Detector(Classifier(tiny_model, threads=1))


def picture(objects: Truth, width: int = 320, height: int = 240) -> np.ndarray:
    """A grey photo with some noise and coloured rectangles."""
    image = np.full((height, width, 3), GREY, np.float64)
    for (left, top, right, bottom), label in objects.items():
        image[top:bottom, left:right] = colour(label, 230)
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


TWO: Truth = {(20, 30, 110, 100): "glass", (200, 120, 290, 210): "paper"}


def fits(found: Any, truth: Truth) -> bool:
    """Whether there is exactly one box of the right class at each place."""
    assert len(found.objects) == len(truth), found
    for box, label in truth.items():
        near = max(found.objects, key=lambda one: one.box.overlap(Box(*box)))
        assert near.box.overlap(Box(*box)) > 0.8, (near, box)
        assert near.prediction.label == label
    return True


def test_two_objects(detector: Detector) -> None:
    found = detector.detect(picture(TWO))
    assert fits(found, TWO)
    assert (found.width, found.height) == (320, 240)
    assert [one.prediction.label for one in found.objects] == ["glass", "paper"]  # from the top
    assert all(one.prediction.bin == "recycling bin" for one in found.objects)


def test_one_object(detector: Detector) -> None:
    one: Truth = {(100, 60, 220, 180): "metal"}
    assert fits(detector.detect(picture(one)), one)


def test_objects_of_different_classes_that_touch_are_two(detector: Detector) -> None:
    rows, columns = np.mgrid[0:240, 0:320]
    image = picture({})
    for x, label in ((100, "glass"), (202, "paper")):
        image[(rows - 120) ** 2 + (columns - x) ** 2 < 52**2] = colour(label, 230)
    assert fits(detector.detect(image), {(48, 68, 152, 172): "glass", (150, 68, 254, 172): "paper"})


def test_an_object_that_fills_the_photo_is_one(detector: Detector) -> None:
    image = np.full((120, 160, 3), colour("glass", 230), np.uint8)
    found = detector.detect(image)
    assert [one.box for one in found.objects] == [Box(0, 0, 160, 120)]
    whole = detector.classifier.classify(image)
    assert found.objects[0].prediction.probabilities == pytest.approx(whole.probabilities)


def test_nothing_is_found_where_nothing_is(make_model: Any) -> None:
    detector = Detector(Classifier(make_model(threshold=0.6), threads=1))
    found = detector.detect(picture({}))
    assert (found.objects, found.error) == ((), None)
    assert found.to_row()["objects"] == []


def test_without_a_plain_background_windows_find_objects(make_model: Any) -> None:
    """Stripes that tell the model nothing, and one object."""
    image = picture({})
    image[:, ::16] = image[:, 1::16] = image[:, 2::16] = image[:, 3::16] = 230
    image[60:180, 120:240] = colour("glass", 230)
    detector = Detector(Classifier(make_model(threshold=0.9), threads=1))
    found = detector.detect(image)
    best = max(found.objects, key=lambda one: one.prediction.confidence)
    assert best.prediction.label == "glass"
    assert best.box.overlap(Box(120, 60, 240, 180)) >= 0.5
    assert found.num_runs > 50


def test_parts_that_say_the_same_as_the_whole_photo_are_one_object(detector: Detector) -> None:
    """A glass object that fills the photo, with bright stripes on it."""
    image = picture({(0, 0, 320, 240): "glass"})
    image[:, ::16] = image[:, 1::16] = 200
    found = detector.detect(image)
    assert [one.box for one in found.objects] == [Box(0, 0, 320, 240)]
    assert found.objects[0].prediction.label == "glass"


def test_windows_agree_on_the_middle_of_an_object() -> None:
    boxes = windows(320, 240)
    truth = Box(160, 80, 280, 200)
    share = np.array([box.common(truth) / box.area for box in boxes])
    trusts = np.stack([share**2, np.full(len(boxes), 0.05)], axis=1)
    first = _agreed(boxes, trusts)[0]
    assert first.overlap(truth) > 0.5
    assert _agreed(boxes, np.zeros((len(boxes), 2))) == []
    assert _agreed([], np.zeros((0, 2))) == []


def test_the_unknown_score_rules_things_out(make_model: Any) -> None:
    """The head says that whatever is red is none of the classes."""
    from recyclenet.inference.head import UNKNOWN, Head

    head = Head(np.array([[20.0, -20.0, -20.0]], np.float32), np.array([-8.0], np.float32))
    model = make_model(features=True, statistics={UNKNOWN: head.to_statistics()})
    found = Detector(Classifier(model, threads=1)).detect(picture(TWO))
    assert [one.prediction.label for one in found.objects] == ["glass"]
    assert found.objects[0].prediction.unknown < 0.1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_upright_photo(detector: Detector, orientation: int) -> None:
    upright = Image.fromarray(picture(TWO))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = io.BytesIO()
    stored.save(content, "JPEG", quality=95, exif=exif)
    found = detector.detect(content.getvalue())
    assert (found.width, found.height) == (320, 240)
    assert fits(found, TWO)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_huge_photo_has_boxes_in_its_own_pixels(detector: Detector, kind: str) -> None:
    scale = 20
    large = Image.fromarray(picture(TWO)).resize((320 * scale, 240 * scale))
    content = io.BytesIO()
    large.save(content, kind)
    found = detector.detect(content.getvalue())
    assert (found.width, found.height) == (320 * scale, 240 * scale)
    assert fits(found, {tuple(scale * side for side in box): of for box, of in TWO.items()})


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 9), (15, 400), (3000, 17), (6000, 40)])
def test_tiny_and_long_photos_are_done_within_the_bound(detector: Detector, size: Any) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), np.uint8)
    for image in (noise, np.full_like(noise, 255)):
        found = detector.detect(image)
        assert 0 < found.num_runs <= MAX_RUNS
        assert found.error is None
        for one in found.objects:
            assert 0 <= one.box.left < one.box.right <= size[0]
            assert 0 <= one.box.top < one.box.bottom <= size[1]


def test_many_specks_are_done_within_the_bound(detector: Detector) -> None:
    specks: Truth = {
        (left, top, left + 18, top + 18): "glass"
        for left in range(10, 300, 30)
        for top in range(10, 220, 30)
    }
    assert detector.detect(picture(specks)).num_runs <= MAX_RUNS


def test_mirror_images_count_if_asked_for(tiny_model: Path) -> None:
    mirrored = Detector(Classifier(tiny_model, threads=1, tta=True))
    assert fits(mirrored.detect(picture(TWO)), TWO)


def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    detector: Detector, messy_folder: Path
) -> None:
    bad = sorted((messy_folder / "bad").iterdir())
    for path in bad:
        with pytest.raises(ImageError):
            detector.detect(path)
    found = list(detector.detect_many([*bad, picture(TWO), "no-such.jpg"]))
    assert [one.error is None for one in found] == [False] * len(bad) + [True, False]
    assert found[-1].path == "no-such.jpg"
    good = list(detector.detect_many(sorted((messy_folder / "good").iterdir())))
    assert [one.error for one in good] == [None] * len(good)


def test_non_finite_outputs_are_an_error_of_the_photo(tiny_model: Path) -> None:
    classifier = Classifier(tiny_model, threads=1)
    outputs = classifier.outputs

    def broken(batch: np.ndarray) -> Any:
        found = outputs(batch)
        if batch.mean() > 0.9:  # a white photo
            found.logits[0] = np.nan
        return found

    classifier.outputs = broken  # type: ignore[method-assign,assignment]
    white = np.full((60, 80, 3), 255, np.uint8)
    first, second = Detector(classifier).detect_many([white, picture(TWO)])
    assert "non-finite logits" in str(first.error)
    assert fits(second, TWO)
    with pytest.raises(ModelFileError, match="non-finite"):
        list(Detector(classifier).detect_many([white, white]))


def test_a_largest_risk_is_refused(decisive_model: Path) -> None:
    with pytest.raises(UsageError, match="photos of one item"):
        Detector(Classifier(decisive_model, max_risk=0.5))
