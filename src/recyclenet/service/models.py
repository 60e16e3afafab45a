"""The models that the service offers, and their safe replacement."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from recyclenet.core.text import show_path
from recyclenet.errors import ModelFileError, RecycleNetError, UsageError, nearest
from recyclenet.inference.classifier import Classifier
from recyclenet.service.metrics import Metrics
from recyclenet.service.problems import Problem

Open = Callable[[Path], Classifier]


@dataclass(frozen=True)
class Model:
    """A model under its name.

    Attributes:
        name: the stem of the file.
        path: the file.
        classifier: the model in use; None if the file has never been usable.
        loaded: when it was loaded, seconds since 1970; None like `classifier`.
        error: why the file was refused when last read; None if it was not.
    """

    name: str
    path: Path
    classifier: Classifier | None = None
    loaded: float | None = None
    error: str | None = None


class Models:
    """The models of a file or a folder.

    Args:
        source: a model file, or a folder of them.
        open_model: opens one.
        default: the model of requests that name none; None for the newest file.
        metrics: where to count loads.

    Raises:
        UsageError: there is no model, or none with the default's name.
        ModelFileError: the default model, or every model, is damaged.
    """

    def __init__(
        self, source: Path, open_model: Open, default: str | None, metrics: Metrics
    ) -> None:
        self._source = source
        self._open = open_model
        self._wanted = default
        self._metrics = metrics
        self._lock = threading.Lock()
        self._models: Mapping[str, Model] = {}
        files = self._files()
        if not files:
            raise UsageError(f"no .onnx file in {show_path(source)}; put a model there")
        if default is not None and default not in files:
            raise UsageError(f"unknown model {default!r}: {nearest(default, files)}")
        self.reload_all()
        usable = [model for model in self._models.values() if model.classifier is not None]
        chosen = self._models[self.default]
        if not usable or (default is not None and chosen.classifier is None):
            open_model(chosen.path)  # raises its error as it is
            raise ModelFileError(f"{show_path(chosen.path)} changed while it was read")

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        usable = [m for m in self._models.values() if m.classifier is not None]
        if self._wanted in self._models:
            return str(self._wanted)
        newest = max(usable or self._models.values(), key=lambda m: (_modified(m.path), m.name))
        return newest.name

    def all(self) -> list[Model]:
        """Return all models, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def get(self, name: str | None = None) -> Model:
        """Return a model; None for the default one.

        Raises:
            Problem: there is no such model.
        """
        found = self._models.get(self.default if name is None else name)
        if found is None:
            raise Problem(404, "unknown_model", f"no model {name!r}; see /v1/models")
        return found

    def classifier(self, name: str | None = None) -> tuple[str, Classifier]:
        """Return name and classifier of a model; None for the default one.

        Raises:
            Problem: there is no such model, or its file is damaged.
        """
        model = self.get(name)
        if model.classifier is None:
            raise Problem(503, "model_not_ready", model.error or "the model is not loaded")
        return model.name, model.classifier

    def reload(self, name: str) -> Model:
        """Read a model file again; if it is unusable, the model in use stays, with the `error`.

        Raises:
            Problem: there is no such model.
        """
        with self._lock:
            files = self._files()
            if name not in files and name not in self._models:
                raise Problem(404, "unknown_model", f"no model {name!r}; see /v1/models")
            old = self._models.get(name)
            path = files.get(name) or (old.path if old is not None else self._source)
            model = self._load(name, path)
            self._models = {**self._models, name: model}
            return model

    def reload_all(self) -> list[Model]:
        """Read all files again; drop models whose file is gone, unless none would be left."""
        with self._lock:
            loaded = {name: self._load(name, path) for name, path in self._files().items()}
            if loaded:
                self._models = loaded
            return self.all()

    def _load(self, name: str, path: Path) -> Model:
        try:
            model = Model(name, path, self._open(path), time.time())
        except RecycleNetError as error:
            self._metrics.loads.labels(name, "refused").inc()
            return replace(self._models.get(name) or Model(name, path), error=str(error))
        self._metrics.loads.labels(name, "loaded").inc()
        return model

    def _files(self) -> dict[str, Path]:
        if not self._source.is_dir():
            return {self._source.stem: self._source}
        paths = sorted(self._source.glob("*.onnx"))
        return {path.stem: path for path in paths if path.is_file()}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
