"""Health, metrics and the metadata paths of the Open Inference Protocol."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from recyclenet.service.problems import RETRY_AFTER, Problem
from recyclenet.service.schemas import (
    Health,
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
    problems,
)

if TYPE_CHECKING:
    from recyclenet.service.app import Service

router = APIRouter(tags=["health"])


def service_of(request: Request) -> Service:
    """Return the service that answers a request."""
    service: Service = request.app.state.service
    return service


@router.get("/livez")
@router.get("/v2/health/live", operation_id="v2_live")
async def live() -> Health:
    """Say that the process answers."""
    return Health(status="ok")


@router.get("/readyz")
@router.get("/v2/health/ready", operation_id="v2_ready")
async def ready(request: Request) -> Health:
    """Say whether the service takes photos: it has a model and is not about to stop."""
    service = service_of(request)
    if service.draining:
        raise Problem(503, "draining", "the service is stopping", {"Retry-After": RETRY_AFTER})
    service.models.classifier()
    return Health(status="ok")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Return Prometheus metrics."""
    content = service_of(request).metrics.render()
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v2")
async def server_metadata() -> ServerMetadata:
    """Return the server's metadata."""
    return ServerMetadata(name="recyclenet", version=version("recyclenet"), extensions=[])


@router.get("/v2/models/{name}", responses=problems(404, 422))
async def model_metadata(request: Request, name: str) -> ModelMetadata:
    """Return a model's metadata. Photos are classified at /v1/classify."""
    _, classifier = service_of(request).models.classifier(name)
    outputs = len(classifier.info.class_names)
    return ModelMetadata(
        name=name,
        versions=[],
        platform="onnxruntime_onnx",
        inputs=[TensorMetadata(name="photo", datatype="BYTES", shape=[1])],
        outputs=[TensorMetadata(name="probabilities", datatype="FP32", shape=[1, outputs])],
    )


@router.get("/v2/models/{name}/ready", responses=problems(404, 422))
async def model_ready(request: Request, name: str) -> Health:
    """Say whether a model takes photos."""
    service_of(request).models.classifier(name)
    return Health(status="ok")
