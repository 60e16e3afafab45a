"""One process at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from recyclenet.errors import RecycleNetError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def lock_file(path: Path, work: str) -> IO[bytes]:
    """Open and lock a file, made if missing; the system unlocks it when the process ends.

    Args:
        path: the file; it is opened for appending.
        work: what the other process may be doing, for the message.

    Raises:
        RecycleNetError: another process has it.
        OSError: it cannot be made.
    """
    while True:
        file = path.open("ab")
        try:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have removed it between the two steps.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except (BlockingIOError, PermissionError):
            file.close()
            raise RecycleNetError(
                f"another {work} is running in {path.parent}; try again when it has finished"
            ) from None
        except OSError:
            file.close()
            raise
        file.close()
