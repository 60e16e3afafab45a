"""Fill the generated parts of the docs: `python scripts/update_docs.py` (a test checks them)."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel

from recyclenet.training.recipe import Recipe, to_toml

ROOT = Path(__file__).resolve().parents[1]


def recipe_table() -> str:
    """Return a Markdown table of every recipe field."""
    rows = ["| field | default | meaning |", "|---|---|---|"]
    recipe = Recipe()
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if isinstance(value, BaseModel):
            for key, part in type(value).model_fields.items():
                shown = to_toml(getattr(value, key)).as_string()
                rows.append(f"| `{name}.{key}` | `{shown}` | {part.description} |")
        else:
            rows.append(f"| `{name}` | `{to_toml(value).as_string()}` | {field.description} |")
    return "\n".join(rows)


def filled(text: str) -> str:
    """Return the text of `docs/train.md` with its table as the code has it."""
    begin, end = "<!-- recipe fields: begin -->", "<!-- recipe fields: end -->"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    return re.sub(pattern, lambda _: f"{begin}\n{recipe_table()}\n{end}", text, flags=re.DOTALL)


if __name__ == "__main__":
    page = ROOT / "docs" / "train.md"
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
