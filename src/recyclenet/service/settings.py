"""The settings of the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recyclenet.core.resources import num_cores

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to serve.

    Attributes:
        token: what every request but health checks and the page must carry; None for no token.
        hosts: further host names that a request may ask for, besides localhost and IP addresses.
        origins: other websites whose pages may use the service, such as "https://example.org".
        batch_size: photos per run of the model, at most.
        batch_delay: seconds that a photo waits for others to join its batch.
        queue_length: photos in progress, at most; further ones are refused.
        deadline: seconds until an answer is given up.
        decoders: threads that decode photos.
        explain_queue: explanations and detections in progress, at most.
        explain_deadline: seconds until one of them is given up.
        max_body: bytes of one request.
        max_files: photos in one request.
        max_requests: requests with a complete body in progress, at most.
        max_held: bytes of all request bodies together.
        read_seconds: time for a client to send a whole body.
        idle_seconds: time that a client may send nothing: of a request's head or body.
        write_seconds: time for a client to take its answer.
        max_connections: open connections.
        feedback: the folder for feedback; None to store none.
        feedback_bytes: size of that folder, at most.
        drain_seconds: how long to accept requests after SIGTERM, while `/readyz` says 503.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    batch_size: int = 8
    batch_delay: float = 0.005
    queue_length: int = 64
    deadline: float = 10.0
    decoders: int = max(2, num_cores())
    explain_queue: int = 4
    explain_deadline: float = 60.0
    max_body: int = 32 * MIB
    max_files: int = 32
    max_requests: int = 128
    max_held: int = 512 * MIB
    read_seconds: float = 30.0
    idle_seconds: float = 5.0
    write_seconds: float = 30.0
    max_connections: int = 512
    feedback: Path | None = None
    feedback_bytes: int = 1000 * MIB
    drain_seconds: float = 1.0
