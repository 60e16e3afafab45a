"""The Typer application: all commands and the global options."""

from __future__ import annotations

import io
import sys
from functools import cache
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from recyclenet.cli.output import say

# Commands and their lines in the list of commands. A command is a function in the module of its
# name; a group is a module with an `app`.
COMMANDS = {
    "demo": "Classify the sample pictures, and write a page of them.",
    "classify": "Classify photos.",
    "watch": "Watch a camera or a video, and decide on each item once.",
    "audit": "Estimate the share of each class and bin in many photos.",
    "evaluate": "Evaluate a model on labelled photos.",
    "explain": "Show what the answers for photos rest on.",
    "compare": "Compare classifiers on the same photos.",
    "stress": "Measure a model on turned, covered, blurred or small photos.",
    "teach": "Teach a model a new class from about ten photos.",
    "train": "Train a classifier and export it.",
    "lr-find": "Suggest a learning rate.",
    "crossval": "Cross-validate a recipe.",
    "lodo": "Leave one domain out: train on all others, test on it.",
    "ablate": "Train every combination of factors over several seeds.",
    "export": "Export a run to one model file.",
    "serve": "Serve the classifier over HTTP, with a web page.",
    "doctor": "Check the installation.",
    "data": "Collect, inspect, clean and split photos.",
    "runs": "List runs and write model cards.",
    "models": "List networks; promote models.",
    "benchmark": "Measure what networks cost on this machine.",
}


@cache
def commands(*names: str) -> Any:
    """Return these commands and groups of the command line, by default all.

    Every start waits for this, and building one is many times as fast as building all.
    """
    return get_command(application(*names))


def application(*names: str) -> typer.Typer:
    """Return what declares commands and groups.

    Args:
        names: of the commands and groups; by default all.
    """
    from recyclenet.cli.command import Command

    app = _empty()
    for name in names or COMMANDS:
        module = import_module(f"recyclenet.cli.{name.replace('-', '_')}")
        if group := getattr(module, "app", None):
            app.add_typer(group, short_help=COMMANDS[name])
        else:
            function: Any = getattr(module, name.replace("-", "_"))
            app.command(cls=Command, short_help=COMMANDS[name])(function)
    return app


def outline() -> typer.Typer:
    """Return an application for the list of commands: names and summaries, without imports."""
    app = _empty()
    for name, summary in COMMANDS.items():
        app.command(name, help=summary)(lambda: None)
    return app


def _empty() -> typer.Typer:
    """Return the application without commands."""
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
    app.callback()(options)
    return app


def _version(is_given: bool) -> None:
    if is_given:
        from recyclenet import __version__

        say(f"recyclenet {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Define the global options."""


def run() -> int:
    """Run the command line and return its exit code; errors of the commands propagate."""
    called = [name for name in sys.argv[1:2] if name in COMMANDS]
    needs_no_command = sys.argv[1:] in ([], ["-h"], ["--help"], ["--version"])
    command = get_command(outline()) if needs_no_command else commands(*called)
    try:
        return command(standalone_mode=False) or 0
    except TyperException as error:  # the command line is invalid or empty
        text = io.StringIO()
        error.show(text)  # type: ignore[attr-defined]
        for line in text.getvalue().splitlines():
            say(line, err=True)
        return int(error.exit_code)
