"""Ctrl-C and SIGTERM end a command within a second, whatever it is doing.

Python cannot raise an exception while native code runs, nor exit while a thread runs it, and
decoding a picture may take seconds. So a thread watches for signals, gives the command a moment to
end, and then ends the process.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from recyclenet.core.files import discard_unfinished

# Seconds that a command has to end after a signal.
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
                self.end(128 + number)
        os.close(signals)

    def end(self, code: int) -> NoReturn:
        """Kill the processes that this one started, tell the user unless told, and end at once."""
        if (processes := sys.modules.get("multiprocessing")) is not None:
            for process in processes.active_children():
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
        with suppress(OSError):
            if os.isatty(2):
                _write(_SHOW_CURSOR)  # a progress bar has hidden it
            if not self.said:
                self.said = True
                _write(b"stopped\n")
        discard_unfinished()  # last, because other threads may still begin files
        os._exit(code)


def _write(text: bytes) -> None:
    if select.select([], [2], [], 0)[1]:  # a pipe that nobody reads may be full
        os.write(2, text)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Make a command end soon after Ctrl-C or SIGTERM, which raise KeyboardInterrupt in the block.

    A signal that the caller ignores stays ignored. Once told to stop, the process is watched until
    it has ended. After the block, Ctrl-C ends the process at once. On Windows, nothing changes.
    """
    stop = Stop()
    # Python allows handlers only in the main thread.
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if (handler := signal.getsignal(number)) in (signal.SIG_DFL, signal.default_int_handler)
    }

    def restore() -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in earlier.items():
            if signal.getsignal(number) == stop.note:
                signal.signal(number, handler)

    signals, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _handle_forks(restore)
    for number in earlier:
        signal.signal(number, stop.note)
    threading.Thread(target=stop.watch, args=(signals,), name="stop", daemon=True).start()
    try:
        yield stop
    finally:
        if stop.told is None:
            restore()
            os.close(writer)
            if signal.SIGINT in earlier:  # Python would print a traceback while it exits
                signal.signal(signal.SIGINT, signal.SIG_DFL)


def _handle_forks(restore: Callable[[], None]) -> None:
    """Keep a signal to a forked process, which shares the pipe, from ending this process.

    Signals are blocked while a process forks, until it has its own handlers back.

    Args:
        restore: gives a process its handlers back.
    """
    mask = threading.local()  # of a thread that is forking

    def block() -> None:
        mask.earlier = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask.earlier)

    def begin() -> None:
        restore()
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=begin)
