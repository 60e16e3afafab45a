from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from rich.console import Console

from recyclenet.core.preprocess import Preprocess
from recyclenet.data.manifest import read_manifest
from recyclenet.data.scan import load_dataset
from recyclenet.errors import ModelFileError, RecycleNetError, UsageError
from recyclenet.evaluation.metrics import evaluate
from recyclenet.export import onnx as subject
from recyclenet.export.onnx import export_run, store_in_half, to_onnx, torch_logits
from recyclenet.export.verify import HALF_TOLERANCE, verify_parity
from recyclenet.inference.classifier import Classifier
from recyclenet.training.checkpoint import BEST, load_trained
from recyclenet.training.fit import start_run
from recyclenet.training.recipe import load_recipe


@pytest.fixture(scope="module")
def run(photo_folder: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the generated photos, exported."""
    place = tmp_path_factory.mktemp("runs") / "run"
    settings = ["optim.learning_rate=5e-3", "fit.epochs=4", "streams.paper=kitchen"]
    recipe = load_recipe(tiny, settings)
    start_run(load_dataset(photo_folder), recipe, place, Console(file=io.StringIO()))
    export_run(place, place / "model.onnx")
    return place


def test_the_file_carries_everything(run: Path) -> None:
    info = Classifier(run / "model.onnx").info
    manifest = read_manifest(run / "manifest.csv")
    assert info.class_names == ("glass", "metal", "paper")
    assert info.streams == {"glass": "recyclable", "metal": "recyclable", "paper": "kitchen"}
    assert info.data_fingerprint == manifest.fingerprint
    assert info.recipe["fit"]["epochs"] == 4
    # The backbone's own mean and std, as timm declares them.
    assert info.preprocess == Preprocess(
        image_size=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    assert 0.05 <= info.temperature <= 20
    assert [path.name for path in run.iterdir() if path.suffix == ".onnx"] == ["model.onnx"]
    assert not list(run.glob("*.data")), "the weights belong inside the file"


def test_its_metrics_are_those_of_the_validation_photos(run: Path) -> None:
    classifier = Classifier(run / "model.onnx")
    info = classifier.info
    val = read_manifest(run / "manifest.csv").select("val")
    logits = np.stack([row for _, row, _ in classifier.logits_many(s.path for s in val)])
    targets = np.array([info.class_names.index(sample.label) for sample in val])
    scores = evaluate(
        logits,
        targets,
        info.class_names,
        temperature=info.temperature,
        threshold=info.threshold,
    )
    assert info.metrics["split"] == "val"
    assert info.metrics["accuracy"] == pytest.approx(scores.accuracy)
    assert info.metrics["confusion_matrix"] == scores.confusion.tolist()


def test_pytorch_and_the_engine_agree_from_the_file_to_the_logits(run: Path) -> None:
    classifier = Classifier(run / "model.onnx")
    model = load_trained(run, load_recipe(str(run / "recipe.toml")), 3)
    manifest = read_manifest(run / "manifest.csv")
    expected, _ = torch_logits(
        model, manifest, classifier.info.class_names, classifier.info.preprocess
    )
    found = np.stack([row for _, row, _ in classifier.logits_many(s.path for s in manifest)])
    assert np.abs(expected - found).max() <= HALF_TOLERANCE
    assert (expected.argmax(1) == found.argmax(1)).all()


def test_the_gate_refuses_a_file_of_another_network(run: Path) -> None:
    model = load_trained(run, load_recipe(str(run / "recipe.toml")), 3)
    with torch.no_grad():
        model.backbone.get_classifier().bias[0] += 0.01
    samples = read_manifest(run / "manifest.csv").samples[:3]
    with pytest.raises(RecycleNetError, match="not exported: PyTorch and ONNX Runtime differ"):
        verify_parity((run / "model.onnx").read_bytes(), samples, model)


def test_a_damaged_checkpoint_is_refused_and_writes_nothing(run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    (broken / BEST.parent).mkdir(parents=True)
    for name in ("recipe.toml", "manifest.csv"):
        (broken / name).write_bytes((run / name).read_bytes())
    (broken / BEST).write_bytes((run / BEST).read_bytes()[:5000])
    with pytest.raises(ModelFileError, match="damaged"):
        export_run(broken, broken / "model.onnx")
    assert not (broken / "model.onnx").exists()


def test_a_checkpoint_that_holds_code_is_refused(run: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    broken = tmp_path / "broken"
    (broken / BEST.parent).mkdir(parents=True)
    for name in ("recipe.toml", "manifest.csv"):
        (broken / name).write_bytes((run / name).read_bytes())
    torch.save({"state_dict": Evil()}, broken / BEST)
    with pytest.raises(ModelFileError):
        export_run(broken, broken / "model.onnx")
    assert not (tmp_path / "owned").exists()


def test_a_run_without_checkpoint_says_what_to_do(run: Path, tmp_path: Path) -> None:
    for name in ("recipe.toml", "manifest.csv"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with pytest.raises(UsageError, match="train first"):
        export_run(tmp_path, tmp_path / "model.onnx")


class Undecided(torch.nn.Module):
    """Its path depends on the values of its input, which no fixed graph can express."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if batch.sum() > 0:
            return batch.mean((2, 3))
        return batch.amax((2, 3))


def test_a_network_that_no_graph_expresses_ends_in_one_line() -> None:
    with pytest.raises(RecycleNetError, match=r"cannot export this network to ONNX: .") as caught:
        to_onnx(Undecided(), 32)
    assert "\n" not in str(caught.value)


def test_half_the_size_and_nearly_the_same_answers() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 64, 5), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 5)]
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64 * 8 * 8, 3))
    with torch.no_grad():
        layers[0].weight[0, 0, 0, 0] = 1e5  # does not fit into float16
    whole = to_onnx(network, 16)
    half = store_in_half(whole)
    assert len(half.SerializeToString()) < 0.6 * len(whole.SerializeToString())
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert kinds["0.weight"] == onnx.TensorProto.FLOAT
    assert kinds["2.weight.half"] == onnx.TensorProto.FLOAT16
    batch = np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32) / 100
    answers = [
        ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"batch": batch}
        )[0]
        for proto in (whole, half)
    ]
    np.testing.assert_allclose(answers[1], answers[0], rtol=5e-3, atol=1e-2 * abs(answers[0]).max())
    assert not np.array_equal(answers[0], answers[1])


def test_a_network_that_needs_all_its_digits_keeps_them(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(run, tmp_path / "half.onnx")
    monkeypatch.setattr(subject, "HALF_TOLERANCE", 0.0)
    export_run(run, tmp_path / "whole.onnx")
    kinds = {
        name: {tensor.data_type for tensor in onnx.load(tmp_path / name).graph.initializer}
        for name in ("half.onnx", "whole.onnx")
    }
    assert onnx.TensorProto.FLOAT16 in kinds["half.onnx"]
    assert onnx.TensorProto.FLOAT16 not in kinds["whole.onnx"]
