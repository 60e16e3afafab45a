"""Errors of the service, as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from recyclenet.core.text import printable
from recyclenet.errors import ImageError, ImageTooLargeError, ModelFileError, RecycleNetError

RETRY_AFTER = "1"
MAX_DETAIL = 500


class Problem(Exception):  # noqa: N818 - the term of RFC 9457
    """A refusal.

    Attributes:
        status: HTTP status.
        reason: a stable word for programs, such as "broken_image".
        detail: one sentence for people.
        headers: further response headers.
    """

    def __init__(
        self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = printable(" ".join(detail.split()))[:MAX_DETAIL]
        self.headers = headers or {}

    def to_dict(self) -> dict[str, Any]:
        """Return the members of the problem document."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
        }

    def response(self) -> JSONResponse:
        """Return the HTTP response."""
        return JSONResponse(
            self.to_dict(), self.status, self.headers, media_type="application/problem+json"
        )


def overloaded(detail: str) -> Problem:
    """Return the refusal of a request that the service has no room for."""
    return Problem(503, "overloaded", f"{detail}; try again soon", {"Retry-After": RETRY_AFTER})


def too_late() -> Problem:
    """Return the refusal of a request whose deadline has passed."""
    detail = "the answer took too long because the service is busy; try again soon"
    return Problem(503, "deadline_exceeded", detail, {"Retry-After": RETRY_AFTER})


def problem_of(error: RecycleNetError) -> Problem:
    """Return the problem that stands for an error of the engine."""
    if isinstance(error, ImageTooLargeError):
        return Problem(413, "image_too_large", str(error))
    if isinstance(error, ImageError):
        return Problem(422, "broken_image", str(error))
    if isinstance(error, ModelFileError):
        return Problem(500, "model_failed", str(error))
    return Problem(422, "invalid_request", str(error))
