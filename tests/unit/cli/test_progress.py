from __future__ import annotations

import logging

import pytest

from recyclenet.cli.progress import counting
from recyclenet.core.progress import Progress, silent, titled


def test_messages_reach_stderr_and_the_bar_only_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with counting("reading photos") as progress:
        progress(1, 2)
        logging.getLogger("recyclenet.somewhere").info("[b]%d photos", 3)
    logging.getLogger("recyclenet.somewhere").info("nobody hears this")
    shown = capsys.readouterr()
    assert shown.err == "[b]3 photos\n"
    assert shown.out == ""


def test_a_terminal_sees_what_is_done_and_how_fast(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for unit, size in (("", "1/2"), ("bytes", "1/2 bytes")):
        with counting("reading photos", unit) as progress:
            progress(1, 2)
            progress(2, 3, "training")
        shown = capsys.readouterr().err
        assert "training" in shown
        assert size.replace("1/2", "2/3") in shown


def test_titles_come_before_notes() -> None:
    notes: list[str] = []
    log: Progress = lambda done, total, note="": notes.append(note)  # noqa: E731
    titled(log, "fold 1 of 2")(0, 1, "training")
    titled(log, "fold 1 of 2")(0, 1)
    silent(1, None)
    assert notes == ["fold 1 of 2: training", "fold 1 of 2"]
