"""`recyclenet evaluate`: the accuracy and calibration of a model on labelled photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Writes
from recyclenet.cli.options import (
    DataOption,
    ForceOption,
    JsonOption,
    MapOption,
    MaxMegapixelsOption,
    MaxRiskOption,
    ModelOption,
    NegativesOption,
    RulesOption,
    SplitOption,
    TtaOption,
)
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.outputs import METRICS, PAGE, PREDICTIONS

if TYPE_CHECKING:
    from recyclenet.evaluation.metrics import Scores
    from recyclenet.operations.evaluate import Evaluation


def evaluate(
    data: DataOption,
    split: SplitOption = None,
    as_json: JsonOption = False,
    tta: TtaOption = False,
    model: ModelOption = None,
    maps: MapOption = None,
    model_map: Annotated[
        str | None,
        typer.Option(
            "--map-model",
            metavar="CLASS=LABEL,...",
            help="Count classes of the model as another label; _ rules a class out.",
        ),
    ] = None,
    rules: RulesOption = None,
    max_risk: MaxRiskOption = None,
    negatives: NegativesOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write an HTML page with all figures and the worst photos."),
        Writes(PAGE),
    ] = None,
    photos: Annotated[
        int,
        typer.Option(
            "--photos",
            min=0,
            max=1000,
            help="Maximum number of wrong or doubtful photos in the report.",
        ),
    ] = 60,
    heatmaps: Annotated[
        int,
        typer.Option(
            "--heatmaps",
            min=0,
            max=60,
            help="Number of worst photos with a heatmap; each takes as long as 80 photos.",
        ),
    ] = 0,
    min_confused: Annotated[
        int,
        typer.Option("--min-confused", min=1, help="Leave out pairs that are confused less often."),
    ] = 1,
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", help="Write every number of the report as JSON."),
        Writes(METRICS),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", help="Write the logits as a CSV table."),
        Writes(PREDICTIONS),
    ] = None,
    force: ForceOption = False,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Evaluate a model on labelled photos: accuracy, confusion matrix, calibration."""
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_row
    from recyclenet.data.dataset import dataset_name, load_dataset
    from recyclenet.data.label_map import parse_map, parse_maps
    from recyclenet.inference.classifier import Classifier
    from recyclenet.operations.evaluate import evaluate as operation

    label_maps, mapping = parse_maps(maps or ()), parse_map(model_map or "")
    classifier = Classifier(
        model, tta=tta, max_pixels=int(max_megapixels * 1e6), rules=rules, max_risk=max_risk
    )
    left_out = LeftOutInputs()
    dataset = load_dataset(data, left_out)
    with counting("evaluating") as progress:
        result = operation(
            dataset,
            classifier,
            split=split,
            maps=label_maps,
            model_map=mapping,
            negatives=negatives or (),
            name=dataset_name(data),
            left_out=left_out,
            measure=report is not None or metrics is not None,
            progress=progress,
        )
    problems = result.table.problems
    for problem in problems:
        say(f"error: {problem}", err=True)
    if predictions is not None:
        result.write_predictions(predictions)
        say_written(predictions)
    if metrics is not None:
        result.write_metrics(metrics, min_confused)
        say_written(metrics)
    if report is not None:
        with counting("drawing") as progress:
            result.write_page(
                report,
                photos,
                num_heatmaps=heatmaps,
                min_confused=min_confused,
                progress=progress,
            )
        say_written(report)
    if as_json:
        print_row({**result.to_row(), "data": str(data)})
    else:
        for line in [
            *describe(result.scores),
            *describe_domains(result.by_domain),
            *describe_decisions(result),
        ]:
            say(line)
    finish(len(problems), len(problems) + len(result.table.samples), left_out)


def describe(scores: Scores) -> list[str]:
    """Return the metrics and the confusion matrix as lines of text."""
    low, high = scores.interval
    lines = [
        f"{scores.num_photos} photos: accuracy {scores.accuracy:.2%} "
        f"(95%: {low:.1%} to {high:.1%}), mean over classes {scores.balanced_accuracy:.2%}, "
        f"macro F1 {scores.macro_f1:.2%}",
        f"confident on {scores.coverage:.1%} of them, with accuracy {scores.known_accuracy:.2%}; "
        f"calibration error {scores.ece:.1%}",
        "",
        f"{'true, then predicted':<22}" + "".join(f"{name[:9]:>10}" for name in scores.class_names),
    ]
    for name, row in zip(scores.class_names, scores.confusion, strict=True):
        lines.append(f"{name[:21]:<22}" + "".join(f"{count:>10}" for count in row))
    return lines


def describe_domains(by_domain: Mapping[str, Scores]) -> list[str]:
    """Return the metrics of each domain as lines of text; none if there is only one."""
    if not by_domain:
        return []
    titles = (
        f"{'photos':>8}{'accuracy':>10}{'mean recall':>13}{'known':>8}{'calibration error':>19}"
    )
    return [
        "",
        f"{'domain':<22}{titles}",
        *(
            f"{(name or '(none)')[:21]:<22}{scores.num_photos:>8}{scores.accuracy:>10.2%}"
            f"{scores.balanced_accuracy:>13.2%}{scores.coverage:>8.1%}{scores.ece:>19.1%}"
            for name, scores in by_domain.items()
        ),
    ]


def describe_decisions(result: Evaluation) -> list[str]:
    """Return these figures as lines of text."""
    lines = []
    if result.open_set is not None:
        lines += ["", *result.open_set.lines()]
    if result.bins is not None:
        lines += ["", *result.bins.lines()]
    if result.classifier.risk is not None:
        scores = result.scores
        found = f", {1 - scores.known_accuracy:.1%} of them wrong" if scores.coverage else ""
        lines += [
            "",
            f"{result.classifier.risk}",
            f"here: answers {scores.coverage:.1%}{found}",
        ]
    return lines
