"""The names that Python users import."""

from __future__ import annotations

import doctest
import pydoc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import recyclenet
from recyclenet.core import extras
from recyclenet.errors import MissingExtraError

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_public_name_exists_and_is_documented() -> None:
    assert sorted(recyclenet.__all__) == recyclenet.__all__
    assert dir(recyclenet) == recyclenet.__all__
    text = pydoc.plain(pydoc.render_doc(recyclenet))
    for name in recyclenet.__all__:
        assert getattr(recyclenet, name) is not None
        assert name in text or name == "__version__"
    page = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
    public = [name for name in recyclenet.__all__ if name != "__version__"]
    assert [name for name in public if name not in page] == []
    with pytest.raises(AttributeError, match="no attribute 'clasify'"):
        _ = recyclenet.clasify


def test_names_are_never_their_packages() -> None:
    """A package of the same name would hide the function once it is imported."""
    packages = {path.name for path in Path(recyclenet.__path__[0]).iterdir() if path.is_dir()}
    assert not packages & set(recyclenet.__all__)


def test_a_missing_extra_is_said_when_a_name_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "has_train", lambda: False)
    train = recyclenet.__getattr__("train")
    assert "pip install 'recyclenet[train]'" in str(train.__doc__)
    with pytest.raises(MissingExtraError, match=r"recyclenet\.train needs the 'train' extra"):
        train("photos", "run")


def test_ten_lines_train_evaluate_and_classify(
    photo_folder: Path, tiny: str, tmp_path: Path
) -> None:
    from recyclenet import evaluate, load_dataset, train

    dataset = load_dataset(photo_folder)
    run = train(dataset, tmp_path / "run", recipe=tiny, settings={"fit.epochs": 2}, seed=1)
    evaluation = evaluate(run.manifest, run.model, split="test")
    prediction = run.classifier().classify(photo_folder / "glass" / "glass1.jpg")
    assert 0 <= evaluation.accuracy <= 1
    assert prediction.label in dataset.class_names

    assert "2 epochs, validation accuracy" in repr(run)
    assert "accuracy" in repr(evaluation)
    assert repr(dataset) == "Manifest(36 photos: glass 12, metal 12, paper 12)"
    assert "3 classes" in repr(run.classifier())


def test_a_notebook_shows_pictures(tmp_path: Path) -> None:
    from recyclenet import Classifier, classify, explain

    path = tmp_path / "<b>.png"
    Image.new("RGB", (64, 48), (20, 200, 30)).save(path)
    classifier = Classifier()
    sources = (path, path.read_bytes(), np.full((48, 64, 3), 90, np.uint8))
    for source in sources:
        html = classifier.classify(source)._repr_html_()
        assert html.count("data:image/jpeg;base64,") == 1
        assert html.count("%</span>") == len(classifier.info.class_names)
        assert "<b>.png" not in html
    assert explain(path, classifier)._repr_html_().count("data:image/jpeg") == 2
    path.with_name("bad.jpg").write_bytes(b"no picture")
    good, bad = sorted(classify(tmp_path, classifier), key=lambda p: p.error or "")
    assert good.error is None
    assert "bad.jpg is damaged or not a supported" in bad._repr_html_()
    path.unlink()
    assert "data:image" not in good._repr_html_()


def test_the_page_about_python_is_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = doctest.testfile(
        str(REPOSITORY / "docs" / "python.md"), False, optionflags=doctest.ELLIPSIS
    )
    assert found.attempted > 10
    assert found.failed == 0
