"""Finding several objects in one picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from PIL import Image

from recyclenet.core.detection import Detections
from recyclenet.core.files import picture_png
from recyclenet.data.folders import LeftOut
from recyclenet.data.pictures import expand
from recyclenet.inference.classifier import Classifier, as_classifier
from recyclenet.inference.detector import Detector

PICTURE_SIDE = 960  # shorter side of a picture with boxes, at most, pixels


def detect(
    pictures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    model: str | os.PathLike[str] | Classifier | Detector | None = None,
    *,
    left_out: LeftOut = lambda _: None,
) -> Iterator[Detections]:
    """Find the objects in picture files, folders and globs: a box and an answer for each.

    Args:
        pictures: one or several paths; folders are searched, globs (`**` too) expanded.
        model: a model file, a run folder, a classifier or a detector; None for the model in the
            package.
        left_out: is called with one line for each folder or file that is not searched.

    Yields:
        A result for each picture, in order; one with `error` set where there is no answer.

    Raises:
        UsageError: there is no such model file, a folder holds no pictures, or a glob matches
            nothing; or the classifier has a `max_risk`.
        ModelFileError: the model file is damaged or altered, or all outputs are non-finite.
    """
    paths = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    found = expand([os.fspath(path) for path in paths], left_out)
    detector = model if isinstance(model, Detector) else Detector(as_classifier(model))
    return detector.detect_many(found)


def boxes_picture(found: Detections, detector: Detector) -> bytes:
    """Return a photo with numbered boxes around its objects, as a PNG file.

    Raises:
        ImageError: the photo can no longer be read.
    """
    if found.source is None:
        raise ValueError("the photo is not available")
    image = detector.decode(found.source, PICTURE_SIDE)
    return picture_png(Image.fromarray(found.drawn(image)))
