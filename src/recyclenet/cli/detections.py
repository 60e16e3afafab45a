"""Printing what is found in photos of several objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recyclenet.cli.classify import HEADER, describe
from recyclenet.cli.figures import check_figures
from recyclenet.cli.options import model_files
from recyclenet.cli.output import LeftOutInputs, finish, say, say_written
from recyclenet.core.text import show_path

if TYPE_CHECKING:
    from recyclenet.core.detection import Detection, Detections
    from recyclenet.inference.classifier import Classifier


def print_objects(
    paths: list[str],
    classifier: Classifier,
    as_json: bool,
    top_k: int | None,
    out: Path | None,
    force: bool,
    model: Path | None,
) -> None:
    """Print a line for each object, or a JSON object for each photo; write photos with boxes.

    Args:
        paths: photos, folders and globs.
        classifier: gives the answers.
        as_json: print JSON.
        top_k: number of classes to show.
        out: folder for a picture of each photo that can be read; None to write none.
        force: replace pictures that RecycleNet did not write.
        model: the model file, which no picture may replace; None for the built-in one.
    """
    from recyclenet.cli.rows import print_row
    from recyclenet.core.files import write_bytes
    from recyclenet.data.pictures import expand
    from recyclenet.explanation.figure import figure_names
    from recyclenet.inference.detector import Detector
    from recyclenet.operations.detect import boxes_picture

    left_out = LeftOutInputs()
    photos = list(expand(paths, left_out))
    names = figure_names(photos)
    if out is not None:
        inputs = [*map(Path, photos), *(() if model is None else model_files(model))]
        check_figures(out, names, None, inputs, force)
    detector = Detector(classifier)
    if not as_json:
        say(f"{HEADER}  box")
    num_bad = num_written = 0
    for name, found in zip(names, detector.detect_many(photos), strict=True):
        num_bad += found.error is not None
        if out is not None and found.error is None:
            write_bytes(out / name, boxes_picture(found, detector))
            num_written += 1
        if as_json:
            print_row(found.to_row(top_k))
        elif found.error is not None:
            say(f"error: {found.error}", err=True)
        else:
            for line in describe_objects(found, top_k or 1):
                say(line)
    if num_written:
        say_written(f"{num_written} pictures in {out}")
    finish(num_bad, len(photos), left_out)


def describe_objects(found: Detections, top_k: int = 1) -> Iterator[str]:
    """Yield a line for each object, or one that says that there is none."""
    if not found.objects:
        yield f"{'-':<14}{'-':>10}  {'nothing found':<24}{show_path(found.path or '')}"
    for one in found.objects:
        yield describe_object(one, found.path or "", top_k)


def describe_object(one: Detection, place: str, top_k: int = 1) -> str:
    """Return one line: label, confidence, bin, place, box, and the next `top_k - 1` classes."""
    box = ",".join(f"{side:.0f}" for side in one.box)
    return describe(one.prediction, f"{place}  {box}", top_k)
