from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from recyclenet.data.dataset import load_dataset
from recyclenet.experiments.ablation import Ablation
from recyclenet.operations import train
from recyclenet.operations.ablate import ablate


def test_runs_are_compared_resumed_and_never_repeated(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Ablation(recipe=tiny, seeds=(0, 1), factors={"model.attention": ("none", "recyclenet")})
    manifest = load_dataset(photo_folder)
    out = tmp_path / "out"
    rows = ablate(plan, manifest, out)
    assert [row.variant for row in rows] == ["none", "recyclenet"]
    assert rows[1].parameters > rows[0].parameters
    assert rows[0].difference == 0
    assert all(0 <= row.accuracy <= 1 and row.latency_ms > 0 for row in rows)

    def forbidden(*_: object) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr(train, "start_run", forbidden)
    monkeypatch.setattr(train, "resume_run", forbidden)
    again = ablate(plan, manifest, out)
    assert [row.accuracy for row in again] == [row.accuracy for row in rows]
    assert "| recyclenet |" in (out / "ablation.md").read_text()
    with Image.open(out / "ablation.png") as picture:
        assert picture.width > 600
