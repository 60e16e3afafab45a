"""The web application: routes, documentation and error answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from recyclenet.errors import RecycleNetError
from recyclenet.service import health, page, routes
from recyclenet.service.answers import Answers
from recyclenet.service.batching import Batcher
from recyclenet.service.feedback import FeedbackStore
from recyclenet.service.gate import OPEN_PATHS, Gate
from recyclenet.service.limits import Intake
from recyclenet.service.metrics import Metrics
from recyclenet.service.models import Models
from recyclenet.service.problems import Problem, problem_of
from recyclenet.service.schemas import PROBLEM_REF, ProblemDetails, problems
from recyclenet.service.settings import Settings

# The refusals of any request: not valid HTTP, for another host, a defect, too busy.
ANY_REQUEST = (400, 421, 500, 503)
_REASONS = {400: "bad_request", 404: "not_found", 405: "method_not_allowed"}


@dataclass
class Service:
    """What the routes share.

    Attributes:
        settings: the settings.
        models: the models.
        metrics: the metrics.
        batcher: classifies.
        intake: reads bodies.
        feedback: stores feedback; None to store none.
        answers: the latest answers, for feedback on them.
        draining: whether the service is about to stop.
    """

    settings: Settings
    models: Models
    metrics: Metrics
    batcher: Batcher
    intake: Intake
    feedback: FeedbackStore | None
    answers: Answers
    draining: bool = False


def make_app(
    settings: Settings, models: Models, metrics: Metrics, say: Callable[[str], None]
) -> FastAPI:
    """Return the application; its `state.service` is the `Service`.

    Args:
        settings: the settings.
        models: the models.
        metrics: where to count.
        say: reports a defect in one line.

    Raises:
        RecycleNetError: the folder for feedback cannot be used.
    """
    feedback = None
    if settings.feedback is not None:
        feedback = FeedbackStore(settings.feedback, settings.feedback_bytes)
    service = Service(
        settings,
        models,
        metrics,
        Batcher(settings, metrics),
        Intake(settings),
        feedback,
        Answers(),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        yield
        await service.batcher.close()

    app = FastAPI(
        title="RecycleNet",
        description="Classifies photos of waste.",
        version=version("recyclenet"),
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.service = service
    for module in (health, routes, page):
        app.include_router(module.router)
    _handle_errors(app, metrics)
    app.add_middleware(
        Gate, settings=settings, metrics=metrics, draining=lambda: service.draining, say=say
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    _document(app, with_token=settings.token is not None)
    return app


def _handle_errors(app: FastAPI, metrics: Metrics) -> None:
    """Answer every error with a problem document."""

    def answer(problem: Problem) -> Response:
        metrics.refusals.labels(problem.reason).inc()
        return problem.response()

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(error)

    async def failed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RecycleNetError)
        return answer(problem_of(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return answer(Problem(422, "invalid_request", f"{place}: {first['msg']}"))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        reason = _REASONS.get(error.status_code, "bad_request")
        headers = dict(error.headers or {})
        return answer(Problem(error.status_code, reason, str(error.detail), headers))

    app.add_exception_handler(Problem, refused)
    app.add_exception_handler(RecycleNetError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def _document(app: FastAPI, with_token: bool) -> None:
    """Add to the OpenAPI document what FastAPI does not know: problems and the token."""
    document = app.openapi()
    components: dict[str, Any] = document.setdefault("components", {})
    name = PROBLEM_REF.rpartition("/")[2]
    components.setdefault("schemas", {})[name] = ProblemDetails.model_json_schema()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            guarded = with_token and path not in OPEN_PATHS
            operation["responses"] |= problems(
                *ANY_REQUEST, *((403,) if method == "post" else ()), *((401,) if guarded else ())
            )
            if guarded:
                operation["security"] = [{"token": []}]
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
