from __future__ import annotations

from typing import Any

import pytest

from .conftest import Start, jpeg
from .test_routes import IMAGE, is_problem

TOKEN = "0123456789abcdef"


def test_a_token_guards_all_but_health_and_the_page(start: Start) -> None:
    client = start(token=TOKEN)
    for path in ("/livez", "/readyz", "/v2/health/live"):
        assert client.get(path).status_code == 200
    for path in ("/v1/labels", "/metrics", "/openapi.json", "/v2", "/v1/nothing"):
        assert is_problem(client.get(path), 401, "unauthorized")
    wrong = {"Authorization": f"Bearer {TOKEN}x"}
    assert is_problem(client.get("/v1/labels", headers=wrong), 401, "unauthorized")
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/v1/labels", headers=right).status_code == 200
    assert client.post("/v1/models/model/reload", headers=right).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "a b"])
def test_names_of_other_sites_are_refused(client: Any, host: str) -> None:
    assert is_problem(client.get("/v1/labels", headers={"Host": host}), 421, "unknown_host")


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "[::1]:80", "waste.example"])
def test_own_names_are_accepted(start: Start, host: str) -> None:
    client = start(hosts=frozenset(["waste.example"]))
    assert client.get("/v1/labels", headers={"Host": host}).status_code == 200


def test_pages_of_other_sites_may_not_ask(start: Start) -> None:
    client = start(origins=frozenset(["https://ours.example"]))

    def ask(origin: str) -> Any:
        return client.post("/v1/classify", content=jpeg(), headers={**IMAGE, "Origin": origin})

    assert ask("http://localhost").status_code == 200
    ours = ask("https://ours.example")
    assert ours.status_code == 200
    assert ours.headers["access-control-allow-origin"] == "https://ours.example"
    for origin in ("https://evil.example", "null"):
        assert is_problem(ask(origin), 403, "foreign_origin")


def test_without_allowed_sites_there_is_no_cors(client: Any) -> None:
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/v1/classify", headers=asked)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_every_answer_has_security_headers(client: Any) -> None:
    for path in ("/", "/livez", "/v1/nothing", "/v1/labels"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_a_defect_is_a_problem_and_not_a_traceback(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = client.app.state.service
    monkeypatch.setattr(service.models, "classifier", lambda name=None: 1 / 0)
    assert is_problem(client.get("/v1/labels"), 500, "internal_error")
    assert client.app.state.said == ["error: a request failed: ZeroDivisionError: division by zero"]


@pytest.mark.parametrize("name", ["..%2f..%2ferrors.py", "__init__.py", "%00", "x" * 999])
def test_the_page_serves_only_its_files(client: Any, name: str) -> None:
    assert client.get(f"/page/{name}").status_code == 404
