"""Checking cases for a given time, so that a run by hand may take an hour."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from property.cases import Case
from property.invariants import broken
from property.running import Result, run_here
from property.snapshots import snapshot

# Of all tests of this folder together; each takes its share.
SECONDS = float(os.environ.get("RECYCLENET_PROPERTY_SECONDS", "30"))
ROUND = 10  # cases of one seed


T = TypeVar("T")


class BrokenError(Exception):
    """Something does not hold."""


def survive(
    strategy: SearchStrategy[T], check: Callable[[T], None], seconds: float, *, shrink: bool = True
) -> int:
    """Check cases until the time is over; return how many there were.

    Args:
        strategy: draws cases.
        check: raises `BrokenError` where something does not hold.
        seconds: to go on for.
        shrink: make a case that fails simpler, however long that takes.
    """
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    end = time.monotonic() + seconds
    number, num_cases = _first_seed(), 0
    while not num_cases or time.monotonic() < end:
        failed = False

        @seed(number)
        @settings(
            max_examples=ROUND,
            database=None,
            derandomize=False,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def one_round(case: T) -> None:
            nonlocal failed, num_cases
            if not failed and num_cases and time.monotonic() > end:
                return
            try:
                check(case)
            except BrokenError:
                failed = True
                raise
            num_cases += 1

        fault = ""
        try:
            one_round()
        except BrokenError as error:
            fault = str(error)
        if fault:
            again = f"RECYCLENET_PROPERTY_SEED={number} and the name of this test draw it again"
            pytest.fail(f"{fault}\n{again}", pytrace=False)
        number += 1
    return num_cases


def _first_seed() -> int:
    """Return the given seed; else the same one each time in CI, and elsewhere a new one."""
    if "RECYCLENET_PROPERTY_SEED" in os.environ:
        return int(os.environ["RECYCLENET_PROPERTY_SEED"])
    return 0 if "CI" in os.environ else random.randrange(10**9)


@contextmanager
def built(case: Case) -> Iterator[Path]:
    """Make a case's tree in a folder of its own, for as long as the block runs."""
    root = Path(tempfile.mkdtemp(prefix="recyclenet-"))
    try:
        for folder in ("here", "home", "tmp"):
            (root / folder).mkdir()
        case.world.build(root)
        yield root
    finally:
        shutil.rmtree(root)


def faults_of(
    case: Case, run: Callable[[Sequence[str], Path], Result] = run_here
) -> tuple[list[str], Result]:
    """Run a case's command and return what does not hold, and how the command ended."""
    with built(case) as root:
        before = snapshot(root)
        result = run(case.arguments(root), root)
        return list(broken(case, root, before, snapshot(root), result)), result


def report(case: Case, faults: Sequence[str], *results: Result) -> None:
    """Fail with all there is to know, if there are faults."""
    if not faults:
        return
    lines = [f"  - {fault}" for fault in faults]
    for result in results:
        out, err = (text.decode(errors="replace")[-3000:] for text in (result.out, result.err))
        lines.append(f"exit code {result.code}; stdout:\n{out}\nstderr:\n{err}")
    raise BrokenError("\n".join([*lines, f"case:{case!r}"]))
