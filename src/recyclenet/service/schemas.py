"""What the service answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field


class ProblemDetails(BaseModel):
    """Problem details (RFC 9457); `reason` is a stable word for programs."""

    type: str
    title: str
    status: int
    detail: str
    reason: str


class Answer(BaseModel):
    """The prediction for one photo: the row of `recyclenet classify --json`, and an id."""

    id: Annotated[str, Field(description="Names this answer in feedback.")]
    path: None = None
    label: str | None
    confidence: float | None
    probabilities: dict[str, float]
    stream: str | None
    bin: str | None
    known: bool
    unknown: float | None
    expected_cost: float | None
    error: str | None


class BatchItem(BaseModel):
    """The result for one photo of several: an answer, or a problem."""

    index: int
    status: int
    prediction: Answer | None = None
    problem: ProblemDetails | None = None


class BatchAnswer(BaseModel):
    """The results for several photos, in the order of the photos."""

    model: str
    results: list[BatchItem]


class ExplainAnswer(BaseModel):
    """A prediction, and a picture of what it rests on."""

    prediction: Answer
    label: str
    overlay: Annotated[str, Field(description="The picture, as a data: URL of a JPEG.")]


class DetectedObject(BaseModel):
    """One object in a photo, and the prediction for it."""

    box: Annotated[
        tuple[int, int, int, int],
        Field(description="Left, top, right and bottom, pixels of the upright photo."),
    ]
    label: str
    confidence: float
    probabilities: dict[str, float]
    stream: str
    bin: str
    known: bool
    unknown: float | None
    expected_cost: float | None


class DetectAnswer(BaseModel):
    """The objects in one photo: the row of `recyclenet classify --multi --json`, and an id."""

    id: str
    path: None = None
    width: Annotated[int, Field(description="Of the upright photo, pixels.")]
    height: Annotated[int, Field(description="Of the upright photo, pixels.")]
    objects: Annotated[
        list[DetectedObject], Field(description="From top to bottom; empty if nothing is found.")
    ]
    error: None = None


class LabelEntry(BaseModel):
    """One class, and where it goes under the rules in use."""

    label: str
    stream: str
    bin: str
    colour: str | None = None
    advice: str | None = None


class LabelsAnswer(BaseModel):
    """The classes of a model."""

    model: str
    labels: list[LabelEntry]
    feedback: Annotated[bool, Field(description="Whether the service stores feedback.")]
    detect: Annotated[bool, Field(description="Whether the service finds several objects.")]


class ModelEntry(BaseModel):
    """One model of the service."""

    name: str
    default: bool
    ready: bool
    classes: list[str]
    backbone: str
    precision: str
    sha256: Annotated[str, Field(description="Digest of the model file in use.")]
    loaded: Annotated[float | None, Field(description="Seconds since 1970.")]
    error: Annotated[str | None, Field(description="Why the file was last refused.")]


class ModelsAnswer(BaseModel):
    """The models of the service."""

    models: list[ModelEntry]


class FeedbackAnswer(BaseModel):
    """Where feedback was stored."""

    id: str


class Health(BaseModel):
    """The state of the service."""

    status: str


class ServerMetadata(BaseModel):
    """Server metadata of the Open Inference Protocol."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor of the Open Inference Protocol."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """Model metadata of the Open Inference Protocol."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of refusals with these statuses."""
    content = {"application/problem+json": {"schema": {"$ref": PROBLEM_REF}}}
    return {status: {"description": REASONS[status], "content": content} for status in statuses}


PROBLEM_REF = "#/components/schemas/ProblemDetails"
REASONS = {
    400: "bad_request: not valid HTTP",
    401: "unauthorized: the token is missing or wrong",
    403: "forbidden: another website's page asks, or the function is off",
    404: "not_found or unknown_model",
    408: "too_slow: the body did not arrive in time",
    409: "model_refused: the new file is damaged; the old model stays in use",
    413: "body_too_large, image_too_large or too_many_photos",
    415: "unsupported_media_type",
    421: "unknown_host: the Host header names another site",
    422: "broken_image, invalid_form or invalid_request",
    500: "model_failed or internal_error",
    503: "overloaded, deadline_exceeded, model_not_ready or draining",
    507: "feedback_full or feedback_failed",
}
