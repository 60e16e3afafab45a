"""The built-in model on the test photos of TrashNet, which takes a while."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from recyclenet.evaluation.table import PredictionTable, read_predictions


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate` gives.

    Attributes:
        row: what it prints with `--json`.
        table: its predictions.
    """

    row: dict[str, Any]
    table: PredictionTable


@pytest.fixture(scope="session")
def on_trashnet(
    run_cli: Callable[..., Any], trashnet_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Evaluated:
    """The built-in model's answers for the 431 test photos of TrashNet."""
    table = tmp_path_factory.mktemp("trashnet") / "predictions.csv"
    options = ("--split", "test", "--json", "--predictions", table)
    done = run_cli("evaluate", "--data", trashnet_dir, *options)
    assert done.code == 0, done.err
    return Evaluated(json.loads(done.out), read_predictions(table))
