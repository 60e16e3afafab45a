"""`recyclenet classify`: the class, confidence and bin of each photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import (
    ForceOption,
    JsonOption,
    MaxMegapixelsOption,
    MaxRiskOption,
    ModelOption,
    PhotosArgument,
    RulesOption,
    TtaOption,
)
from recyclenet.cli.output import LeftOutInputs, finish, say
from recyclenet.core import outputs
from recyclenet.core.text import show_path
from recyclenet.errors import UsageError

if TYPE_CHECKING:
    from recyclenet.core.prediction import Prediction

NO_RISK = (
    "--max-risk is measured on photos of one item and does not hold for the parts of a photo that "
    "--multi looks at; leave one of them out"
)
HEADER = f"{'label':<14}{'confidence':>10}  {'bin':<24}photo"


def classify(
    paths: PhotosArgument,
    as_json: JsonOption = False,
    top_k: Annotated[
        int | None, typer.Option("--top-k", min=1, help="Number of classes to show per photo.")
    ] = None,
    multi: Annotated[
        bool, typer.Option("--multi", help="Find several objects in each photo: slower.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="With --multi: write each photo with boxes as PNG."
        ),
        Writes(outputs.Folder(dict)),
    ] = None,
    tta: TtaOption = False,
    model: ModelOption = None,
    rules: RulesOption = None,
    max_risk: MaxRiskOption = None,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Classify photos; print one line, or with --json one JSON object, per photo."""
    from recyclenet.cli.rows import print_row
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.classify import classify as operation

    if multi and max_risk is not None:
        raise UsageError(NO_RISK)
    if not multi and (out is not None or force):
        raise UsageError("--out and --force are for the boxes of --multi; add it or leave them out")
    classifier = Classifier(
        model, tta=tta, max_pixels=int(max_megapixels * 1e6), rules=rules, max_risk=max_risk
    )
    if multi:
        from recyclenet.cli.detections import print_objects

        print_objects(paths, classifier, as_json, top_k, out, force, model)
        return
    more = {} if classifier.risk is None else {"risk": classifier.risk.to_row()}
    reasons = LeftOutInputs()
    predictions = operation(paths, classifier, left_out=reasons)
    num_bad = num_done = 0
    if classifier.risk is not None:
        say(str(classifier.risk), err=True)
    if not as_json:
        say(HEADER)
    for prediction in predictions:
        num_done += 1
        num_bad += prediction.error is not None
        if as_json:
            print_row(prediction.to_row(top_k) | more)
        elif prediction.error is not None:
            say(f"error: {prediction.error}", err=True)
        else:
            say(describe(prediction, prediction.path or "", top_k or 1))
    finish(num_bad, num_done, reasons)


def describe(prediction: Prediction, place: str, top_k: int = 1) -> str:
    """Return one line: label, confidence, bin, place, and the next `top_k - 1` classes."""
    line = (
        f"{prediction.label:<14}{prediction.confidence:>10.0%}  {prediction.bin:<24}"
        f"{show_path(place)}"
    )
    others = list(prediction.probabilities.items())[1:top_k]
    return line + "".join(f"  {name} {value:.0%}" for name, value in others)
