from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from recyclenet import load_dataset, train
from recyclenet.data.manifest import Sample
from recyclenet.errors import UsageError
from recyclenet.evaluation.calibration import fit_temperature, negative_log_likelihood
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting import folds
from recyclenet.exporting.kernel import fit_gate, fit_weight, regress
from recyclenet.models.config import ModelConfig
from recyclenet.models.graph import POOLED, START, KernelMachine, add_kernel, nearest
from recyclenet.models.network import create_model
from recyclenet.models.onnx import to_onnx
from recyclenet.models.pooled import PooledNetwork
from recyclenet.training.run import Run

NAMES = ("glass", "metal", "paper")
RNG = np.random.default_rng(0)
SETTINGS = {"model.freeze_groups": 3, "fit.kernel": True, "optim.learning_rate": 1e-6}


def run_graph(proto: onnx.ModelProto, batch: np.ndarray) -> list[np.ndarray]:
    onnx.checker.check_model(proto)
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"batch": batch})


def pooled_network(**settings: int) -> PooledNetwork:
    config = ModelConfig(backbone="test_efficientnet", weights="none", image_size=32, **settings)
    network = create_model(config, 3).eval()
    return PooledNetwork(network, 3, 32, has_start="branches" in settings).eval()


def test_the_statistics_are_those_of_the_frozen_stages() -> None:
    pooled, batch = pooled_network(), torch.rand(4, 3, 32, 32)
    maps = []
    for stage in pooled.network.backbone.blocks[:2]:  # layer group 0 is the stem
        stage.register_forward_hook(lambda module, inputs, output: maps.append(output))
    with torch.no_grad():
        logits, features, found = pooled(batch)
        torch.testing.assert_close(logits, pooled.network(batch))
        torch.testing.assert_close(features, pooled.network.pre_logits(batch))
    expected = [part for m in maps[:2] for part in (m.mean((2, 3)), m.std((2, 3), correction=0))]
    torch.testing.assert_close(found, torch.cat(expected, 1), atol=1e-4, rtol=1e-3)


def test_the_untouched_branch_adds_its_features() -> None:
    pooled, batch = pooled_network(branches=2, freeze_groups=3), torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        maps = pooled.network.backbone.trunk(batch)
        start = pooled.network.backbone.branches[1]
        features = start.forward_head(start.forward_features(maps), pre_logits=True)
        *_, statistics, logits = pooled(batch)
        torch.testing.assert_close(statistics[:, -features.shape[1] :], features)
        torch.testing.assert_close(logits, start(maps))


def random_machine(statistics: np.ndarray) -> KernelMachine:
    size = statistics.shape[1]
    return KernelMachine(
        mean=statistics.mean(0),
        std=statistics.std(0) + 1e-3,
        projection=RNG.integers(-127, 128, (size, 7), np.int8),
        anchors=RNG.integers(-127, 128, (11, 7), np.int8),
        anchor_steps=np.full((11, 1), 0.003, np.float32),
        coefficients=RNG.normal(size=(11, 3)).astype(np.float32),
        bandwidth=2.0,
    )


def test_the_graph_adds_the_machine_s_logits() -> None:
    batch = RNG.random((5, 3, 32, 32)).astype(np.float32)
    proto = to_onnx(pooled_network(), 32, ("logits", "features", POOLED))
    logits, features, statistics = run_graph(proto, batch)
    machine = random_machine(statistics)
    added = add_kernel(proto, machine)
    assert [output.name for output in added.graph.output] == ["logits", "features"]
    assert [output.name for output in proto.graph.output][-1] == POOLED, "the given one stays"
    found, kept = run_graph(added, batch)
    np.testing.assert_allclose(found, logits + machine(statistics), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(kept, features)


def test_the_graph_leaves_unfamiliar_photos_to_the_untouched_branch() -> None:
    batch = RNG.random((8, 3, 32, 32)).astype(np.float32)
    pooled = pooled_network(branches=2, freeze_groups=3)
    proto = to_onnx(pooled, 32, pooled.output_names)
    logits, features, statistics, start = run_graph(proto, batch)
    machine = random_machine(statistics)
    cosines = machine.cosines(statistics)
    gate = fit_gate(cosines)
    added = add_kernel(proto, machine, gate)
    assert [output.name for output in added.graph.output] == ["logits", "features"]
    assert [output.name for output in proto.graph.output][-1] == START, "the given one stays"
    found, kept = run_graph(added, batch)
    share = gate.share(cosines)
    assert share.max() - share.min() > 0.1
    fitted = logits + machine(statistics)
    np.testing.assert_allclose(
        found, share * fitted + (1 - share) * gate.start_scale * start, rtol=1e-3, atol=1e-4
    )
    np.testing.assert_array_equal(kept, features)


def test_the_share_rises_with_the_similarity_to_the_nearest_anchors() -> None:
    cosines = np.float32([[0.9, 0.1, 0.5, 0.4], [0.2, 0.1, 0.3, 0.1], [1.0, 0.9, 0.9, 0.9]])
    assert nearest(cosines, 3)[0, 0] == pytest.approx(0.6)
    assert nearest(cosines, 3, leave_out=True)[0, 0] == pytest.approx(1 / 3)
    gate = fit_gate(cosines)
    shares = gate.share(cosines)[:, 0]
    assert shares[1] < 0.7 < shares[0] < shares[2] < 1
    assert (gate.share(cosines, leave_out=True) < gate.share(cosines)).all()
    alike = fit_gate(np.full((5, 4), 0.5, np.float32))
    with np.errstate(all="raise"):
        far = alike.share(np.full((1, 4), -1, np.float32))
    logits, start = np.float32([[8, 0, 0]]), np.float32([[0, 2, 0]])
    np.testing.assert_allclose(gate.mix(logits, start, far), [[0, 1, 0]], atol=1e-2)


def test_the_memory_of_a_photo_is_what_the_machine_owes_to_it() -> None:
    rows = RNG.normal(size=(30, 12)).astype(np.float32)
    targets = RNG.integers(3, size=30)
    machine, memory = regress(rows, targets, 3)
    others = np.arange(30) != 4
    points = machine.anchors * machine.anchor_steps
    kernel = np.exp(2 * (points @ points.T - 1)).astype(np.float64)
    wanted = np.eye(3)[targets[others]] - 1 / 3
    solved = np.linalg.solve(kernel[np.ix_(others, others)] + 0.03 * np.eye(29), wanted)
    np.testing.assert_allclose(
        kernel[4] @ machine.coefficients - memory[4], kernel[4, others] @ solved, atol=1e-3
    )
    np.testing.assert_allclose(machine(rows)[4], kernel[4] @ machine.coefficients, atol=0.05)


def predictions(num_photos: int) -> PredictionTable:
    targets = RNG.integers(3, size=num_photos)
    logits = (np.eye(3)[targets] + RNG.normal(size=(num_photos, 3))).astype(np.float32)
    samples = tuple(Sample(Path(f"{n}.jpg"), NAMES[t]) for n, t in enumerate(targets))
    return PredictionTable(samples, logits, NAMES)


def test_logits_count_as_much_as_they_help() -> None:
    table = predictions(1000)
    noise = RNG.normal(size=(1000, 3)).astype(np.float32)
    assert fit_weight(table, noise) < 0.1
    helpful = (2 * np.eye(3)[table.targets] + noise).astype(np.float32)
    weight = fit_weight(table, helpful)
    assert 1 < weight < 4  # the best is 2: their signal is twice as strong
    losses = [
        negative_log_likelihood(found, table.targets, fit_temperature(found, table.targets))
        for found in (table.logits, table.logits + weight * helpful)
    ]
    assert losses[1] < losses[0] - 0.1
    assert fit_weight(table, -helpful) == 0


def test_a_run_gets_a_machine_that_its_file_contains(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "MIN_PHOTOS", 5)
    run = train(photo_folder, tmp_path / "with", tiny, settings=SETTINGS)
    constants = {tensor.name for tensor in onnx.load(run.model).graph.initializer}
    assert {"kernel.anchors.int8", "kernel.coefficients"} <= constants
    classifier, val = run.classifier(), run.manifest.select("val")
    outputs = list(classifier.outputs_many(sample.path for sample in val))
    answers = [classifier.info.class_names[row.logits.argmax()] for _, row, _ in outputs]
    right = [answer == sample.label for answer, sample in zip(answers, val, strict=True)]
    assert np.mean(right) == run.info.metrics["accuracy"]
    without = train(
        photo_folder, tmp_path / "without", tiny, settings={**SETTINGS, "fit.kernel": False}
    )
    assert run.info.metrics["nll"] < without.info.metrics["nll"] - 0.1


def test_a_run_with_an_untouched_branch_gets_a_gate(
    photo_folder: Path, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "MIN_PHOTOS", 5)
    settings = {**SETTINGS, "model.branches": 2, "fit.probe": True, "fit.keep_start": True}
    run = train(photo_folder, tmp_path / "run", tiny, settings=settings)
    graph = onnx.load(run.model).graph
    assert "gate.slope" in {tensor.name for tensor in graph.initializer}
    assert {output.name for output in graph.output} == {"logits", "features"}


def test_few_validation_photos_give_none(photo_folder: Path, tiny: str, tmp_path: Path) -> None:
    run = train(photo_folder, tmp_path / "run", tiny, settings=SETTINGS)
    graph = onnx.load(run.model).graph
    assert not [node.name for node in graph.node if "kernel" in "".join(node.output)]
    assert {output.name for output in graph.output} == {"logits", "features"}


def test_it_needs_a_frozen_stage(photo_folder: Path, tiny: str, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(UsageError, match=r"fit\.kernel needs a frozen stage"):
        train(load_dataset(photo_folder), run.folder, tiny, settings={"fit.kernel": True})
    assert not run.best.exists()
