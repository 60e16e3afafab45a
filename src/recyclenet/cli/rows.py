"""Printing rows for other programs."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_row(row: dict[str, Any]) -> None:
    """Print one JSON object on one line of stdout, at once.

    Characters are printed as they are, or as JSON escapes where stdout's encoding lacks them.
    """
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        text = json.dumps(row)
    print(text, flush=True)
