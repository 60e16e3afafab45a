"""The built-in model learns kitchen waste from ten photos, and keeps what it knew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet import Classifier, teach
from recyclenet.inference.exemplars import EXEMPLARS

pytestmark = pytest.mark.data


def test_kitchen_waste_from_ten_photos(shared_dir: Path, tmp_path: Path) -> None:
    if EXEMPLARS not in Classifier().info.statistics:
        pytest.skip("the built-in model has no exemplars; export it again")
    folder = shared_dir / "waste_web" / "biodegradable"
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}")
    paths = np.random.default_rng(0).permutation(sorted(folder.iterdir()))[:60].tolist()
    result = teach(paths[:10], "biodegradable", out=tmp_path / "taught.onnx")
    assert result.info.streams["biodegradable"] == "kitchen"
    assert result.accuracy is not None
    assert result.accuracy_before is not None
    assert result.accuracy >= result.accuracy_before - 0.03
    answers = Classifier(tmp_path / "taught.onnx").classify_many(paths[10:])
    assert [answer.label for answer in answers].count("biodegradable") >= 35
