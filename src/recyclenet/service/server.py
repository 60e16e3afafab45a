"""Runs the application: connections with deadlines, signals, and a stop that loses no request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from recyclenet.service.app import Service
from recyclenet.service.problems import Problem, overloaded
from recyclenet.service.settings import Settings

KEEP_ALIVE = 5
MAX_HEAD_BYTES = 16 * 1024
# Open files besides connections: models, feedback and the event loop's own.
OTHER_FILES = 64


class Connection(H11Protocol):
    """A connection that must send each request's head, and take each answer, in time."""

    settings = Settings()
    _head: asyncio.TimerHandle | None = None
    _answer: asyncio.TimerHandle | None = None
    waits_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Start the deadline for the first head; make room if there are too many connections."""
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self.settings.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all deadlines."""
        for timer in (self._head, self._answer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Stop the deadline for a head when it is complete."""
        super().handle_events()
        if self.is_busy and self._head is not None:
            self._head.cancel()
            self._head = None

    def on_response_complete(self) -> None:
        """Start the deadline for the next head."""
        super().on_response_complete()
        if self._head is None:
            self._expect_head()

    def pause_writing(self) -> None:
        """Start the deadline for the client to take its answer."""
        super().pause_writing()
        self._answer = self.loop.call_later(self.settings.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that deadline."""
        super().resume_writing()
        if self._answer is not None:
            self._answer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(Problem(400, "bad_request", "the request is not valid HTTP"))

    @property
    def is_busy(self) -> bool:
        """Whether a request is being read or answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def is_waiting(self) -> bool:
        """Whether the client has yet to send a request, or the rest of one."""
        return not self.is_busy or (self.cycle is not None and self.cycle.more_body)

    def _expect_head(self) -> None:
        self.waits_since = time.monotonic()
        self._head = self.loop.call_later(self.settings.idle_seconds * 2, self._end_waiting)

    def _end_waiting(self) -> None:
        self._head = None
        if not self.is_busy:
            self.transport.abort()

    def _make_room(self) -> None:
        """Close the connection whose request has been awaited longest, or else this one."""
        others = [c for c in self.connections if isinstance(c, Connection) and c is not self]
        waiting = [c for c in others if c.is_waiting and not c.transport.is_closing()]
        if waiting:
            min(waiting, key=lambda c: c.waits_since).transport.abort()
        else:
            self._refuse(overloaded("too many connections are open"))

    def _refuse(self, problem: Problem) -> None:
        body = json.dumps(problem.to_dict()).encode()
        lines = [
            f"HTTP/1.1 {problem.status} {problem.to_dict()['title']}",
            "Content-Type: application/problem+json",
            "X-Content-Type-Options: nosniff",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(f"{name}: {value}" for name, value in problem.headers.items()),
        ]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self.transport.close()


class Server(uvicorn.Server):
    """A server that drains on SIGTERM and Ctrl-C, and reads its models again on SIGHUP.

    Args:
        app: the application.
        settings: its settings.
        started: called once the server answers.
        said: called with one line about each model that SIGHUP read, and about errors.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        started: Callable[[], None],
        said: Callable[[str], None],
    ) -> None:
        connection = type("BoundConnection", (Connection,), {"settings": settings})
        super().__init__(
            uvicorn.Config(
                app,
                http=connection,
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=int(settings.read_seconds + settings.explain_deadline),
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            )
        )
        self._settings = settings
        self._service: Service = app.state.service
        self._started = started
        self._said = said
        self._stop_at: float | None = None
        self._reload = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        if os.environ.get("RECYCLENET_DEBUG") != "1":
            logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
            asyncio.get_running_loop().set_exception_handler(self._note_error)
        await super().startup(sockets)
        self._started()

    def _note_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Report in one line what the event loop overcomes, such as too many open files."""
        self._said(f"error: {context['message']}: {context.get('exception')}")

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; called ten times a second."""
        if self._reload:
            self._reload = False
            self._reloading = asyncio.create_task(self._reload_models())
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def _reload_models(self) -> None:
        for model in await asyncio.to_thread(self._service.models.reload_all):
            kept = "; the earlier model stays in use" if model.classifier else ""
            result = f"not reloaded: {model.error}{kept}" if model.error else "reloaded"
            self._said(f"model {model.name}: {result}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain: `/readyz` says 503 for a moment, then accepted requests are answered.

        A second signal stops at once.
        """
        if self._stop_at is not None:
            self.force_exit = self.should_exit = True
            return
        self._service.draining = True
        self._stop_at = time.monotonic() + self._settings.drain_seconds

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs, and give them back after it."""
        handlers: dict[int, Any] = {
            signal.SIGINT: self.handle_exit,
            signal.SIGTERM: self.handle_exit,
        }
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._note_reload
        earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)

    def _note_reload(self, sig: int, frame: FrameType | None) -> None:
        self._reload = True


def room_for(connections: int) -> int:
    """Let this process open as many connections, if the system allows it; return how many it may.

    Beyond that number, connections would wait unanswered instead of being refused.
    """
    try:
        import resource
    except ImportError:  # Windows sets no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(1, most - OTHER_FILES)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the address is unknown or in use.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY).
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener
