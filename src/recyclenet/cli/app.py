"""The Typer application: all commands and the global options."""

from __future__ import annotations

import io
from typing import Annotated

import typer
from typer.exceptions import TyperException

from recyclenet.cli import (
    ablate,
    audit,
    benchmark,
    classify,
    compare,
    crossval,
    data,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    lodo,
    lr_find,
    models,
    serve,
    stress,
    teach,
    train,
)
from recyclenet.cli.command import Command
from recyclenet.cli.output import say

app = typer.Typer(
    name="recyclenet",
    help="Classify photos of waste; train, evaluate and export classifiers.",
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 partly done, 4 untrusted or damaged file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    classify,
    audit,
    evaluate,
    explain,
    compare,
    stress,
    teach,
    train,
    lr_find,
    crossval,
    lodo,
    ablate,
    export,
    serve,
    doctor,
):
    app.command(cls=Command)(getattr(module, module.__name__.rpartition(".")[2]))
for group in (data, models, benchmark):
    app.add_typer(group.app)


def _version(is_given: bool) -> None:
    if is_given:
        from recyclenet import __version__

        say(f"recyclenet {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Define the global options."""


def run() -> int:
    """Run the command line and return its exit code; errors of the commands propagate."""
    try:
        return app(standalone_mode=False) or 0
    except TyperException as error:  # the command line is invalid or empty
        text = io.StringIO()
        error.show(text)  # type: ignore[attr-defined]
        for line in text.getvalue().splitlines():
            say(line, err=True)
        return int(error.exit_code)
