"""`recyclenet demo`: classify the sample pictures and show the answers on a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.options import ModelOption
from recyclenet.cli.output import say, say_left_out
from recyclenet.errors import EXIT_PARTIAL, UsageError

if TYPE_CHECKING:
    from recyclenet.core.prediction import Prediction
    from recyclenet.data.manifest import Sample
    from recyclenet.evaluation.report import Card
    from recyclenet.inference.classifier import Classifier


def demo(
    out: Annotated[Path, typer.Option("--out", help="The page to write.")] = Path("demo.html"),
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Your own folder of class folders, or CSV manifest."),
    ] = None,
    model: ModelOption = None,
) -> None:
    """Classify the sample pictures: a table here, and a page with pictures and heatmaps."""
    from dataclasses import replace

    from recyclenet.cli.classify import describe
    from recyclenet.data.scan import load_dataset
    from recyclenet.evaluation.report import write_answers_page
    from recyclenet.inference.classifier import Classifier

    classifier = Classifier(model)
    samples = load_dataset(pictures or samples_folder(), say_left_out)
    cards: list[Card] = []
    say(f"{'':7}{'label':<14}{'sure':>5}  {'bin':<24}picture")
    predictions = classifier.classify_many(sample.path for sample in samples)
    for sample, prediction in zip(samples, predictions, strict=True):
        card = _look(classifier, prediction, sample)
        cards.append(card)
        if card.prediction.error is not None:
            say(f"error: {card.prediction.error}", err=True)
        else:
            line = describe(replace(card.prediction, path=card.name))
            say(f"{'right' if card.is_right else 'WRONG':<7}{line}")
    num_right = sum(card.is_right is True for card in cards)
    write_answers_page(cards, classifier.info, out)
    say()
    say(f"{num_right} of {len(cards)} right. Page with pictures and heatmaps: {out}")
    if any(card.prediction.error is not None for card in cards):
        raise typer.Exit(EXIT_PARTIAL)


def samples_folder() -> Path:
    """Return where the sample pictures lie: in the installed package, or in a source tree.

    Raises:
        UsageError: they are in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "samples", package.parents[1] / "samples"):
        if (folder / "manifest.csv").is_file():
            return folder
    raise UsageError("the sample pictures are not installed; give your own with --pictures")


def _look(classifier: Classifier, prediction: Prediction, sample: Sample) -> Card:
    from recyclenet.core.decision import softmax
    from recyclenet.evaluation.report import Card
    from recyclenet.explanation.occlusion import occlusion_heatmap
    from recyclenet.explanation.overlay import overlay

    if prediction.error is not None:
        return Card(prediction=prediction, truth=sample.label)
    picture = classifier.decode(sample.path)
    info = classifier.info
    index = info.class_names.index(str(prediction.label))
    heatmap = occlusion_heatmap(
        picture,
        info.preprocess,
        lambda batch: softmax(classifier.logits(batch), info.temperature)[:, index],
    )
    return Card(
        prediction=prediction,
        picture=picture,
        heatmap=overlay(info.preprocess.resize(picture), heatmap),
        truth=sample.label,
    )
