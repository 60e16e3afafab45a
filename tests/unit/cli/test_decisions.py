"""What `classify` and `evaluate` say under costs and under a largest risk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def unsure(tmp_path: Path) -> Path:
    """A photo that is a little more glass than metal."""
    path = tmp_path / "unsure.png"
    pixels = np.full((20, 20, 3), 60, np.uint8)
    pixels[..., 1], pixels[..., 2] = 140, 130
    Image.fromarray(pixels).save(path)
    return path


def city(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "city.toml"
    path.write_text(text, encoding="utf-8")
    return path


def row_of(out: str) -> dict[str, object]:
    (line,) = out.splitlines()
    return json.loads(line)


def test_costs_choose_the_bin_and_leave_the_answer(command, make_model, unsure, tmp_path):
    streams = {"glass": "recyclable", "metal": "hazardous", "paper": "other"}
    model = make_model(streams=streams, threshold=0.0)
    plain = ["classify", "--json", "--model", model, unsure]
    first = row_of(command(*plain)[1])
    assert (first["label"], first["bin"], first["expected_cost"]) == (
        "glass", "recycling bin", None,
    )  # fmt: skip
    rules = city(tmp_path, "[costs.hazardous]\nrecyclable = 10\n")
    code, out, err = command(*plain, "--rules", rules)
    assert (code, err) == (0, "")
    row = row_of(out)
    assert row["bin"] == "hazardous-waste point"
    others = 1 - row["probabilities"]["metal"]
    assert row["expected_cost"] == pytest.approx(others, abs=1e-5)
    assert {k: v for k, v in row.items() if k not in ("bin", "expected_cost")} == {
        k: v for k, v in first.items() if k not in ("bin", "expected_cost")
    }
    _, out, _ = command("classify", "--model", model, "--rules", rules, unsure)
    assert "hazardous-waste point" in out


def test_asking_where_it_is_cheaper_even_of_a_known_answer(command, make_model, unsure, tmp_path):
    rules = city(tmp_path, "[bins]\nmetal = 'scrap'\n[costs]\nabstain = 0.2\n")
    known = make_model(threshold=0.0)
    row = row_of(command("classify", "--json", "--model", known, "--rules", rules, unsure)[1])
    assert (row["bin"], row["known"]) == ("not sure: ask a person", True)
    assert row["expected_cost"] == 0.2


def test_a_sure_bin_for_an_unsure_class(command, make_model, unsure, tmp_path):
    """Glass or metal: the bin is the same. Without a cost of asking, `known` decides as ever."""
    model = make_model(threshold=0.9)
    for text, expected in (
        ("[costs]\nabstain = 0.5\n", "recycling bin"),
        ("[costs]\n", "not sure: ask a person"),
        ("[bins]\nglass = 'bank'\n", "not sure: ask a person"),
    ):
        rules = city(tmp_path, text)
        row = row_of(command("classify", "--json", "--model", model, "--rules", rules, unsure)[1])
        assert (row["bin"], row["known"]) == (expected, False)
        assert (row["expected_cost"] is None) == ("abstain" not in text)


def test_a_largest_risk_sets_the_threshold(command, decisive_model, photo_folder, unsure, tmp_path):
    options = ["classify", "--model", decisive_model, "--max-risk", "0.1", unsure]
    code, out, err = command(*options, photo_folder)
    assert code == 0
    assert err.startswith("at most 10.0% wrong (90% sure): answers 100.0% of photos like the ")
    assert err.count("\n") == 1
    assert out.count("not sure: ask a person") == 1
    rules = city(tmp_path, "[costs]\nabstain = 0.9\n")  # an explicit risk applies in any case
    code, out, err = command(*options, "--json", "--rules", rules)
    row = row_of(out)
    assert (row["bin"], row["known"]) == ("not sure: ask a person", False)
    assert row["risk"]["threshold"] > row["confidence"]
    assert row["risk"]["validation_coverage"] == 1


def test_a_risk_that_cannot_be_kept(command, decisive_model, tiny_model, make_model, unsure):
    broken = make_model(statistics={"risk": {"confidence": [1]}})
    for model, risk, code, words in (
        (decisive_model, "0.01", 2, "36 validation photos; the smallest whole percentage"),
        (tiny_model, "0.1", 2, "no risk table, which --max-risk needs; export the model again"),
        (broken, "0.1", 4, "invalid risk table"),
        (tiny_model, "0", 2, "greater than or equal to 0.001"),
        (tiny_model, "nan", 2, "--max-risk"),
    ):
        done = command("classify", "--model", model, "--max-risk", risk, unsure)
        assert done[0] == code
        assert words in done[2]
        assert done[2].splitlines()[-1].lower().startswith("error: ")


def test_evaluate_counts_bins_and_costs(command, decisive_model, photo_folder, tmp_path):
    rules = city(
        tmp_path,
        "[streams]\npaper = 'other'\n[bins]\nglass = 'bank'\n"
        "[costs]\nabstain = 0.2\n[costs.other]\nrecyclable = 4\n",
    )
    options = ["evaluate", "--model", decisive_model, "--data", photo_folder, "--rules", rules]
    code, out, _ = command(*options, "--json")
    assert code == 0
    bins = row_of(out)["bins"]
    assert (bins["coverage"], bins["accuracy"]) == (1, 1)
    assert (bins["mean_cost"], bins["argmax_mean_cost"]) == (0, 0)
    assert list(bins["per_bin"]) == ["bank", "recycling bin", "residual-waste bin"]
    assert bins["per_bin"]["bank"] == {
        "num_photos": 12, "num_asked": 0, "num_right": 12, "accuracy": 1,
    }  # fmt: skip
    code, out, _ = command(*options, "--max-risk", "0.1")
    assert (
        "bins: 100.0% of the photos get one, 100.00% of these the right one; mean cost 0.0000"
        in out
    )
    assert out.splitlines()[-2].startswith("at most 10.0% wrong (90% sure)")
    assert out.splitlines()[-1] == "here: answers 100.0%, 0.0% of them wrong"
    _, out, _ = command(*options, "--max-risk", "0.1", "--json")
    risk = row_of(out)["risk"]
    assert (risk["coverage"], risk["risk"], risk["max_risk"]) == (1, 0, 0.1)


def test_evaluate_without_rules_or_risk_is_as_ever(command, tiny_model, photo_folder):
    _, out, _ = command("evaluate", "--json", "--model", tiny_model, "--data", photo_folder)
    assert not {"bins", "risk"} & set(row_of(out))


def test_evaluate_compares_with_the_most_probable_class(command, make_model, unsure, tmp_path):
    streams = {"glass": "recyclable", "metal": "hazardous", "paper": "other"}
    for label in ("glass", "metal"):
        (tmp_path / "set" / label).mkdir(parents=True)
        (tmp_path / "set" / label / "a.png").write_bytes(unsure.read_bytes())
    rules = city(tmp_path, "[costs.hazardous]\nrecyclable = 10\n")
    model = make_model(streams=streams, threshold=0.0)
    data = tmp_path / "set"
    _, out, _ = command("evaluate", "--json", "--model", model, "--data", data, "--rules", rules)
    bins = row_of(out)["bins"]
    assert (bins["mean_cost"], bins["argmax_mean_cost"]) == (0.5, 5)
    # Photos for which asking has no known cost are left out.
    unknown = make_model(streams=streams, threshold=0.9)
    _, out, _ = command("evaluate", "--json", "--model", unknown, "--data", data, "--rules", rules)
    bins = row_of(out)["bins"]
    assert (bins["coverage"], bins["accuracy"], bins["mean_cost"]) == (0, 0, None)
    code, out, _ = command("evaluate", "--model", unknown, "--data", data, "--rules", rules)
    assert code == 0
    assert "bins: 0.0% of the photos get one" in out
