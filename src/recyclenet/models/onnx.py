"""A network as an ONNX graph, and ways to store its weights in fewer bytes."""

from __future__ import annotations

import copy
import io
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import get_same_padding
from torch import nn

from recyclenet.core.files import temporary_folder
from recyclenet.errors import RecycleNetError

_OPSET = 20
# Standard output belongs to the whole process, so only one thread at a time may redirect it.
_redirecting = threading.Lock()
# Tensors with fewer values stay float32, and so do those too large for float16.
_MIN_SIZE, _MAX_HALF = 1024, 6e4


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
    model.eval()
    example = torch.zeros(2, 3, image_size, image_size)
    return _traced(model, example, outputs) or _exported(model, example, outputs)


def _traced(
    model: nn.Module, example: torch.Tensor, outputs: Sequence[str]
) -> onnx.ModelProto | None:
    """Export by tracing, ten to thirty times as fast as `_exported`.

    Returns:
        The model; None where the trace is wrong, the tracer does not know an operator, or the graph
        would have subgraphs, which model files must not have.
    """
    with _quiet() as caught, temporary_folder() as folder:
        file = folder / "network.onnx"
        try:
            torch.onnx.export(
                _with_fixed_padding(model, example),
                (example,),
                file,
                input_names=["batch"],
                output_names=list(outputs),
                dynamic_axes={name: {0: "num_images"} for name in ("batch", *outputs)},
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception:  # the tracer raises many types
            return None
        proto = onnx.load(file)
    if any(part.HasField("g") for node in proto.graph.node for part in node.attribute):
        return None
    # PyTorch warns of every number that becomes a constant of the graph. The height and the width
    # may be constants; the batch size, and what depends on the images, may not.
    doubt = torch.jit.TracerWarning  # type: ignore[attr-defined]
    is_doubted = any(issubclass(warning.category, doubt) for warning in caught)
    return None if is_doubted and not _agree(model, proto, example) else proto


def _agree(model: nn.Module, proto: onnx.ModelProto, example: torch.Tensor) -> bool:
    """Return whether a network and its graph agree on random images, their negatives, and one."""
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, *example.shape[1:], generator=generator)
    for batch in (images, -images, images[:1]):
        try:
            found = session.run(None, {"batch": batch.numpy()})
        except Exception:  # ONNX Runtime raises many types
            return False
        with torch.no_grad():
            returned = model(batch)
        expected = [returned] if isinstance(returned, torch.Tensor) else list(returned)
        for one, other in zip(expected, found, strict=True):
            tolerance = 1e-4 * float(one.abs().max()) + 1e-6
            if one.shape != other.shape or not np.abs(one.numpy() - other).max() <= tolerance:
                return False
    return True


def _with_fixed_padding(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy whose convolutions pad as much as they do for the example.

    TensorFlow's "same" padding depends on the input's size; a trace would compute it in the graph,
    where it takes a tenth of the inference.
    """
    fixed = copy.deepcopy(model)
    sizes: dict[nn.Module, torch.Size] = {}
    same: dict[str, nn.Conv2d] = {
        name: module for name, module in fixed.named_modules() if isinstance(module, Conv2dSame)
    }
    for module in same.values():
        module.register_forward_pre_hook(lambda m, args: sizes.update({m: args[0].shape[-2:]}))
    with torch.no_grad():
        fixed(example)
    for name, module in same.items():
        before, after = [], []
        parts = (sizes[module], module.kernel_size, module.stride, module.dilation)
        for size, kernel, stride, dilation in zip(*parts, strict=True):
            whole = get_same_padding(size, kernel, stride, dilation)
            before.append(whole // 2)
            after.append(whole - whole // 2)
        pad = nn.ZeroPad2d((before[1], after[1], before[0], after[0]))
        module.__class__ = nn.Conv2d  # the same without padding
        fixed.set_submodule(name, nn.Sequential(pad, module))
    return fixed.eval()


def _exported(model: nn.Module, example: torch.Tensor, outputs: Sequence[str]) -> onnx.ModelProto:
    """Export by torch.export, which knows more operators.

    Raises:
        RecycleNetError: PyTorch cannot export the network.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with _quiet():
            program = torch.onnx.export(
                model,
                (example,),
                input_names=["batch"],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("num_images", min=1)},),
                opset_version=_OPSET,
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


@contextmanager
def _quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Discard what PyTorch prints, also in native code; yield the list of its warnings."""
    with (
        _redirecting,
        warnings.catch_warnings(record=True) as caught,
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
        Path(os.devnull).open("wb") as null,
    ):
        warnings.simplefilter("always")
        try:
            own = os.dup(1)
        except OSError:  # the program has closed its standard output
            yield caught
            return
        os.dup2(null.fileno(), 1)
        try:
            yield caught
        finally:
            os.dup2(own, 1)
            os.close(own)


def store_in_half(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model that stores its large tensors as float16, which halves the file.

    The runtime casts them to float32 once, when it loads the model. Tensors with values beyond the
    range of float16 stay float32.
    """
    half = onnx.ModelProto()
    half.CopyFrom(proto)
    casts = []
    for tensor, values in _large_tensors(half):
        if np.abs(values).max() > _MAX_HALF:
            continue
        casts.append(_cast(f"{tensor.name}.half", tensor.name))
        stored = onnx.numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}.half")
        tensor.CopyFrom(stored)
    _prepend(half, casts)
    return half


def store_in_int8(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model that stores its weights as int8, a quarter of the size.

    Each output channel has its own scale. The runtime restores float32 weights once, when it loads
    the model, so activations and speed stay the same. Large vectors stay float32.
    """
    small = onnx.ModelProto()
    small.CopyFrom(proto)
    nodes, scales = [], []
    for tensor, values in _large_tensors(small):
        if values.ndim < 2:
            continue
        name, axes = tensor.name, tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=axes, keepdims=True), 1e-12) / 127
        rounded = np.round(values / scale).astype(np.int8)
        tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, f"{name}.int8"))
        scales.append(onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}.scale"))
        nodes.append(_cast(f"{name}.int8", f"{name}.float"))
        nodes.append(onnx.helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]))
    small.graph.initializer.extend(scales)
    _prepend(small, nodes)
    return small


def _large_tensors(
    proto: onnx.ModelProto,
) -> list[tuple[onnx.TensorProto, npt.NDArray[np.float32]]]:
    """Return the large float32 tensors of a model, with their values."""
    found = [(tensor, onnx.numpy_helper.to_array(tensor)) for tensor in proto.graph.initializer]
    return [(t, v) for t, v in found if v.dtype == np.float32 and v.size >= _MIN_SIZE]


def _cast(source: str, target: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", [source], [target], to=onnx.TensorProto.FLOAT)


def _prepend(proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Put nodes before all others of a graph."""
    after = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *after])
