"""Where signals cannot be handled, everything stays as it is."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from recyclenet.cli.stopping import stoppable


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_handlers_are_ours_only_for_a_command() -> None:
    before = handlers()
    with stoppable() as stop:
        assert handlers() == [stop.note, stop.note]
        with pytest.raises(KeyboardInterrupt):
            stop.note(signal.SIGTERM, None)
        stop.note(signal.SIGTERM, None)  # the command is cleaning up
        assert stop.told == signal.SIGTERM
        stop.told = None
    assert handlers() == [signal.SIG_DFL, before[1]]
    assert signal.set_wakeup_fd(-1) == -1


def test_on_windows_nothing_changes(monkeypatch) -> None:
    before = handlers()
    monkeypatch.setattr(sys, "platform", "win32")
    with stoppable():
        assert handlers() == before
    assert handlers() == before


def test_in_another_thread_nothing_changes() -> None:
    before, found = handlers(), []

    def run() -> None:
        with stoppable():
            found.append(handlers())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [before]
