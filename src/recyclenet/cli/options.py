"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_DATA = typer.Option("--data", help="Folder of class folders, or a CSV manifest.")
DataOption = Annotated[Path, _DATA]
DataOptionOrNone = Annotated[Path | None, _DATA]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
ModelOption = Annotated[
    Path | None, typer.Option("--model", help="A RecycleNet .onnx file; default: the built-in one.")
]
RecipeOption = Annotated[str, typer.Option("--recipe", help="Name of a recipe, or a TOML file.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a recipe field, such as fit.epochs=3; repeatable."),
]
TtaOption = Annotated[
    bool, typer.Option("--tta", help="Average over the mirrored picture: slower, a bit better.")
]


def read_settings(texts: list[str] | None) -> dict[str, Any]:
    """Return the settings given with `--set`.

    Raises:
        UsageError: one does not read section.field=value.
    """
    from recyclenet.training.recipe import parse_setting

    return dict(map(parse_setting, texts or ()))
