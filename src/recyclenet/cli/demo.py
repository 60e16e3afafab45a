"""`recyclenet demo`: classify the sample pictures and write a page with the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.options import ForceOption, MaxMegapixelsOption, ModelOption, dataset_files
from recyclenet.cli.output import say, say_left_out
from recyclenet.core.outputs import PAGE
from recyclenet.errors import EXIT_PARTIAL, UsageError


def demo(
    out: Annotated[Path, typer.Option("--out", help="The page to write."), Writes(PAGE)] = Path(
        "demo.html"
    ),
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Your own folder of class folders, or a CSV manifest."),
        Reads(dataset_files),
    ] = None,
    model: ModelOption = None,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Classify the sample pictures; print a table and write a page with heatmaps."""

    from recyclenet.cli.classify import HEADER, describe
    from recyclenet.core.files import write_text
    from recyclenet.core.prediction import Prediction
    from recyclenet.data.dataset import load_dataset
    from recyclenet.errors import ImageError, ModelFileError
    from recyclenet.evaluation.report import Card, answers_page
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.explain import explain

    classifier = Classifier(model, max_pixels=int(max_megapixels * 1e6))
    cards: list[Card] = []
    model_error: ModelFileError | None = None
    say(f"{'':7}{HEADER}")
    for sample in load_dataset(pictures or samples_folder(), say_left_out):
        try:
            card = explain(sample.path, classifier).card(sample.label)
        except (ImageError, ModelFileError) as error:
            if model_error is None and isinstance(error, ModelFileError):
                model_error = error
            failed = Prediction(path=str(sample.path), error=str(error))
            card = Card(prediction=failed, truth=sample.label)
            say(f"error: {error}", err=True)
        else:
            line = describe(card.prediction, card.name)
            say(f"{'right' if card.is_right else 'WRONG':<7}{line}")
        cards.append(card)
    if model_error is not None and all(card.prediction.error is not None for card in cards):
        raise model_error
    num_right = sum(card.is_right is True for card in cards)
    write_text(out, answers_page(cards, classifier.info))
    say()
    say(f"{num_right} of {len(cards)} right. Page with pictures and heatmaps: {out}")
    if any(card.prediction.error is not None for card in cards):
        raise typer.Exit(EXIT_PARTIAL)


def samples_folder() -> Path:
    """Return the folder of the sample pictures, in the installed package or the source tree.

    Raises:
        UsageError: there is no such folder.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "samples", package.parents[1] / "samples"):
        if (folder / "manifest.csv").is_file():
            return folder
    raise UsageError("the sample pictures are not installed; give your own photos with --pictures")
