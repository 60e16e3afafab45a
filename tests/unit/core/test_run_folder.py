"""A run folder that was edited is refused by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from recyclenet.core.run_folder import RunFolder
from recyclenet.errors import DataError

HEAD = "epoch,train_loss,val_loss,val_accuracy,lr,seconds\n"


def test_metrics_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(f"{HEAD}1,0.5,inf,0.25,0.1,3\n")
    assert RunFolder(tmp_path).metrics[0]["val_accuracy"] == 0.25


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("epoch\n1\n", 1),
        (f"{HEAD}1,2\n", 2),
        (f"{HEAD}1,1,1,1,1,1\nx,1,1,1,1,1\n", 3),
        (f"{HEAD}1,x,1,1,1,1\n", 2),
        (f"{HEAD}-1,1,1,1,1,1\n", 2),
        (f"{HEAD}nan,1,1,1,1,1\n", 2),
        (f"{HEAD}{'9' * 5000},1,1,1,1,1\n", 2),
    ],
    ids=range(8),
)
def test_a_table_of_epochs_that_is_none_is_named_by_line(
    tmp_path: Path, text: str, line: int
) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(DataError, match=rf"metrics\.csv, line {line}:"):
        RunFolder(tmp_path).metrics  # noqa: B018
