"""`recyclenet doctor`: a check of the installation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from recyclenet.cli.options import ModelOption
from recyclenet.cli.output import say
from recyclenet.errors import EXIT_FAILURE, RecycleNetError

LIGHT = ("numpy", "pillow", "onnxruntime", "simplejpeg", "typer", "rich", "jinja2")
EXTRAS = {"train": ("torch", "torchvision", "timm", "lightning", "onnx"), "heic": ("pillow-heif",)}


def doctor(
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check the installation: versions, extras, model file, and a test classification."""
    import platform

    from recyclenet import __version__
    from recyclenet.cli.rows import print_row
    from recyclenet.core.resources import num_cores

    facts: dict[str, Any] = {
        "recyclenet": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, cores: {num_cores()}",
        "light": {name: _version(name) for name in LIGHT},
        "extras": {
            extra: {name: _version(name) for name in names} for extra, names in EXTRAS.items()
        },
        "problems": [],
    }
    missing = [name for name, version in facts["light"].items() if version is None]
    facts["problems"] += [f"{name} is not installed" for name in missing]
    try:
        facts["model"] = _check_model(model)
    except RecycleNetError as error:
        facts["problems"].append(str(error))
    if as_json:
        print_row(facts)
    else:
        _show(facts)
    if facts["problems"]:
        raise typer.Exit(EXIT_FAILURE)


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_model(model: Any) -> dict[str, Any]:
    """Load the model, which verifies its seal, and time the classification of one image."""
    import time

    import numpy as np

    from recyclenet.inference.classifier import Classifier

    classifier = Classifier(model)
    image = np.full((384, 512, 3), 200, np.uint8)
    classifier.classify(image)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        classifier.classify(image)
        times.append(time.perf_counter() - start)
    info = classifier.info
    return {
        "name": info.name,
        "class_names": list(info.class_names),
        "backbone": info.backbone,
        "image_size": info.preprocess.image_size,
        "licence": info.licence,
        "latency_ms": round(1000 * float(np.median(times)), 1),
    }


def _show(facts: dict[str, Any]) -> None:
    say(f"recyclenet {facts['recyclenet']}, Python {facts['python']}, {facts['system']}")
    say("installed: " + ", ".join(f"{name} {version}" for name, version in facts["light"].items()))
    for extra, names in facts["extras"].items():
        absent = [name for name, version in names.items() if version is None]
        state = f"no ({', '.join(absent)}): pip install 'recyclenet[{extra}]'" if absent else "yes"
        say(f"extra {extra}: {state}")
    if "model" in facts:
        model = facts["model"]
        say(
            f"model: {model['name']} ({model['backbone']}, {model['image_size']} px), intact; "
            f"{', '.join(model['class_names'])}; {model['latency_ms']} ms per image"
        )
    for problem in facts["problems"]:
        say(f"problem: {problem}")
    say("no problems found" if not facts["problems"] else "problems found")
