"""After `data undo`, a tree is as it was before `data clean --apply`, killed half way or not."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st

from forks import Fork
from property.cases import Case, cases
from property.running import Result, run_apart, run_here
from property.snapshots import changes, snapshot
from property.surviving import SECONDS, built, report, survive
from property.table import commands
from property.worlds import Draw

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
KILLED = 128 + 9
MOVED = (0, 3, KILLED)  # exit codes with which photos may have moved
CLEAN = commands()["data clean"]
NAMES = ("dataset", "take", "quarantine", "apply")
KINDS = "unreadable,small,odd_aspect,dark,light,grey,duplicate,near_duplicate,two_labels,blurry"


@dataclass(frozen=True)
class Cleaning:
    """A case of `data clean --apply`, and after how many changes of files it is killed.

    Attributes:
        case: the case.
        calls: before the kill; None: it is let be.
        calls_of_undo: the same of a first `data undo`.
    """

    case: Case
    calls: int | None
    calls_of_undo: int | None


@st.composite
def cleanings(draw: Draw, templates: dict[str, bytes]) -> Cleaning:
    case = draw(cases(CLEAN, templates, NAMES))
    calls = st.none() | st.integers(0, 60)
    return Cleaning(case, draw(calls), draw(calls))


def test_undo_restores_every_byte(
    templates: dict[str, bytes], record_property: Callable[[str, object], None]
) -> None:
    Fork(["--version"]).wait()  # the first one waits for imports, which must not cost cases
    drawn = cleanings(templates)
    record_property("num_cases", survive(drawn, check, 0.1 * SECONDS))


def check(cleaning: Cleaning) -> None:
    case = cleaning.case
    if case.outputs[0].path in case.world.items:
        return  # an earlier quarantine has photos of its own, which come back too
    with built(case) as root:
        before = snapshot(root)
        words = [KINDS if word == case.given["take"][0] else word for word in case.arguments(root)]
        results = [run_apart(words, root, cleaning.calls)]
        undo = ["data", "undo", "--", case.given["quarantine"][0].replace("{root}", str(root))]
        if results[0].code in MOVED:
            if cleaning.calls_of_undo is not None:
                results.append(run_apart(undo, root, cleaning.calls_of_undo))
            results.append(run_here(undo, root))
        changed = changes(before, snapshot(root))
        if results[0].code in MOVED:
            changed = _but_folders(changed, case.outputs[0].path, results[-1].code)
        faults = list(_faults(results, changed))
    killed = f"killed after {cleaning.calls} and {cleaning.calls_of_undo} changes of files"
    report(case, [*faults, killed] if faults else [], *results)


def _but_folders(changed: dict[str, str], quarantine: str, code: int) -> dict[str, str]:
    """Leave out folders that may stay: those above the quarantine, which somebody may use by now.

    Killed before the first photo moved, the quarantine has no journal and may stay too.
    """
    no_journal = rf"{re.escape(quarantine)}(/\.[^/]*)?" if code == 2 else ""
    return {
        path: what
        for path, what in changed.items()
        if not (quarantine.startswith(f"{path}/") or re.fullmatch(no_journal, path))
    }


def _faults(results: list[Result], changed: dict[str, str]) -> Iterator[str]:
    codes = [result.code for result in results]
    if any(b"Traceback" in result.err for result in results):
        yield "a traceback on stderr"
    if changed:
        yield f"not as it was: {changed}"
    # Without a quarantine there is nothing to undo, which is a usage error.
    if codes[0] in MOVED and codes[-1] not in (0, 2):
        yield f"`data undo` failed: exit codes {codes}"
