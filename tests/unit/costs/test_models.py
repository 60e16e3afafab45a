from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PIL import Image

from recyclenet.costs.models import CostRow, measure_models, write_costs
from recyclenet.costs.plot import draw_costs
from recyclenet.errors import UsageError

NAMES = ["test_resnet", "test_resnet@recyclenet"]


@pytest.fixture(scope="module")
def rows() -> list[CostRow]:
    return measure_models(NAMES, 64, repeats=3, threads=1)


def test_every_network_is_measured_in_every_runtime(rows: list[CostRow]) -> None:
    measured = {(row.name, row.runtime) for row in rows}
    assert measured >= {(name, run) for name in NAMES for run in ("pytorch", "onnxruntime")}
    plain, attended = (next(row for row in rows if row.name == name) for name in NAMES)
    assert attended.parameters > plain.parameters
    assert attended.multiply_adds > plain.multiply_adds


def test_figures_are_plausible(rows: list[CostRow]) -> None:
    for row in rows:
        assert 0 < row.latency_low_ms <= row.latency_ms <= row.latency_high_ms
        assert 0 < row.throughput_low <= row.throughput <= row.throughput_high
        assert 0 <= row.memory_mb < 2000


def test_the_table_and_the_picture_are_written(rows: list[CostRow], tmp_path: Path) -> None:
    write_costs(rows, tmp_path / "new" / "models.csv")
    with (tmp_path / "new" / "models.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row["name"] for row in table] == [row.name for row in rows]
    assert float(table[0]["latency_ms"]) == rows[0].latency_ms
    draw_costs(rows, tmp_path / "models.png")
    with Image.open(tmp_path / "models.png") as picture:
        assert picture.width > 800


def test_a_network_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="given twice"):
        measure_models(["resnet18", "resnet18"], 64, 1, 1)
