"""The statistics of a model file that decisions rest on, from the validation photos."""

from __future__ import annotations

from typing import Any

from recyclenet.core.decision import softmax, trust
from recyclenet.core.risk import risk_table
from recyclenet.evaluation.shares import Confusions
from recyclenet.evaluation.table import PredictionTable


def decision_statistics(table: PredictionTable, temperature: float) -> dict[str, Any]:
    """Return the risk table and the confusions for `ModelInfo.statistics`.

    Args:
        table: the predictions for the validation photos.
        temperature: divisor of the logits before the softmax.
    """
    probabilities, targets = softmax(table.logits, temperature), table.targets
    right = probabilities.argmax(axis=1) == targets
    domains = [sample.domain for sample in table.samples]
    return {
        "risk": risk_table(trust(probabilities, table.unknown), right, domains).to_statistics(),
        "confusion": Confusions.count(probabilities, targets).to_statistics(),
    }
