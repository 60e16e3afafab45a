"""`recyclenet explain`: heatmaps of what the answers for photos rest on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.figures import check_figures
from recyclenet.cli.options import (
    ForceOption,
    JsonOption,
    MaxMegapixelsOption,
    PhotosArgument,
    model_files,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.cli.rows import print_row
from recyclenet.core import outputs
from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

if TYPE_CHECKING:
    from recyclenet.evaluation.report import Card
    from recyclenet.operations.explain import Explained

MAX_PHOTOS = 200  # on a page


def explain(
    paths: PhotosArgument,
    method: Annotated[
        str,
        typer.Option("--method", help="occlusion; for a run folder also feature-map or gradcam."),
    ] = "occlusion",
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="CLASS", help="Explain this class instead of the answer."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="A model file or a run folder; default: the built-in model."),
        Reads(model_files),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="Another model file or run folder to compare with."),
        Reads(model_files),
    ] = None,
    only_different: Annotated[
        bool,
        typer.Option(
            "--only-different", help="Only photos that the two models answer differently."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Write a PNG file for each photo."),
        Writes(outputs.Folder(dict)),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML page with the heatmaps."),
        Writes(outputs.PAGE),
    ] = None,
    as_json: JsonOption = False,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Show what the answers for photos rest on, as heatmaps, and how faithful these are."""
    from recyclenet.core.files import write_bytes, write_text
    from recyclenet.data.pictures import expand
    from recyclenet.explanation.figure import figure_names
    from recyclenet.operations.explain import Explainer, explain_many, explanations_page

    if only_different and against is None:
        raise UsageError("--only-different needs a second model; name it with --against")
    left_out = LeftOutInputs()
    photos = list(expand(paths, left_out))
    names = figure_names(photos)
    models = [model] if against is None else [model, against]
    if out is not None:
        inputs = [Path(photo) for photo in photos]
        inputs += [path for m in models if m is not None for path in model_files(m)]
        check_figures(out, names, report, inputs, force)
    explainers = [Explainer(m, method, max_pixels=int(max_megapixels * 1e6)) for m in models]
    printer = _Printer([str(m or "built-in") for m in models], label is not None, as_json)
    cards: list[list[Card]] = []
    results = explain_many(photos, explainers, label=label, only_different=only_different)
    for name, result in zip(names, results, strict=True):
        file = out / name if out is not None and result.explanations else None
        if file is not None:
            write_bytes(file, result.figure())
        printer.show(result, file)
        is_shown = result.explanations or result.error is not None
        if report is not None and is_shown and len(cards) < MAX_PHOTOS:
            cards.append(result.cards(printer.models))
    printer.end(only_different)
    if report is not None:
        write_text(report, explanations_page(cards, [e.info for e in explainers], method))
        say_written(report)
        if len(cards) == MAX_PHOTOS < len(photos):
            say(f"the page shows only the first {MAX_PHOTOS} photos; use --out for all", err=True)
    if out is not None and printer.num_explained:
        say_written(f"{printer.num_explained} figures in {out}")
    if out is None and report is None and printer.num_explained and not as_json:
        say("to see the heatmaps, give --report PAGE.html or --out FOLDER", err=True)
    finish(printer.num_errors, len(photos), left_out)


class _Printer:
    """Prints the result for each photo: a JSON row, or a line for each model.

    Args:
        models: the models as given.
        with_label: whether the class to explain was given.
        as_json: print JSON.
    """

    def __init__(self, models: Sequence[str], with_label: bool, as_json: bool) -> None:
        self.models = models
        self.num_photos = self.num_explained = self.num_errors = self.num_alike = 0
        self._as_json = as_json
        self._with_label = with_label
        self._scores: list[list[tuple[float, float]]] = [[] for _ in models]
        if not as_json:
            titles = "deletion", "random", "explains", "model"
            say(f"{'label':<14}{'confidence':>10}{self._columns(*titles)}  photo")

    def show(self, result: Explained, figure: Path | None) -> None:
        """Print the result for one photo.

        Args:
            result: the result.
            figure: the file with its figure; None if there is none.
        """
        self.num_photos += 1
        self.num_explained += bool(result.explanations)
        self.num_errors += result.error is not None
        self.num_alike += result.agree
        for scores, explanation in zip(self._scores, result.explanations, strict=False):
            scores.append((explanation.deletion.score, explanation.deletion.random))
        if self._as_json:
            self._show_row(result, figure)
            return
        if result.error is not None:
            say(f"error: {result.error}", err=True)
        for model, explanation in zip(self.models, result.explanations, strict=False):
            answer, found = explanation.prediction, explanation.deletion
            more = f"{found.score:.3f}", f"{found.random:.3f}", explanation.label, model
            say(
                f"{answer.label:<14}{answer.confidence:>10.0%}{self._columns(*more)}  "
                f"{show_path(result.path)}"
            )

    def end(self, only_different: bool) -> None:
        """Print the mean deletion scores, and how often the models agree."""
        if only_different:
            say(f"the models agree on {self.num_alike} of {self.num_photos} photos", err=True)
        if self._as_json or self.num_explained < 2:
            return
        for model, scores in zip(self.models, self._scores, strict=True):
            score, random = (fmean(column) for column in zip(*scores, strict=True))
            title = "mean" if len(self.models) == 1 else f"mean, {model}"
            say(f"{title}: deletion {score:.3f}, random {random:.3f}")

    def _show_row(self, result: Explained, figure: Path | None) -> None:
        rows = result.to_rows(self.models)
        if rows:
            first, *others = rows
            second = {"against": others[0] if others else None} if len(self.models) > 1 else {}
            print_row({**first, "figure": None if figure is None else str(figure), **second})

    def _columns(self, score: str, random: str, label: str, model: str) -> str:
        text = f"{score:>10}{random:>9}"
        if self._with_label:
            text += f"  {label:<14}"
        if len(self.models) > 1:
            text += f"  {show_path(model)[-24:]:<24}"
        return text
