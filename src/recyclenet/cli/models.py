"""`recyclenet models ...`: the available networks, and the models that a service uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recyclenet.cli.command import Adds, Command, Reads
from recyclenet.cli.options import (
    DataOptionOrNone,
    JsonOption,
    MapOption,
    SplitOption,
    model_files,
)
from recyclenet.cli.output import finish, say, say_written

if TYPE_CHECKING:
    from recyclenet.evaluation.class_changes import ClassChange

app = typer.Typer(name="models", help="List networks; promote models.", no_args_is_help=True)

NUM_TAGS = 4
NAME_HELP = "A model name: BACKBONE[+EDIT...][@ATTENTION[:OPTION=VALUE,...]]."


@app.command("list", cls=Command)
def list_models(
    pattern: Annotated[
        str | None,
        typer.Argument(
            help="Only names that match this pattern, including timm's, such as 'resnet*'."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List networks, attention modules, edits, and timm's backbones."""
    from recyclenet.core.extras import require_train
    from recyclenet.errors import UsageError

    require_train("listing networks")
    rows = _rows(pattern)
    if not rows:
        raise UsageError(f"no network, attention module or edit matches {pattern!r}")
    if as_json:
        from recyclenet.cli.rows import print_row

        for row in rows:
            print_row(row)
        return
    titles = {
        "model": "networks of the source documents",
        "attention": "attention modules: BACKBONE@NAME",
        "edit": "edits: BACKBONE+NAME",
        "backbone": "timm's backbones",
    }
    width = max(len(row["name"]) for row in rows)
    for kind, title in titles.items():
        chosen = [row for row in rows if row["kind"] == kind]
        if chosen:
            say(title)
            for row in chosen:
                say(f"  {row['name']:{width}}  {row['summary']}".rstrip())
    if pattern is None:
        import timm

        say(f"and {len(timm.list_models())} backbones of timm: recyclenet models list 'resnet*'")


def _rows(pattern: str | None) -> list[dict[str, Any]]:
    from fnmatch import fnmatchcase

    from recyclenet.models.attention import attention_names, find_attention
    from recyclenet.models.edits import EDITS
    from recyclenet.models.seeds import SEED_MODELS

    rows: list[dict[str, Any]] = [
        {"kind": "model", "name": name, "summary": summary} for name, summary in SEED_MODELS.items()
    ]
    for name in attention_names():
        attention = find_attention(name)
        rows.append(
            {
                "kind": "attention",
                "name": name,
                "summary": attention.summary,
                "placement": attention.placement,
                "options": attention.options,
            }
        )
    rows += [
        {"kind": "edit", "name": name, "summary": edit.summary, "needs": edit.needs}
        for name, edit in EDITS.items()
    ]
    if pattern is None:
        return rows
    import timm

    from recyclenet.models import pyramidnet  # noqa: F401 - registers its networks with timm

    rows += [{"kind": "backbone", "name": name, "summary": ""} for name in timm.list_models()]
    return [row for row in rows if fnmatchcase(row["name"], pattern)]


@app.command(cls=Command)
def show(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    num_classes: Annotated[
        int, typer.Option("--num-classes", min=2, max=100_000, help="Number of classes.")
    ] = 6,
    image_size: Annotated[
        int, typer.Option("--image-size", min=32, max=1024, help="Side of the input, pixels.")
    ] = 224,
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            help="Weights to check against the network: 'imagenet' or a safetensors file.",
        ),
        Reads(),
    ] = "none",
    as_json: JsonOption = False,
) -> None:
    """Show the layers, parameters and multiply-adds of a network, and its weights."""
    from recyclenet.cli.rows import print_row
    from recyclenet.core.extras import require_train

    require_train("building networks")
    from dataclasses import asdict

    from recyclenet.models.config import ModelConfig
    from recyclenet.models.cost import count_layers, multiply_adds, num_parameters
    from recyclenet.models.network import create_model
    from recyclenet.models.weights import weights_sources

    config = ModelConfig.from_name(name, weights=weights, image_size=image_size)
    model = create_model(config, num_classes)
    facts: dict[str, Any] = {
        "name": config.name,
        "backbone": config.backbone,
        "edits": list(config.edits),
        "attention": None if config.attention is None else config.attention.model_dump(),
        "num_classes": num_classes,
        "image_size": image_size,
        "parameters": num_parameters(model),
        "multiply_adds": multiply_adds(model, image_size),
        "weights": weights_sources(config.backbone),
        "report": None if weights == "none" else asdict(model.report),
        "layers": [asdict(layer) for layer in count_layers(model, image_size)],
    }
    if as_json:
        print_row(facts)
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from recyclenet.cli.rows import print_columns

    print_columns(
        ("layer", "kind", "output", "parameters", "M mult-adds"),
        [
            (
                layer["name"],
                layer["kind"],
                "x".join(map(str, layer["output"])),
                f"{layer['parameters']:,}",
                f"{layer['multiply_adds'] / 1e6:,.1f}",
            )
            for layer in facts["layers"]
        ],
        num_words=3,
    )
    size = facts["image_size"]
    say(
        f"{facts['name']}: {facts['parameters'] / 1e6:.2f} M parameters, "
        f"{facts['multiply_adds'] / 1e6:,.0f} M multiply-adds for {size}x{size} pixels, "
        f"{facts['num_classes']} classes"
    )
    sources = facts["weights"]
    shown = ", ".join(sources[:NUM_TAGS]) + (", ..." if len(sources) > NUM_TAGS else "")
    if report := facts["report"]:
        say(f"weights: {len(report['kept'])} tensors loaded from {report['source']}")
        for kind in ("fresh", "dropped"):
            say(f"  {kind}: {len(report[kind])}")
            for name in report[kind]:
                say(f"    {name}")
    say(f"ImageNet weights: {shown or 'none published; use a weights file or train from scratch'}")


NameOption = Annotated[
    str | None,
    typer.Option("--name", help="The model, if the folder has several: a file name without .onnx."),
]


@app.command(cls=Command)
def promote(
    new: Annotated[
        Path,
        typer.Argument(help="A run folder, a model file, or 'built-in'.", metavar="NEW"),
        Reads(model_files),
    ],
    to: Annotated[
        Path, typer.Option("--to", help="The folder of `recyclenet serve --models`."), Adds()
    ],
    data: DataOptionOrNone = None,
    name: NameOption = None,
    split: SplitOption = None,
    maps: MapOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Promote even if a class gets worse."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the model in use if no class gets worse on the same held-out photos.

    The earlier model stays in the folder; `models rollback` puts it back. Exit code 1: not
    replaced.
    """
    from recyclenet.cli.output import LeftOutInputs
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.data.dataset import load_dataset
    from recyclenet.data.label_map import parse_maps
    from recyclenet.errors import RecycleNetError, UsageError
    from recyclenet.operations.promote import promote as operation

    if data is None and (maps or split):
        raise UsageError("--map and --split select photos of a dataset; give --data")
    left_out = LeftOutInputs()
    with counting("comparing") as progress:
        result = operation(
            new,
            to,
            None if data is None else load_dataset(data, left_out),
            name=name,
            split=split,
            maps=parse_maps(maps or ()),
            force=force,
            progress=progress,
        )
    for problem in result.problems:
        say(f"error: {problem}", err=True)
    if num := result.num_trained:
        say(f"left out: {num} photos that {new} was trained on, or copies of such", err=True)
    if as_json:
        print_row(result.to_row())
    elif result.changes:
        _print_changes(result.changes)
    if result.note:
        say(f"note: {result.note}", err=True)
    losses = ", ".join(result.losses)
    if result.change is None:
        raise RecycleNetError(f"not promoted: {losses} got worse; {result.path} is unchanged")
    if losses:
        say(f"warning: promoted with --force although {losses} got worse", err=True)
    _say_replaced(result.path)
    num = len(result.problems)
    finish(num, num + (result.changes[-1].num_photos if result.changes else 0), left_out)


@app.command(cls=Command)
def rollback(
    folder: Annotated[
        Path, typer.Argument(help="The folder of `recyclenet serve --models`."), Adds()
    ],
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put the previous model back in place; run it again to go back further."""
    from dataclasses import asdict

    from recyclenet.cli.rows import print_row
    from recyclenet.operations.promote import rollback as operation

    change = operation(folder, name)
    if as_json:
        print_row(asdict(change))
    _say_replaced(folder / f"{change.name}.onnx")


def _say_replaced(path: Path) -> None:
    say_written(path)
    say(f"a running service reads it on SIGHUP, or on POST /v1/models/{path.stem}/reload", err=True)


def _print_changes(changes: tuple[ClassChange, ...]) -> None:
    from recyclenet.cli.rows import print_columns

    rows = []
    for change in changes:
        row, cells = change.to_row(), ("", "", "", "")
        if change.paired is not None:
            low, high = row["interval95"]
            cells = (
                f"{row['recall_before']:.1%}",
                f"{row['recall']:.1%}",
                f"{100 * row['difference']:+.1f}",
                f"{100 * low:+.1f} to {100 * high:+.1f}",
            )
        rows.append((change.label, change.verdict, str(change.num_photos), *cells))
    titles = ("class", "verdict", "photos", "recall before", "now", "points", "95% interval")
    print_columns(titles, rows, num_words=2)
