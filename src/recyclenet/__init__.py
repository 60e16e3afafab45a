"""RecycleNet: small, fast, honest classifiers of waste pictures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recyclenet.core.prediction import Prediction
    from recyclenet.errors import RecycleNetError
    from recyclenet.inference.classifier import Classifier

# ONNX Runtime reads its variable when it is first imported. Without it, it collects facts about the
# machine, keeps them in the user's cache and sends them. A user's own setting stays.
for _variable in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "1")

__all__ = ["Classifier", "Prediction", "RecycleNetError", "__version__"]

_HOMES = {
    "Classifier": "recyclenet.inference.classifier",
    "Prediction": "recyclenet.core.prediction",
    "RecycleNetError": "recyclenet.errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `recyclenet --help` stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("recyclenet")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'recyclenet' has no attribute {name!r}")
