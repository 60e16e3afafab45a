from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra: serve")
from recyclenet.service import feedback
from recyclenet.service.feedback import BLOCK, FeedbackStore
from recyclenet.service.problems import Problem

from .conftest import Start, jpeg
from .test_routes import is_problem

FACTS: dict[str, object] = {"label": "glass"}


def refused(store: FeedbackStore) -> str:
    with pytest.raises(Problem) as error:
        store.store(FACTS, None)
    return error.value.reason


def test_two_services_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [FeedbackStore(tmp_path, 1000 * BLOCK) for _ in range(2)]
    with ThreadPoolExecutor(4) as pool:
        asked = [(stores[n % 2].store, {**FACTS, "answer": n}, jpeg()) for n in range(40)]
        names = [future.result() for future in [pool.submit(*each) for each in asked]]
    assert len(set(names)) == 40
    found = [json.loads((tmp_path / f"{name}.json").read_text())["answer"] for name in names]
    assert found == list(range(40))
    assert len(list(tmp_path.glob("*.jpg"))) == 40
    monkeypatch.setattr(feedback, "COUNT_SECONDS", 0.0)
    small = FeedbackStore(tmp_path, 82 * BLOCK)
    stores[0].store(FACTS, None)
    stores[1].store(FACTS, None)
    assert refused(small) == "feedback_full"


def test_files_taken_out_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeedbackStore(tmp_path, BLOCK)
    store.store(FACTS, None)
    for path in tmp_path.iterdir():
        path.unlink()
    assert refused(store) == "feedback_full"  # a flood does not count the folder each time
    monkeypatch.setattr(feedback, "COUNT_FULL_SECONDS", 0.0)
    store.store(FACTS, None)
    assert refused(store) == "feedback_full"


def test_a_folder_that_fails_is_the_operators_fault(start: Start, tmp_path: Path) -> None:
    client = start(feedback=tmp_path / "feedback")
    (tmp_path / "feedback").rmdir()
    (tmp_path / "feedback").write_text("a file")
    answer = client.post("/v1/feedback", files={"label": (None, "glass")})
    assert is_problem(answer, 507, "feedback_failed")


def test_a_photo_without_its_facts_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeedbackStore(tmp_path, 100 * BLOCK)

    def write(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise OSError("no space left")
        path.write_bytes(content)

    monkeypatch.setattr(feedback, "write_bytes", write)
    with pytest.raises(Problem):
        store.store(FACTS, jpeg())
    assert list(tmp_path.iterdir()) == []
