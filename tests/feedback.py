"""Feedback as `recyclenet serve` stores it."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image


def give(folder: Path, label: str, picture: Image.Image | None, **facts: object) -> str:
    """Add a record, and a photo if there is a picture; return its id."""
    folder.mkdir(exist_ok=True)
    number = sum(1 for _ in folder.glob("*.json"))
    name = f"{number:032x}"
    row = {
        "id": name,
        "time": 1_700_000_000.0 + number,
        "photo": picture is not None,
        "label": label,
        "predicted": "paper",
        "answer": "",
        **facts,
    }
    if picture is not None:
        picture.save(folder / f"{name}.jpg", quality=95)
    (folder / f"{name}.json").write_text(json.dumps(row))
    return name
