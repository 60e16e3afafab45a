"""Entry point of `recyclenet`: every failure becomes a one-line error and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from pathlib import Path

from recyclenet.cli.output import mute, say
from recyclenet.cli.stopping import Stop, stoppable
from recyclenet.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_TERMINATED, RecycleNetError

MAX_LINE = 4000


def main() -> None:
    """Run the command line and exit with its exit code."""
    _open_closed_streams()
    # File names may hold bytes that are not valid text.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they address developers
        os.environ["PYTHONWARNINGS"] = "ignore"  # in the processes of a command, too
    # On import, PyTorch creates a folder for its compiler's cache. No command compiles, so an
    # existing folder avoids a new, empty one.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(__file__).parent))
    with stoppable() as stop:
        try:
            code = _run(stop)
        except KeyboardInterrupt:
            code = _stopped(stop)
        except BrokenPipeError:  # the reader of our output has closed the pipe
            code = EXIT_FAILURE
        except Exception as error:
            # A library may turn the interruption into an error of its own.
            code = _stopped(stop) if stop.told else _report_unexpected(error)
    if code == EXIT_INTERRUPTED and stop.told == signal.SIGTERM:
        code = EXIT_TERMINATED
    if stop.told is not None:
        stop.end(code)  # Python may take seconds to unload PyTorch, and nothing can interrupt that
    if code != 0:
        mute(sys.stdout)  # Python would write the buffered rest at exit, and fail
    sys.exit(code)


def _run(stop: Stop) -> int:
    try:
        from recyclenet.cli.app import run

        code = run()
        sys.stdout.flush()
    except SystemExit as ended:  # raised by Typer for a broken pipe
        return int(ended.code or 0)
    except RecycleNetError as error:
        stop.said = True
        line = " ".join(str(error).split())
        # An error may quote a value that is a megabyte long.
        say(f"error: {line if len(line) <= MAX_LINE else line[:MAX_LINE] + '...'}", err=True)
        return error.exit_code
    return _stopped(stop) if code == EXIT_INTERRUPTED else code


def _stopped(stop: Stop) -> int:
    if not stop.said:
        stop.said = True
        say("stopped", err=True)
    return EXIT_INTERRUPTED


def _report_unexpected(error: Exception) -> int:
    """Report in one line an error that no command handles."""
    if os.environ.get("RECYCLENET_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    reason = " ".join(str(error).split())[:300]
    if _is_out_of_memory(error):
        line = "not enough memory; close other programs or process fewer photos at once"
    elif isinstance(error, RecursionError):
        line = "the input is nested too deeply"
    elif isinstance(error, OSError):
        line = error.strerror or reason
        if error.filename is not None:
            line = f"{error.filename}: {line}"
    else:
        line = (
            f"this is a defect in RecycleNet: {type(error).__name__}: {reason}; run again with "
            f"RECYCLENET_DEBUG=1 and report the traceback"
        )
    say(f"error: {line}", err=True)
    return EXIT_FAILURE


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch has its own error class for GPU memory, but none for CPU memory.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def _open_closed_streams() -> None:
    """Connect streams that the caller closed (`>&-`) to the null device.

    Otherwise the first file that a command opens would get the descriptor of the missing stream,
    and output of libraries would end up in that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor: the stream's
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8", closefd=False))
