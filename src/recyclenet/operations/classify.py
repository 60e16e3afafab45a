"""Classifying pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from recyclenet.core.prediction import Prediction
from recyclenet.data.folders import LeftOut
from recyclenet.data.pictures import expand
from recyclenet.inference.classifier import Classifier, as_classifier


def classify(
    pictures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    model: str | os.PathLike[str] | Classifier | None = None,
    *,
    left_out: LeftOut = lambda _: None,
) -> Iterator[Prediction]:
    """Classify picture files, folders and globs.

    Args:
        pictures: one or several paths; folders are searched, globs (`**` too) expanded.
        model: a model file, a run folder or a classifier; None for the model in the package.
        left_out: is called with one line for each folder or file that is not searched.

    Yields:
        A prediction for each picture, in order; one with `error` set where there is no answer.

    Raises:
        UsageError: there is no such model file, a folder holds no pictures, or a glob matches
            nothing.
        ModelFileError: the model file is damaged or altered, or all logits are non-finite.
    """
    paths = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    found = expand([os.fspath(path) for path in paths], left_out)
    return as_classifier(model).classify_many(found)
