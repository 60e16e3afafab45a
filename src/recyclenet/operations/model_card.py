"""Model cards: what a run folder or a model file says of itself, as Markdown."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recyclenet.core.files import generator
from recyclenet.core.markdown import escape, table, yaml_text
from recyclenet.core.model_info import ModelInfo
from recyclenet.core.run_folder import RunFolder
from recyclenet.data.manifest import SPLITS, Manifest, read_manifest, trashnet_manifest
from recyclenet.evaluation.metrics import wilson_interval
from recyclenet.inference.head import CORRECTION, HEAD, UNKNOWN
from recyclenet.inference.session import find_model, read_info

# Licences of the hub by their names there; any other one is "other".
_LICENCES = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "gpl-3.0")
_FEW_PHOTOS = 50
_METRICS = (
    ("balanced_accuracy", "balanced accuracy (mean recall)", "{:.1%}"),
    ("macro_f1", "macro F1", "{:.1%}"),
    ("nll", "log loss", "{:.3f}"),
    ("ece", "calibration error", "{:.1%}"),
    ("coverage", "coverage (share of known answers)", "{:.1%}"),
    ("known_accuracy", "accuracy of known answers", "{:.1%}"),
)


@dataclass(frozen=True)
class _Facts:
    """What the file or the run knows.

    Attributes:
        info: the metadata of the model file.
        num_bytes: size of the model file.
        manifest: the photos of the run; None for a model file.
        epochs: rows of the run's metrics table; empty for a model file.
    """

    info: ModelInfo
    num_bytes: int
    manifest: Manifest | None
    epochs: list[dict[str, float]]

    @property
    def is_trashnet(self) -> bool:
        """Whether the training data was TrashNet with its published splits."""
        return self.info.data_fingerprint == trashnet_manifest().fingerprint

    @property
    def domains(self) -> list[str]:
        """The data sets that the photos are from, as far as they have names."""
        return [] if self.manifest is None else [name for name in self.manifest.domains if name]

    @property
    def per_class(self) -> dict[str, Mapping[str, Any]]:
        """The stored metrics of each class."""
        stored = _table(self.info.metrics, "per_class")
        return {name: _table(stored, name) for name in self.info.class_names if name in stored}


def model_card(item: str | os.PathLike[str]) -> str:
    """Return a model card in the format of model hubs: YAML front matter, then Markdown.

    It contains only what the file or the run knows; text from them is escaped.

    Args:
        item: a run folder with a model, a model file, or "built-in" for the model in the package.

    Raises:
        UsageError: the item does not exist, or the run has no model yet.
        DataError: the manifest or the metrics table of the run is damaged.
        ModelFileError: the model file is damaged or altered.
    """
    facts = _read(Path(item))
    sections = (_front_matter, _what, _use, _training, _results, _limits, _how)
    return "\n".join(line for section in sections for line in section(facts)) + "\n"


def _read(path: Path) -> _Facts:
    model, run = find_model(path), RunFolder(path)
    info = read_info(model)
    has_photos = run.manifest_file.exists()
    manifest = read_manifest(run.manifest_file) if has_photos else None
    return _Facts(info, model.stat().st_size, manifest, run.metrics)


def _front_matter(facts: _Facts) -> Iterator[str]:
    info = facts.info
    yield "---"
    yield f"# {generator()}"
    licence = info.licence.strip()
    if licence:
        is_known = licence.lower() in _LICENCES
        yield f"license: {licence.lower() if is_known else 'other'}"
        if not is_known:
            yield f"license_name: {yaml_text(licence)}"
    yield "pipeline_tag: image-classification"
    yield "tags:"
    yield from (f"- {tag}" for tag in ("image-classification", "waste", "recycling", "onnx"))
    # The hub accepts no other names of datasets.
    plain = [name for name in facts.domains if re.fullmatch(r"[A-Za-z][\w.-]*(/[\w.-]+)?", name)]
    datasets = ["garythung/trashnet"] if facts.is_trashnet else plain
    if datasets:
        yield "datasets:"
        yield from (f"- {yaml_text(name)}" for name in datasets)
    accuracy = _number(info.metrics, "accuracy")
    if accuracy is not None:
        yield "metrics:"
        yield "- accuracy"
        yield "model-index:"
        yield f"- name: {yaml_text(info.name)}"
        yield "  results:"
        yield "  - task:"
        yield "      type: image-classification"
        yield "    dataset:"
        yield f"      name: {yaml_text(_photos_of_results(facts))}"
        yield "      type: imagefolder"
        yield "    metrics:"
        yield "    - type: accuracy"
        yield f"      value: {accuracy:.6f}"
    yield "---"
    yield ""


def _what(facts: _Facts) -> Iterator[str]:
    info = facts.info
    size = info.preprocess.image_size
    yield f"# {escape(info.name)}"
    yield ""
    yield (
        f"An image classifier for photos of waste with {len(info.class_names)} classes: "
        f"{', '.join(map(escape, info.class_names))}."
    )
    yield ""
    how = "the middle square" if info.preprocess.resize_mode == "crop" else "the whole photo"
    yield f"- Network: {escape(info.backbone) or 'not recorded'}"
    yield f"- Input: {how}, resized to {size} × {size} pixels"
    megabytes = f"{facts.num_bytes / 1e6:.1f} MB"
    yield f"- File: ONNX, {megabytes}, weights stored as {escape(info.precision)}"
    yield f"- Licence: {escape(info.licence) or 'not recorded'}"
    yield f"- Made by RecycleNet {escape(info.version) or '(release not recorded)'}"
    yield ""


def _use(facts: _Facts) -> Iterator[str]:
    info = facts.info
    yield "## Intended use"
    yield ""
    yield (
        "The model names the class of one object in a photo, and thus its disposal stream. "
        "Your city's rules may differ from these streams."
    )
    yield ""
    rows = [(escape(name), escape(info.streams[name])) for name in info.class_names]
    yield from table(("class", "stream"), rows)
    yield ""
    times = ", times one minus the unknown score," if UNKNOWN in info.statistics else ""
    yield (
        f"An answer counts as known if its confidence{times} reaches {info.threshold:.1%}; a "
        f"person should look at the others."
    )
    yield ""


def _training(facts: _Facts) -> Iterator[str]:
    info = facts.info
    yield "## Training"
    yield ""
    if facts.is_trashnet:
        yield "- Data: TrashNet (Gary Thung and Mindy Yang) with its published splits"
    elif facts.domains:
        yield f"- Data sets: {', '.join(map(escape, facts.domains))}"
    yield f"- Fingerprint of the data: {escape(info.data_fingerprint) or 'not recorded'}"
    if facts.epochs:
        best = min(facts.epochs, key=lambda row: (math.isnan(row["val_loss"]), row["val_loss"]))
        yield (
            f"- Epochs: {len(facts.epochs)}; the lowest validation loss is {best['val_loss']:.3f}, "
            f"in epoch {best['epoch']:.0f}, with accuracy {best['val_accuracy']:.1%}"
        )
    if {HEAD, CORRECTION} & info.statistics.keys():
        yield "- After training, the model was taught from a few more photos (`recyclenet teach`)"
    yield ""
    if facts.manifest is not None:
        yield from _photos(facts.manifest)
    settings = list(_settings(info.recipe))
    if settings:
        yield "<details><summary>All settings of the recipe</summary>"
        yield ""
        yield from table(("setting", "value"), settings)
        yield ""
        yield "</details>"
        yield ""


def _photos(manifest: Manifest) -> Iterator[str]:
    """Yield a table of the number of photos by class and split."""
    splits = [name for name in (*SPLITS, "") if any(s.split == name for s in manifest)]
    counts = {name: dict.fromkeys(splits, 0) for name in manifest.class_names}
    for sample in manifest:
        counts[sample.label][sample.split] += 1
    rows = [(escape(name), *map(str, row.values())) for name, row in counts.items()]
    totals = (str(sum(row[name] for row in counts.values())) for name in splits)
    titles = [name or "no split" for name in splits]
    yield from table(("photos", *titles), [*rows, ("all", *totals)])
    yield ""


def _settings(recipe: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in recipe.items():
        if isinstance(value, Mapping) and not prefix and value:
            yield from _settings(value, f"{name}.")
        elif value not in ("", {}, []):
            yield escape(prefix + str(name)), escape(json.dumps(value, ensure_ascii=False))


def _results(facts: _Facts) -> Iterator[str]:
    metrics = facts.info.metrics
    accuracy, num_photos = _number(metrics, "accuracy"), _number(metrics, "num_photos")
    yield "## Results"
    yield ""
    if accuracy is None:
        yield "No results are stored."
        yield ""
        return
    number = f"{num_photos:.0f} " if num_photos else ""
    yield f"On {number}photos ({escape(_photos_of_results(facts))}):"
    yield ""
    rows = [("accuracy", f"{accuracy:.1%}{_interval(accuracy, num_photos)}")]
    for key, title, pattern in _METRICS:
        value = _number(metrics, key)
        if value is not None:
            rows.append((title, pattern.format(value)))
    yield from table(("metric", "value"), rows)
    yield ""
    if facts.per_class:
        yield from table(
            ("class", "photos", "precision", "recall", "F1"),
            [
                (
                    escape(name),
                    _shown(row, "num_photos", "{:.0f}"),
                    *(_shown(row, key, "{:.1%}") for key in ("precision", "recall", "f1")),
                )
                for name, row in facts.per_class.items()
            ],
        )
        yield ""
    domains = _table(metrics, "by_domain")
    if domains:
        yield from table(
            ("data set", "photos", "accuracy"),
            [
                (
                    escape(str(name)),
                    _shown(_table(domains, name), "num_photos", "{:.0f}"),
                    _shown(_table(domains, name), "accuracy", "{:.1%}"),
                )
                for name in domains
            ],
        )
        yield ""


def _limits(facts: _Facts) -> Iterator[str]:
    info, per_class = facts.info, facts.per_class
    yield "## Limits"
    yield ""
    if info.metrics.get("split") == "val":
        yield (
            "- The epoch, the temperature and the threshold were chosen on the photos of the "
            "results, so the results are somewhat too good. No results on test photos are stored."
        )
    if len(facts.domains) < 2:
        yield (
            "- No results on photos from another source are stored. Accuracy on other cameras, "
            "backgrounds and places is often much lower."
        )
    few = [
        n for n, row in per_class.items() if 0 <= (_number(row, "num_photos") or 0) < _FEW_PHOTOS
    ]
    if few:
        yield (
            f"- The figures of {', '.join(map(escape, few))} rest on fewer than {_FEW_PHOTOS} "
            f"photos each and are uncertain."
        )
    recalls = {n: r for n, row in per_class.items() if (r := _number(row, "recall")) is not None}
    if recalls:
        weakest = min(recalls, key=lambda name: recalls[name])
        yield f"- The lowest recall is that of {escape(weakest)}: {recalls[weakest]:.0%}."
    if UNKNOWN in info.statistics:
        yield "- An unknown score marks photos of other things; it can be wrong, too."
    else:
        yield "- A photo of anything else also gets one of the classes as its answer."
    yield "- If a photo shows several objects, the model names one of them."
    if not info.licence.strip():
        yield "- The licence of the weights is not recorded; ask the author before you use them."
    yield ""


def _how(_: _Facts) -> Iterator[str]:
    yield "## How to use"
    yield ""
    yield "With RecycleNet installed, and the model file as `model.onnx`:"
    yield ""
    yield "```sh"
    yield "recyclenet classify photo.jpg --model model.onnx"
    yield "recyclenet evaluate --data photos/ --model model.onnx"
    yield "```"
    yield ""
    yield "```python"
    yield "from recyclenet import Classifier"
    yield ""
    yield 'label = Classifier("model.onnx").classify("photo.jpg").label'
    yield "```"


def _photos_of_results(facts: _Facts) -> str:
    """Return which photos the stored results are of, such as "TrashNet, validation photos"."""
    split = facts.info.metrics.get("split")
    names = ["TrashNet"] if facts.is_trashnet else facts.domains
    if split == "val":
        split = "validation photos"
    elif not isinstance(split, str) or not split:
        split = "split not recorded"
    return ", ".join([*names, split])


def _interval(share: float, num_photos: float | None) -> str:
    """Return the 95% Wilson interval of a share as text; empty if it makes no sense."""
    if num_photos is None or num_photos < 1 or not 0 <= share <= 1:
        return ""
    low, high = wilson_interval(round(share * num_photos), round(num_photos))
    return f" (95%: {low:.1%} to {high:.1%})"


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _number(values: Mapping[str, Any], key: str) -> float | None:
    """Return a finite number of moderate size; None for anything else."""
    found = values.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return float(found) if abs(found) < 1e12 else None


def _shown(values: Mapping[str, Any], key: str, pattern: str) -> str:
    value = _number(values, key)
    return "" if value is None else pattern.format(value)
