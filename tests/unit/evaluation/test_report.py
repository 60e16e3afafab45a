"""The pages: whole in one file, harmless whatever a photo is called."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from recyclenet.core.model_info import ModelInfo
from recyclenet.core.prediction import Prediction
from recyclenet.core.preprocess import Preprocess
from recyclenet.data.manifest import Sample
from recyclenet.evaluation.metrics import most_wrong, score
from recyclenet.evaluation.report import Card, answers_page, evaluation_page
from recyclenet.evaluation.table import PredictionTable, read_predictions, write_predictions

HOSTILE = '<svg onload=alert("x")>&{{ 7*7 }}.jpg'
NAMES = ("glass", "<b>玻璃</b>")
INFO = ModelInfo(
    name="tiny <i>",
    class_names=NAMES,
    preprocess=Preprocess(image_size=16),
    streams=dict.fromkeys(NAMES, "recyclable"),
    licence="own & free",
)
PICTURE = np.full((30, 40, 3), 90, np.uint8)


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.source = source
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def card(label: str | None = "glass", truth: str | None = "glass", **changes) -> Card:
    prediction = Prediction(
        path=f"/photos/{HOSTILE}",
        label=label,
        confidence=0.9,
        probabilities=dict(zip(NAMES, (0.9, 0.1), strict=True)),
        stream="recyclable",
        bin="own bin",
        known=True,
    )
    return Card(**{"prediction": prediction, "image": PICTURE, "truth": truth, **changes})


def assert_whole_and_harmless(page: Page) -> None:
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert not {"script", "svg", "i", "link", "iframe"} & set(page.tags)
    assert "url(" not in page.source


def test_page_of_answers():
    unreadable = Card(prediction=Prediction(path="bad.jpg", error="bad.jpg is <empty>"))
    cards = [
        card(heatmap=PICTURE),
        card(label=NAMES[1]),
        card(truth=None),
        card(prediction=Prediction(path=None, label="glass", confidence=0.4, bin="ask <a> person")),
        unreadable,
    ]
    page = Page(answers_page(cards, INFO))
    assert_whole_and_harmless(page)
    assert page.tags.count("article") == 5
    assert page.tags.count("img") == 5
    assert page.text.count(HOSTILE) == 3
    for words in ("2 of 3 right", "own bin", "ask <a> person", "bad.jpg is <empty>",
                  "wrong: it is glass", "tiny <i>", "own & free", "<b>玻璃</b>"):  # fmt: skip
        assert words in page.text


def test_page_of_an_evaluation():
    logits = np.array([[2, 0], [0, 2], [2, 0], [0, 2]], np.float32)
    scores = score(logits, np.array([0, 1, 1, 1]), NAMES)
    domains = {"": scores, f"web {HOSTILE}": scores}
    page = Page(
        evaluation_page(scores, [card(truth=NAMES[1])], INFO, f"tiny on {HOSTILE}", domains)
    )
    assert_whole_and_harmless(page)
    for words in ("Metrics per domain", "(none)", f"web {HOSTILE}"):
        assert words in page.text
    for words in ("4 photos", "75.00%", "<b>玻璃</b> classified as glass: 1", f"tiny on {HOSTILE}"):
        assert words in page.text


def test_page_without_mistakes_or_pictures():
    scores = score(np.array([[2, 0]], np.float32), np.array([0]), NAMES)
    page = Page(evaluation_page(scores, [], INFO, "all right"))
    assert "Worst errors" not in page.text
    assert "Metrics per domain" not in page.text
    assert Page(answers_page([], INFO)).tags.count("article") == 0


def test_most_wrong_puts_the_surest_mistake_first():
    logits = np.array([[1, 0, 0], [9, 0, 0], [0, 5, 0], [0, 9, 0], [0, 0, 3]], np.float32)
    targets = np.array([1, 1, 1, 0, 0])
    assert most_wrong(logits, targets) == [1, 3, 4, 0]
    assert most_wrong(logits[:1], np.array([0])) == []


def test_prediction_table_can_be_read_back(tmp_path):
    logits = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    paths = [Path("玻璃 1.jpg"), Path('a,"b"\nc.jpg'), Path("\udcff.jpg")]
    samples = [Sample(path, NAMES[target]) for path, target in zip(paths, (0, 1, 1), strict=True)]
    write_predictions(tmp_path / "p.csv", PredictionTable(tuple(samples), logits, NAMES))
    with (tmp_path / "p.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "target", "logit_glass", "logit_<b>玻璃</b>"]
    assert [row[0] for row in rows] == [str(path) for path in paths]
    assert [int(row[1]) for row in rows] == [0, 1, 1]
    np.testing.assert_allclose([[float(v) for v in row[2:]] for row in rows], logits, rtol=1e-5)


def test_paths_like_formulas_are_inert_and_come_back(tmp_path):
    paths, logits = [Path("=cmd.jpg"), Path("'a.jpg")], np.array([[-1.5, 2], [3, -4]], np.float32)
    samples = (Sample(paths[0], "-x"), Sample(paths[1], "b"))
    write_predictions(tmp_path / "p.csv", PredictionTable(samples, logits, ("-x", "b")))
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert lines[1].startswith("'=cmd.jpg,0,-1.5,2,")
    found, values, names = read_predictions(tmp_path / "p.csv")
    assert (found, names) == (paths, ("-x", "b"))
    np.testing.assert_array_equal(values, logits)
