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
        ("[factors]\n'fit.epochs' = []", "at least 1 item"),
        ("[factors]\n'fit.epochs' = [nan]", "fit.epochs"),
        ("[factors]\n'fit.epochs' = [1979-05-27]", "fit.epochs"),
        ("[factors]\n'optim.rho' = [inf]", "finite number"),
        ("seeds = [-1]\n[factors]\n'fit.epochs' = [1]", "greater than or equal to 0"),
        ("seeds = [10000000000]\n[factors]\n'fit.epochs' = [1]", "less than or equal to"),
        ("[settings]\n'optim.rho' = inf\n[factors]\n'fit.epochs' = [1]", "finite number"),
        (f"[factors]\n'name' = ['{'l' * 300}']", "300 characters; at most 200"),
        ("[factors]\n" + "\n".join(f"'a{i}' = [1, 2, 3]" for i in range(40)), "combinations"),
        ("[factors]\n'name' = ['..', '.']", "the same name"),
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
