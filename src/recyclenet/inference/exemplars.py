"""The exemplars in a model file: features of some photos of each class, to teach the model more.

They let `teach` fit a new class without the original photos, and measure what is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.arrays import pack_array, unpack_array
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.inference.head import Head

EXEMPLARS = "exemplars"
# Rows per class for fitting and for measuring, and the most bytes that all rows may take.
NUM_TRAIN, NUM_HELD_OUT = 40, 24
MAX_BYTES = 700_000
_MAX_ROWS = 100_000
# Larger numbers would overflow while a head is fitted.
_MAX = 1e6


@dataclass(frozen=True, eq=False)
class Exemplars:
    """Features of some photos, with their classes.

    Attributes:
        train: features of training photos, `(N, D)` float32.
        train_targets: their classes, `(N,)` int64.
        held_out: features of validation photos, `(M, D)` float32.
        held_out_targets: their classes, `(M,)` int64.
        train_logits: the model's logits for the training photos, `(N, K)` float32.
        held_out_logits: those for the validation photos, `(M, K)` float32.
    """

    train: npt.NDArray[np.float32]
    train_targets: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.float32]
    held_out_targets: npt.NDArray[np.int64]
    train_logits: npt.NDArray[np.float32]
    held_out_logits: npt.NDArray[np.float32]

    def to_statistics(self) -> dict[str, Any]:
        """Return plain values for a model file: features as int8 with one scale per feature."""
        rows = np.concatenate([self.train, self.held_out])
        scale = np.maximum(np.abs(rows).max(axis=0), 1e-12).astype(np.float32) / 127
        values: dict[str, Any] = {"scale": pack_array(scale, "float32")}
        for name in ("train", "held_out"):
            rounded = np.clip(np.rint(getattr(self, name) / scale), -127, 127)
            values[name] = pack_array(rounded, "int8")
        for name in ("train_targets", "held_out_targets"):
            values[name] = getattr(self, name).tolist()
        for name in ("train_logits", "held_out_logits"):
            values[name] = pack_array(getattr(self, name), "float32")
        return values

    @classmethod
    def from_statistics(
        cls, statistics: Mapping[str, Any], num_classes: int, num_features: int
    ) -> Exemplars:
        """Read the exemplars in a model file.

        Raises:
            UsageError: the file has none.
            ModelFileError: they are invalid.
        """
        values = statistics.get(EXEMPLARS)
        if values is None:
            raise UsageError(
                "the model file has no exemplars, which teaching needs; export the model again "
                "from its run"
            )
        try:
            train_targets, held_out_targets = (
                _classes(values[name], num_classes)
                for name in ("train_targets", "held_out_targets")
            )
            if set(train_targets.tolist()) != set(range(num_classes)):
                raise ValueError("a class has no exemplar")
            scale = unpack_array(values["scale"], (num_features,)).clip(-_MAX, _MAX)
            features, logits = [], []
            for name, targets in (("train", train_targets), ("held_out", held_out_targets)):
                rows = unpack_array(values[name], (len(targets), num_features)) * scale
                features.append(rows)
                if "head" in values:  # written by an earlier release
                    logits.append(Head.read(values["head"], num_classes, num_features)(rows))
                else:
                    packed = values[f"{name}_logits"]
                    logits.append(unpack_array(packed, (len(targets), num_classes)))
            if max(np.abs(array).max(initial=0) for array in (*features, *logits)) > _MAX:
                raise ValueError("a number is too large")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the model file has invalid exemplars ({error!s:.100}); export the model again"
            ) from error
        return cls(features[0], train_targets, features[1], held_out_targets, *logits)


def rows_per_class(num_classes: int, num_features: int) -> tuple[int, int]:
    """Return how many training and validation rows per class fit into a model file."""
    most = MAX_BYTES // (num_classes * num_features)
    total = NUM_TRAIN + NUM_HELD_OUT
    share = min(1.0, most / total)
    return max(1, int(NUM_TRAIN * share)), int(NUM_HELD_OUT * share)


def _classes(values: Any, num_classes: int) -> npt.NDArray[np.int64]:
    if not isinstance(values, list) or len(values) > _MAX_ROWS:
        raise ValueError("not a list of classes")
    if not all(type(value) is int and 0 <= value < num_classes for value in values):
        raise ValueError(f"a class is not 0 to {num_classes - 1}")
    return np.array(values, np.int64)
