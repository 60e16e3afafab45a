"""The command `recyclenet`: however it ends, it ends with one line and the right exit code."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from recyclenet.cli.output import mute, say
from recyclenet.errors import EXIT_FAILURE, EXIT_INTERRUPTED, RecycleNetError

MAX_LINE = 4000


def main() -> None:
    """Run the command line and leave with the right exit code."""
    _open_closed_streams()
    # File names are bytes; whatever they hold, they can be printed.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' hints to developers
    # PyTorch makes a folder for its compiler's files when it is imported. No command compiles, so a
    # folder that is there already stays as it is.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(__file__).parent))
    try:
        code = _run()
    except BrokenPipeError:  # whoever read our output has gone
        code = EXIT_FAILURE
    except Exception as error:
        code = _give_up(error)
    if code != 0:
        mute(sys.stdout)  # what it still holds back cannot be written, and would be tried at exit
    sys.exit(code)


def _run() -> int:
    try:
        from recyclenet.cli.app import run

        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except SystemExit as ended:  # how Typer tells of a broken pipe
        return int(ended.code or 0)
    except RecycleNetError as error:
        line = " ".join(str(error).split())
        # An error may quote a value that is a megabyte long.
        say(f"error: {line if len(line) <= MAX_LINE else line[:MAX_LINE] + '...'}", err=True)
        return error.exit_code
    if code == EXIT_INTERRUPTED:
        say("stopped", err=True)
    return code


def _give_up(error: Exception) -> int:
    """Say in one line what no command foresaw."""
    if os.environ.get("RECYCLENET_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    reason = " ".join(str(error).split())[:300]
    if _is_out_of_memory(error):
        line = "not enough memory; end other programs, or ask for less at a time"
    elif isinstance(error, RecursionError):
        line = "the input is nested too deeply"
    elif isinstance(error, OSError):
        line = error.strerror or reason
        if error.filename is not None:
            line = f"{error.filename}: {line}"
    else:
        line = (
            f"this is a defect in RecycleNet: {type(error).__name__}: {reason}; run again with "
            f"RECYCLENET_DEBUG=1 and report it"
        )
    say(f"error: {line}", err=True)
    return EXIT_FAILURE


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch has an error of its own for GPUs, and none for the CPU.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def _open_closed_streams() -> None:
    """Open what the caller closed (`>&-`) on the null device.

    Else the first file that a command opens would get the number of the missing stream, and what
    a library prints would go into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: the stream's
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8", closefd=False))
