"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from recyclenet.cli.command import Reads
from recyclenet.errors import RecycleNetError


def dataset_files(source: Path) -> Iterator[Path]:
    """Yield the files of a dataset: its manifest and its photos."""
    from recyclenet.data.dataset import load_dataset
    from recyclenet.data.manifest import MANIFEST_NAME

    yield source
    yield source / MANIFEST_NAME
    with suppress(RecycleNetError):  # the command reports the error
        yield from (sample.path for sample in load_dataset(source))


def picture_files(paths: list[str]) -> Iterator[Path]:
    """Yield the files that files, folders and globs stand for."""
    from recyclenet.data.pictures import expand

    with suppress(RecycleNetError):  # the command reports the error
        yield from map(Path, expand(paths, lambda _: None))


def source_files(sources: Iterable[str]) -> Iterator[Path]:
    """Yield the files of data sets given as SOURCE or NAME=SOURCE."""
    from recyclenet.data.merge import parse_source

    for source in sources:
        yield from dataset_files(parse_source(source)[1])


def run_files(run: Path) -> Iterator[Path]:
    """Yield the files of a run that a command may read."""
    yield from (run / "recipe.toml", *(run / "checkpoints").glob("*"))
    yield from dataset_files(run)


def model_files(model: Path) -> Iterator[Path]:
    """Yield the files of a model: the file itself, or those of a run folder."""
    yield model
    if model.is_dir():
        yield model / "model.onnx"
        yield from run_files(model)


def compared_files(items: Iterable[Path]) -> Iterator[Path]:
    """Yield the files of run folders, model files and tables of predictions, photos included."""
    from recyclenet.core.run_folder import RunFolder
    from recyclenet.evaluation.table import read_predictions

    for item in items:
        yield item
        yield from RunFolder(item).files
        if item.suffix.lower() == ".csv":
            with suppress(RecycleNetError):  # the command reports the error
                yield from (sample.path for sample in read_predictions(item).samples)


_DATA = typer.Option("--data", help="Folder of class folders, or a CSV manifest.")
DataOption = Annotated[Path, _DATA, Reads(dataset_files)]
DataOptionOrNone = Annotated[Path | None, _DATA, Reads(dataset_files)]
_SOURCES = typer.Option(
    "--data",
    metavar="[NAME=]DATASET",
    help="Folder of class folders, or a CSV manifest; repeat it to merge several domains.",
)
SourcesOption = Annotated[list[str], _SOURCES, Reads(source_files)]
SourcesOptionOrNone = Annotated[list[str] | None, _SOURCES, Reads(source_files)]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Also replace files that RecycleNet did not write.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="[DOMAIN:]OLD=NEW,...",
        help="Rename or merge labels; the new label _ leaves photos out. May be repeated.",
    ),
]
PhotosArgument = Annotated[
    list[str],
    typer.Argument(help="Photos, folders or globs; -- ends the options."),
    Reads(picture_files),
]
NegativesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--negatives", metavar="PATH", help="Photos of other things, or a folder of them."
    ),
    Reads(picture_files),
]
MaxMegapixelsOption = Annotated[
    float,
    typer.Option("--max-megapixels", min=0.01, max=178, help="Refuse larger photos."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="A model file or a run folder; default: the built-in model."),
    Reads(model_files),
]
MaxRiskOption = Annotated[
    float | None,
    typer.Option(
        "--max-risk",
        min=0.001,
        max=0.99,
        help="Answer only where at most this share of the answers is wrong, such as 0.05.",
    ),
]
RulesOption = Annotated[
    str | None,
    typer.Option("--rules", help="A city's rules: a built-in name or a TOML file."),
    Reads(),
]
RecipeOption = Annotated[
    str, typer.Option("--recipe", help="A built-in recipe or a TOML file."), Reads()
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a recipe field, such as fit.epochs=3; may be repeated."),
]
SplitOption = Annotated[
    str | None,
    typer.Option("--split", help="train, val, test or all; default: test if there is one."),
]
TtaOption = Annotated[
    bool,
    typer.Option("--tta", help="Average over the mirrored photo: slower, slightly more accurate."),
]


def read_settings(texts: list[str] | None) -> dict[str, Any]:
    """Return the settings given with `--set`.

    Raises:
        UsageError: a setting is not of the form section.field=value.
    """
    from recyclenet.training.recipe import parse_setting

    return dict(map(parse_setting, texts or ()))
