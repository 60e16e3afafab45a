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

from recyclenet.cli.command import Command
from recyclenet.cli.output import say

# Each is a function in the module of that name here; a group is a module with an `app`.
NAMES = (
    "demo",
    "classify",
    "watch",
    "audit",
    "evaluate",
    "explain",
    "compare",
    "stress",
    "teach",
    "train",
    "lr-find",
    "crossval",
    "lodo",
    "ablate",
    "export",
    "serve",
    "doctor",
    "data",
    "runs",
    "models",
    "benchmark",
)


@cache
def commands(*names: str) -> Any:
    """Return these commands and groups of the command line, by default all.

    Every start waits for this, and building one is many times as fast as building all.
    """
    return get_command(application(*names))


def application(*names: str, outline: bool = False) -> typer.Typer:
    """Return what declares commands and groups.

    Args:
        names: of the commands and groups; by default all.
        outline: declare their names and summaries only, which is all that the list of them needs.
    """
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
    for name in names or NAMES:
        module = import_module(f"recyclenet.cli.{name.replace('-', '_')}")
        group = getattr(module, "app", None)
        function: Any = getattr(module, name.replace("-", "_"), None)
        if outline:
            app.command(name, help=group.info.help if group else function.__doc__)(lambda: None)
        elif group:
            app.add_typer(group)
        else:
            app.command(cls=Command)(function)
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
    called = [name for name in sys.argv[1:2] if name in NAMES]
    asks_for_list = sys.argv[1:] in ([], ["-h"], ["--help"])
    command = get_command(application(outline=True)) if asks_for_list else commands(*called)
    try:
        return command(standalone_mode=False) or 0
    except TyperException as error:  # the command line is invalid or empty
        text = io.StringIO()
        error.show(text)  # type: ignore[attr-defined]
        for line in text.getvalue().splitlines():
            say(line, err=True)
        return int(error.exit_code)
