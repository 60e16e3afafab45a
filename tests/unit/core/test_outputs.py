"""Earlier outputs are known by their content, whoever wrote the file and whatever it is called."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from recyclenet.core import outputs
from recyclenet.core.figures import write_figure
from recyclenet.core.files import write_table
from recyclenet.core.outputs import Kind, Output, check_outputs, is_earlier
from recyclenet.core.pages import render_page
from recyclenet.data.manifest import NUMBERS, TEXTS, Manifest, Sample, write_manifest
from recyclenet.data.quality.quarantine import Departure, open_quarantine
from recyclenet.data.quality.sheet import write_issues
from recyclenet.errors import UsageError
from recyclenet.evaluation.table import PredictionTable, write_predictions
from recyclenet.inference.classifier import Classifier
from recyclenet.operations.evaluate import Evaluation
from recyclenet.operations.model_card import model_card

KINDS = {name: kind for name, kind in vars(outputs).items() if isinstance(kind, Kind)}


def write_output(kind: Kind, path: Path, tiny_model: Path) -> None:
    """Write what a command would write."""
    if kind is outputs.MANIFEST:
        full = dict.fromkeys(NUMBERS, 1) | dict.fromkeys(TEXTS, "x")
        write_manifest(Manifest((Sample(Path("a.jpg"), "-x", **full),)), path)
    elif kind is outputs.PREDICTIONS:
        samples = (Sample(Path("=a"), "b"),)
        table = PredictionTable(samples, np.zeros((1, 2), np.float32), ("a", "b"), ())
        write_predictions(path, table)
    elif kind is outputs.MOVES:
        photo = path.parent / "photo.jpg"
        photo.write_bytes(b"x")
        with open_quarantine(path.parent / "away") as away:
            away.take([Departure(Sample(photo, "glass"), "dark")])
        (path.parent / "away" / "moves.csv").rename(path)
    elif kind is outputs.ISSUES:
        write_issues([], [], path.parent / "report")
        (path.parent / "report" / "issues.csv").rename(path)
    elif kind is outputs.PICTURE:
        figure = pytest.importorskip("matplotlib.figure")
        write_figure(path, figure.Figure())
    elif kind is outputs.PAGE:
        path.write_text(render_page("recyclenet.core", "page.html"))
    elif kind is outputs.METRICS:
        classifier = Classifier(tiny_model, threads=1)
        names, logits = classifier.info.class_names, np.zeros((1, 3), np.float32)
        table = PredictionTable((Sample(Path("a"), names[0]),), logits, names)
        Evaluation(table.score(), table, "all", classifier, "set", logits).write_metrics(path)
    elif kind is outputs.CARD:
        path.write_text(model_card(tiny_model))
    elif kind is outputs.MODEL:
        path.write_bytes(tiny_model.read_bytes())
    elif kind is outputs.COLLECTED:
        collect = pytest.importorskip("recyclenet.data.sources.collect")
        collector = collect.Collector(path.parent / "collected", 1.0, 1, 1, 0.0, 1)
        collector._write_down(collect.Found("http://host/a.jpg", "glass"))
        (path.parent / "collected" / collect.JOURNAL).rename(path)
    else:
        pytest.importorskip("torch")
        write_training_output(kind, path)


def write_training_output(kind: Kind, path: Path) -> None:
    from recyclenet.core.run_folder import METRICS
    from recyclenet.costs.models import CostRow
    from recyclenet.experiments import ablation
    from recyclenet.operations.crossval import Fold
    from recyclenet.operations.lodo import DomainFold
    from recyclenet.training.recipe import load_recipe, save_recipe

    if kind is outputs.RECIPE:
        save_recipe(load_recipe("default"), path)
    elif kind is outputs.ABLATION_TEXT:
        row = ablation.AblationRow("a", 1, 1.0, 1.0, 1.0, 0.0, 1.0, 1, 1.0)
        ablation.write_ablation([row], path.parent / "out")
        (path.parent / "out" / "ablation.md").rename(path)
    elif kind is outputs.EPOCHS:
        write_table(path, [("epoch", *METRICS, "lr", "seconds")])
    else:
        rows = {
            outputs.DOMAINS.name: DomainFold,
            outputs.FOLDS.name: Fold,
            outputs.ABLATION.name: ablation.AblationRow,
            outputs.COSTS.name: CostRow,
        }
        write_table(path, [[field.name for field in fields(rows[kind.name])]])


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_knows_its_own_and_no_other(tmp_path: Path, tiny_model: Path, name: str) -> None:
    path = tmp_path / "whatever.jpg"
    write_output(KINDS[name], path, tiny_model)
    assert [other for other, kind in KINDS.items() if is_earlier(path, kind)] == [name]


def test_contact_sheets_are_known(tmp_path: Path) -> None:
    pytest.importorskip("noto_cjk_sans_otc")
    from recyclenet.data.quality.sheet import Tile, sheet_png

    (tmp_path / "sheet").write_bytes(sheet_png([Tile(tmp_path / "none.jpg", ("words",))]))
    assert is_earlier(tmp_path / "sheet", outputs.PICTURE)


@pytest.mark.parametrize(
    "content",
    [
        b"path,label\na.jpg,glass\n",
        b"path,label,split,sha256,notes\n",
        b"path,target,price\n",
        b"\x89PNG\r\n\x1a\nRecycleNet",
        b"<meta name='generator' content='Other'>",
        b"\0" * 100,
        b"\xff\xfe",
        b'"',
    ],
)
def test_a_file_that_only_resembles_one_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert [n for n, kind in KINDS.items() if is_earlier(tmp_path / "file", kind)] == []


def test_an_empty_file_may_be_replaced_by_anything(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert all(is_earlier(tmp_path / "file", kind) for kind in KINDS.values())


def test_what_is_read_is_asked_for_only_where_something_exists(tmp_path: Path) -> None:
    def reads():
        raise AssertionError
        yield

    check_outputs([Output("--out", tmp_path / "new", outputs.PAGE)], reads())
    (tmp_path / "new").write_bytes(b"old")
    with pytest.raises(UsageError, match="--force"):
        check_outputs([Output("--out", tmp_path / "new", outputs.PAGE)], [])
    check_outputs([Output("--out", tmp_path / "new", outputs.PAGE)], [], force=True)
