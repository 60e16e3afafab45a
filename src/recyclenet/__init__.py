"""RecycleNet: small, fast, honest classifiers of waste pictures.

Classify pictures:

    from recyclenet import Classifier
    Classifier().classify("photo.jpg")

Train on your own photos, one folder a class (needs the extra `train`):

    from recyclenet import evaluate, train
    run = train("photos/", "runs/mine", recipe="quick")
    evaluate("photos/", run.model)

`docs/python.md` describes every name.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recyclenet.core.detection import Detections
    from recyclenet.core.prediction import Prediction
    from recyclenet.data.dataset import load_dataset
    from recyclenet.data.manifest import Manifest
    from recyclenet.data.merge import merge_datasets
    from recyclenet.errors import RecycleNetError
    from recyclenet.inference.classifier import Classifier
    from recyclenet.inference.detector import Detector
    from recyclenet.operations.ablate import ablate
    from recyclenet.operations.audit import audit
    from recyclenet.operations.benchmark import benchmark
    from recyclenet.operations.classify import classify
    from recyclenet.operations.compare import compare
    from recyclenet.operations.crossval import crossval
    from recyclenet.operations.detect import detect
    from recyclenet.operations.evaluate import evaluate
    from recyclenet.operations.explain import Explainer, explain
    from recyclenet.operations.export import export
    from recyclenet.operations.import_feedback import import_feedback
    from recyclenet.operations.list_runs import list_runs
    from recyclenet.operations.lodo import lodo
    from recyclenet.operations.lr_find import lr_find
    from recyclenet.operations.model_card import model_card
    from recyclenet.operations.promote import promote, rollback
    from recyclenet.operations.stress import stress
    from recyclenet.operations.teach import teach
    from recyclenet.operations.train import resume, train
    from recyclenet.training.run import Run

    __version__: str

# ONNX Runtime reads its variable when it is first imported. Without it, it collects facts about the
# machine, keeps them in the user's cache and sends them. A user's own setting stays.
for _variable in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "1")


__all__ = [
    "Classifier",
    "Detections",
    "Detector",
    "Explainer",
    "Manifest",
    "Prediction",
    "RecycleNetError",
    "Run",
    "__version__",
    "ablate",
    "audit",
    "benchmark",
    "classify",
    "compare",
    "crossval",
    "detect",
    "evaluate",
    "explain",
    "export",
    "import_feedback",
    "list_runs",
    "load_dataset",
    "lodo",
    "lr_find",
    "merge_datasets",
    "model_card",
    "promote",
    "resume",
    "rollback",
    "stress",
    "teach",
    "train",
]

# Public names are imported when they are first used, so that `recyclenet --help` stays quick and
# the light tier needs no PyTorch.
_LIGHT = {
    "Classifier": "inference.classifier",
    "Detections": "core.detection",
    "Detector": "inference.detector",
    "Explainer": "operations.explain",
    "Manifest": "data.manifest",
    "Prediction": "core.prediction",
    "RecycleNetError": "errors",
    "audit": "operations.audit",
    "classify": "operations.classify",
    "compare": "operations.compare",
    "detect": "operations.detect",
    "evaluate": "operations.evaluate",
    "explain": "operations.explain",
    "import_feedback": "operations.import_feedback",
    "list_runs": "operations.list_runs",
    "load_dataset": "data.dataset",
    "merge_datasets": "data.merge",
    "model_card": "operations.model_card",
    "promote": "operations.promote",
    "rollback": "operations.promote",
    "stress": "operations.stress",
    "teach": "operations.teach",
}
_FULL = {
    "Run": "training.run",
    "ablate": "operations.ablate",
    "benchmark": "operations.benchmark",
    "crossval": "operations.crossval",
    "export": "operations.export",
    "lodo": "operations.lodo",
    "lr_find": "operations.lr_find",
    "resume": "operations.train",
    "train": "operations.train",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("recyclenet")
    home = (_LIGHT | _FULL).get(name)
    if home is None:
        raise AttributeError(f"module 'recyclenet' has no attribute {name!r}")
    if name in _FULL:
        from recyclenet.core.extras import has_train, placeholder

        if not has_train():
            return placeholder(f"recyclenet.{name}", "train")
    return getattr(import_module(f"recyclenet.{home}"), name)


def __dir__() -> list[str]:
    return __all__
