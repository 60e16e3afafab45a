from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from scipy import stats

from recyclenet.benchmark import ablation as subject
from recyclenet.benchmark import runs
from recyclenet.benchmark.ablation import (
    Ablation,
    draw_ablation,
    load_ablation,
    run_ablation,
    variants,
    write_ablation,
)
from recyclenet.data.scan import load_dataset
from recyclenet.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]


def test_runs_are_compared_resumed_and_never_repeated(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Ablation(recipe=tiny, seeds=(0, 1), factors={"model.attention": ("none", "recyclenet")})
    manifest = load_dataset(photo_folder)
    console = Console(file=io.StringIO())
    rows = run_ablation(plan, manifest, tmp_path / "out", console)
    assert [row.variant for row in rows] == ["none", "recyclenet"]
    assert rows[1].parameters > rows[0].parameters
    assert rows[0].difference == 0
    assert all(0 <= row.accuracy <= 1 and row.latency_ms > 0 for row in rows)

    def forbidden(*_: object) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr(runs, "start_run", forbidden)
    monkeypatch.setattr(runs, "resume_run", forbidden)
    again = run_ablation(plan, manifest, tmp_path / "out", console)
    assert [row.accuracy for row in again] == [row.accuracy for row in rows]
    write_ablation(rows, tmp_path)
    draw_ablation(rows, tmp_path / "ablation.png")
    assert "| recyclenet |" in (tmp_path / "ablation.md").read_text()
    with Image.open(tmp_path / "ablation.png") as picture:
        assert picture.width > 600


def test_paired_tests_are_the_textbooks() -> None:
    scores, baseline = np.array([0.93, 0.95, 0.94]), np.array([0.92, 0.93, 0.94])
    assert subject._p_value(scores, baseline) == pytest.approx(
        stats.ttest_1samp(scores - baseline, 0).pvalue
    )
    assert math.isnan(subject._p_value(baseline, baseline))


@pytest.mark.parametrize("path", sorted((ROOT / "ablations").glob("*.toml")), ids=lambda p: p.stem)
def test_ablations_of_the_project_are_valid(path: Path) -> None:
    plan = load_ablation(path)
    found = variants(plan)
    assert len(found) == math.prod(len(values) for values in plan.factors.values())
    assert len({variant.name for variant in found}) == len(found)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("seeds = [0]", "factors: field required"),
        ("[factors]\n'fit.epochs' = [1]\n[more]", "unknown field 'more'"),
        ("nonsense", "not valid TOML"),
        ("[factors]\n'fit.epoch' = [1]", "did you mean 'epochs'"),
    ],
)
def test_mistakes_are_named(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=reason):
        variants(load_ablation(path))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*none.toml: No such"):
        load_ablation(tmp_path / "none.toml")
