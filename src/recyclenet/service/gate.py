"""What every request passes: host, origin and token; security headers; metrics; problems."""

from __future__ import annotations

import hmac
import ipaddress
import os
import time
import traceback
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recyclenet.errors import RecycleNetError
from recyclenet.service.metrics import Metrics
from recyclenet.service.problems import Problem, problem_of
from recyclenet.service.settings import Settings

# Paths that need no token: health checks, and the page, which contains no data.
OPEN_PATHS = ("/", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
PAGE_FILES = "/page/"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
METHODS = (*SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


class Gate:
    """ASGI middleware around the whole service.

    Args:
        app: the service.
        settings: its settings.
        metrics: where to count.
        draining: whether the service is about to stop.
        say: reports a defect in one line.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        metrics: Metrics,
        draining: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._draining = draining
        self._say = say

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_checked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._add_headers(scope, MutableHeaders(scope=message))
            await send(message)

        problem: Problem | None = None
        try:
            self._check(scope)
            await self._app(scope, receive, send_checked)
        except ClientDisconnect:
            status = status or 499  # as servers log a client that left
        except Problem as refused:
            problem = refused
        except RecycleNetError as error:
            problem = problem_of(error)
        except Exception as error:
            self._report(error)
            problem = Problem(500, "internal_error", "the service failed on this request")
        if problem is not None and not status:
            self._metrics.refusals.labels(problem.reason).inc()
            await problem.response()(scope, receive, send_checked)
        method = scope["method"] if scope["method"] in METHODS else "other"
        path = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(method, path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        """Refuse a request from elsewhere.

        Raises:
            Problem: the host is unknown, another website's page asks, or the token is wrong.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_known(host):
            raise Problem(
                421, "unknown_host", f"this service does not answer for the host {host[:100]!r}"
            )
        origin = headers.get("origin")
        if scope["method"] not in SAFE_METHODS and origin is not None:
            same = urlsplit(origin).netloc.lower() == host.lower()
            if not same and origin not in self._settings.origins:
                raise Problem(
                    403, "foreign_origin", "pages of other websites may not send requests"
                )
        path = scope["path"]
        if self._settings.token is None or path in OPEN_PATHS or path.startswith(PAGE_FILES):
            return
        given = headers.get("authorization", "")
        expected = f"Bearer {self._settings.token}"
        if not hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode()):
            raise Problem(
                401,
                "unauthorized",
                "send the header 'Authorization: Bearer TOKEN' with the service's token",
                {"WWW-Authenticate": "Bearer"},
            )

    def _is_known(self, host: str) -> bool:
        """Whether a Host header is this service's: no page can make a browser fake an IP address.

        A website can point its own name at this machine (DNS rebinding), so names are checked.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in self._settings.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _add_headers(self, scope: Scope, headers: MutableHeaders) -> None:
        is_page = scope["path"] == "/" or scope["path"].startswith(PAGE_FILES)
        headers["Content-Security-Policy"] = PAGE_POLICY if is_page else DATA_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Permissions-Policy"] = "camera=(self), microphone=(), geolocation=()"
        if not self._settings.origins:
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers.setdefault("Cache-Control", "no-store")
        if self._draining():
            headers["Connection"] = "close"

    def _report(self, error: Exception) -> None:
        reason = " ".join(str(error).split())[:300]
        self._say(f"error: a request failed: {type(error).__name__}: {reason}")
        if os.environ.get("RECYCLENET_DEBUG") == "1":
            for line in traceback.format_exception(error):
                self._say(line.rstrip())
