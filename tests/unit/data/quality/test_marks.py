"""Marks from the page of an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from recyclenet.core.files import write_table
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.marks import RELABEL, REMOVE, Mark, apply_marks, read_marks
from recyclenet.errors import DataError

HEAD = "path,label,action\n"


def test_marks_are_read_back(tmp_path):
    rows = [("=a\n.jpg", "-x", RELABEL), ("玻璃.jpg", "glass", REMOVE)]
    write_table(tmp_path / "m.csv", [("path", "label", "action"), *rows])
    assert read_marks(tmp_path / "m.csv") == [Mark(Path(p), name, a) for p, name, a in rows]
    (tmp_path / "m.csv").write_text(HEAD)
    assert read_marks(tmp_path / "m.csv") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na,b\n", "is not a table of marks"),
        ("", "is not a table of marks"),
        (HEAD + "a,b\n", "line 2: a row needs a path, a label and an action"),
        (HEAD + "a, ,remove\n", "line 2: a row needs"),
        (HEAD + "a,b,relable\n", "unknown action 'relable': did you mean 'relabel'"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, message):
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_marks(tmp_path / "m.csv")


def test_marks_change_labels_and_name_what_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        (tmp_path / name).write_bytes(b"x")
    manifest = Manifest(tuple(Sample(tmp_path / name, "glass", group="g") for name in "abc"))
    marks = [
        Mark(Path("a"), "metal", RELABEL),
        Mark(Path("./b"), "metal", RELABEL),
        Mark(Path("b"), "glass", REMOVE),  # the last counts
        Mark(Path("gone"), "glass", REMOVE),
    ]
    marked = apply_marks(manifest, marks)
    assert [(s.path.name, s.label, s.group) for s in marked.manifest] == [
        ("a", "metal", "g"), ("b", "glass", "g"), ("c", "glass", "g")
    ]  # fmt: skip
    assert [sample.path.name for sample in marked.removed] == ["b"]
    assert (marked.num_relabelled, marked.num_unknown) == (1, 1)
    assert apply_marks(manifest, []).manifest == manifest
    with pytest.raises(DataError, match="none is in the dataset"):
        apply_marks(manifest, marks[3:])
