"""The command `recyclenet`: registers the verbs, turns errors into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
import warnings
from typing import Annotated

import typer
from typer.exceptions import TyperException

from recyclenet.cli import (
    ablate,
    benchmark,
    classify,
    crossval,
    data,
    demo,
    doctor,
    evaluate,
    export,
    lr_find,
    models,
    train,
)
from recyclenet.cli.output import say
from recyclenet.errors import RecycleNetError

app = typer.Typer(
    name="recyclenet",
    help="Classify waste pictures; train, evaluate and export the models that do it.",
    epilog="Exit codes: 0 ok, 1 failure, 2 usage, 3 partly done, 4 untrusted or damaged file.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, classify, evaluate, train, lr_find, crossval, ablate, export, doctor):
    app.command()(getattr(module, module.__name__.rpartition(".")[2]))
for group in (data, models, benchmark):
    app.add_typer(group.app)


def _version(wanted: bool) -> None:
    if wanted:
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
    """Hold the options that stand before a verb."""


def main() -> None:
    """Run the command line and leave with the right exit code."""
    # File names are bytes; whatever they hold, they can be printed.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries' hints to developers
    try:
        sys.exit(app(standalone_mode=False))
    except RecycleNetError as error:
        say(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(error.exit_code)
    except TyperException as error:  # the command line itself is wrong, or empty
        text = io.StringIO()
        error.show(text)  # type: ignore[attr-defined]
        for line in text.getvalue().splitlines():
            say(line, err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read our output has gone; keep Python from complaining of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
