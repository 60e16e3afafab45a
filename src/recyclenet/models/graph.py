"""Nodes added to an exported graph: what is fitted to a trained network's outputs.

Their names begin with the part they belong to: "kernel.", "gate." or "scale.".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from scipy.special import expit

# The outputs that `add_kernel` reads and removes; see `models/pooled.py`.
POOLED, START = "pooled", "start"

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

    def cosines(self, statistics: Floats) -> Floats:
        """Return the similarity `(N, M)` to each anchor for statistics `(N, D)`."""
        rows = project((statistics - self.mean) / self.std, self.projection)
        return np.asarray(rows @ (self.anchors * self.anchor_steps).T, np.float32)

    def __call__(self, statistics: Floats) -> Floats:
        """Return logits `(N, K)` for statistics `(N, D)`."""
        kernel = np.exp(self.bandwidth * (self.cosines(statistics) - 1))
        return np.asarray(kernel @ self.coefficients, np.float32)


class Gate(NamedTuple):
    """A mixture of two sets of logits that depends on how familiar a photo is.

    One is the sum of the network and the kernel machine, the other that of the untouched branch
    (`fit.keep_start`). The share of the first is sigmoid(slope * similarity + bias), where the
    similarity is the mean of the `num_nearest` largest cosines to the kernel machine's anchors.

    Attributes:
        num_nearest: number of anchors in the mean.
        slope: of the sigmoid.
        bias: of the sigmoid.
        start_scale: factor of the untouched branch's logits.
    """

    num_nearest: int
    slope: float
    bias: float
    start_scale: float

    def share(self, cosines: Floats, *, leave_out: bool = False) -> Floats:
        """Return the share `(N, 1)` for similarities `(N, M)` to the anchors; see `nearest`."""
        exponents = self.slope * nearest(cosines, self.num_nearest, leave_out=leave_out) + self.bias
        return np.asarray(expit(exponents), np.float32)

    def mix(self, logits: Floats, start: Floats, share: Floats) -> Floats:
        """Return the mixture `(N, K)`.

        Args:
            logits: of the network and the kernel machine, `(N, K)`.
            start: of the untouched branch, `(N, K)`.
            share: of `logits`, `(N, 1)`.
        """
        return share * logits + (1 - share) * self.start_scale * start


def nearest(cosines: Floats, num: int, *, leave_out: bool = False) -> Floats:
    """Return the mean `(N, 1)` of the largest cosines in each row.

    Args:
        cosines: `(N, M)`.
        num: number of them.
        leave_out: do not count the very largest, which is the photo itself.
    """
    count = num + leave_out
    largest = np.sort(np.partition(cosines, -count, axis=1)[:, -count:], axis=1)
    return np.asarray(largest[:, :num].mean(axis=1, keepdims=True), np.float32)


def project(rows: Floats, projection: npt.NDArray[np.int8]) -> Floats:
    """Return rows `(N, D)`, projected by `(D, P)` and scaled to unit length, `(N, P)`."""
    return unit_rows(rows @ projection.astype(np.float32))


def unit_rows(rows: Floats) -> Floats:
    """Return rows `(N, D)` scaled to unit length; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)


def add_kernel(
    proto: onnx.ModelProto, machine: KernelMachine, gate: Gate | None = None
) -> onnx.ModelProto:
    """Return a copy of a model that adds a kernel machine's logits to its own.

    Args:
        proto: a model with logits, `POOLED` statistics and, for a gate, the logits `START` of the
            untouched branch; the copy has no such outputs.
        machine: of these statistics.
        gate: mixes the sum with the untouched branch; None for the sum alone.
    """
    added = _copy(proto, "logits", "logits.network")
    kept = [output for output in added.graph.output if output.name not in (POOLED, START)]
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
            _node("Add", "logits.network kernel.logits", "logits.fitted" if gate else "logits"),
        ]
    )
    if gate:
        _add_gate(added, gate)
    return added


def _add_gate(added: onnx.ModelProto, gate: Gate) -> None:
    """Add the nodes that mix `logits.fitted` and `START`."""
    numbers = ("slope", "bias", "start_scale")
    _add_constants(added, "gate", {name: np.float32(getattr(gate, name)) for name in numbers})
    added.graph.node.extend(
        [
            *_add_nearest(added, "gate", "kernel.cosines", gate.num_nearest),
            _node("Sigmoid", "gate.sum", "gate.share"),
            _node("Mul", f"{START} gate.start_scale", "gate.start"),
            _node("Sub", "logits.fitted gate.start", "gate.difference"),
            _node("Mul", "gate.difference gate.share", "gate.fitted"),
            _node("Add", "gate.start gate.fitted", "logits"),
        ]
    )


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
        similarity = nearest(rows @ self.rows.T, self.num_nearest, leave_out=leave_out)
        exponents = self.slope * similarity + self.bias
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
            *_add_nearest(scaled, "scale", "scale.cosines", factor.num_nearest),
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


def _add_nearest(proto: onnx.ModelProto, part: str, cosines: str, num: int) -> list[onnx.NodeProto]:
    """Return the nodes that make a part's sum: slope * mean of the largest cosines + bias."""
    _add_constants(proto, part, {"num": np.array([num], np.int64), "axis": np.array([1], np.int64)})
    return [
        _node("TopK", f"{cosines} {part}.num", f"{part}.nearest {part}.indices"),
        _node("ReduceMean", f"{part}.nearest {part}.axis", f"{part}.similarity", keepdims=1),
        _node("Mul", f"{part}.similarity {part}.slope", f"{part}.product"),
        _node("Add", f"{part}.product {part}.bias", f"{part}.sum"),
    ]


def _standardise(source: str, part: str) -> list[onnx.NodeProto]:
    """Return the nodes that standardise an output by the mean and std of a part."""
    return [
        _node("Sub", f"{source} {part}.mean", f"{part}.centred"),
        _node("Div", f"{part}.centred {part}.std", f"{part}.standard"),
    ]


def _to_float(source: str, target: str) -> onnx.NodeProto:
    return _node("Cast", source, target, to=onnx.TensorProto.FLOAT)
