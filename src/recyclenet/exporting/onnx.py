"""Export a trained network to one sealed `.onnx` file."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from recyclenet.core.files import temporary_folder, write_bytes
from recyclenet.core.model_info import METADATA_KEY, ModelInfo, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import assign_streams
from recyclenet.errors import RecycleNetError
from recyclenet.evaluation.calibration import fit_temperature, fit_threshold
from recyclenet.evaluation.predict import predict
from recyclenet.evaluation.statistics import decision_statistics
from recyclenet.evaluation.table import PredictionTable
from recyclenet.exporting.parity import check_parity
from recyclenet.inference.classifier import Classifier
from recyclenet.models.network import Network
from recyclenet.models.tracing import run_blank
from recyclenet.training.checkpoint import backbone_preprocess, load_trained
from recyclenet.training.run import Run

NUM_PARITY_PHOTOS = 32
# Tensors become float16 if they have at least this many values and no larger magnitude.
_MIN_HALF, _MAX_HALF = 1024, 6e4


def export_run(run: Run, out: Path | None = None, progress: Progress = silent) -> ModelInfo:
    """Export the best checkpoint of a run.

    The file is written only if PyTorch and ONNX Runtime agree. Its temperature, threshold and
    metrics come from ONNX Runtime's logits for the validation photos.

    Args:
        run: a trained run.
        out: path of the model file; None for the run folder.
        progress: reports the number of validation photos done.

    Returns:
        The metadata in the file.

    Raises:
        UsageError: the folder holds no trained run.
        ModelFileError: the checkpoint is damaged.
        RecycleNetError: PyTorch cannot export the network, or PyTorch and ONNX Runtime disagree.
    """
    model = load_trained(run)
    preprocess = backbone_preprocess(model, run.recipe)
    val = run.manifest.select("val")
    photos = val.samples[:: max(1, len(val) // NUM_PARITY_PHOTOS)]
    draft = _draft(run, preprocess)
    features = run_blank(model, preprocess.image_size, model.pre_logits)
    if features.ndim == 2:  # a few heads end in a convolution
        draft = replace(draft, num_features=features.shape[1])
        proto = to_onnx(_WithFeatures(model), preprocess.image_size, ("logits", "features"))
    else:
        proto = to_onnx(model, preprocess.image_size)
    check_parity(_classifier(proto, draft), photos, model)
    with suppress(RecycleNetError):  # some networks need float32 precision
        half = store_in_half(proto)
        check_parity(_classifier(half, draft), photos, model, "float16")
        proto, draft = half, replace(draft, precision="float16")
    info = _calibrated(draft, predict(_classifier(proto, draft), val, progress))
    write_bytes(out or run.model, _to_bytes(proto, info))
    return info


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


def _calibrated(draft: ModelInfo, table: PredictionTable) -> ModelInfo:
    """Return the metadata with what comes from the validation photos."""
    logits, targets = table.logits, table.targets
    temperature = round(fit_temperature(logits, targets), 6)
    threshold = round(fit_threshold(logits, temperature), 6)
    scores = table.score(temperature, threshold)
    metrics = {"split": "val", **scores.to_row()}
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
        path.write_bytes(_to_bytes(proto, info))
        return Classifier(path)


class _WithFeatures(nn.Module):
    """Returns a network's logits and features."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits `(N, K)` and features `(N, D)` for images `(N, 3, H, W)`."""
        return self.network.with_features(batch)


def to_onnx(
    model: nn.Module, image_size: int, outputs: Sequence[str] = ("logits",)
) -> onnx.ModelProto:
    """Return a network as an ONNX model with embedded weights and a dynamic batch size.

    Args:
        model: the network.
        image_size: side of the input images, pixels.
        outputs: the names of what the network returns.

    Raises:
        RecycleNetError: PyTorch cannot export the network.
    """
    example = torch.zeros(2, 3, image_size, image_size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    output = io.StringIO()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(output),
            redirect_stderr(output),
        ):
            program = torch.onnx.export(
                model.eval(),
                (example,),
                input_names=["batch"],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("num_images", min=1)},),
                dynamo=True,
                external_data=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise RecycleNetError(f"PyTorch cannot export this network to ONNX: {reason}") from error
    if program is None:
        raise RecycleNetError("PyTorch cannot export this network to ONNX")
    proto: onnx.ModelProto = program.model_proto
    del proto.metadata_props[:]
    # The exporter attaches source paths and stack traces to every node.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return proto


def store_in_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model that stores its large tensors as float16, which halves the file.

    The runtime casts them to float32 once, when it loads the model. Tensors with values beyond the
    range of float16 stay float32.
    """
    half = onnx.ModelProto()
    half.CopyFrom(proto)
    casts = []
    for tensor in half.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if (
            values.dtype != np.float32
            or values.size < _MIN_HALF
            or np.abs(values).max() > _MAX_HALF
        ):
            continue
        stored = f"{tensor.name}.half"
        casts.append(
            onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT)
        )
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), stored))
    nodes = [*casts, *half.graph.node]
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    return half


def _to_bytes(proto: onnx.ModelProto, info: ModelInfo) -> bytes:
    """Return the bytes of a sealed ONNX file with the metadata."""
    onnx.helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
    content: bytes = proto.SerializeToString(deterministic=True)
    return seal(content)
