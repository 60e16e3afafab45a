from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from recyclenet.core.preprocess import Preprocess
from recyclenet.core.risk import RiskTable
from recyclenet.errors import ModelFileError, RecycleNetError, UsageError
from recyclenet.evaluation.metrics import score
from recyclenet.exporting import parity
from recyclenet.exporting.onnx import export_run
from recyclenet.exporting.parity import TOLERANCES, Tolerance, check_parity, run_network
from recyclenet.inference.exemplars import Exemplars
from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.models.onnx import store_in_half, store_in_int8, to_onnx
from recyclenet.training.checkpoint import load_trained
from recyclenet.training.run import Run


@pytest.fixture
def run(trained_run: Run) -> Run:
    return trained_run


def copy_of(run: Run, folder: Path, checkpoint: bytes | None) -> Run:
    """Return a run folder with a recipe, a manifest, and this checkpoint."""
    copy = Run(folder)
    copy.best.parent.mkdir(parents=True)
    for name in ("recipe.toml", "manifest.csv"):
        (folder / name).write_bytes((run.folder / name).read_bytes())
    if checkpoint is not None:
        copy.best.write_bytes(checkpoint)
    return copy


def test_the_file_carries_everything(run: Run) -> None:
    info = run.info
    manifest = run.manifest
    assert info.class_names == ("glass", "metal", "paper")
    assert info.streams == {"glass": "recyclable", "metal": "recyclable", "paper": "kitchen"}
    assert info.data_fingerprint == manifest.fingerprint
    assert info.recipe["fit"]["epochs"] == 4
    # The backbone's own mean and std, as timm declares them.
    assert info.preprocess == Preprocess(
        image_size=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    assert 0.05 <= info.temperature <= 20
    assert [path.name for path in run.folder.iterdir() if path.suffix == ".onnx"] == ["model.onnx"]
    assert not list(run.folder.glob("*.data")), "the weights belong inside the file"


def test_its_metrics_are_those_of_the_validation_photos(run: Run) -> None:
    classifier = run.classifier()
    info = classifier.info
    val = run.manifest.select("val")
    logits = np.stack([row.logits for _, row, _ in classifier.outputs_many(s.path for s in val)])
    targets = np.array([info.class_names.index(sample.label) for sample in val])
    scores = score(
        logits,
        targets,
        info.class_names,
        temperature=info.temperature,
        threshold=info.threshold,
    )
    assert info.metrics["split"] == "val"
    assert info.metrics["accuracy"] == pytest.approx(scores.accuracy)
    assert info.metrics["confusion_matrix"] == scores.confusion.tolist()
    assert info.statistics["confusion"]["counts"] == scores.confusion.tolist()
    assert RiskTable.from_statistics(info.statistics).total.answered[-1] == len(val)


def test_pytorch_and_the_engine_agree_from_the_file_to_the_logits(run: Run) -> None:
    classifier = run.classifier()
    model, paths = load_trained(run), [sample.path for sample in run.manifest]
    batch = np.stack([classifier.info.preprocess(classifier.decode(path)) for path in paths])
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch)).numpy()
    found = np.stack([row.logits for _, row, _ in classifier.outputs_many(paths)])
    assert np.abs(expected - found).max() <= TOLERANCES["float16"].max_difference
    assert (expected.argmax(1) == found.argmax(1)).all()
    with torch.inference_mode():
        features = model.pre_logits(torch.from_numpy(batch)).numpy()
    assert classifier.info.num_features == features.shape[1]
    np.testing.assert_allclose(classifier.outputs(batch).features, features, rtol=0.02, atol=0.02)


def test_the_file_keeps_exemplars_with_its_logits_for_them(run: Run) -> None:
    classifier, manifest = run.classifier(), run.manifest
    info = classifier.info
    found = Exemplars.from_statistics(info.statistics, 3, info.num_features)
    assert len(found.train) == len(manifest.select("train"))
    assert len(found.held_out) == len(manifest.select("val"))
    paths = [s.path for name in info.class_names for s in manifest.select("val") if s.label == name]
    logits = np.stack([row.logits for _, row, _ in classifier.outputs_many(paths)])
    np.testing.assert_allclose(found.held_out_logits, logits, rtol=1e-3, atol=1e-3)


def test_the_gate_refuses_a_file_of_another_network(run: Run) -> None:
    model = load_trained(run)
    with torch.no_grad():
        model.backbone.get_classifier().bias[0] += 0.01
    samples = run.manifest.samples[:3]
    with pytest.raises(RecycleNetError, match="not exported: a logit of the float32 model is off"):
        check_parity(run.classifier(), samples, run_network(model))


def test_a_damaged_checkpoint_is_refused_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    broken = copy_of(run, tmp_path / "broken", run.best.read_bytes()[:5000])
    with pytest.raises(ModelFileError, match="damaged"):
        export_run(broken)
    assert not broken.model.exists()


def test_a_checkpoint_that_holds_code_is_refused(run: Run, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, ...]]:
            return Path.touch, (tmp_path / "owned",)  # type: ignore[return-value]

    broken = copy_of(run, tmp_path / "broken", None)
    torch.save({"state_dict": Evil()}, broken.best)
    with pytest.raises(ModelFileError):
        export_run(broken)
    assert not (tmp_path / "owned").exists()


def test_a_run_without_checkpoint_says_what_to_do(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train first"):
        export_run(copy_of(run, tmp_path / "untrained", None))


class Undecided(torch.nn.Module):
    """Its path depends on the values of its input, which no fixed graph can express."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if batch.sum() > 0:
            return batch.mean((2, 3))
        return batch.amax((2, 3))


class Turned(torch.nn.Module):
    """Its operator is one that cannot be traced."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.rot90(batch, 1, (2, 3)).mean(2)


def test_a_network_that_cannot_be_traced_exports_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    session = ort.InferenceSession(to_onnx(Turned(), 32).SerializeToString())
    batch = torch.rand(3, 3, 32, 32)
    (found,) = session.run(None, {"batch": batch.numpy()})
    np.testing.assert_allclose(found, Turned()(batch), rtol=1e-5)
    assert capfd.readouterr() == ("", "")


class Windows(torch.nn.Module):
    """Of its Python numbers, the tracer doubts that they are the same for other images."""

    def __init__(self, keeps_batch: bool) -> None:
        super().__init__()
        self.keeps_batch = keeps_batch

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        num_images, _, height, width = batch.shape
        rows = int(torch.tensor(height) / 2)
        if self.keeps_batch:
            return batch.reshape(-1, 3, rows, 2 * width).mean((2, 3))
        return batch.mean((2, 3)) * int(torch.tensor(num_images))


@pytest.mark.parametrize("keeps_batch", [True, False])
def test_a_doubted_trace_is_taken_only_if_it_is_right(keeps_batch: bool) -> None:
    network = Windows(keeps_batch)
    session = ort.InferenceSession(to_onnx(network, 8).SerializeToString())
    batch = torch.rand(3, 3, 8, 8)
    (found,) = session.run(None, {"batch": batch.numpy()})
    np.testing.assert_allclose(found, network(batch), rtol=1e-5)


def test_padding_that_depends_on_the_size_is_fixed_in_the_graph() -> None:
    """At an odd size, it differs from side to side."""
    config = ModelConfig.from_name("tf_efficientnet_lite0", weights="none", image_size=97)
    model = create_model(config, 3).eval()
    proto = to_onnx(model, 97)
    assert not {"Shape", "If"} & {node.op_type for node in proto.graph.node}
    batch = torch.rand(3, 3, 97, 97)
    session = ort.InferenceSession(proto.SerializeToString())
    (found,) = session.run(None, {"batch": batch.numpy()})
    np.testing.assert_allclose(found, model(batch).detach(), rtol=1e-3, atol=1e-4)


def test_exports_in_several_threads_leave_standard_output(
    capfd: pytest.CaptureFixture[str],
) -> None:
    threads = [threading.Thread(target=to_onnx, args=(Turned(), 32)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"still there")
    print(", for Python too", flush=True)
    assert capfd.readouterr().out == "still there, for Python too\n"


def test_a_network_that_no_graph_expresses_ends_in_one_line() -> None:
    with pytest.raises(RecycleNetError, match=r"cannot export this network to ONNX: .") as caught:
        to_onnx(Undecided(), 32)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("store", "share", "suffix", "kind"),
    [
        (store_in_half, 0.6, "half", onnx.TensorProto.FLOAT16),
        (store_in_int8, 0.35, "int8", onnx.TensorProto.INT8),
    ],
)
def test_a_smaller_file_gives_nearly_the_same_answers(
    store: Callable[[onnx.ModelProto], onnx.ModelProto], share: float, suffix: str, kind: int
) -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 64, 5), torch.nn.ReLU(), torch.nn.Conv2d(64, 64, 5)]
    network = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(64 * 8 * 8, 3))
    whole = to_onnx(network, 16)
    small = store(whole)
    assert len(small.SerializeToString()) < share * len(whole.SerializeToString())
    kinds = {tensor.name: tensor.data_type for tensor in small.graph.initializer}
    assert kinds[f"2.weight.{suffix}"] == kind
    batch = np.random.default_rng(0).normal(size=(4, 3, 16, 16)).astype(np.float32) / 100
    answers = [
        ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, {"batch": batch}
        )[0]
        for proto in (whole, small)
    ]
    np.testing.assert_allclose(answers[1], answers[0], atol=0.02 * abs(answers[0]).max())
    assert not np.array_equal(answers[0], answers[1])


def test_a_number_beyond_float16_keeps_its_tensor_whole() -> None:
    layer = torch.nn.Conv2d(3, 64, 5)
    with torch.no_grad():
        layer.weight[0, 0, 0, 0] = 1e5
    half = store_in_half(to_onnx(layer, 16))
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert kinds["weight"] == onnx.TensorProto.FLOAT


def test_a_network_that_needs_all_its_digits_keeps_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(run, tmp_path / "half.onnx")
    monkeypatch.setitem(TOLERANCES, "float16", Tolerance(0.0))
    export_run(run, tmp_path / "whole.onnx")
    kinds = {
        name: {tensor.data_type for tensor in onnx.load(tmp_path / name).graph.initializer}
        for name in ("half.onnx", "whole.onnx")
    }
    assert onnx.TensorProto.FLOAT16 in kinds["half.onnx"]
    assert onnx.TensorProto.FLOAT16 not in kinds["whole.onnx"]


def test_a_lossy_model_is_judged_by_its_accuracy(run: Run) -> None:
    classifier, samples = run.classifier(), run.manifest.samples
    model = load_trained(run)
    with torch.no_grad():
        model.backbone.get_classifier().bias[0] += 0.5
    found = parity.measure_parity(classifier, samples, run_network(model), TOLERANCES["int8"])
    assert found.max_difference == pytest.approx(0.5, abs=0.1)
    with pytest.raises(RecycleNetError, match="a logit of the float16 model is off by"):
        check_parity(classifier, samples, run_network(model), "float16")
    right = [sample for sample in samples if classifier.classify(sample.path).label == sample.label]
    assert check_parity(classifier, right, run_network(model), "int8").accuracy_loss <= 0
    with torch.no_grad():  # now the network has other answers, and all of them are wrong
        model.backbone.get_classifier().bias[:] = torch.tensor([0.9, 0.0, -0.9])
    others = [replace(sample, label="glass") for sample in right if sample.label != "glass"]
    with pytest.raises(RecycleNetError, match="the int8 model loses"):
        check_parity(classifier, others, run_network(model), "int8")
