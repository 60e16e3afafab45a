"""`recyclenet runs ...`: training runs, and model cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Command, Reads, Writes
from recyclenet.cli.options import ForceOption, JsonOption, compared_files
from recyclenet.cli.output import LeftOutInputs, finish, put, say, say_written
from recyclenet.core.outputs import CARD

if TYPE_CHECKING:
    from recyclenet.operations.list_runs import RunSummary

app = typer.Typer(name="runs", help="List runs and write model cards.", no_args_is_help=True)


@app.command("list", cls=Command)
def list_command(
    folder: Annotated[
        Path, typer.Argument(help="Folder to search, including its subfolders."), Reads()
    ] = Path(),
    as_json: JsonOption = False,
) -> None:
    """List the training runs below a folder."""
    from recyclenet.cli.rows import print_columns, print_row
    from recyclenet.operations.list_runs import list_runs

    left_out = LeftOutInputs()
    runs = list_runs(folder, left_out=left_out)
    for run in runs:
        if run.problem:
            say(f"damaged: {run.name}: {run.problem}", err=True)
    if as_json:
        for run in runs:
            print_row(run.to_row())
    elif runs:
        titles = ("run", "recipe", "backbone", "photos", "classes", "epochs", "best")
        print_columns((*titles, "state", "date"), [cells(run) for run in runs], num_words=3)
    else:
        say(f"no runs below {folder}", err=True)
    finish(0, 0, left_out)


def cells(run: RunSummary) -> tuple[str, ...]:
    """Return a run as a row of text."""
    epochs = f"{run.num_epochs}/{'?' if run.max_epochs is None else run.max_epochs}"
    return (
        run.name,
        run.recipe or "?",
        run.backbone or "?",
        "?" if run.num_photos is None else str(run.num_photos),
        "?" if run.num_classes is None else str(run.num_classes),
        epochs,
        "" if run.best_accuracy is None else f"{run.best_accuracy:.1%}",
        run.state,
        run.changed[:16].replace("T", " "),
    )


@app.command(cls=Command)
def card(
    item: Annotated[
        Path,
        typer.Argument(help="A run folder, a model file, or 'built-in'."),
        Reads(lambda item: compared_files([item])),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the card to this file; default: print it."),
        Writes(CARD),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write a model card: what a run or a model file says of itself, as Markdown."""
    from recyclenet.core.files import write_text
    from recyclenet.operations.model_card import model_card

    text = model_card(item)
    if out is None:
        put(text.rstrip("\n"))
        return
    write_text(out, text)
    say_written(out)
