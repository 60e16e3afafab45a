"""The risk table of a model file, and the confidence threshold for a risk that the user accepts.

The risk is the share of wrong answers among the answered photos. An exact binomial test on the
validation photos tests each threshold, from the highest down. At several points the tests get an
equal share of `DELTA`. A test that passes hands what it has on to the next one; a test that fails
loses it. So all tests together err with a probability of at most `DELTA`. This is the fallback
procedure (Wiens and Dmitrienko 2005, https://doi.org/10.1081/BIP-200067760) within Learn then Test
(Angelopoulos et al. 2021, https://arxiv.org/abs/2110.01052).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, exp, floor, lgamma, log, log1p
from typing import Any

import numpy as np
import numpy.typing as npt

from recyclenet.errors import ModelFileError, UsageError

# Probability that the risk is larger than promised.
DELTA = 0.1
# Each threshold is the lowest confidence of the top 1%, 2%, ... 100% of the validation photos.
NUM_LEVELS = 100


@dataclass(frozen=True)
class RiskChoice:
    """The threshold chosen for a risk.

    Attributes:
        max_risk: the largest share of wrong answers accepted, 0 to 1.
        threshold: the lowest confidence that counts as known.
        num_photos: number of validation photos.
        coverage: share of the validation photos answered.
        found: share of wrong answers among these.
        worst: name, coverage and found risk of the domain with the largest one; None unless the
            validation photos are from several domains.
    """

    max_risk: float
    threshold: float
    num_photos: int
    coverage: float
    found: float
    worst: tuple[str, float, float] | None = None

    def __str__(self) -> str:
        text = (
            f"at most {self.max_risk:.1%} wrong ({1 - DELTA:.0%} sure): answers "
            f"{self.coverage:.1%} of photos like the model's {self.num_photos} validation photos"
        )
        if self.worst is not None:
            name, coverage, found = self.worst
            text += f"; worst domain {name}: answers {coverage:.1%}, {found:.1%} of them wrong"
        return text

    def to_row(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        row: dict[str, Any] = {
            "max_risk": self.max_risk,
            "sureness": 1 - DELTA,
            "threshold": self.threshold,
            "validation_coverage": round(self.coverage, 6),
            "validation_risk": round(self.found, 6),
        }
        if self.worst is not None:
            name, coverage, found = self.worst
            row["worst_domain"] = {
                "name": name, "coverage": round(coverage, 6), "risk": round(found, 6)
            }  # fmt: skip
        return row


@dataclass(frozen=True)
class Counts:
    """Number of answered and of wrong photos at each threshold."""

    answered: tuple[int, ...]
    wrong: tuple[int, ...]

    def share(self, index: int) -> tuple[float, float]:
        """Return the coverage and the risk at a threshold."""
        answered = self.answered[index]
        return answered / max(1, self.answered[-1]), self.wrong[index] / max(1, answered)


@dataclass(frozen=True)
class RiskTable:
    """Right and wrong answers on the validation photos, by threshold.

    Attributes:
        thresholds: confidences, highest first; all validation photos reach the last one.
        total: of all validation photos.
        domains: by domain, where there are several.
    """

    thresholds: tuple[float, ...]
    total: Counts
    domains: Mapping[str, Counts] = field(default_factory=dict)

    def choose(self, max_risk: float) -> RiskChoice:
        """Return the lowest threshold that keeps the risk.

        Args:
            max_risk: the largest share of wrong answers accepted, 0.001 to 0.99.

        Raises:
            UsageError: no threshold does, or `max_risk` is out of range.
        """
        if not 0.001 <= max_risk <= 0.99:
            raise UsageError(f"max_risk must be from 0.001 to 0.99, not {max_risk}")
        index = self._lowest(max_risk)
        if index is None:
            raise UsageError(
                f"no confidence threshold keeps the share of wrong answers at {max_risk:.2%} "
                f"({1 - DELTA:.0%} sure) on the model's {self.total.answered[-1]} validation "
                f"photos; {self._hint()}"
            )
        coverage, found = self.total.share(index)
        worst = max(
            ((name, *counts.share(index)) for name, counts in self.domains.items()),
            key=lambda row: row[2],
            default=None,
        )
        return RiskChoice(
            max_risk, self.thresholds[index], self.total.answered[-1], coverage, found, worst
        )

    def _lowest(self, max_risk: float) -> int | None:
        answered, wrong = self.total.answered, self.total.wrong
        starts = _starts(max_risk, answered[-1])
        lowest, level, num_started = None, 0.0, 0
        for index, count in enumerate(answered):
            while num_started < len(starts) and count >= starts[num_started]:
                level += DELTA / len(starts)
                num_started += 1
            if level and binomial_cdf(wrong[index], count, max_risk) <= level:
                lowest = index
            else:
                level = 0.0
        return lowest

    def _hint(self) -> str:
        """Return advice that names the smallest risk that some threshold keeps."""
        percents = (percent / 100 for percent in range(1, 100))
        kept = next((risk for risk in percents if self._lowest(risk) is not None), None)
        if kept is None:
            return "validate it on more photos"
        return f"the smallest whole percentage that it can keep is --max-risk {kept:.2f}"

    def to_statistics(self) -> dict[str, Any]:
        """Return plain values for a model file."""
        return {
            "confidence": list(self.thresholds),
            "all": _plain(self.total),
            "domains": {name: _plain(counts) for name, counts in self.domains.items()},
        }

    @classmethod
    def from_statistics(cls, statistics: Mapping[str, Any]) -> RiskTable:
        """Read the table in a model file.

        Raises:
            UsageError: the file has none.
            ModelFileError: the table is invalid.
        """
        values = statistics.get("risk")
        if values is None:
            raise UsageError(
                "the model file has no risk table, which --max-risk needs; export the model again"
            )
        try:
            thresholds = tuple(float(value) for value in values["confidence"])
            size = len(thresholds)
            if not size or not all(0 <= value <= 1 for value in thresholds):
                raise ValueError("confidence")
            domains = {
                str(name): _counts(counts, size) for name, counts in values["domains"].items()
            }
            return cls(thresholds, _counts(values["all"], size), domains)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ModelFileError(
                f"the model file has an invalid risk table ({error!s:.80}); export the model again"
            ) from error


def risk_table(
    confidence: npt.NDArray[np.float64],
    right: npt.NDArray[np.bool_],
    domains: Sequence[str] = (),
) -> RiskTable:
    """Return the risk table of N validation photos.

    Args:
        confidence: `(N,)`, N at least 1.
        right: whether each answer is right, `(N,)`.
        domains: the domain of each photo; empty if unknown.
    """
    falling = np.sort(confidence)[::-1]
    ranks = [ceil(len(falling) * level / NUM_LEVELS) for level in range(1, NUM_LEVELS + 1)]
    # Rounded down, so that the photo itself reaches it.
    thresholds = tuple(floor(falling[rank - 1] * 1e6) / 1e6 for rank in ranks)

    def count(rows: npt.NDArray[np.bool_]) -> Counts:
        answered = [(rows & (confidence >= threshold)) for threshold in thresholds]
        return Counts(
            tuple(int(kept.sum()) for kept in answered),
            tuple(int((kept & ~right).sum()) for kept in answered),
        )

    names = sorted(set(domains)) if len(set(domains)) > 1 else []
    rows = np.array(list(domains))
    return RiskTable(
        thresholds,
        count(np.ones(len(confidence), bool)),
        {name: count(rows == name) for name in names},
    )


def _starts(max_risk: float, num_photos: int) -> list[int]:
    """Return the numbers of answered photos at which the tests get their shares of `DELTA`.

    At the first one, a test passes if all answers are right. Each is twice the one before.
    """

    def enough(num_starts: int) -> int:
        return ceil(log(DELTA / num_starts) / log1p(-max_risk))

    num_starts = 0
    while enough(num_starts + 1) << num_starts <= num_photos:
        num_starts += 1
    return [enough(num_starts) << doublings for doublings in range(num_starts)]


def binomial_cdf(successes: int, trials: int, share: float) -> float:
    """Return the probability of at most `successes` in `trials`; 1 if that is the mean or more.

    >>> round(binomial_cdf(2, 100, 0.05), 4)
    0.1183
    """
    if successes >= trials * share:
        return 1.0
    term = exp(
        lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
        + successes * log(share) + (trials - successes) * log1p(-share)
    )  # fmt: skip
    total = 0.0
    for k in range(successes, -1, -1):  # the terms fall quickly below the mean
        if term <= total * 1e-12:
            break
        total += term
        term *= k * (1 - share) / ((trials - k + 1) * share)
    return min(1.0, total)


def _plain(counts: Counts) -> dict[str, list[int]]:
    return {"answered": list(counts.answered), "wrong": list(counts.wrong)}


def _counts(values: Mapping[str, Iterable[Any]], size: int) -> Counts:
    answered, wrong = tuple(values["answered"]), tuple(values["wrong"])
    pairs = list(zip(answered, wrong, strict=True))
    if (
        len(pairs) != size
        or list(answered) != sorted(answered)
        or not all(type(a) is int and type(w) is int and 0 <= w <= a <= 10**9 for a, w in pairs)
    ):
        raise ValueError("counts")
    return Counts(answered, wrong)
