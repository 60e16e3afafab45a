"""Linear layers over the features, kept in a model file's metadata.

One corrects the graph's logits; another one scores how unlike the classes a photo is. In files of
earlier releases, one replaces the last layer of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.core.arrays import pack_array, unpack_array
from recyclenet.errors import ModelFileError

CORRECTION, HEAD, UNKNOWN = "correction", "head", "unknown"


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer from features to logits.

    Attributes:
        weight: `(K, D)` float32, rows in the order of the class names.
        bias: `(K,)` float32.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def __call__(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return logits `(N, K)` float32 for features `(N, D)` float32."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller checks the logits
            return np.asarray(features @ self.weight.T + self.bias, np.float32)

    def to_statistics(self, dtype: str = "float32") -> dict[str, Any]:
        """Return plain values for a model file, stored as "float32" or "float16"."""
        return {"weight": pack_array(self.weight, dtype), "bias": pack_array(self.bias, "float32")}

    @classmethod
    def read(cls, values: Any, num_classes: int, num_features: int) -> Head:
        """Read the output of `to_statistics`.

        Args:
            values: untrusted.
            num_classes: K.
            num_features: D.

        Raises:
            ModelFileError: the values are no head from D features to K classes.
        """
        try:
            if not num_features:
                raise ValueError("the model file has no features")
            return cls(
                unpack_array(values["weight"], (num_classes, num_features)),
                unpack_array(values["bias"], (num_classes,)),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the model file has an invalid head ({error!s:.100}); teach or export the model "
                f"again"
            ) from error


def widen(logits: npt.NDArray[np.float32], num_classes: int) -> npt.NDArray[np.float32]:
    """Return logits `(N, num_classes)`: the given ones, and their mean for each further class."""
    means = logits.mean(axis=1, keepdims=True)
    return np.hstack([logits, *[means] * (num_classes - logits.shape[1])])


def read_head(
    statistics: Mapping[str, Any], name: str, num_outputs: int, num_features: int
) -> Head | None:
    """Return the head called `name` in a model file's statistics; None if there is none.

    Raises:
        ModelFileError: the head is invalid.
    """
    if name not in statistics:
        return None
    return Head.read(statistics[name], num_outputs, num_features)
