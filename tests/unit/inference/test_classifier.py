"""Pictures in, answers out: in order, whatever one of them holds, in bounded memory."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recyclenet import Classifier
from recyclenet.core.decision import ASK, softmax
from recyclenet.errors import ImageError, UsageError


@pytest.fixture(scope="module")
def classifier(tiny_model) -> Classifier:
    return Classifier(tiny_model, threads=2)


def glass_of(photo_folder: Path) -> Path:
    return photo_folder / "glass" / "glass1.jpg"


def test_answer_says_what_how_sure_and_where_it_goes(classifier, photo_folder):
    answer = classifier.classify(glass_of(photo_folder))
    assert answer.label == "glass"
    assert answer.stream == "recyclable"
    assert answer.known
    assert answer.error is None
    assert answer.path == str(glass_of(photo_folder))
    assert next(iter(answer.probabilities)) == "glass"
    assert answer.confidence == max(answer.probabilities.values())
    assert list(answer.probabilities.values()) == sorted(answer.probabilities.values())[::-1]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert answer.confidence == pytest.approx(
        softmax(classifier.logits(classifier.info.preprocess(
            classifier.decode(glass_of(photo_folder)))[None])[0]).max()
    )  # fmt: skip


def test_every_photo_is_told_from_the_others(classifier, photo_folder):
    paths = sorted(photo_folder.rglob("*.jpg"))
    answers = list(classifier.classify_many(paths))
    assert [a.path for a in answers] == [str(path) for path in paths]
    assert [a.label for a in answers] == [path.parent.name for path in paths]


def test_path_bytes_picture_and_array_agree(classifier, photo_folder):
    path = glass_of(photo_folder)
    with Image.open(path) as picture:
        array = np.asarray(picture)
        answers = [
            classifier.classify(source)
            for source in (path, str(path), path.read_bytes(), picture, array)
        ]
    # A file may be decoded at a fraction of its size.
    for answer in answers[1:]:
        assert answer.probabilities == pytest.approx(answers[0].probabilities, abs=1e-3)
    assert [a.path for a in answers] == [str(path), str(path), None, None, None]


def test_one_alone_and_many_together_agree(classifier, photo_folder):
    paths = sorted(photo_folder.rglob("*.jpg"))
    for size in (1, 7, 100):
        for path, answer in zip(paths, classifier.classify_many(paths, size), strict=True):
            alone = classifier.classify(path)
            assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_unreadable_pictures_are_rows_and_the_rest_goes_on(classifier, messy_folder):
    good = sorted((messy_folder / "good").iterdir())
    bad = [*sorted((messy_folder / "bad").iterdir()), messy_folder, messy_folder / "none.jpg"]
    mixed = [path for pair in zip(good, bad, strict=False) for path in pair] + good
    answers = list(classifier.classify_many(mixed, batch_size=4))
    assert [a.path for a in answers] == [str(path) for path in mixed]
    for answer, path in zip(answers, mixed, strict=True):
        if path in bad:
            assert answer.label is answer.confidence is answer.stream is None
            assert not answer.known
            assert path.name in (answer.error or "")
        else:
            assert answer.error is None
            assert answer.label in classifier.info.class_names
    colourful = [a for a in answers if a.path and Path(a.path).suffix in (".jpg", ".webp", ".avif")]
    assert {a.label for a in colourful if a.error is None} == {"glass"}


def test_only_bad_or_no_pictures(classifier):
    answers = list(classifier.classify_many([b"", b"x", b""]))
    assert len(answers) == 3
    assert all(answer.error for answer in answers)
    assert list(classifier.classify_many([])) == []


def test_one_bad_picture_alone_raises(classifier):
    with pytest.raises(ImageError, match="empty"):
        classifier.classify(b"")


def test_sources_are_taken_only_as_they_are_needed(classifier):
    taken = 0
    picture = np.zeros((16, 16, 3), np.uint8)

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield picture

    answers = classifier.classify_many(endless(), batch_size=8)
    for wanted in range(1, 101):
        next(answers)
        assert taken <= wanted + 4 * 8
    before = threading.active_count()
    answers.close()
    assert threading.active_count() < before


def test_failing_source_ends_with_its_own_error(classifier):
    def failing() -> Iterator[np.ndarray]:
        yield np.zeros((16, 16, 3), np.uint8)
        raise OSError("the disk has gone")

    with pytest.raises(OSError, match="the disk has gone"):
        list(classifier.classify_many(failing()))


def test_unsure_answers_are_not_known(make_model):
    grey = np.full((20, 20, 3), 128, np.uint8)
    answer = Classifier(make_model(threshold=0.9)).classify(grey)
    assert answer.confidence == pytest.approx(1 / 3, abs=1e-3)
    assert not answer.known
    assert answer.label is not None
    assert Classifier(make_model(threshold=0.0)).classify(grey).known


def test_a_bin_can_be_sure_where_the_class_is_not(make_model):
    """Only with an unknown score; without one, the photo may show something else."""
    streams = {"glass": "recyclable", "metal": "recyclable", "paper": "other"}
    classifier = Classifier(make_model(threshold=0.7, streams=streams))
    probabilities = np.array([[0.4, 0.35, 0.25], [0.35, 0.25, 0.4], [0.8, 0.1, 0.1]])
    assert classifier.must_ask(probabilities).tolist() == [True, True, False]
    unknown = np.array([0, 0, 0.2], np.float32)
    assert classifier.must_ask(probabilities, unknown).tolist() == [False, True, False]
    assert classifier.must_ask(probabilities, unknown + 0.5).tolist() == [True, True, True]
    classifier.threshold = 0.3
    perhaps = np.array([[0.4, 0.3, 0.3]] * 2)
    assert classifier.must_ask(perhaps, np.array([0.3, 0.45], np.float32)).tolist() == [False, True]
    classifier.threshold = 0.7
    choices, _ = classifier.choose_bins(probabilities, unknown)
    assert [classifier.bins.bins[n] for n in choices if n != ASK] == ["recycling bin"] * 2


def test_a_promise_about_classes_is_not_kept_by_bins(decisive_model):
    classifier = Classifier(decisive_model, max_risk=0.1)
    probabilities = np.full((1, 3), 1 / 3)
    assert classifier.must_ask(probabilities, np.zeros(1, np.float32)).all()


def test_temperature_is_applied(make_model, photo_folder):
    path = glass_of(photo_folder)
    cold, warm = (Classifier(make_model(temperature=t)).classify(path) for t in (0.5, 2.0))
    assert cold.label == warm.label
    assert cold.confidence > warm.confidence


def test_a_citys_rules_go_before_the_model_file(make_model, photo_folder, tmp_path):
    path = tmp_path / "city.toml"
    path.write_text('[streams]\nglass = "other"\n[bins]\nother = "grey bin"\n')
    streams = dict.fromkeys(("glass", "metal", "paper"), "recyclable")
    classifier = Classifier(make_model(streams=streams), rules=path)
    assert classifier.classify(glass_of(photo_folder)).stream == "other"
    assert classifier.classify(photo_folder / "metal" / "metal1.jpg").stream == "recyclable"
    assert classifier.rules.bin_of("glass", "other") == "grey bin"


def test_streams_come_from_the_model_file(make_model, photo_folder):
    streams = {"glass": "hazardous", "metal": "other", "paper": "kitchen"}
    model = make_model(streams=streams)
    assert Classifier(model).classify(glass_of(photo_folder)).stream == "hazardous"


def test_tta_averages_the_picture_and_its_mirror_image(make_model):
    left = np.zeros((16, 16), np.float32)
    left[:, :8] = 2  # this model looks at the left half only
    model = make_model(mask=left)
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, :8, 1], picture[:, 8:, 0] = 255, 255
    plain = Classifier(model)
    batch = plain.info.preprocess(picture)[None]
    mirrored = plain.logits(np.ascontiguousarray(batch[..., ::-1]))
    assert plain.classify(picture).label == "glass"
    assert plain.classify(picture[:, ::-1]).label == "paper"
    averaged = Classifier(model, tta=True)
    np.testing.assert_allclose(
        averaged.logits(batch), (plain.logits(batch) + mirrored) / 2, atol=1e-5
    )
    assert averaged.classify(picture).probabilities == pytest.approx(
        averaged.classify(picture[:, ::-1]).probabilities, abs=1e-5
    )


def test_features_come_with_the_logits(make_model, photo_folder, messy_folder):
    model = make_model(features=True)
    plain, averaged = Classifier(model), Classifier(model, tta=True)
    paths = [glass_of(photo_folder), messy_folder / "bad" / "empty.jpg", glass_of(photo_folder)]
    (first, *_), (_, none, error), (*_, last) = rows = list(plain.outputs_many(paths, 2))
    assert (first, none, last) == (paths[0], None, None)
    assert isinstance(error, ImageError)
    found = rows[0][1]
    batch = plain.info.preprocess(plain.decode(paths[0]))[None]
    np.testing.assert_allclose(plain.outputs(batch).features[0], found.features, atol=1e-6)
    np.testing.assert_allclose(found.features, batch[0].mean((1, 2)), atol=1e-5)
    np.testing.assert_array_equal(found.logits, plain.logits(batch)[0])
    np.testing.assert_allclose(
        averaged.outputs(batch).features, plain.outputs(batch).features, atol=1e-5
    )


def test_a_model_without_features_returns_none(classifier):
    outputs = classifier.outputs(np.zeros((1, 3, 16, 16), np.float32))
    assert (outputs.features, outputs.unknown) == (None, None)


def test_size_cap_of_the_caller(tiny_model):
    picture = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(ImageError, match="20x20"):
        Classifier(tiny_model, max_pixels=399).classify(picture)
    assert Classifier(tiny_model, max_pixels=400).classify(picture).label


def test_one_classifier_serves_many_threads(classifier, photo_folder):
    paths = sorted(photo_folder.rglob("*.jpg"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(classifier.classify, paths * 3))
    assert [a.label for a in answers] == [path.parent.name for path in paths * 3]


def test_mistakes_of_the_caller(tiny_model, classifier):
    with pytest.raises(UsageError, match="threads"):
        Classifier(tiny_model, threads=0)
    with pytest.raises(UsageError, match="batch_size"):
        next(classifier.classify_many([b""], batch_size=0))


def test_names_that_are_no_utf8(classifier, photo_folder, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.jpg")
    path.write_bytes(glass_of(photo_folder).read_bytes())
    assert classifier.classify(path).label == "glass"
