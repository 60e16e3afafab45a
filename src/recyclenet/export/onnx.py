"""Export: a trained network becomes one sealed `.onnx` file, or nothing at all."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn

from recyclenet import __version__
from recyclenet.core.files import write_bytes
from recyclenet.core.model_info import METADATA_KEY, ModelInfo, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.taxonomy import assign_streams
from recyclenet.data.manifest import Manifest, read_manifest
from recyclenet.errors import RecycleNetError
from recyclenet.evaluation.calibration import fit_temperature, fit_threshold
from recyclenet.evaluation.metrics import evaluate
from recyclenet.export.verify import HALF_TOLERANCE, verify_parity
from recyclenet.training.checkpoint import backbone_preprocess, load_trained
from recyclenet.training.dataset import EvaluationPhotos, evaluation_loader
from recyclenet.training.fit import MANIFEST, RECIPE
from recyclenet.training.recipe import Recipe, load_recipe

NUM_PARITY_PHOTOS = 32
# Weights are stored as float16 from this many numbers on, unless one is larger than this.
_MIN_HALF, _MAX_HALF = 1024, 6e4


def export_run(run: Path, out: Path) -> ModelInfo:
    """Export the best checkpoint of a run.

    The temperature, the threshold and the metrics in the file come from the validation photos.

    Args:
        run: a run folder.
        out: where the model file goes; written only if PyTorch and ONNX Runtime agree.

    Returns:
        The facts in the file.

    Raises:
        UsageError: the run is not there or not trained.
        ModelFileError: its checkpoint is damaged.
        RecycleNetError: the two runtimes disagree.
    """
    recipe = load_recipe(str(run / RECIPE))
    manifest = read_manifest(run / MANIFEST)
    names = manifest.class_names
    model = load_trained(run, recipe, len(names))
    preprocess = backbone_preprocess(model, recipe)
    val = manifest.select("val")
    logits, targets = torch_logits(model, val, names, preprocess)
    info = _facts(recipe, manifest, preprocess, logits, targets)
    photos = val.samples[:: max(1, len(val) // NUM_PARITY_PHOTOS)]
    proto = to_onnx(model, preprocess.image_size)
    content = _to_bytes(proto, info)
    verify_parity(content, photos, model)
    smaller = _to_bytes(store_in_half(proto), info)
    with suppress(RecycleNetError):  # a network that needs all its digits keeps them
        verify_parity(smaller, photos, model, HALF_TOLERANCE)
        content = smaller
    write_bytes(out, content)
    return info


def torch_logits(
    model: nn.Module, manifest: Manifest, class_names: tuple[str, ...], preprocess: Preprocess
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return logits `(N, K)` float32 and targets `(N,)` int64 of a manifest, by PyTorch."""
    loader = evaluation_loader(EvaluationPhotos(manifest, class_names, preprocess), 32)
    rows = []
    targets = []
    with torch.inference_mode():
        for images, batch_targets in loader:
            rows.append(model(images).numpy())
            targets.append(np.asarray(batch_targets))
    return np.concatenate(rows), np.concatenate(targets)


def _facts(
    recipe: Recipe,
    manifest: Manifest,
    preprocess: Preprocess,
    logits: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
) -> ModelInfo:
    names = manifest.class_names
    temperature = round(fit_temperature(logits, targets), 6)
    threshold = round(fit_threshold(logits, temperature), 6)
    scores = evaluate(logits, targets, names, temperature=temperature, threshold=threshold)
    return ModelInfo(
        name=recipe.name,
        class_names=names,
        preprocess=preprocess,
        temperature=temperature,
        threshold=threshold,
        streams=assign_streams(names, recipe.streams),
        backbone=recipe.model.name,
        data_fingerprint=manifest.fingerprint,
        metrics={"split": "val", **scores.to_row()},
        recipe=recipe.model_dump(),
        licence=recipe.licence,
        version=__version__,
    )


def to_onnx(model: nn.Module, image_size: int) -> onnx.ModelProto:
    """Return a network as an ONNX graph with its weights inside; the batch size is free.

    Raises:
        RecycleNetError: PyTorch cannot express the network in ONNX.
    """
    example = torch.zeros(2, 3, image_size, image_size)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    chatter = io.StringIO()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            redirect_stdout(chatter),
            redirect_stderr(chatter),
        ):
            program = torch.onnx.export(
                model.eval(),
                (example,),
                input_names=["batch"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("num_images", min=1)},),
                dynamo=True,
                external_data=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise RecycleNetError(f"PyTorch cannot export this network to ONNX: {reason}") from error
    if program is None:
        raise RecycleNetError("PyTorch made no ONNX program of this network")
    proto: onnx.ModelProto = program.model_proto
    del proto.metadata_props[:]
    # The exporter notes source paths and stack traces on every node; nobody needs them at run time.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
    return proto


def store_in_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with its large weights as float16, which halves the file.

    A cast before each gives the graph float32 again; the runtime does that once, on loading. What
    does not fit into float16 stays as it is.
    """
    smaller = onnx.ModelProto()
    smaller.CopyFrom(proto)
    casts = []
    for tensor in smaller.graph.initializer:
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
    nodes = [*casts, *smaller.graph.node]
    del smaller.graph.node[:]
    smaller.graph.node.extend(nodes)
    return smaller


def _to_bytes(proto: onnx.ModelProto, info: ModelInfo) -> bytes:
    """Return a sealed ONNX file with the facts inside."""
    onnx.helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
    content: bytes = proto.SerializeToString(deterministic=True)
    return seal(content)
