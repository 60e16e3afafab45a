"""The pages: whole in one file, harmless whatever a photo is called."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from recyclenet.core.decision import softmax
from recyclenet.core.files import read_table, write_table
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.prediction import Prediction
from recyclenet.core.preprocess import Preprocess
from recyclenet.data.manifest import Sample, read_manifest
from recyclenet.evaluation.analysis import Analysis, answers, calibration, risk_curve
from recyclenet.evaluation.open_set import OpenSetScores
from recyclenet.evaluation.report import Card, Photo, answers_page, evaluation_page
from recyclenet.evaluation.suspects import Overlap
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
        self.attributes: list[str] = []
        self.text = ""
        self.source = source
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
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


def analysed(
    logits: np.ndarray,
    targets: list[int],
    names: tuple[str, ...] = NAMES,
    *,
    paths: tuple[str, ...] = (),
    domains: tuple[str, ...] = ("",),
    **more: object,
) -> Analysis:
    """The analysis of an evaluation at temperature 1 and threshold 0.6."""
    samples = tuple(
        Sample(Path(path), names[target], domain=domains[row % len(domains)])
        for row, (target, path) in enumerate(
            zip(targets, paths or [f"p{i}.jpg" for i in range(len(targets))], strict=True)
        )
    )
    table = PredictionTable(samples, np.asarray(logits, np.float32), names)
    probabilities = softmax(table.logits)
    worst, suspects = answers(table, 1.0, 0.6)
    return Analysis(
        scores=table.score(1.0, 0.6),
        calibration=calibration(probabilities, probabilities, table.targets, 1.0),
        risk=risk_curve(table, probabilities),
        by_domain={name: part.score() for name, part in table.by_domain().items()},
        worst=worst,
        suspects=suspects,
        **more,
    )


def page_of(found: Analysis, title: str = "tiny", with_photos: bool = True) -> Page:
    photos = [Photo(answer, PICTURE) for answer in found.worst] if with_photos else []
    return Page(evaluation_page(found, photos, INFO, title))


def assert_only_own_script(page: Page) -> None:
    """The page has its own script and data, two charts, and nothing that came with a name."""
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    assert page.tags.count("script") == 2
    assert page.tags.count("svg") == 2
    assert not {"i", "link", "iframe"} & set(page.tags)
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "url(" not in page.source
    allowed = re.search(r"script-src 'sha256-([^']+)'", page.source)
    script = re.search(r"<script>(.*?)</script>", page.source, re.DOTALL)
    assert allowed is not None
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert allowed[1] == digest


def page_data(page: Page) -> dict:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.source, re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])


def test_page_of_an_evaluation():
    logits = np.array([[2, 0], [0, 2], [2, 0], [0, 2]], np.float32)
    found = analysed(
        logits, [0, 1, 1, 1], domains=("", f"web {HOSTILE}"), overlap=Overlap(4, 3), num_training=2,
        open_set=OpenSetScores(7, 0.25, 0.9, {HOSTILE: 0.8}),
    )  # fmt: skip
    page = page_of(found, f"tiny on {HOSTILE}")
    assert_only_own_script(page)
    for words in ("Metrics per domain", "(none)", f"web {HOSTILE}", "4 photos", "75.00%",
                  f"tiny on {HOSTILE}", "<b>玻璃</b>", "tiny <i>", "own & free", "Most confused",
                  "7 photos of other things: 25.0% count as known", f"by domain: {HOSTILE} 0.800",
                  "2 of these photos are in the training split",
                  "3 of 4 photos share a group or their bytes"):  # fmt: skip
        assert words in page.text
    assert page.tags.count("article") == 1
    assert page_data(page) == {
        "classes": list(NAMES), "photos": [{"path": "p2.jpg", "label": NAMES[1]}]
    }  # fmt: skip


def test_page_without_mistakes():
    page = page_of(analysed(np.array([[9, 0], [0, 9]]), [0, 1]), "all right")
    assert_only_own_script(page)
    assert page.tags.count("article") == 0
    for words in ("No answer is wrong or doubtful", "100.00%", "Unknown: the dataset"):
        assert words in page.text
    for words in ("Metrics per domain", "Most confused", "training split", "share a group"):
        assert words not in page.text
    assert Page(answers_page([], INFO)).tags.count("article") == 0


def test_page_of_nothing_but_mistakes():
    page = page_of(analysed(np.array([[9, 0], [0, 9]]), [1, 0]))
    assert page.tags.count("article") == 2
    assert "2 wrong answers" in page.text
    assert "0.00%" in page.text


def test_page_without_photos_says_so():
    page = page_of(analysed(np.array([[9, 0], [0, 9]]), [1, 0]), with_photos=False)
    assert "2 answers are wrong or doubtful; this page was made without photos" in page.text
    assert "img" not in page.tags


def test_page_of_one_class_and_of_a_class_without_photos():
    one = page_of(analysed(np.zeros((2, 1)), [0, 0], ("glass",)))
    assert "2 photos, 1 class;" in one.text
    assert "-0.000" not in one.text
    empty = page_of(analysed(np.eye(3)[[0, 0]] * 9, [0, 0], ("glass", "metal", "paper")))
    assert empty.source.count("data-n=") == 1
    assert empty.source.count("<td>0</td><td>–</td><td>–</td><td>–</td>") == 2
    assert "nan%" not in empty.text


def test_page_of_55_chinese_classes_stays_small():
    names = tuple(f"可回收物_很长的名称{number}" for number in range(55))
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 55, 2000).tolist()
    found = analysed(generator.normal(size=(2000, 55)), targets, names)
    page = Page(evaluation_page(found, [Photo(a, PICTURE) for a in found.worst[:60]], INFO, "x"))
    assert_only_own_script(page)
    assert 'class="matrix many"' in page.source
    assert page.text.count(names[54]) > 4
    num_pairs = len(found.most_confused)
    assert num_pairs > 50
    shown, folded = re.split(r"<summary>\d+ more pairs</summary>", page.source)
    assert f"{num_pairs - 10} more pairs" in page.text
    assert f"The other {num_pairs - 50} are in the file of --metrics" in page.text
    assert shown.split("Most confused pairs")[1].count("<tr data-t=") == 10
    assert folded.count("<tr data-t=") == 40
    assert page.tags.count("article") == 60
    assert len(page.source) < 900_000


@pytest.mark.parametrize(("num_suspects", "num_folded"), [(10, 0), (11, 1), (60, 50)])
def test_long_lists_are_folded(num_suspects, num_folded):
    found = analysed(np.array([[9, 0], [0, 9]]), [1, 0])
    page = page_of(replace(found, suspects=(found.worst * num_suspects)[:num_suspects]))
    assert "more pairs" not in page.text
    assert (f"{num_folded} more photos" in page.text) == bool(num_folded)
    assert ("The other 10 are in the file" in page.text) == (num_suspects == 60)


def test_page_of_very_many_classes_has_no_matrix():
    names = tuple(f"c{number}" for number in range(200))
    page = page_of(analysed(np.eye(200) * 9, list(range(200)), names))
    assert "200 classes are too many for a matrix" in page.text


HOSTILE_NAMES = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "a\"b'c\nd\r\t\x00\u2028.jpg",
    "=HYPERLINK(1)",
    "\udcff.jpg",
    "{{ 7*7 }}{% raw %}",
    "&lt;b&gt;",
)


def test_hostile_names_are_inert_and_reach_the_script_unchanged():
    names = ("</script><b>", *HOSTILE_NAMES[:2], "-x")
    logits = np.eye(4)[[1, 2, 3, 0, 1, 2, 3]] * 5
    targets = [0, 1, 2, 3, 0, 1, 2]
    found = analysed(logits, targets, names, paths=HOSTILE_NAMES, domains=HOSTILE_NAMES)
    page = page_of(found, HOSTILE_NAMES[0])
    assert_only_own_script(page)
    assert page.tags.count("b") == 8 + len(found.worst)  # figures, and labels of the photos
    data = page_data(page)
    assert data["classes"] == list(names)
    assert sorted(photo["path"] for photo in data["photos"]) == sorted(HOSTILE_NAMES)


MARKS = [
    {"path": "=cmd|x!A1.jpg", "label": "-x", "action": "relabel"},
    {"path": "'a.jpg", "label": "glass", "action": "remove"},
    {"path": 'a,"b"\nc\r.jpg', "label": "＝x", "action": "relabel"},
    {"path": "玻璃 \U0001f37e \udcff.jpg", "label": "5", "action": "relabel"},
    {"path": "-1.5", "label": "<b>", "action": "remove"},
]


@pytest.mark.parametrize("rows", [MARKS, MARKS[3:], []])
def test_exported_marks_are_what_the_program_writes_and_reads(tmp_path, rows):
    node = shutil.which("node") or pytest.skip("no node to run the script of the page")
    script = resources.files("recyclenet.evaluation") / "templates" / "evaluation.js"
    program = (
        f"const {{marksCsv, encoded}} = require({json.dumps(str(script))});"
        f"process.stdout.write(encoded(marksCsv({json.dumps(rows)})));"
    )
    done = subprocess.run([node, "-e", program], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    (tmp_path / "marks.csv").write_bytes(done.stdout)
    table = [[row[name] for name in ("path", "label", "action")] for row in rows]
    expected = [["path", "label", "action"], *table]
    assert [row for _, row in read_table(tmp_path / "marks.csv")] == expected
    write_table(tmp_path / "own.csv", expected)
    cells = [list(csv.reader(open_text(tmp_path / n))) for n in ("marks.csv", "own.csv")]
    assert cells[0] == cells[1]
    if rows:
        samples = read_manifest(tmp_path / "marks.csv").samples
        assert [sample.path for sample in samples] == [tmp_path / row["path"] for row in rows]


def open_text(path: Path) -> io.StringIO:
    return io.StringIO(path.read_text(encoding="utf-8", errors="surrogateescape"), newline="")


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
    table = read_predictions(tmp_path / "p.csv")
    assert (table.samples, table.class_names) == (samples, ("-x", "b"))
    np.testing.assert_array_equal(table.logits, logits)
