"""`recyclenet data collect`: collect photos by keyword or from a list of URLs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recyclenet.cli.command import Reads, Writes
from recyclenet.cli.data.common import DryRunOption
from recyclenet.cli.options import ForceOption
from recyclenet.cli.output import say
from recyclenet.core.outputs import COLLECTED, MANIFEST, Folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recyclenet.data.sources.collect import Collector
    from recyclenet.data.sources.wanted import Wanted


def collect(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for the photos, one folder per class."),
        Writes(Folder(lambda: {"manifest.csv": MANIFEST, "collected.jsonl": COLLECTED})),
    ],
    classes: Annotated[
        Path | None,
        typer.Option("--classes", help="File with one class per line: LABEL[,KEYWORD[,TARGET]]."),
        Reads(),
    ] = None,
    urls: Annotated[
        Path | None,
        typer.Option("--urls", help="File with one photo per line: LABEL,URL[,LICENCE]."),
        Reads(),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="Search engine: baidu or bing.")] = "bing",
    target: Annotated[
        int, typer.Option("--target", min=1, help="Number of photos per class.")
    ] = 200,
    start_page: Annotated[int, typer.Option("--start-page", min=0)] = 0,
    pages: Annotated[
        int, typer.Option("--pages", min=1, help="Maximum number of result pages.")
    ] = 20,
    per_page: Annotated[int, typer.Option("--per-page", min=1, max=100)] = 30,
    delay: Annotated[
        float,
        typer.Option("--delay", min=0, max=3600, help="Seconds between requests to one host."),
    ] = 1.0,
    deadline: Annotated[
        float,
        typer.Option("--deadline", min=0.1, max=86_400, help="Time limit of one request, seconds."),
    ] = 30.0,
    max_mb: Annotated[
        float, typer.Option("--max-mb", min=0.001, help="Maximum size of a photo.")
    ] = 20.0,
    max_total_mb: Annotated[
        float,
        typer.Option("--max-total-mb", min=0.001, help="Maximum size of all downloads together."),
    ] = 4000.0,
    min_side: Annotated[int, typer.Option("--min-side", min=1, help="Minimum side, pixels.")] = 64,
    mirror: Annotated[
        str,
        typer.Option("--engine-address", help="Server to use instead of the search engine's own."),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="Private server to allow, HOST:PORT; may be repeated."),
    ] = None,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
) -> None:
    """Collect photos by keyword or from a list of URLs; honours robots.txt and noai.

    To continue after an interruption, run the same command again; it skips URLs already tried.
    Exit codes: 3 a class has fewer photos than its target, 1 no photo was found.
    """
    from recyclenet.cli.data.common import NUM_NAMED, refuse_unused
    from recyclenet.cli.progress import counting
    from recyclenet.cli.rows import print_columns
    from recyclenet.core.extras import require_data
    from recyclenet.data.sources.collect import Collector
    from recyclenet.data.sources.wanted import ENGINES, Wanted, read_addresses, read_classes
    from recyclenet.data.sources.web import check_url
    from recyclenet.errors import EXIT_PARTIAL, Interrupted, UsageError, look_up

    require_data("collecting photos")
    if (classes is None) == (urls is None):
        raise UsageError("no source given; give either --classes FILE to search, or --urls FILE")
    if urls is not None:
        options = ("engine", "start_page", "pages", "per_page", "mirror")
        refuse_unused(context, options, "with --urls")
    look_up(engine, dict.fromkeys(ENGINES), "search engine")
    if mirror:
        mirror = check_url(mirror)
    listed: dict[str, list[tuple[str, str]]] = {}
    if urls is not None:
        for label, url, licence in read_addresses(urls):
            listed.setdefault(label, []).append((url, licence))
        wanted = [Wanted(label, label, min(target, len(rows))) for label, rows in listed.items()]
    else:
        assert classes is not None
        wanted = read_classes(classes, target)
    if dry_run:
        print_columns(
            ("class", "keyword", "target"), [(w.label, w.keyword, str(w.target)) for w in wanted]
        )
        return
    collector = Collector(
        out,
        deadline_s=deadline,
        max_bytes=int(max_mb * 1e6),
        max_total_bytes=int(max_total_mb * 1e6),
        delay_s=delay,
        min_side=min_side,
        allowed=tuple(allow_host or ()),
        force=force,
    )
    num_known = len(collector.journal)
    for one in wanted:
        found = (
            iter(listed[one.label])
            if listed
            else _searched(
                collector, one, engine, range(start_page, start_page + pages), per_page, mirror
            )
        )
        try:
            with counting(one.label) as progress:
                collector.collect(one.label, found, one.target, progress)
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped at {one.label!r}; run the same command again to continue"
            ) from None
    for row in [row for row in collector.journal[num_known:] if row.reason][:NUM_NAMED]:
        say(f"rejected: {row.reason}", err=True)
    counts = collector.counts
    print_columns(
        ("class", "photos", "wanted"),
        [(one.label, str(counts[one.label]), str(one.target)) for one in wanted],
    )
    manifest = collector.write_manifest()
    say(f"{len(manifest)} photos in {out}; read their owners' terms before you share them")
    if any(counts[one.label] < one.target for one in wanted):
        raise typer.Exit(EXIT_PARTIAL)


def _searched(
    collector: Collector, wanted: Wanted, engine: str, pages: range, per_page: int, mirror: str
) -> Iterator[tuple[str, str]]:
    """Yield what an engine finds; an engine that refuses ends the class, not the command."""
    from recyclenet.data.sources.wanted import search
    from recyclenet.data.sources.web import FetchError

    try:
        for url in search(engine, wanted.keyword, pages, per_page, collector.fetch, mirror):
            yield url, ""
    except FetchError as error:
        say(f"{wanted.label}: {error}", err=True)
