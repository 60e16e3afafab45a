"""`recyclenet data ...`: collect, inspect, clean and split photos.

Commands read a folder or a manifest and write a manifest; none changes the content of a photo.
"""

from __future__ import annotations

import typer

from recyclenet.cli.command import Command
from recyclenet.cli.data import (
    augment,
    balance,
    clean,
    collect,
    download,
    import_feedback,
    inspect,
    merge,
    scan,
    split,
)

app = typer.Typer(
    name="data", help="Collect, inspect, clean and split photos.", no_args_is_help=True
)

for command in (
    download.download,
    collect.collect,
    import_feedback.import_feedback,
    merge.merge,
    scan.scan,
    inspect.inspect,
    clean.clean,
    clean.undo,
    split.split,
    split.check_leaks,
    balance.balance,
    augment.augment,
):
    app.command(cls=Command)(command)
