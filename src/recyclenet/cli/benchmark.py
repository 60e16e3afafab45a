"""`recyclenet benchmark ...`: the cost of networks on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Command, Writes
from recyclenet.cli.models import NAME_HELP
from recyclenet.cli.options import ForceOption
from recyclenet.cli.output import say_written
from recyclenet.core.outputs import COSTS, PICTURE, Folder

if TYPE_CHECKING:
    from recyclenet.costs.models import CostRow

app = typer.Typer(
    name="benchmark", help="Measure what networks cost on this machine.", no_args_is_help=True
)


@app.callback()
def benchmark() -> None:
    """Measure what networks cost on this machine."""


@app.command("models", cls=Command)
def measure(
    names: Annotated[list[str], typer.Argument(help=NAME_HELP)],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for models.csv and models.png."),
        Writes(Folder(lambda: {"models.csv": COSTS, "models.png": PICTURE})),
    ] = None,
    image_size: Annotated[
        int, typer.Option("--image-size", min=32, max=1024, help="Side of the input, pixels.")
    ] = 224,
    repeats: Annotated[
        int, typer.Option("--repeats", min=1, max=10_000, help="Number of timed rounds.")
    ] = 15,
    threads: Annotated[
        int,
        typer.Option(
            "--threads", min=0, max=1024, help="Number of threads; 0: the runtime's default."
        ),
    ] = 0,
    force: ForceOption = False,
) -> None:
    """Compare networks: parameters, multiply-adds, memory, latency, throughput.

    Measures each network in float32 in PyTorch and ONNX Runtime on the CPU, and in PyTorch on a GPU
    if there is one. The weights are random, since they do not affect the cost.
    """
    from recyclenet.core.extras import require_train

    require_train("measuring networks")
    from recyclenet.cli.progress import counting
    from recyclenet.operations.benchmark import benchmark as operation

    with counting("measuring") as progress:
        rows = operation(
            names,
            image_size=image_size,
            repeats=repeats,
            threads=threads,
            out=out,
            progress=progress,
        )
    _print(rows)
    if out is not None:
        say_written(f"{out / 'models.csv'} and {out / 'models.png'}")


def _print(rows: list[CostRow]) -> None:
    from recyclenet.cli.rows import print_columns

    print_columns(
        (
            "model",
            "runtime",
            "M params",
            "M mult-adds",
            "memory MB",
            "latency ms",
            "(quartiles)",
            "images/s",
            "(quartiles)",
        ),
        [
            (
                row.name,
                row.runtime,
                f"{row.parameters / 1e6:.2f}",
                f"{row.multiply_adds / 1e6:,.0f}",
                f"{row.memory_mb:.0f}",
                f"{row.latency_ms:.1f}",
                f"{row.latency_low_ms:.1f}-{row.latency_high_ms:.1f}",
                f"{row.throughput:.1f}",
                f"{row.throughput_low:.1f}-{row.throughput_high:.1f}",
            )
            for row in rows
        ],
        num_words=2,
    )
