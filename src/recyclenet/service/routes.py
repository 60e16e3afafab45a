"""The routes under /v1."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from PIL import Image
from starlette.requests import Request

from recyclenet.core.prediction import Prediction
from recyclenet.errors import RecycleNetError
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.detector import Detector
from recyclenet.operations.explain import Explanation, explain
from recyclenet.service.health import service_of
from recyclenet.service.models import Model
from recyclenet.service.problems import Problem, problem_of
from recyclenet.service.schemas import (
    Answer,
    BatchAnswer,
    BatchItem,
    DetectAnswer,
    ExplainAnswer,
    FeedbackAnswer,
    LabelEntry,
    LabelsAnswer,
    ModelEntry,
    ModelsAnswer,
    ProblemDetails,
    problems,
)
from recyclenet.service.settings import Settings

router = APIRouter(prefix="/v1", tags=["photos"])
MAX_LABEL = 100
_ID = re.compile("[0-9a-f]{32}")
# Text without control characters, invisible ones, and U+FFFD, which stands for invalid UTF-8.
_PLAIN = re.compile(
    r"[^\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]*"
)

ModelName = Annotated[
    str | None,
    Query(alias="model", max_length=255, description="The model; default: see /v1/models."),
]
_FILE = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": Settings.max_files}
_LABEL = {"type": "string", "maxLength": MAX_LABEL, "pattern": f"^{_PLAIN.pattern}$"}


def _body(fields: dict[str, Any], required: list[str], raw: bool = False) -> dict[str, Any]:
    """Return the documentation of a body: a form, or also a bare photo."""
    schema = {"type": "object", "properties": fields, "required": required}
    content: dict[str, Any] = {"multipart/form-data": {"schema": schema}}
    if raw:
        content = {"image/*": {"schema": _FILE}, **content}
    return {"requestBody": {"required": True, "content": content}}


_PHOTO = _body({"file": _FILE}, ["file"], raw=True)
_REFUSALS = problems(404, 408, 413, 415, 422)


@router.post("/classify", responses=_REFUSALS, openapi_extra=_PHOTO)
async def classify(request: Request, model: ModelName = None) -> Answer:
    """Classify one photo: the body, or the field `file` of a form."""
    service = service_of(request)
    name, classifier = service.models.classifier(model)
    async with service.intake.form(request) as form:
        return await _answer(request, name, classifier, form.one_photo())


@router.post(
    "/classify/batch", responses=_REFUSALS, openapi_extra=_body({"file": _FILES}, ["file"])
)
async def classify_batch(request: Request, model: ModelName = None) -> BatchAnswer:
    """Classify several photos: each file of a form; each has a status of its own."""
    service = service_of(request)
    name, classifier = service.models.classifier(model)

    async def item(index: int, photo: bytes) -> BatchItem:
        try:
            answer = await _answer(request, name, classifier, photo)
        except (Problem, RecycleNetError) as error:
            problem = error if isinstance(error, Problem) else problem_of(error)
            service.metrics.refusals.labels(problem.reason).inc()
            details = ProblemDetails(**problem.to_dict())
            return BatchItem(index=index, status=problem.status, problem=details)
        return BatchItem(index=index, status=200, prediction=answer)

    async with service.intake.form(request, needs_form=True) as form:
        if not form.photos:
            raise Problem(422, "invalid_form", "the form has no file")
        results = await asyncio.gather(*map(item, range(len(form.photos)), form.photos))
    return BatchAnswer(model=name, results=list(results))


@router.post("/explain", responses=_REFUSALS, openapi_extra=_PHOTO)
async def explain_photo(
    request: Request,
    model: ModelName = None,
    label: Annotated[
        str | None,
        Query(max_length=MAX_LABEL, description="The class to explain; default: the answer."),
    ] = None,
) -> ExplainAnswer:
    """Classify one photo, and show which parts of it speak for the class."""
    service = service_of(request)
    _, classifier = service.models.classifier(model)
    async with service.intake.form(request) as form:
        photo = form.one_photo()

        def work() -> tuple[Explanation, str]:
            explanation = explain(photo, classifier, label=label)
            picture = io.BytesIO()
            Image.fromarray(explanation.overlay).save(picture, "JPEG", quality=85)
            return explanation, base64.b64encode(picture.getvalue()).decode()

        explanation, picture = await service.batcher.run_slow(work)
    return ExplainAnswer(
        prediction=_row(explanation.prediction),
        label=explanation.label,
        overlay=f"data:image/jpeg;base64,{picture}",
    )


@router.post("/detect", responses={**_REFUSALS, **problems(403)}, openapi_extra=_PHOTO)
async def detect(request: Request, model: ModelName = None) -> DetectAnswer:
    """Find several objects in one photo, each with a box and a prediction."""
    service = service_of(request)
    name, classifier = service.models.classifier(model)
    if classifier.risk is not None:
        raise Problem(
            403,
            "detect_off",
            "this service runs with --max-risk, which holds for photos of one item",
        )
    async with service.intake.form(request) as form:
        photo = form.one_photo()
        found = await service.batcher.run_slow(lambda: Detector(classifier).detect(photo))
    for one in found.objects:
        answer = one.prediction
        service.metrics.predictions.labels(name, answer.label, str(answer.known)).inc()
    return DetectAnswer(id=uuid.uuid4().hex, **found.to_row())


@router.get("/labels", responses=problems(404, 422))
async def labels(request: Request, model: ModelName = None) -> LabelsAnswer:
    """List the classes of a model, and where each goes."""
    service = service_of(request)
    name, classifier = service.models.classifier(model)
    rules, streams = classifier.rules, classifier.streams
    entries = [
        LabelEntry(label=label, stream=stream, bin=rules.bin_of(label, stream))
        for label, stream in streams.items()
    ]
    return LabelsAnswer(
        model=name,
        labels=entries,
        feedback=service.feedback is not None,
        detect=classifier.risk is None,
    )


@router.get("/models")
async def models(request: Request) -> ModelsAnswer:
    """List the models."""
    found = service_of(request).models
    default = found.default
    return ModelsAnswer(models=[_entry(model, model.name == default) for model in found.all()])


@router.post("/models/{name}/reload", responses=problems(403, 404, 409, 422))
async def reload(request: Request, name: Annotated[str, Path(max_length=255)]) -> ModelEntry:
    """Read a model file again. If the file is damaged, the model in use stays."""
    service = service_of(request)
    if service.settings.token is None:
        raise Problem(
            403, "reload_off", "reloading by request needs a token; send the process SIGHUP"
        )
    model = await asyncio.to_thread(service.models.reload, name)
    if model.error is not None:
        kept = "the earlier model stays in use" if model.classifier else "it is not available"
        raise Problem(409, "model_refused", f"{model.error}; {kept}")
    return _entry(model, model.name == service.models.default)


@router.post(
    "/feedback",
    status_code=201,
    responses=problems(403, 408, 413, 415, 422, 507),
    openapi_extra=_body(
        {
            "label": {**_LABEL, "minLength": 1, "description": "What the photo shows."},
            "predicted": {**_LABEL, "description": "What the answer said."},
            "id": {
                "type": "string",
                "pattern": f"^({_ID.pattern})?$",
                "description": "The id of the answer.",
            },
            "consent": {"type": "string", "description": "'true' to store the photo, too."},
            "file": _FILE,
        },
        ["label"],
    ),
)
async def feedback(request: Request) -> FeedbackAnswer:
    """Store what a photo really shows; the photo itself only with `consent` 'true'."""
    service = service_of(request)
    if service.feedback is None:
        raise Problem(403, "feedback_off", "this service stores no feedback")
    async with service.intake.form(request, needs_form=True) as form:
        facts: dict[str, object] = {
            key: _text(form.fields.get(key, ""), key) for key in ("label", "predicted")
        }
        if not facts["label"]:
            raise Problem(422, "invalid_form", "the field 'label' is missing")
        answer = form.fields.get("id", "")
        if answer and not _ID.fullmatch(answer):
            raise Problem(422, "invalid_form", "the field 'id' must be the id of an answer")
        facts |= service.answers.facts_of(answer)
        agreed = form.fields.get("consent") == "true"
        photo = form.one_photo() if agreed and form.photos else None
        stored = await asyncio.to_thread(service.feedback.store, facts, photo)
    service.metrics.feedback.labels("yes" if photo else "no").inc()
    return FeedbackAnswer(id=stored)


async def _answer(request: Request, name: str, classifier: Classifier, photo: bytes) -> Answer:
    service = service_of(request)
    prediction = await service.batcher.classify(classifier, photo)
    service.metrics.predictions.labels(name, prediction.label, str(prediction.known)).inc()
    answer = _row(prediction)
    service.answers.note(answer, name, classifier)
    return answer


def _row(prediction: Prediction) -> Answer:
    return Answer(id=uuid.uuid4().hex, **prediction.to_row())


def _entry(model: Model, is_default: bool) -> ModelEntry:
    info = None if model.classifier is None else model.classifier.info
    return ModelEntry(
        name=model.name,
        default=is_default,
        ready=info is not None,
        classes=[] if info is None else list(info.class_names),
        backbone="" if info is None else info.backbone,
        precision="" if info is None else info.precision,
        sha256="" if model.classifier is None else model.classifier.sha256,
        loaded=model.loaded,
        error=model.error,
    )


def _text(text: str, field: str) -> str:
    if len(text) > MAX_LABEL or not _PLAIN.fullmatch(text):
        raise Problem(
            422,
            "invalid_form",
            f"the field {field!r} must be up to {MAX_LABEL} printable characters",
        )
    return text
