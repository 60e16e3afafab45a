from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from conftest import colour
from recyclenet import Classifier, Detector
from recyclenet.service import answers

from .conftest import Start, jpeg

IMAGE = {"Content-Type": "image/jpeg"}


def declared(media_type: str) -> dict[str, Any]:
    """A body of an odd type."""
    return {"content": b"x", "headers": {"Content-Type": media_type}}


def is_problem(answer: Any, status: int, reason: str) -> bool:
    """Whether an answer is this problem, completely; shows the answer otherwise."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "reason"}
    assert (problem["status"], problem["reason"]) == (status, reason)
    return True


def test_a_photo_gets_the_answer_of_classify_json(client: Any, tiny_model: Path) -> None:
    expected = Classifier(tiny_model).classify(jpeg()).to_row()
    raw = client.post("/v1/classify", content=jpeg(), headers=IMAGE)
    form = client.post("/v1/classify", files={"file": ("../../etc/passwd", jpeg())})
    assert raw.status_code == form.status_code == 200
    for answer in (raw.json(), form.json()):
        assert len(answer.pop("id")) == 32
        assert answer == expected


def test_several_photos_each_get_a_status(client: Any) -> None:
    photos = [jpeg("glass"), b"no photo", jpeg("paper")]
    answer = client.post("/v1/classify/batch", files=[("file", ("a", p)) for p in photos]).json()
    assert [item["status"] for item in answer["results"]] == [200, 422, 200]
    assert [item["index"] for item in answer["results"]] == [0, 1, 2]
    assert answer["results"][0]["prediction"]["label"] == "glass"
    assert answer["results"][1]["problem"]["reason"] == "broken_image"
    assert answer["results"][2]["prediction"]["label"] == "paper"


def test_explain_returns_a_picture(client: Any) -> None:
    answer = client.post("/v1/explain?label=metal", content=jpeg(), headers=IMAGE).json()
    assert answer["label"] == "metal"
    assert answer["prediction"]["label"] == "glass"
    head, _, content = answer["overlay"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(content))).size == (16, 16)


def table() -> bytes:
    """A photo of two objects on a grey table."""
    image = np.full((240, 320, 3), 120, np.uint8)
    image[30:100, 20:110] = colour("glass", 230)
    image[120:210, 200:290] = colour("paper", 230)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()


def test_several_objects_get_the_row_of_classify_multi(client: Any, tiny_model: Path) -> None:
    expected = Detector(Classifier(tiny_model)).detect(table()).to_row()
    answer = client.post("/v1/detect", content=table(), headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    row = answer.json()
    assert len(row.pop("id")) == 32
    assert row == expected
    assert [one["label"] for one in row["objects"]] == ["glass", "paper"]
    assert client.get("/v1/labels").json()["detect"] is True
    assert 'label="paper",model="model"} 1.0' in client.get("/metrics").text


def test_detections_are_bounded_in_number_and_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = threading.Event()
    monkeypatch.setattr(Detector, "detect", lambda *_: may.wait(20))
    client = start(explain_queue=1, explain_deadline=0.2)
    for reason in ("deadline_exceeded", "overloaded"):  # the first still runs
        answer = client.post("/v1/detect", content=jpeg(), headers=IMAGE)
        assert is_problem(answer, 503, reason)
        assert answer.headers["Retry-After"]
    may.set()
    assert client.post("/v1/classify", content=jpeg(), headers=IMAGE).status_code == 200


def test_a_service_with_a_largest_risk_finds_one_item_a_photo(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, classifier = client.app.state.service.models.classifier()
    monkeypatch.setattr(classifier, "risk", object())
    answer = client.post("/v1/detect", content=jpeg(), headers=IMAGE)
    assert is_problem(answer, 403, "detect_off")
    assert client.get("/v1/labels").json()["detect"] is False


def test_labels_and_models(client: Any) -> None:
    labels = client.get("/v1/labels").json()
    assert [entry["label"] for entry in labels["labels"]] == ["glass", "metal", "paper"]
    assert labels["labels"][0]["bin"] == "recycling bin"
    (model,) = client.get("/v1/models").json()["models"]
    assert (model["name"], model["default"], model["ready"]) == ("model", True, True)


@pytest.mark.parametrize(
    ("path", "options", "status", "reason"),
    [
        ("/v1/classify", declared("application/json"), 415, "unsupported_media_type"),
        ("/v1/classify", declared("image/svg+xml"), 415, "unsupported_media_type"),
        ("/v1/classify/batch", {"content": b"x", "headers": IMAGE}, 415, "unsupported_media_type"),
        ("/v1/classify", {"content": b"", "headers": IMAGE}, 422, "broken_image"),
        ("/v1/classify", {"content": jpeg()[:300], "headers": IMAGE}, 422, "broken_image"),
        ("/v1/classify", declared("multipart/form-data"), 422, "invalid_form"),
        ("/v1/classify", declared("multipart/form-data; boundary=b"), 422, "invalid_form"),
        ("/v1/classify", {"files": [("file", ("a", b"1"))] * 2}, 422, "invalid_form"),
        ("/v1/classify/batch", {"files": [("file", ("a", b"1"))] * 33}, 413, "too_many_photos"),
        ("/v1/classify?model=other", {"content": b"x", "headers": IMAGE}, 404, "unknown_model"),
        ("/v1/detect", {"content": jpeg()[:300], "headers": IMAGE}, 422, "broken_image"),
        ("/v1/detect", declared("application/json"), 415, "unsupported_media_type"),
        ("/v1/detect", {"files": [("file", ("a", b"1"))] * 2}, 422, "invalid_form"),
        ("/v1/detect?model=other", {"content": b"x", "headers": IMAGE}, 404, "unknown_model"),
        ("/v1/explain?label=tin", {"content": jpeg(), "headers": IMAGE}, 422, "invalid_request"),
        ("/v1/explain?label=" + 101 * "x", declared("image/png"), 422, "invalid_request"),
        ("/v1/nothing", {}, 404, "not_found"),
        ("/v1/labels", {}, 405, "method_not_allowed"),
        ("/v1/models/model/reload", {}, 403, "reload_off"),
        ("/v1/feedback", {"files": {"label": (None, "glass")}}, 403, "feedback_off"),
    ],
)  # fmt: skip
def test_refusals(client: Any, path: str, options: Any, status: int, reason: str) -> None:
    assert is_problem(client.post(path, **options), status, reason)


def test_large_bodies_and_photos_are_refused(start: Start) -> None:
    client = start(max_body=20_000)
    large = client.post("/v1/classify", content=iter([b"x" * 9000] * 3), headers=IMAGE)
    assert is_problem(large, 413, "body_too_large")
    bomb = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(bomb, "PNG")  # 100 megapixels in 12 kB
    assert is_problem(
        client.post("/v1/classify", content=bomb.getvalue(), headers=IMAGE), 413, "image_too_large"
    )


def test_feedback_is_stored_with_consent_and_without_metadata(start: Start, tmp_path: Path) -> None:
    client = start(feedback=tmp_path / "feedback")
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "secret camera"
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "JPEG", exif=exif)
    sent = {"label": "glass", "predicted": "metal", "id": 32 * "a"}
    file = {"file": ("../../x.jpg", content.getvalue())}
    without = client.post("/v1/feedback", data={**sent, "consent": "no"}, files=file)
    agreed = client.post("/v1/feedback", data={**sent, "consent": "true"}, files=file)
    assert without.status_code == agreed.status_code == 201
    names = {path.name for path in (tmp_path / "feedback").iterdir()}
    ids = (without.json()["id"], agreed.json()["id"])
    assert names == {f"{ids[0]}.json", f"{ids[1]}.json", f"{ids[1]}.jpg"}
    row = json.loads((tmp_path / "feedback" / f"{ids[1]}.json").read_text())
    assert (row["label"], row["predicted"], row["answer"]) == ("glass", "metal", 32 * "a")
    stored = (tmp_path / "feedback" / f"{ids[1]}.jpg").read_bytes()
    assert b"secret" not in stored
    assert Image.open(io.BytesIO(stored)).size == (64, 64)


@pytest.mark.parametrize(
    "fields",
    [{"label": ""}, {"label": "a\nb"}, {"label": "a" * 101}, {"label": "a", "id": "../x"}],
)
def test_feedback_refuses_odd_text(start: Start, tmp_path: Path, fields: dict[str, str]) -> None:
    client = start(feedback=tmp_path)
    forms = {name: (None, value) for name, value in fields.items()}
    assert is_problem(client.post("/v1/feedback", files=forms), 422, "invalid_form")
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_takes_no_feedback(start: Start, tmp_path: Path) -> None:
    client = start(feedback=tmp_path, feedback_bytes=8192)
    form = {"label": (None, "glass")}
    assert [client.post("/v1/feedback", files=form).status_code for _ in range(2)] == [201, 201]
    assert is_problem(client.post("/v1/feedback", files=form), 507, "feedback_full")


def test_health_metrics_and_protocol_paths(client: Any) -> None:
    client.post("/v1/classify", content=jpeg(), headers=IMAGE)
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/v2"):
        assert client.get(path).status_code == 200
    assert client.get("/v2/models/model").json()["outputs"][0]["shape"] == [1, 3]
    assert client.get("/v2/models/model/ready").status_code == 200
    assert is_problem(client.get("/v2/models/other/ready"), 404, "unknown_model")
    text = client.get("/metrics").text
    assert 'recyclenet_predictions_total{known="True",label="glass",model="model"} 1.0' in text
    assert 'path="/v1/classify",status="200"} 1.0' in text
    client.app.state.service.draining = True
    assert is_problem(client.get("/readyz"), 503, "draining")
    assert client.get("/livez").status_code == 200


def test_every_path_has_a_described_answer(client: Any) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    assert "ProblemDetails" in document["components"]["schemas"]
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = operation["responses"].get("200") or operation["responses"]["201"]
            assert answer["content"], (path, method)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))


def test_feedback_on_an_answer_says_which_model_gave_it(
    start: Start, tmp_path: Path, tiny_model: Path
) -> None:
    client = start(feedback=tmp_path / "feedback")
    answer = client.post("/v1/classify", content=jpeg(), headers=IMAGE).json()
    sent = {"label": "metal", "predicted": "a lie", "id": answer["id"]}
    stored = client.post("/v1/feedback", files={k: (None, v) for k, v in sent.items()}).json()
    row = json.loads((tmp_path / "feedback" / f"{stored['id']}.json").read_text())
    digest = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert (row["predicted"], row["model"], row["model_sha256"]) == ("glass", "model", digest)
    assert client.get("/v1/models").json()["models"][0]["sha256"] == digest


def test_only_the_latest_answers_are_remembered(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "KEPT", 2)
    client = start(feedback=tmp_path)
    ids = [client.post("/v1/classify", content=jpeg(), headers=IMAGE).json()["id"] for _ in "123"]
    kept = client.app.state.service.answers
    assert [set(kept.facts_of(one)) == {"answer"} for one in ids] == [True, False, False]
