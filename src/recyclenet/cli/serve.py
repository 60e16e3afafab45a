"""`recyclenet serve`: the classifier as an HTTP service with a web page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Adds, Reads
from recyclenet.cli.options import MaxMegapixelsOption, MaxRiskOption, ModelOption, RulesOption
from recyclenet.cli.output import say
from recyclenet.errors import RecycleNetError, UsageError

if TYPE_CHECKING:
    import socket

TOKEN_VARIABLE = "RECYCLENET_TOKEN"
MIN_TOKEN = 16
# Requests whose photos are not in the queue, such as those that wait for an explanation.
SPARE_REQUESTS = 64
# Connections that wait for their client.
SPARE_CONNECTIONS = 448


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 for a free one.")
    ] = 8000,
    model: ModelOption = None,
    models: Annotated[
        Path | None,
        typer.Option("--models", help="A folder of .onnx files to serve, each under its name."),
        Reads(),
    ] = None,
    default: Annotated[
        str | None,
        typer.Option("--default", help="The default model; otherwise the newest in --models."),
    ] = None,
    rules: RulesOption = None,
    max_risk: MaxRiskOption = None,
    max_megapixels: MaxMegapixelsOption = 50,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help=f"A file with the token; or set {TOKEN_VARIABLE}."),
        Reads(),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A host name of this service; may be repeated."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin", help="A website whose pages may send requests; may be repeated."
        ),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option("--feedback", help="A folder to store feedback in."),
        Adds(),
    ] = None,
    feedback_mb: Annotated[
        int, typer.Option("--feedback-mb", min=1, help="Maximum size of the feedback folder, MiB.")
    ] = 1000,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=1024,
            help="Threads of the model, and for decoding; default: all cores.",
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch-size", min=1, max=256, help="Maximum number of photos per run of the model."
        ),
    ] = 8,
    batch_delay: Annotated[
        float,
        typer.Option(
            "--batch-delay", min=0, max=1000, help="Longest wait for a full batch, milliseconds."
        ),
    ] = 5,
    queue: Annotated[
        int,
        typer.Option("--queue", min=1, max=10_000, help="Maximum number of photos in progress."),
    ] = 64,
    deadline: Annotated[
        float,
        typer.Option("--deadline", min=0.1, max=600, help="Time limit of an answer, seconds."),
    ] = 10,
    max_body_mb: Annotated[
        int, typer.Option("--max-body-mb", min=1, max=512, help="Maximum size of a request, MiB.")
    ] = 32,
    drain: Annotated[
        float,
        typer.Option(
            "--drain", min=0, max=600, help="Seconds to report not ready before stopping."
        ),
    ] = 1,
) -> None:
    """Serve the classifier over HTTP, with a web page, until Ctrl-C or SIGTERM."""
    from recyclenet.core.extras import require_serve

    require_serve("serve")
    from recyclenet.inference.classifier import Classifier
    from recyclenet.inference.session import default_model_path
    from recyclenet.service.app import make_app
    from recyclenet.service.metrics import Metrics
    from recyclenet.service.models import Models
    from recyclenet.service.server import Server, room_for
    from recyclenet.service.settings import MIB, Settings

    if model is not None and models is not None:
        raise UsageError("give either --model or --models")
    if models is not None and not models.is_dir():
        raise UsageError(f"--models {models} is not a folder")
    settings = Settings(
        token=_token(token_file),
        hosts=frozenset(name.lower() for name in allow_host or ()),
        origins=frozenset(map(_origin, allow_origin or ())),
        batch_size=batch_size,
        batch_delay=batch_delay / 1000,
        queue_length=queue,
        max_requests=queue + SPARE_REQUESTS,
        max_connections=room_for(queue + SPARE_CONNECTIONS),
        deadline=deadline,
        decoders=threads or Settings.decoders,
        max_body=max_body_mb * MIB,
        feedback=feedback,
        feedback_bytes=feedback_mb * MIB,
        drain_seconds=drain,
    )
    _check_host(host, settings.token)
    max_pixels = int(max_megapixels * 1e6)

    def open_model(path: Path) -> Classifier:
        return Classifier(
            path, threads=threads, max_pixels=max_pixels, rules=rules, max_risk=max_risk
        )

    metrics = Metrics()
    found = Models(models or model or default_model_path(), open_model, default, metrics)
    for entry in found.all():
        if entry.error is not None:
            say(f"left out: model {entry.name}: {entry.error}", err=True)

    def report(line: str) -> None:
        say(line, err=True)

    app = make_app(settings, found, metrics, report)
    listener = _listen(host, port)
    place = listener.getsockname()
    address = f"[{place[0]}]" if ":" in place[0] else place[0]

    def started() -> None:
        say(f"serving on http://{address}:{place[1]} (Ctrl-C stops)", err=True)

    server = Server(app, settings, started, report)
    server.run([listener])
    if server.force_exit:
        raise KeyboardInterrupt


def _token(path: Path | None) -> str | None:
    """Return the token from a file or the environment; None if there is none.

    Raises:
        UsageError: the token cannot be read, or is too short or not plain text.
    """
    from recyclenet.core.files import read_text

    given = os.environ.get(TOKEN_VARIABLE) if path is None else read_text(path, max_bytes=4096)
    if given is None:
        return None
    token = given.strip()
    if len(token) < MIN_TOKEN or not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            f"the token must be at least {MIN_TOKEN} printable ASCII characters without spaces; "
            f"make one with: openssl rand -hex 16"
        )
    return token


def _origin(text: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != text:
        raise UsageError(f"--allow-origin must look like https://example.org, not {text!r}")
    return text


def _check_host(host: str, token: str | None) -> None:
    """Refuse to let other machines ask without a token; warn that they can ask with one.

    Raises:
        UsageError: there is no token, but other machines can reach `host`.
    """
    import ipaddress

    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if is_loopback:
        return
    if token is None:
        raise UsageError(
            f"--host {host} lets other machines ask, which needs a token: give --token-file or set "
            f"{TOKEN_VARIABLE}"
        )
    say(
        f"warning: other machines can reach {host}, and HTTP is not encrypted; put a proxy with "
        f"TLS in front",
        err=True,
    )


def _listen(host: str, port: int) -> socket.socket:
    from recyclenet.service.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        raise RecycleNetError(
            f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port"
        ) from error
