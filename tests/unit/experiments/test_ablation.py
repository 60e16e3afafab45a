from __future__ import annotations

import math
from pathlib import Path

import pytest

from recyclenet.errors import UsageError
from recyclenet.experiments.ablation import load_ablation, variants

ROOT = Path(__file__).resolve().parents[3]


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
