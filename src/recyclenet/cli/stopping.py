"""Ctrl-C and SIGTERM end a command within a second, whatever it is doing.

Python can raise nothing while native code runs, nor leave while a thread does: a picture may be
decoded for seconds. So a thread watches for signals, leaves a command a moment to end by itself,
and then ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from recyclenet.core.files import discard_unfinished

# Seconds that a command has to end by itself.
GRACE = 0.8
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class Stop:
    """Whether the command was told to stop.

    Attributes:
        told: the signal; None if there was none.
        said: whether the user has been told.
    """

    def __init__(self) -> None:
        self.told: int | None = None
        self.said = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the command, once: it is not to be interrupted while it cleans up."""
        if self.told is None:
            self.told = number
            raise KeyboardInterrupt

    def watch(self, signals: int) -> None:
        """End the process soon after a signal.

        Args:
            signals: a file descriptor that gives the number of each signal as one byte.
        """
        while content := os.read(signals, 1):
            number = content[0]
            # Training has a handler of its own, and saves first.
            if signal.getsignal(number) in (self.note, signal.default_int_handler):
                select.select([signals], [], [], GRACE)  # a second signal ends it at once
                self._end(number)
        os.close(signals)

    def _end(self, number: int) -> None:
        if (processes := sys.modules.get("multiprocessing")) is not None:
            for process in processes.active_children():
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
        discard_unfinished()
        with suppress(OSError):
            if os.isatty(2):
                os.write(2, _SHOW_CURSOR)  # a progress bar has hidden it
            if not self.said:
                os.write(2, b"stopped\n")
        os._exit(128 + number)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Make a command end soon after Ctrl-C or SIGTERM, which raise KeyboardInterrupt in the block.

    A signal that the caller ignores stays ignored. Once told to stop, the process is watched until
    it has ended.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python's rule for handlers
        yield stop
        return
    signals, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    earlier_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number, handler in earlier.items():
        if handler in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop.note)
    threading.Thread(target=stop.watch, args=(signals,), name="stop", daemon=True).start()
    try:
        yield stop
    finally:
        if stop.told is None:
            signal.set_wakeup_fd(earlier_writer)
            for number, handler in earlier.items():
                signal.signal(number, handler)
            os.close(writer)


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_mask = threading.local()  # of a thread that is forking


def _before_fork() -> None:
    _mask.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask.earlier)


def _after_fork_in_child() -> None:
    """Make a signal to the new process end that process, and not the command that forked it."""
    signal.set_wakeup_fd(-1)  # it leads to the command
    for number in _SIGNALS:
        if isinstance(getattr(signal.getsignal(number), "__self__", None), Stop):
            signal.signal(number, signal.SIG_DFL)
    _after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
