from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recyclenet.errors import ModelFileError, UsageError

from .conftest import Start, jpeg
from .test_gate import TOKEN
from .test_routes import IMAGE, is_problem

RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path, make_model: Callable[..., Path]) -> Path:
    """A folder with the models old and new."""
    shutil.copy(tiny_model, tmp_path / "old.onnx")
    shutil.copy(make_model(class_names=("x", "y", "z")), tmp_path / "new.onnx")
    os.utime(tmp_path / "old.onnx", (1, 1))
    return tmp_path


def label(client: Any, path: str = "/v1/classify") -> Any:
    return client.post(path, content=jpeg(), headers={**IMAGE, **RIGHT}).json().get("label")


def test_a_folder_of_models_is_served_by_name(start: Start, folder: Path) -> None:
    client = start(folder)
    assert label(client) == "x"
    assert label(client, "/v1/classify?model=old") == "glass"
    assert label(start(folder, default="old")) == "glass"


def test_a_damaged_new_file_keeps_the_old_model(start: Start, folder: Path) -> None:
    client = start(folder, default="old", token=TOKEN)
    good = (folder / "old.onnx").read_bytes()
    (folder / "old.onnx").write_bytes(good[:-10])
    refused = client.post("/v1/models/old/reload", headers=RIGHT)
    assert is_problem(refused, 409, "model_refused")
    assert "stays in use" in refused.json()["detail"]
    assert label(client) == "glass"
    models = {m["name"]: m for m in client.get("/v1/models", headers=RIGHT).json()["models"]}
    assert models["old"]["ready"]
    assert models["old"]["error"]
    shutil.copy(folder / "new.onnx", folder / "old.onnx")
    assert client.post("/v1/models/old/reload", headers=RIGHT).status_code == 200
    assert label(client) == "x"
    assert is_problem(client.post("/v1/models/no/reload", headers=RIGHT), 404, "unknown_model")


def test_a_damaged_file_leaves_the_others_usable(start: Start, folder: Path) -> None:
    (folder / "new.onnx").write_bytes(b"damaged")
    client = start(folder)
    assert label(client) == "glass"
    asked = client.post("/v1/classify?model=new", content=jpeg(), headers=IMAGE)
    assert is_problem(asked, 503, "model_not_ready")
    with pytest.raises(ModelFileError):
        start(folder, default="new")


def test_new_files_join_and_removed_ones_leave(start: Start, folder: Path) -> None:
    client = start(folder)
    shutil.copy(folder / "old.onnx", folder / "third.onnx")
    (folder / "new.onnx").unlink()
    client.app.state.service.models.reload_all()
    assert [m["name"] for m in client.get("/v1/models").json()["models"]] == ["old", "third"]


def test_a_folder_without_models_is_refused(start: Start, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.onnx file"):
        start(tmp_path)
