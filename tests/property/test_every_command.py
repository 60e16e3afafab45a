"""Every command, on random trees, with random options: no traceback, nothing written but outputs.

CONTRIBUTING.md says how to run it for longer.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import strategies as st

from property.cases import Case, cases
from property.running import run_here, run_program
from property.surviving import SECONDS, faults_of, report, survive
from property.table import commands
from property.values import VALUES, is_described

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
# A server does not end by itself; tests/integration/test_serve.py has its hostile cases.
COMMANDS = {words: command for words, command in commands().items() if words != "serve"}
DATA = ("scan", "inspect", "clean", "undo", "merge", "split", "balance", "augment")
TRAINS = ("train", "lr-find", "crossval", "lodo", "ablate", "export")
# Commands that write and take no long time.
WRITES = (
    "classify",
    "demo",
    "audit",
    "evaluate",
    "compare",
    "stress",
    "explain",
    "teach",
    *(f"data {name}" for name in DATA),
    "data import-feedback",
    "models promote",
    "models rollback",
)
# Commands that ask a server: real processes of theirs would not be kept on this machine.
FETCHES = ("data download", "data collect")
Record = Callable[[str, object], None]


def test_every_parameter_is_described() -> None:
    parameters = [p for command in COMMANDS.values() for p in command.parameters]
    unknown = [f"{p.command}.{p.name}" for p in parameters if not is_described(p)]
    assert not unknown, f"describe {unknown} in tests/property/values.py"
    names = {p.name for p in parameters} | {f"{p.command}.{p.name}" for p in parameters}
    assert not VALUES.keys() - names, "described, but there are no such parameters"


@pytest.mark.parametrize("words", COMMANDS)
def test_random_cases(words: str, request: pytest.FixtureRequest, record_property: Record) -> None:
    templates = request.getfixturevalue("trained" if words in TRAINS else "templates")

    def check(case: Case) -> None:
        faults, result = faults_of(case)
        report(case, faults, result)

    drawn = cases(COMMANDS[words], templates)
    record_property("num_cases", survive(drawn, check, 0.7 * SECONDS / len(COMMANDS)))


def test_random_cases_in_processes_of_their_own(
    templates: dict[str, bytes], record_property: Record
) -> None:
    def check(case: Case) -> None:
        faults, result = faults_of(case, run_program)
        report(case, faults, result)

    chosen = [COMMANDS[words] for words in COMMANDS if words not in (*TRAINS, *FETCHES)]
    drawn = st.sampled_from(chosen).flatmap(lambda command: cases(command, templates))
    record_property("num_cases", survive(drawn, check, 0.1 * SECONDS, shrink=False))


def test_random_cases_on_a_full_disk(templates: dict[str, bytes], record_property: Record) -> None:
    def check(drawn: tuple[Case, int]) -> None:
        case, room = drawn
        faults, result = faults_of(case, partial(run_here, room=room))
        report(case, faults and [*faults, f"room for {room} files"], result)

    chosen = st.sampled_from([COMMANDS[words] for words in WRITES])
    drawn = st.tuples(chosen.flatmap(lambda c: cases(c, templates)), st.integers(0, 12))
    record_property("num_cases", survive(drawn, check, 0.1 * SECONDS))
