"""Label maps: rename, merge and leave out labels, of all photos or of one domain."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from recyclenet.data.manifest import Manifest
from recyclenet.errors import DataError, UsageError, nearest

_log = logging.getLogger(__name__)
# In place of a new label: leave the photos out. In place of a domain: all domains.
LEAVE_OUT = "_"
EVERY_DOMAIN = "*"
# Domain to old label to new label.
LabelMaps: TypeAlias = Mapping[str, Mapping[str, str]]


def parse_maps(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read label maps such as "can=metal,shoe=_" (all domains) or "web:can=metal" (one domain).

    Raises:
        UsageError: a text is no label map, or a label is mapped twice.
    """
    maps: dict[str, dict[str, str]] = {}
    for text in texts:
        head, _, _ = text.partition("=")
        domain, colon, _ = head.partition(":")
        if colon and not domain.strip():
            raise _malformed(text)
        labels = maps.setdefault(domain.strip() if colon else EVERY_DOMAIN, {})
        for old, new in _pairs(text[len(domain) + 1 :] if colon else text):
            if labels.setdefault(old, new) != new:
                raise UsageError(
                    f"the label map {text!r} maps {old!r} to both {labels[old]!r} and {new!r}"
                )
    return maps


def parse_map(text: str) -> dict[str, str]:
    """Read one map without a domain, such as "glass=container,trash=_"; empty for "".

    Raises:
        UsageError: it is no map, or is for one domain, or a label is mapped twice.
    """
    maps = parse_maps([text] if text else [])
    if maps.keys() - {EVERY_DOMAIN}:
        raise UsageError(f"a map of the model's classes cannot name a domain, as {text!r} does")
    return maps.get(EVERY_DOMAIN, {})


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(","):
        old, _, new = (part.strip() for part in pair.partition("="))
        if not old or not new:
            raise _malformed(text)
        yield old, new


def map_labels(manifest: Manifest, maps: LabelMaps) -> tuple[Manifest, Counter[tuple[str, str]]]:
    """Apply label maps; a map of one domain goes before that of all domains.

    Args:
        manifest: photos with their own labels.
        maps: domain (or `EVERY_DOMAIN`) to old label to new label (or `LEAVE_OUT`).

    Returns:
        The manifest, and the number of photos left out by domain and old label.

    Raises:
        UsageError: a map names a domain or a label that does not occur.
        DataError: every photo is left out.
    """
    _check(manifest, maps)
    kept = []
    left_out: Counter[tuple[str, str]] = Counter()
    everywhere = maps.get(EVERY_DOMAIN, {})
    for sample in manifest:
        own = maps.get(sample.domain, {})
        label = own.get(sample.label, everywhere.get(sample.label, sample.label))
        if label == LEAVE_OUT:
            left_out[sample.domain, sample.label] += 1
        else:
            kept.append(sample if label == sample.label else replace(sample, label=label))
    if not kept:
        raise DataError(f"the label map leaves out all {len(manifest)} photos; keep some labels")
    return Manifest(tuple(kept)), left_out


def relabelled(manifest: Manifest, maps: LabelMaps | None) -> Manifest:
    """Apply label maps as `map_labels` does; what is left out goes to the log."""
    if not maps:
        return manifest
    manifest, left_out = map_labels(manifest, maps)
    for note in left_out_notes(left_out):
        _log.info(note)
    return manifest


def relabelled_all(manifests: Sequence[Manifest], maps: LabelMaps | None) -> list[Manifest]:
    """Apply label maps to several manifests; each label must occur in one of them.

    What is left out goes to the log.

    Raises:
        UsageError: a map names a domain or a label that does not occur.
        DataError: every photo of a manifest is left out.
    """
    relabelled(Manifest(tuple(s for manifest in manifests for s in manifest)), maps)
    return [map_labels(manifest, _occurring(manifest, maps or {}))[0] for manifest in manifests]


def _occurring(manifest: Manifest, maps: LabelMaps) -> LabelMaps:
    """Return the part of the maps whose labels occur in a manifest."""
    labels = {domain: set[str]() for domain in maps}
    for sample in manifest:
        for domain in labels.keys() & {sample.domain, EVERY_DOMAIN}:
            labels[domain].add(sample.label)
    own = {d: {old: maps[d][old] for old in maps[d].keys() & labels[d]} for d in maps}
    return {domain: pairs for domain, pairs in own.items() if pairs}


def left_out_notes(left_out: Mapping[tuple[str, str], int]) -> list[str]:
    """Return a line for each label that a map left out, given the second result of `map_labels`."""
    return [
        f"left out: {count} photos{domain and f' of {domain}'} labelled {label} (label map)"
        for (domain, label), count in sorted(left_out.items())
    ]


def _check(manifest: Manifest, maps: LabelMaps) -> None:
    for domain, labels in maps.items():
        rows = [s for s in manifest if domain in (EVERY_DOMAIN, s.domain)]
        if not rows:
            known = [name for name in manifest.domains if name]
            raise UsageError(
                f"a label map is for {domain!r}, but no photo is from it: {nearest(domain, known)}"
            )
        present = {sample.label for sample in rows}
        for label in labels:
            if label not in present:
                where = "" if domain == EVERY_DOMAIN else f" of {domain!r}"
                raise UsageError(
                    f"a label map names {label!r}, but no photo{where} has this label: "
                    f"{nearest(label, present)}"
                )


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"a label map must look like OLD=NEW,OLD=_ or DOMAIN:OLD=NEW,OLD=_, not {text!r}"
    )
