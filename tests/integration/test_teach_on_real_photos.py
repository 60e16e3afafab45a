"""The built-in model learns styrofoam from ten photos of litter, and keeps what it knew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recyclenet import Classifier, teach

pytestmark = pytest.mark.data


def test_styrofoam_from_ten_photos(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "taco_crops" / "extra_styrofoam"
    if not folder.is_dir():
        pytest.skip(f"no photos at {folder}")
    paths = np.random.default_rng(0).permutation(sorted(folder.iterdir())).tolist()
    result = teach(paths[:10], "styrofoam", out=tmp_path / "taught.onnx")
    assert result.accuracy is not None
    assert result.accuracy_before is not None
    assert result.accuracy >= result.accuracy_before - 0.03
    taught = Classifier(tmp_path / "taught.onnx")
    answers = list(taught.classify_many(paths[10:]))
    found = [answer.label for answer in answers].count("styrofoam")
    print(f"recall {found / len(answers):.1%}, accuracy {result.accuracy:.1%}")
    assert found / len(answers) >= 0.25  # among litter, it looks like other plastic and paper
    before = Classifier().classify_many(paths[10:])
    assert np.mean([a.unknown for a in answers]) < np.mean([a.unknown for a in before])
