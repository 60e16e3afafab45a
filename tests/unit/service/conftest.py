"""The service in this process, with the tiny model."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conftest import photo

pytest.importorskip("fastapi", reason="needs the extra: serve")
from starlette.testclient import TestClient

from recyclenet.inference.classifier import Classifier
from recyclenet.service.app import make_app
from recyclenet.service.metrics import Metrics
from recyclenet.service.models import Models
from recyclenet.service.settings import Settings

Start = Callable[..., TestClient]


def jpeg(label: str = "glass", seed: int = 1, kind: str = "JPEG") -> bytes:
    content = io.BytesIO()
    photo(label, seed).save(content, kind)
    return content.getvalue()


@pytest.fixture
def start(tiny_model: Path) -> Iterator[Start]:
    """A function that starts the service with some settings."""
    with ExitStack() as stack:
        said: list[str] = []

        def begin(source: Path = tiny_model, default: str | None = None, **changes: Any) -> Any:
            metrics = Metrics()

            def open_model(path: Path) -> Classifier:
                return Classifier(path, threads=1)

            models = Models(source, open_model, default, metrics)
            app = make_app(Settings(**changes), models, metrics, said.append)
            app.state.said = said
            return stack.enter_context(TestClient(app, base_url="http://localhost"))

        yield begin


@pytest.fixture
def client(start: Start) -> TestClient:
    """The service with default settings."""
    return start()
