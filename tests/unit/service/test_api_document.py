"""The service keeps to its OpenAPI document, whatever it is asked."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="needs the extra: serve")
from recyclenet.service.gate import METHODS, OPEN_PATHS

from .conftest import Start, jpeg
from .test_gate import TOKEN

RIGHT = {"Authorization": f"Bearer {TOKEN}"}
TYPES = ("image/jpeg", "multipart/form-data; boundary=b", "application/json", "text/html", "", "x/")
NAMES = ("label", "predicted", "id", "consent", "file", "x")


@pytest.fixture(scope="module")
def word() -> st.SearchStrategy[str]:
    return st.sampled_from(["", "model", "glass", "..", "%00", "é", "0", "a" * 300]) | st.text(
        st.characters(exclude_categories=["Cs"]), max_size=8
    )


def conforms(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> bool:
    """Whether a JSON value has the form that the document promises."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return any(conforms(value, part, document) for part in schema["anyOf"])
    match schema.get("type"):
        case "object":
            rest = schema.get("additionalProperties")
            fields = schema.get("properties", {})
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= set(value)
                and (rest is not None or set(value) <= set(fields))
                and all(conforms(v, fields.get(k, rest), document) for k, v in value.items())
            )
        case "array":
            if not isinstance(value, list):
                return False
            parts = schema.get("prefixItems", [])
            rest = value[len(parts) :]
            return (
                len(value) >= len(parts)
                and all(conforms(v, part, document) for v, part in zip(value, parts, strict=False))
                and all(conforms(v, schema["items"], document) for v in rest)
            )
        case kind:
            kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
            return value is None if kind == "null" else isinstance(value, kinds[kind])


def check(answer: Any, operation: dict[str, Any], document: dict[str, Any]) -> None:
    """Check that an operation's answer is one that the document describes."""
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, (answer.status_code, answer.text)
    assert answer.status_code != 500, answer.text
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in described["content"], answer.headers
    if "json" in kind:
        assert conforms(answer.json(), described["content"][kind]["schema"], document), answer.text


@pytest.mark.parametrize("token", [None, TOKEN])
def test_every_answer_is_described(
    start: Start, tmp_path: Path, word: st.SearchStrategy[str], token: str | None
) -> None:
    client = start(token=token, feedback=tmp_path, feedback_bytes=100_000)
    headers = {} if token is None else RIGHT
    document = client.get("/openapi.json", headers=headers).json()
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    photos = st.sampled_from([jpeg(), b"", b"no photo", jpeg()[:200]])
    forms = st.lists(st.tuples(st.sampled_from(NAMES), photos | word.map(str.encode)), max_size=5)

    @settings(suppress_health_check=list(HealthCheck), max_examples=150)
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        path, method, operation = data.draw(st.sampled_from(operations))
        names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
        query = {
            name: data.draw(word) for name in data.draw(st.sets(st.sampled_from(["x", *names])))
        }
        given_headers = dict(
            data.draw(st.sampled_from([headers, headers, {}, {"Host": "a.example"}]))
        )
        body: dict[str, Any] = {}
        if method == "post" and data.draw(st.booleans()):
            parts = data.draw(forms)
            body["files"] = [(n, ("a" if n == "file" else None, value)) for n, value in parts]
        elif method == "post":
            body["content"] = data.draw(photos)
            given_headers["Content-Type"] = data.draw(st.sampled_from(TYPES))
        place = re.sub(r"\{name\}", "model" if data.draw(st.booleans()) else "other", path)
        answer = client.request(method, place, params=query, headers=given_headers, **body)
        check(answer, operation, document)

    ask()


def test_other_methods_are_refused_and_the_right_ones_named(client: Any) -> None:
    document = client.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        allowed = {method.upper() for method in operations}
        for method in (*METHODS, "TRACE", "BREW"):
            if method in allowed:
                continue
            answer = client.request(method, path.replace("{name}", "model"))
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == allowed
            if method != "HEAD":
                assert answer.json()["reason"] == "method_not_allowed"


def test_the_document_says_what_needs_the_token(start: Start) -> None:
    document = start(token=TOKEN).get("/openapi.json", headers=RIGHT).json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            guarded = path not in OPEN_PATHS
            assert ("security" in operation) == guarded
            assert ("401" in operation["responses"]) == guarded
            assert ("403" in operation["responses"]) == (method == "post")
            assert {"400", "421", "500", "503"} <= set(operation["responses"])


@pytest.mark.parametrize("character", list("\x00\n\x7f\x85\xa0\xad\u200b\u202e\ufeff\ufffd"))
def test_the_document_and_the_service_agree_on_labels(
    start: Start, tmp_path: Path, character: str
) -> None:
    client = start(feedback=tmp_path)
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/feedback"]["post"]["requestBody"]["content"]
    label = body["multipart/form-data"]["schema"]["properties"]["label"]
    chance = random.Random(1)
    for text in (f"a{character}b", "".join(chance.choices("glass 玻璃 é-/()'\"", k=20))):
        right = re.search(label["pattern"], text) is not None
        status = client.post("/v1/feedback", files={"label": (None, text)}).status_code
        assert status == (201 if right else 422), text
