"""Teaching a model file a new class, or correcting it, from about ten photos; no training."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from recyclenet.core.decision import sigmoid, softmax
from recyclenet.core.images import MAX_PIXELS
from recyclenet.core.model_info import ModelInfo, check_seal, replace_info
from recyclenet.core.progress import Progress, silent
from recyclenet.core.taxonomy import assign_streams
from recyclenet.core.text import show_path
from recyclenet.data.folders import LeftOut
from recyclenet.data.pictures import expand
from recyclenet.errors import DataError, ImageError, ModelFileError, RecycleNetError, UsageError
from recyclenet.evaluation.calibration import fit_temperature, fit_threshold
from recyclenet.evaluation.metrics import wilson_interval
from recyclenet.evaluation.shares import Confusions
from recyclenet.evaluation.teaching import ENOUGH_PHOTOS, Teaching
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.exemplars import EXEMPLARS, NUM_TRAIN, Exemplars
from recyclenet.inference.head import CORRECTION, HEAD, UNKNOWN, Head, read_head, widen
from recyclenet.inference.lesson import Lesson
from recyclenet.inference.session import default_model_path, find_model

MIN_PHOTOS, MAX_PHOTOS = 3, 200
MAX_LOST = 0.01
MAX_LABEL = 100
# Sizes at which the learning curve is measured, on random choices of photos.
_SIZES = (3, 5, 10, 20, 40, 80, 160)
_NUM_CHOICES = 6
# Leaving out one photo at a time takes one fit per photo; above this number, ten groups are left
# out instead.
_MAX_FITS = 20

Floats: TypeAlias = npt.NDArray[np.float32]


def teach(
    pictures: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    label: str,
    model: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    stream: str | None = None,
    max_lost: float = MAX_LOST,
    max_pixels: int = MAX_PIXELS,
    left_out: LeftOut = lambda _: None,
    progress: Progress = silent,
) -> Teaching:
    """Teach a model a new class, or correct an existing one, from about ten photos.

    Args:
        pictures: one or several paths; folders are searched, globs (`**` too) expanded.
        label: the class of all of them; a new one, or one of the model's.
        model: a model file with exemplars, or a run folder; None for the model in the package.
        out: where to write the new model file; None for nowhere.
        stream: disposal stream of a new class; None for that of the taxonomies, else "other".
        max_lost: the largest share of the held-out photos of other classes that may be lost.
        max_pixels: reject photos with more pixels.
        left_out: is called with one line for each folder or file that is not searched.
        progress: reports the number of photos done.

    Raises:
        UsageError: an argument is invalid, the model file has no exemplars, or there are too few
            or too many photos.
        DataError: fewer than three photos can be read.
        ModelFileError: the model file is damaged, altered or inconsistent.
    """
    path = default_model_path() if model is None else find_model(Path(model))
    classifier = Classifier(path, max_pixels=max_pixels)
    content = path.read_bytes()
    check_seal(content, show_path(path))
    info = classifier.info
    exemplars = Exemplars.from_statistics(info.statistics, len(info.class_names), info.num_features)
    draft = _named(info, label, stream)
    if not 0 <= max_lost <= 0.5:
        raise UsageError(f"max_lost must be 0 to 0.5, not {max_lost}")
    paths = [pictures] if isinstance(pictures, str | os.PathLike) else pictures
    names = list(dict.fromkeys(expand([os.fspath(path) for path in paths], left_out)))
    _check_count(len(names))
    photos, logits, problems = _views(classifier, names, progress)
    if len(photos) < MIN_PHOTOS:
        reason = f"; first error: {problems[0]}" if problems else ""
        raise DataError(
            f"only {len(photos)} of {len(names)} different photos can be read, but teaching needs "
            f"{MIN_PHOTOS}{reason}"
        )
    target = draft.class_index(label)
    lesson = Lesson(exemplars, photos, logits, target, info.temperature, max_lost)
    result = _learn(lesson, exemplars, _layers(info), photos[:, 0], draft, label, content)
    result = replace(
        result,
        is_new=label not in info.class_names,
        recall_before=float((logits[:, 0].argmax(axis=1) == target).mean()),
        problems=tuple(problems),
    )
    if out is not None:
        result.write(out)
    return result


def _learn(
    lesson: Lesson,
    exemplars: Exemplars,
    layers: dict[str, Head],
    photos: Floats,
    draft: ModelInfo,
    label: str,
    content: bytes,
) -> Teaching:
    """Fit the head, and measure what is learned and forgotten.

    Args:
        lesson: with all photos.
        exemplars: of the old model.
        layers: the old model's linear layers.
        photos: features `(P, D)` of the photos.
        draft: the metadata with the taught class.
        label: the taught class.
        content: the old model file.
    """
    target = draft.class_index(label)
    logits = lesson.logits + _left_out_outputs(lesson.fit, photos)
    recalled = logits.argmax(axis=1) == target
    kept = _held_out_logits(lesson, exemplars, len(photos))
    change = lesson.fit(range(len(photos)))
    after = _extended(exemplars, lesson, photos, target, change)
    name, scores = HEAD if HEAD in layers else CORRECTION, None
    layers = {**layers, name: _added(layers.get(name), change)}
    if UNKNOWN in layers:
        layers[UNKNOWN], scores = _taught_unknown(lesson, layers[UNKNOWN], exemplars, photos)
    info = _finished(draft, after, layers, np.concatenate([kept, logits]), scores, target)
    truth = exemplars.held_out_targets
    before, now = (found.argmax(axis=1) == truth for found in (exemplars.held_out_logits, kept))
    return Teaching(
        label=label,
        num_photos=len(photos),
        recall=float(recalled.mean()),
        interval=wilson_interval(int(recalled.sum()), len(photos)),
        curve=_curve(lesson, photos, target, float(recalled.mean())),
        num_held_out=len(truth),
        accuracy_before=float(before.mean()) if len(truth) else None,
        accuracy=float(now.mean()) if len(truth) else None,
        classes={
            name: (float(before[truth == k].mean()), float(now[truth == k].mean()))
            for k, name in enumerate(draft.class_names)
            if (truth == k).any()
        },
        info=info,
        content=replace_info(content, info),
    )


def _layers(info: ModelInfo) -> dict[str, Head]:
    """Return the linear layers in a model's metadata, by name."""
    sizes = {HEAD: len(info.class_names), CORRECTION: len(info.class_names), UNKNOWN: 1}
    found = {
        name: read_head(info.statistics, name, size, info.num_features)
        for name, size in sizes.items()
    }
    return {name: layer for name, layer in found.items() if layer is not None}


def _added(layer: Head | None, change: Head) -> Head:
    """Return the sum; a class that the first layer lacks starts as the mean of its others."""
    if layer is None:
        return change
    num_classes = len(change.bias)
    weight = widen(layer.weight.T, num_classes).T + change.weight
    return Head(weight, widen(layer.bias[None], num_classes)[0] + change.bias)


def _named(info: ModelInfo, label: str, stream: str | None) -> ModelInfo:
    """Return the metadata with the label among the classes."""
    if not label.isprintable() or not 1 <= len(label) <= MAX_LABEL or label != label.strip():
        raise UsageError(
            f"the label must be 1 to {MAX_LABEL} printable characters without spaces around them, "
            f"not {label[:MAX_LABEL]!r}"
        )
    if label in info.class_names:
        if stream is not None and stream != info.streams[label]:
            raise UsageError(
                f"the model has the class {label!r} already, with the stream "
                f"{info.streams[label]!r}; omit --stream, or change the stream with --rules"
            )
        return info
    for name in info.class_names:
        if name.casefold() == label.casefold():
            raise UsageError(
                f"the model has the class {name!r}, not {label!r}; use that spelling to correct "
                f"it, or choose another label"
            )
    own = {} if stream is None else {label: stream}
    return replace(
        info,
        class_names=(*info.class_names, label),
        streams={**info.streams, **assign_streams([label], own)},
    )


def _check_count(count: int) -> None:
    if not MIN_PHOTOS <= count <= MAX_PHOTOS:
        advice = "take more" if count < MIN_PHOTOS else "use fewer, or `recyclenet train`"
        raise UsageError(
            f"teaching takes {MIN_PHOTOS} to {MAX_PHOTOS} photos, best {ENOUGH_PHOTOS} or more, "
            f"not {count}; {advice}"
        )


def _views(
    classifier: Classifier, paths: Sequence[str], progress: Progress
) -> tuple[Floats, Floats, list[RecycleNetError]]:
    """Return the features and the logits of each photo and its mirror, and the errors.

    Copies of an earlier photo are left out.

    Returns:
        Features `(P, 2, D)`, logits `(P, 2, K)`, one error for each photo without features.
    """
    rows, answers = [], []
    problems: list[RecycleNetError] = []
    for done, path in enumerate(paths, 1):
        try:
            image = classifier.info.preprocess(classifier.decode(path))
        except ImageError as error:
            problems.append(error)
        else:
            logits, features, _ = classifier.outputs(np.stack([image, image[..., ::-1]]))
            if features is None or not np.isfinite(features).all():
                raise ModelFileError(
                    f"the model {classifier.info.name} returned non-finite features for "
                    f"{show_path(path)}; use another model"
                )
            rows.append(features)
            answers.append(logits)
        progress(done, len(paths), "reading")
    info = classifier.info
    photos = np.array(rows, np.float32).reshape(-1, 2, info.num_features)
    logits = np.array(answers, np.float32).reshape(-1, 2, len(info.class_names))
    _, first = np.unique(photos[:, 0], axis=0, return_index=True)  # copies have equal features
    numbers = np.sort(first)
    return photos[numbers], logits[numbers], problems


def _left_out_outputs(fit: Callable[[Sequence[int]], Head], photos: Floats) -> Floats:
    """Return the outputs `(P, K)` for each photo of a layer fitted without it.

    Args:
        fit: returns the layer fitted to the photos with these numbers.
        photos: features `(P, D)`.
    """
    count = len(photos)
    groups = np.array_split(np.arange(count), count if count <= _MAX_FITS else 10)
    parts = [fit([n for n in range(count) if n not in group]) for group in groups]
    return np.concatenate([layer(photos[g]) for layer, g in zip(parts, groups, strict=True)])


def _taught_unknown(
    lesson: Lesson, unknown: Head, exemplars: Exemplars, photos: Floats
) -> tuple[Head, Floats]:
    """Return the new layer of the unknown score, and the scores `(M + P,)`.

    The scores are of the held-out photos, then of the taught ones, each left out.
    """
    fit = partial(lesson.fit_unknown, unknown)
    layer = fit(range(len(photos)))
    rows = np.concatenate([layer(exemplars.held_out), _left_out_outputs(fit, photos)])
    return layer, sigmoid(rows[:, 0])


def _held_out_logits(lesson: Lesson, exemplars: Exemplars, num_photos: int) -> Floats:
    """Return the logits of the held-out photos, `(M, K)`.

    Each half's come from a correction whose bias only the other half has limited.
    """
    is_even = np.arange(len(exemplars.held_out)) % 2 == 0
    logits = lesson.held_out_logits.copy()
    for part in (is_even, ~is_even):
        logits[part] += lesson.fit(range(num_photos), ~part)(exemplars.held_out[part])
    return logits


def _curve(
    lesson: Lesson, photos: Floats, target: int, recall: float
) -> tuple[tuple[int, float], ...]:
    """Return numbers of photos taught, with the recall on the photos left out.

    Args:
        lesson: with all photos.
        photos: their features `(P, D)`.
        target: their class.
        recall: with one photo left out.
    """
    count, generator = len(photos), np.random.default_rng(0)
    curve = []
    for size in (size for size in _SIZES if size < count - 1):
        shares = []
        for _ in range(_NUM_CHOICES):
            order = generator.permutation(count)
            rest, change = order[size:], lesson.fit(order[:size].tolist())
            logits = lesson.logits[rest] + change(photos[rest])
            shares.append(float((logits.argmax(axis=1) == target).mean()))
        curve.append((size, float(np.mean(shares))))
    left_out = 1 if count <= _MAX_FITS else ceil(count / 10)
    return (*curve, (count - left_out, recall))


def _extended(
    exemplars: Exemplars, lesson: Lesson, photos: Floats, target: int, change: Head
) -> Exemplars:
    """Return the exemplars with the taught photos among them, for the next lesson."""
    photos = photos[:NUM_TRAIN]
    train = np.concatenate([exemplars.train, photos])
    given = widen(exemplars.train_logits, len(change.bias))
    logits = np.concatenate([given, lesson.logits[:NUM_TRAIN]])
    return replace(
        exemplars,
        train=train,
        train_targets=np.append(exemplars.train_targets, np.full(len(photos), target)),
        train_logits=logits + change(train),
        held_out_logits=lesson.held_out_logits + change(exemplars.held_out),
    )


def _finished(
    draft: ModelInfo,
    exemplars: Exemplars,
    layers: Mapping[str, Head],
    logits: Floats,
    scores: Floats | None,
    target: int,
) -> ModelInfo:
    """Return the metadata with the new layers and what depends on them.

    Statistics that no longer hold, such as the risk table, are dropped.

    Args:
        draft: the metadata with the new class.
        exemplars: with the taught photos.
        layers: the new head, and the new layer of the unknown score if the model has one.
        logits: of the held-out photos, then of the taught ones, each left out.
        scores: unknown scores of the same photos.
        target: the taught class.
    """
    held_out = exemplars.held_out_targets
    targets = np.append(held_out, np.full(len(logits) - len(held_out), target))
    temperature = round(fit_temperature(logits, targets), 6)
    return replace(
        draft,
        temperature=temperature,
        threshold=round(fit_threshold(logits, temperature, scores), 6),
        thresholds={},
        statistics={
            **{name: layer.to_statistics() for name, layer in layers.items()},
            EXEMPLARS: exemplars.to_statistics(),
            "confusion": Confusions.count(softmax(logits, temperature), targets).to_statistics(),
        },
        metrics={
            "split": "held-out exemplars and taught photos",
            "num_photos": len(targets),
            "accuracy": float((logits.argmax(axis=1) == targets).mean()),
        },
        version=version("recyclenet"),
    )
