"""Nodes added to an exported graph: what is fitted to a trained network's outputs.

Their names begin with the part they belong to, "kernel." or "scale.".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

# The output that `add_kernel` reads and removes; see `models/pooled.py`.
POOLED = "pooled"

Floats = npt.NDArray[np.float32]


class KernelMachine(NamedTuple):
    """Logits that depend on a photo's similarity to each of M training photos (anchors).

    With z the standardised statistics `(D,)` of a photo, projected to P dimensions and scaled to
    unit length, the logits are the sum over the anchors of exp(bandwidth * (cosine - 1)) times
    their coefficients.

    Attributes:
        mean: of the statistics, `(D,)`.
        std: of the statistics, `(D,)`.
        projection: `(D, P)` int8; its scale has no effect.
        anchors: of unit length, `(M, P)` int8, in units of `anchor_steps`.
        anchor_steps: one per anchor, `(M, 1)`.
        coefficients: `(M, K)`.
        bandwidth: of the kernel.
    """

    mean: Floats
    std: Floats
    projection: npt.NDArray[np.int8]
    anchors: npt.NDArray[np.int8]
    anchor_steps: Floats
    coefficients: Floats
    bandwidth: float

    def __call__(self, statistics: Floats) -> Floats:
        """Return logits `(N, K)` for statistics `(N, D)`."""
        rows = project((statistics - self.mean) / self.std, self.projection)
        kernel = np.exp(self.bandwidth * (rows @ (self.anchors * self.anchor_steps).T - 1))
        return np.asarray(kernel @ self.coefficients, np.float32)


def project(rows: Floats, projection: npt.NDArray[np.int8]) -> Floats:
    """Return rows `(N, D)`, projected by `(D, P)` and scaled to unit length, `(N, P)`."""
    return unit_rows(rows @ projection.astype(np.float32))


def unit_rows(rows: Floats) -> Floats:
    """Return rows `(N, D)` scaled to unit length; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)


def add_kernel(proto: onnx.ModelProto, machine: KernelMachine) -> onnx.ModelProto:
    """Return a copy of a model that adds a kernel machine's logits to its own.

    Args:
        proto: a model with logits and `POOLED` statistics; the copy has no such output.
        machine: of these statistics.
    """
    added = _copy(proto, "logits", "logits.network")
    kept = [output for output in added.graph.output if output.name != POOLED]
    del added.graph.output[:]
    added.graph.output.extend(kept)
    _add_constants(
        added,
        "kernel",
        {
            "mean": machine.mean,
            "std": machine.std,
            "projection.int8": machine.projection,
            "anchors.int8": machine.anchors.T,
            "anchors.steps": machine.anchor_steps.T,
            "one": np.float32(1),
            "bandwidth": np.float32(machine.bandwidth),
            "coefficients": machine.coefficients.astype(np.float32),
        },
    )
    added.graph.node.extend(
        [
            *_standardise(POOLED, "kernel"),
            _to_float("kernel.projection.int8", "kernel.projection"),
            _node("MatMul", "kernel.standard kernel.projection", "kernel.projected"),
            _node("LpNormalization", "kernel.projected", "kernel.unit", axis=1, p=2),
            _to_float("kernel.anchors.int8", "kernel.anchors.float"),
            _node("Mul", "kernel.anchors.float kernel.anchors.steps", "kernel.anchors"),
            _node("MatMul", "kernel.unit kernel.anchors", "kernel.cosines"),
            _node("Sub", "kernel.cosines kernel.one", "kernel.distances"),
            _node("Mul", "kernel.distances kernel.bandwidth", "kernel.exponents"),
            _node("Exp", "kernel.exponents", "kernel.similarities"),
            _node("MatMul", "kernel.similarities kernel.coefficients", "kernel.logits"),
            _node("Add", "logits.network kernel.logits", "logits"),
        ]
    )
    return added


class LogitFactor(NamedTuple):
    """A factor that depends on how similar a photo is to others.

    It is exp(min(max(slope * similarity + bias, low), high)); the similarity is the mean of the
    `num_nearest` largest cosines between the photo's standardised features and the rows.

    Attributes:
        mean: of the features, `(D,)`.
        std: of the features, `(D,)`.
        rows: standardised features of unit length, `(M, D)`.
        num_nearest: of the rows.
        slope: of the exponent.
        bias: of the exponent.
        low: its lower bound.
        high: its upper bound.
    """

    mean: npt.NDArray[np.float32]
    std: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float32]
    num_nearest: int
    slope: float
    bias: float
    low: float
    high: float

    def __call__(self, features: Floats, *, leave_out: bool = False) -> Floats:
        """Return the factor `(N, 1)` for features `(N, D)`.

        Args:
            features: of photos.
            leave_out: do not count the most similar row, which is the photo itself.
        """
        rows = unit_rows((features - self.mean) / self.std)
        cosines = np.sort(rows @ self.rows.T, axis=1)[:, ::-1]
        nearest = cosines[:, leave_out : leave_out + self.num_nearest]
        exponents = self.slope * nearest.mean(axis=1, keepdims=True) + self.bias
        return np.asarray(np.exp(np.clip(exponents, self.low, self.high)), np.float32)


def scale_logits(proto: onnx.ModelProto, factor: LogitFactor) -> onnx.ModelProto:
    """Return a copy of a model, with logits and features, that multiplies its logits by a factor.

    The rows are stored as int8.
    """
    scaled = _copy(proto, "logits", "logits.unscaled")
    step = np.float32(max(float(np.abs(factor.rows).max()), 1e-12) / 127)
    numbers = ("slope", "bias", "low", "high")
    _add_constants(
        scaled,
        "scale",
        {
            "mean": factor.mean,
            "std": factor.std,
            "rows.int8": np.round(factor.rows.T / step).astype(np.int8),
            "rows.step": step,
            "num": np.array([factor.num_nearest], np.int64),
            "axis": np.array([1], np.int64),
            **{name: np.float32(getattr(factor, name)) for name in numbers},
        },
    )
    scaled.graph.node.extend(
        [
            *_standardise("features", "scale"),
            _node("LpNormalization", "scale.standard", "scale.unit", axis=1, p=2),
            _to_float("scale.rows.int8", "scale.rows.float"),
            _node("Mul", "scale.rows.float scale.rows.step", "scale.rows"),
            _node("MatMul", "scale.unit scale.rows", "scale.cosines"),
            _node("TopK", "scale.cosines scale.num", "scale.nearest scale.indices"),
            _node("ReduceMean", "scale.nearest scale.axis", "scale.similarity", keepdims=1),
            _node("Mul", "scale.similarity scale.slope", "scale.product"),
            _node("Add", "scale.product scale.bias", "scale.sum"),
            _node("Clip", "scale.sum scale.low scale.high", "scale.exponent"),
            _node("Exp", "scale.exponent", "scale.factor"),
            _node("Mul", "logits.unscaled scale.factor", "logits"),
        ]
    )
    return scaled


def _copy(proto: onnx.ModelProto, output: str, name: str) -> onnx.ModelProto:
    """Return a copy in which an output has another name, so that a new node can make it."""
    copied = onnx.ModelProto()
    copied.CopyFrom(proto)
    for node in copied.graph.node:
        for names in (node.input, node.output):
            for place, found in enumerate(names):
                if found == output:
                    names[place] = name
    return copied


def _add_constants(
    proto: onnx.ModelProto, prefix: str, values: Mapping[str, npt.ArrayLike]
) -> None:
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(value), f"{prefix}.{name}")
        for name, value in values.items()
    )


def _node(kind: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def _standardise(source: str, part: str) -> list[onnx.NodeProto]:
    """Return the nodes that standardise an output by the mean and std of a part."""
    return [
        _node("Sub", f"{source} {part}.mean", f"{part}.centred"),
        _node("Div", f"{part}.centred {part}.std", f"{part}.standard"),
    ]


def _to_float(source: str, target: str) -> onnx.NodeProto:
    return _node("Cast", source, target, to=onnx.TensorProto.FLOAT)
