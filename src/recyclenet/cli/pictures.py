"""From the arguments of a command to pictures."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from recyclenet.data.scan import find_pictures
from recyclenet.errors import UsageError


def expand(arguments: Sequence[str]) -> Iterator[str]:
    """Yield picture paths: files as they are, folders searched, globs (`**` too) expanded.

    A path that does not exist is yielded as it is; reading it will say so.

    Raises:
        UsageError: a folder holds no pictures, or a glob matches nothing.
    """
    for argument in arguments:
        if Path(argument).is_dir():
            found = False
            for path in find_pictures(Path(argument)):
                found = True
                yield os.fspath(path)
            if not found:
                raise UsageError(f"the folder {argument} holds no pictures")
        elif glob.has_magic(argument) and not os.path.lexists(argument):
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - `**` of any root
            if not matches:
                raise UsageError(f"nothing matches {argument}")
            yield from expand(matches)
        else:
            yield argument
