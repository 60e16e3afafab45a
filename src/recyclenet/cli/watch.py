"""`recyclenet watch`: what a camera or a video shows, one decision per item."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recyclenet.cli.command import Adds
from recyclenet.cli.options import (
    JsonOption,
    MaxMegapixelsOption,
    MaxRiskOption,
    ModelOption,
    RulesOption,
)
from recyclenet.cli.output import say, say_left_out
from recyclenet.errors import EXIT_PARTIAL, UsageError

if TYPE_CHECKING:
    from recyclenet.camera.captures import Captures
    from recyclenet.camera.frames import Frame
    from recyclenet.camera.watching import Decision, Seen, Waiting, Watcher
    from recyclenet.camera.webhook import Webhook
    from recyclenet.camera.window import Window

# Seconds that decisions may take to reach the webhook after the last frame.
DELIVERY_S = 10.0


def watch(
    source: Annotated[
        str,
        typer.Option(
            "--source",
            help="Camera number, video, folder of photos, or rtsp:// or http:// address.",
        ),
    ],
    as_json: JsonOption = False,
    every: Annotated[
        bool, typer.Option("--every", help="Also answer for each frame, not only for each item.")
    ] = False,
    multi: Annotated[
        bool, typer.Option("--multi", help="Find several objects that come to rest together.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option("--save", help="Folder for the frame of each decision."),
        Adds(),
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", help="URL to post each decision to, as JSON.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Open no window, even if there is a display.")
    ] = False,
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Play a video at its own speed; may drop frames.")
    ] = False,
    fps: Annotated[
        float,
        typer.Option("--fps", min=0.1, max=1000, help="Frames per second of a folder of photos."),
    ] = 10.0,
    settle: Annotated[
        float,
        typer.Option("--settle", min=0, max=60, help="Seconds that an item must lie still."),
    ] = 0.4,
    votes: Annotated[
        int, typer.Option("--votes", min=1, max=100, help="Number of frames that vote on an item.")
    ] = 5,
    item_area: Annotated[
        float,
        typer.Option(
            "--item-area",
            min=0.002,
            max=0.9,
            help="Smallest share of the view that an item changes.",
        ),
    ] = 0.02,
    contrast: Annotated[
        float,
        typer.Option(
            "--contrast",
            min=1,
            max=200,
            help="Grey levels by which an item differs from the empty view.",
        ),
    ] = 18.0,
    max_age: Annotated[
        float,
        typer.Option(
            "--max-age", min=0.1, max=3600, help="Seconds after which a live answer is stale."
        ),
    ] = 1.0,
    give_up: Annotated[
        float | None,
        typer.Option(
            "--give-up",
            min=0,
            max=10_000_000,
            help="Seconds without a picture after which a live source is given up; default: never.",
        ),
    ] = None,
    model: ModelOption = None,
    rules: RulesOption = None,
    max_risk: MaxRiskOption = None,
    max_megapixels: MaxMegapixelsOption = 50,
) -> None:
    """Watch a camera or a video; print one decision for each item that comes to rest.

    Start with an empty view. An item that enters is classified once it lies still; the next
    decision comes after it has left. In the window, space captures a frame and Esc quits.
    """
    from recyclenet.camera.items import State, Thresholds
    from recyclenet.camera.sources import Reading, open_source
    from recyclenet.camera.watching import Watcher
    from recyclenet.camera.watching import watch as operation
    from recyclenet.core.extras import require_camera
    from recyclenet.inference.classifier import Classifier

    require_camera("watch")
    if multi and max_risk is not None:
        from recyclenet.cli.classify import NO_RISK

        raise UsageError(NO_RISK)
    max_pixels = int(max_megapixels * 1e6)
    classifier = Classifier(model, max_pixels=max_pixels, rules=rules, max_risk=max_risk)
    reading = Reading(
        realtime=realtime,
        fps=fps,
        give_up_s=give_up,
        max_pixels=max_pixels,
        tell=lambda line: say(line, err=True),
        left_out=say_left_out,
    )
    with ExitStack() as open_things:
        hook = _open_webhook(webhook, open_things)
        frames = open_source(source, reading)
        open_things.callback(frames.close)
        captures = _open_captures(save, open_things)
        window = None if headless else _open_window(frames.name, open_things)
        watcher = Watcher(
            classifier,
            Thresholds(settle_s=settle, item_area=item_area, contrast=contrast),
            votes=votes,
            every=every,
            items=window is not None,
            max_age_s=max_age if frames.is_live else None,
            multi=multi,
        )
        more: dict[str, Any] = {"source": frames.name}
        if classifier.risk is not None:
            more |= {"risk": classifier.risk.to_row()}
        report = Report(watcher, as_json, every, more, captures, hook, window)
        for event in operation(frames, watcher, max_age):
            if report.show(event):
                break
        num_lost = 0 if hook is None else hook.close(DELIVERY_S)
        num_damaged = frames.num_damaged
    say(f"{watcher.num_items} items", err=True)
    if watcher.state is State.LEARNING:
        say(
            "the view was never still, so the empty view is unknown; hold the camera still",
            err=True,
        )
    if num_damaged:
        say(f"{num_damaged} frames could not be read", err=True)
    if num_lost:
        say(f"{num_lost} decisions did not reach the webhook", err=True)
    if num_damaged or num_lost:
        raise typer.Exit(EXIT_PARTIAL)


def _open_webhook(url: str | None, open_things: ExitStack) -> Webhook | None:
    from recyclenet.camera.webhook import Webhook

    if url is None:
        return None
    hook = Webhook(url, lambda line: say(line, err=True))
    open_things.callback(hook.close, 0)
    return hook


def _open_captures(folder: Path | None, open_things: ExitStack) -> Captures | None:
    from recyclenet.camera.captures import Captures

    if folder is None:
        return None
    captures = Captures(folder)
    open_things.callback(captures.close)
    return captures


def _open_window(title: str, open_things: ExitStack) -> Window | None:
    from recyclenet.camera.window import NoWindow, Window

    try:
        window = Window(f"RecycleNet: {title}")
    except NoWindow as reason:
        say(f"no window: {reason} (as with --headless)", err=True)
        return None
    open_things.callback(window.close)
    return window


class Report:
    """Prints, saves, sends and shows what is seen.

    Args:
        watcher: answers for captured frames.
        as_json: print JSON.
        every: print each frame.
        more: further values of each JSON row.
        captures: saves the frames of decisions.
        hook: sends decisions.
        window: shows frames.
    """

    def __init__(
        self,
        watcher: Watcher,
        as_json: bool,
        every: bool,
        more: dict[str, Any],
        captures: Captures | None,
        hook: Webhook | None,
        window: Window | None,
    ) -> None:
        self._watcher, self._as_json, self._every, self._more = watcher, as_json, every, more
        self._captures, self._hook, self._window = captures, hook, window
        self._frame: Frame | None = None
        self._is_stale = self._has_said_late = False

    def show(self, event: Seen | Decision | Waiting) -> bool:
        """Report an event; return whether the user wants to quit."""
        from recyclenet.camera.watching import Decision, Seen

        if isinstance(event, Decision):
            self._decision(event)
            return False
        if isinstance(event, Seen):
            self._frame, self._is_stale = event.frame, False
            self._seen(event)
        elif event.is_stale and not self._is_stale:
            self._frame, self._is_stale = None, True
            say("no picture: the last answer no longer holds", err=True)
            if self._as_json:
                self._row({"event": "lost", "age": round(event.age or 0.0, 3)})
        return self._window is not None and self._in_window(event, self._window)

    def _seen(self, seen: Seen) -> None:
        from recyclenet.camera.watching import frame_row

        if seen.is_late and not self._has_said_late:
            self._has_said_late = True
            say(
                f"an answer took {seen.frame.age:.1f} s, longer than --max-age allows, and is "
                f"dropped; allow more, or use a faster model",
                err=True,
            )
        if not self._every or seen.answer is None:
            return
        if self._as_json:
            row = {"event": "frame"} | frame_row(seen.frame) | {"state": seen.state.value}
            self._row(row | {"fps": round(seen.fps, 1)} | seen.answer.to_row())
        else:
            self._line(seen.answer, f"{seen.frame.time:.2f} s  {seen.state.value}")

    def _decision(self, decision: Decision) -> None:
        from dataclasses import replace

        answer = decision.answer
        if self._captures is not None:
            path = str(self._captures.save(decision.frame.image))
            answer = replace(answer, path=path)
            decision = replace(decision, answer=answer)
        row = self._more | decision.to_row()
        if self._hook is not None:
            self._hook.send(row)
        if self._as_json:
            self._row(decision.to_row())
        else:
            what = "capture" if decision.item is None else f"item {decision.item}"
            saved = f"  {answer.path}" if answer.path else ""
            self._line(answer, f"{decision.frame.time:.2f} s  {what}{saved}")
            self._objects(decision)

    def _objects(self, decision: Decision) -> None:
        from recyclenet.cli.detections import describe_object

        for number, one in enumerate(decision.objects or (), 1):
            say(describe_object(one, f"  object {number} of {len(decision.objects or ())}"))

    def _row(self, row: dict[str, Any]) -> None:
        from recyclenet.cli.rows import print_row

        print_row(self._more | row)

    def _line(self, answer: Any, place: str) -> None:

        from recyclenet.cli.classify import describe

        say(describe(answer, place))

    def _in_window(self, event: Seen | Waiting, window: Window) -> bool:
        from recyclenet.camera.watching import Seen

        if isinstance(event, Seen):
            asked = window.show(event.frame.image, describe_frame(event))
        elif event.is_stale:
            asked = window.show(None, ["no picture", f"last picture {event.age:.0f} s ago"])
        else:
            asked = window.show(None, [])
        if "capture" in asked and self._frame is not None:
            self._decision(self._watcher.capture(self._frame))
        return "quit" in asked


def describe_frame(seen: Seen) -> list[str]:
    """Return what the window says about a frame."""
    from recyclenet.camera.items import State

    last = f"{seen.state.value}   {seen.fps:.1f} frames/s"
    if seen.state in (State.LEARNING, State.EMPTY):
        return ["keep the view empty" if seen.state is State.LEARNING else "ready", last]
    if seen.answer is None:
        return ["...", last]
    answer = seen.answer
    return [f"{answer.label}  {answer.confidence:.0%}", f"{answer.stream}: {answer.bin}   {last}"]
