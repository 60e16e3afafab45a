"""One training run: what its folder holds, read with the full tier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from recyclenet.core.model_info import ModelInfo
from recyclenet.core.run_folder import RunFolder
from recyclenet.data.manifest import Manifest, read_manifest
from recyclenet.inference.classifier import Classifier
from recyclenet.training.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Run(RunFolder):
    """A training run and its results.

    Attributes:
        folder: the run folder.
    """

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe.

        Raises:
            UsageError: the folder holds no run, or its recipe is from an older release.
        """
        return load_recipe(self.recipe_file)

    @cached_property
    def manifest(self) -> Manifest:
        """The photos of the run, with their splits.

        Raises:
            UsageError: the folder holds no run.
        """
        return read_manifest(self.manifest_file)

    @property
    def info(self) -> ModelInfo:
        """The metadata of the exported model file, including validation metrics."""
        return self.classifier().info

    def classifier(self) -> Classifier:
        """Return a classifier that uses the exported model.

        Raises:
            UsageError: the run has not been exported.
        """
        return Classifier(self.model)

    def __repr__(self) -> str:
        rows = self.metrics
        state = f"{len(rows)} epochs" if rows else "not trained"
        if rows and self.model.is_file():
            state += f", validation accuracy {self.info.metrics['accuracy']:.2%}"
        return f"Run({str(self.folder)!r}, {state})"
