"""`recyclenet evaluate`: how good a model file is on labelled photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.options import DataOption, JsonOption, ModelOption, TtaOption
from recyclenet.cli.output import make_console, say, say_left_out, say_written
from recyclenet.errors import EXIT_PARTIAL, DataError, ModelFileError

if TYPE_CHECKING:
    from recyclenet.evaluation.metrics import Evaluation

NUM_WORST = 24


def evaluate(
    data: DataOption,
    split: Annotated[
        str | None,
        typer.Option("--split", help="train, val, test or all; default: test where there is one."),
    ] = None,
    as_json: JsonOption = False,
    tta: TtaOption = False,
    model: ModelOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write an HTML page with the worst photos.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", help="Also write the logits as a CSV table.")
    ] = None,
) -> None:
    """Evaluate a model: accuracy with its interval, confusion matrix, calibration."""
    import numpy as np
    from rich.progress import track

    from recyclenet.cli.rows import print_row
    from recyclenet.data.scan import load_dataset
    from recyclenet.evaluation import metrics
    from recyclenet.evaluation.table import PredictionTable, write_predictions
    from recyclenet.inference.classifier import Classifier

    classifier = Classifier(model, tta=tta)
    info = classifier.info
    left_out: list[str] = []
    dataset = load_dataset(data, left_out.append)
    for reason in left_out:
        say_left_out(reason)
    chosen = split or ("test" if any(s.split == "test" for s in dataset) else "all")
    dataset = dataset.select(chosen)
    dataset.check_labels(info.class_names)

    samples, rows, problems = [], [], []
    answers = classifier.logits_many(sample.path for sample in dataset)
    console = make_console()
    for sample, (_, logits, error) in track(
        zip(dataset, answers, strict=True),
        "evaluating",
        len(dataset),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ):
        if logits is None:
            problems.append(error)
        else:
            samples.append(sample)
            rows.append(logits)
    for problem in problems:
        say(f"error: {problem}", err=True)
    num_unanswered = sum(isinstance(problem, ModelFileError) for problem in problems)
    if not rows:
        raise DataError(f"none of the {len(dataset)} photos can be read")

    table = np.stack(rows)
    targets = np.array([info.class_names.index(sample.label) for sample in samples])
    scores = metrics.evaluate(
        table,
        targets,
        info.class_names,
        temperature=info.temperature,
        threshold=info.threshold,
    )
    if predictions is not None:
        write_predictions(predictions, PredictionTable(tuple(samples), table, info.class_names))
        say_written(predictions)
    if report is not None:
        from recyclenet.evaluation.report import Card, write_evaluation_page

        worst = metrics.most_wrong(table, targets)[:NUM_WORST]
        cards = [
            Card(
                prediction=classifier.answer(str(samples[i].path), table[i]),
                picture=classifier.decode(samples[i].path),
                truth=samples[i].label,
            )
            for i in worst
        ]
        title = f"{info.name} on {data.name or data}, {chosen}"
        write_evaluation_page(scores, cards, info, title, report)
        say_written(report)
    if as_json:
        facts = {"model": info.name, "data": str(data), "split": chosen, "tta": tta}
        counts = {
            "num_unreadable": len(problems) - num_unanswered,
            "num_unanswered": num_unanswered,
        }
        print_row({**facts, **counts, **scores.to_row()})
    else:
        for line in describe(scores):
            say(line)
    if problems:
        say(f"{len(problems)} of {len(dataset)} photos have no answer", err=True)
    if problems or left_out:
        raise typer.Exit(EXIT_PARTIAL)


def describe(scores: Evaluation) -> list[str]:
    """Return the figures and the confusion matrix as lines of text."""
    low, high = scores.interval
    lines = [
        f"{scores.num_photos} photos: accuracy {scores.accuracy:.2%} "
        f"(95%: {low:.1%} to {high:.1%}), mean over classes {scores.balanced_accuracy:.2%}, "
        f"macro F1 {scores.macro_f1:.2%}",
        f"sure of {scores.coverage:.1%} of them, right on {scores.known_accuracy:.2%} of those; "
        f"calibration error {scores.ece:.1%}",
        "",
        f"{'true, then predicted':<22}" + "".join(f"{name[:9]:>10}" for name in scores.class_names),
    ]
    for name, row in zip(scores.class_names, scores.confusion, strict=True):
        lines.append(f"{name[:21]:<22}" + "".join(f"{count:>10}" for count in row))
    return lines
