"""Export a trained network to one sealed `.onnx` file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from recyclenet.core.files import temporary_folder, write_bytes
from recyclenet.core.model_info import METADATA_KEY, ModelInfo, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import assign_streams
from recyclenet.errors import RecycleNetError, UsageError
from recyclenet.evaluation.calibration import fit_temperature, fit_threshold
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.statistics import decision_statistics
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting.exemplars import choose_exemplars
from recyclenet.exporting.familiarity import fit_familiarity
from recyclenet.exporting.kernel import fit_kernel
from recyclenet.exporting.parity import TOLERANCES, check_parity, run_network
from recyclenet.exporting.unknown import check_negatives, fit_unknown
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.exemplars import EXEMPLARS, Exemplars
from recyclenet.inference.head import UNKNOWN
from recyclenet.inference.session import Outputs
from recyclenet.models.graph import LogitFactor, add_kernel, scale_logits
from recyclenet.models.network import Network
from recyclenet.models.onnx import store_in_half, store_in_int8, to_onnx
from recyclenet.models.pooled import PooledNetwork
from recyclenet.models.tracing import run_blank
from recyclenet.training.checkpoint import backbone_preprocess, load_trained
from recyclenet.training.run import Run

# From the smallest file to the largest.
_PRECISIONS = ("int8", "float16")
_STORE = {"int8": store_in_int8, "float16": store_in_half}


def export_run(
    run: Run,
    out: Path | None = None,
    progress: Progress = silent,
    negatives: Sequence[Path] = (),
) -> ModelInfo:
    """Export the best checkpoint of a run.

    The file is written only if PyTorch and ONNX Runtime agree. Its temperature, threshold and
    metrics come from ONNX Runtime's logits for the validation photos.

    Args:
        run: a trained run.
        out: path of the model file; None for the run folder.
        progress: reports the number of validation photos done.
        negatives: photos of things that are none of the classes, for the unknown score.

    Returns:
        The metadata in the file.

    Raises:
        UsageError: the folder holds no trained run, or its network has no features for the unknown
            score.
        ModelFileError: the checkpoint is damaged.
        DataError: too few of the negatives can be read.
        RecycleNetError: PyTorch cannot export the network, or PyTorch and ONNX Runtime disagree.
    """
    check_negatives(negatives)
    model = load_trained(run)
    preprocess = backbone_preprocess(model, run.recipe)
    val = run.manifest.select("val")
    draft = _draft(run, preprocess)
    features = run_blank(model, preprocess.image_size, model.pre_logits)
    if features.ndim == 2:  # a few heads end in a convolution
        draft = replace(draft, num_features=features.shape[1])
        proto = to_onnx(_WithFeatures(model), preprocess.image_size, ("logits", "features"))
    else:
        proto = to_onnx(model, preprocess.image_size)
    photos = val.evenly(TOLERANCES["float32"].num_photos).samples
    exact = _classifier(proto, draft)
    check_parity(exact, photos, run_network(model))
    for precision in _PRECISIONS[_PRECISIONS.index(run.recipe.model.precision) :]:
        with suppress(RecycleNetError):  # some networks need more digits
            small = _STORE[precision](proto)
            photos = val.evenly(TOLERANCES[precision].num_photos).samples
            check_parity(_classifier(small, draft), photos, exact.logits, precision, progress)
            proto, draft = small, replace(draft, precision=precision)
            break
    memory: dict[Path, npt.NDArray[np.float32]] = {}
    if run.recipe.fit.kernel and draft.num_features:
        proto, memory = _with_kernel(proto, run, model, draft, progress)
    classifier = _classifier(proto, draft)
    exemplars = None
    if draft.num_features:
        exemplars = choose_exemplars(classifier, run.manifest, memory, progress)
    if negatives:
        if not draft.num_features:
            raise UsageError(
                f"{run.recipe.model.name} has no features for an unknown score; omit the negatives"
            )
        unknown = fit_unknown(classifier, run.manifest.select("train"), negatives, progress)
        found = {**draft.statistics, UNKNOWN: unknown.to_statistics()}
        draft = replace(draft, statistics=found)
        classifier = _classifier(proto, draft)
    outputs: list[Outputs] = []
    table = predict(classifier, val, progress, keep=outputs.append)
    if exemplars is not None and (fitted := fit_familiarity(table, outputs, exemplars.train)):
        factor, logits = fitted
        proto, table = scale_logits(proto, factor), replace(table, logits=logits)
        exemplars = _scaled(exemplars, factor)
    if exemplars is not None:
        found = {**draft.statistics, EXEMPLARS: exemplars.to_statistics()}
        draft = replace(draft, statistics=found)
    info = _calibrated(draft, table)
    write_bytes(out or run.model, _to_bytes(proto, info))
    return info


def _with_kernel(
    proto: onnx.ModelProto, run: Run, model: Network, draft: ModelInfo, progress: Progress
) -> tuple[onnx.ModelProto, dict[Path, npt.NDArray[np.float32]]]:
    """Return the graph with the logits of a kernel machine added, if they help, and its memory.

    Args:
        proto: the graph without it.
        run: the run.
        model: its network.
        draft: the metadata of the model file.
        progress: reports the number of photos done.
    """
    size, fit = run.recipe.model.image_size, run.recipe.fit
    pooled = PooledNetwork(model, run.recipe.model.freeze_groups, size, has_start=fit.keep_start)
    store = _STORE.get(draft.precision, lambda graph: graph)
    statistics = _Statistics(pooled)
    num_statistics = run_blank(model, size, statistics)[1].shape[1]
    classifier = _classifier(
        store(to_onnx(statistics, size, ("logits", "features"))),
        replace(draft, num_features=num_statistics),
    )
    train, val = map(run.manifest.select, ("train", "val"))
    fitted = fit_kernel(classifier, train, val, progress, has_start=fit.keep_start)
    if fitted is None:
        return proto, {}
    whole = store(to_onnx(pooled, size, pooled.output_names))
    return add_kernel(whole, fitted.machine, fitted.gate), fitted.memory


def _draft(run: Run, preprocess: Preprocess) -> ModelInfo:
    """Return a model's metadata without the parts that depend on the validation photos."""
    recipe, names = run.recipe, run.manifest.class_names
    return ModelInfo(
        name=recipe.name,
        class_names=names,
        preprocess=preprocess,
        streams=assign_streams(names, recipe.streams),
        backbone=recipe.model.name,
        data_fingerprint=run.manifest.fingerprint,
        recipe=recipe.model_dump(),
        licence=recipe.licence,
        version=version("recyclenet"),
    )


def _scaled(exemplars: Exemplars, factor: LogitFactor) -> Exemplars:
    """Return the exemplars with the logits of the graph that has the factor."""
    return replace(
        exemplars,
        train_logits=exemplars.train_logits * factor(exemplars.train, leave_out=True),
        held_out_logits=exemplars.held_out_logits * factor(exemplars.held_out),
    )


def _calibrated(draft: ModelInfo, table: PredictionTable) -> ModelInfo:
    """Return the metadata with what comes from the validation photos."""
    logits, targets = table.logits, table.targets
    temperature = round(fit_temperature(logits, targets), 6)
    threshold = round(fit_threshold(logits, temperature, table.unknown), 6)
    scores = table.score(temperature, threshold)
    domains = {
        name: part.score(temperature, threshold).figures()
        for name, part in table.by_domain().items()
    }
    metrics = {"split": "val", **scores.to_row(), **({"by_domain": domains} if domains else {})}
    return replace(
        draft,
        temperature=temperature,
        threshold=threshold,
        metrics=metrics,
        statistics={**draft.statistics, **decision_statistics(table, temperature)},
    )


def _classifier(proto: onnx.ModelProto, info: ModelInfo) -> Classifier:
    """Return a classifier for a model that is not yet written."""
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        write_bytes(path, _to_bytes(proto, info))
        return Classifier(path)


class _WithFeatures(nn.Module):
    """Returns a network's logits and features."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits `(N, K)` and features `(N, D)` for images `(N, 3, H, W)`."""
        return self.network.with_features(batch)


class _Statistics(nn.Module):
    """Returns a network's logits, and what `fit_kernel` needs in place of features."""

    def __init__(self, pooled: PooledNetwork) -> None:
        super().__init__()
        self.pooled = pooled

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits `(N, K)` and statistics `(N, S)` for images `(N, 3, H, W)`.

        The logits of an untouched branch follow the statistics.
        """
        logits, _, *statistics = self.pooled(batch)
        return logits, torch.cat(statistics, dim=1)


def _to_bytes(proto: onnx.ModelProto, info: ModelInfo) -> bytes:
    """Return the bytes of a sealed ONNX file with the metadata."""
    onnx.helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
    content: bytes = proto.SerializeToString(deterministic=True)
    return seal(content)
