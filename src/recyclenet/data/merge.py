"""Merge several data sets into one, each photo with its domain."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from recyclenet.core.text import show_path
from recyclenet.data.dataset import as_manifest
from recyclenet.data.identity import find_repeats
from recyclenet.data.label_map import LabelMaps, left_out_notes, map_labels, parse_maps
from recyclenet.data.manifest import MANIFEST_NAME, Manifest, Sample
from recyclenet.data.quality.duplicates import find_pairs, with_groups
from recyclenet.errors import UsageError

_log = logging.getLogger(__name__)
# Of copies in different splits, those in the first of these splits stay.
_ORDER = ("test", "val", "train", "")
# A group that a scan named after a photo; the same name means the same photo everywhere.
_PHOTO_GROUP = re.compile("[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Merge:
    """Several data sets as one.

    Attributes:
        manifest: the photos, each with its domain.
        left_out: number of photos that a label map left out, by domain and old label.
        repeats: photos left out because another data set lists the same file, each with the one
            that stays.
        leaks: photos left out because another domain tests or validates on a copy, each with that
            copy.
        copies: pairs of copies in two domains.
        has_searched: whether copies were looked for.
    """

    manifest: Manifest
    left_out: Counter[tuple[str, str]]
    repeats: tuple[tuple[Sample, Sample], ...]
    leaks: tuple[tuple[Sample, Sample], ...]
    copies: tuple[tuple[Sample, Sample], ...]
    has_searched: bool

    def notes(self) -> list[str]:
        """Return, one line each, what a user must know about the merge."""
        notes = left_out_notes(self.left_out)
        if self.repeats:
            example = _example(self.repeats[0])
            notes.append(
                f"left out: {len(self.repeats)} photos that another data set lists, too; {example}"
            )
        if self.leaks:
            notes.append(
                f"left out: {len(self.leaks)} photos with a copy that another domain keeps for "
                f"val or test; {_example(self.leaks[0])}"
            )
        if len(self.manifest.domains) < 2:
            pass  # no copies across domains
        elif not self.has_searched:
            notes.append(
                "did not look for copies: not all photos have perceptual hashes, which recyclenet "
                "data scan writes"
            )
        elif not self.copies:
            notes.append("no copies across domains found")
        else:
            num_two = sum(one.label != other.label for one, other in self.copies)
            labels = f" ({num_two} of them under two labels)" if num_two else ""
            notes.append(
                f"{len(self.copies)} pairs of copies across domains{labels} share a group, so a "
                f"split keeps them together; {_example(self.copies[0])}"
            )
        return notes + _similar_labels(self.manifest)


def merge_datasets(
    sources: Mapping[str, str | os.PathLike[str] | Manifest], maps: LabelMaps | None = None
) -> Manifest:
    """Merge several data sets into one.

    What is left out goes to the log. Copies across the data sets are found if all photos have
    perceptual hashes, which `recyclenet data scan` writes.

    Args:
        sources: domain to a folder of class folders, a CSV manifest or a loaded dataset.
        maps: label maps: domain, or "*" for all, to old label to new label; the new label "_"
            leaves the photos out.

    Raises:
        UsageError: a data set does not exist, or a map names an unknown domain or label.
        DataError: a manifest cannot be used, or no photo is left.
    """
    return _logged(
        merge([with_domain(as_manifest(data), name) for name, data in sources.items()], maps)
    )


def read_sources(texts: Sequence[str], maps: Iterable[str] = ()) -> Manifest:
    """Merge data sets given as SOURCE or NAME=SOURCE, with label maps as typed by the user.

    A single data set without a name keeps its domains, or has none. What is left out goes to the
    log.

    Raises:
        UsageError: a data set does not exist, or a map names an unknown domain or label.
        DataError: a manifest cannot be used, or no photo is left.
    """
    label_maps = parse_maps(maps)
    if len(texts) > 1 or parse_source(texts[0])[0]:
        return _logged(merge(load_sources(texts, as_manifest), label_maps))
    manifest = as_manifest(texts[0])
    return _logged(merge([manifest], label_maps)) if label_maps else manifest


def _logged(merged: Merge) -> Manifest:
    for note in merged.notes():
        _log.info(note)
    return merged.manifest


def merge(manifests: Sequence[Manifest], maps: LabelMaps | None = None) -> Merge:
    """Merge manifests whose rows have domains.

    Rows keep their splits. A file that two manifests list becomes one row. If all rows have
    perceptual hashes, copies get a common group; of copies that two domains keep for different
    splits, only those of the strictest split stay (test, then val, then train).

    Raises:
        UsageError: a map names an unknown domain or label.
        DataError: no photo is left.
    """
    rows, repeats = _without_repeats(_with_own_groups(manifests))
    manifest, left_out = map_labels(Manifest(rows), maps or {})
    # Grouping needs SciPy, which the light tier lacks.
    searches = all(sample.phash for sample in manifest) and find_spec("scipy") is not None
    copies: list[tuple[Sample, Sample]] = []
    if searches:
        pairs = [pair.rows for pair in find_pairs(manifest)]
        manifest = with_groups(manifest, pairs)
        rows = manifest.samples
        copies = [(rows[i], rows[j]) for i, j in pairs if rows[i].domain != rows[j].domain]
    leaks = _find_leaks(manifest)
    kept = Manifest(tuple(s for row, s in enumerate(manifest) if row not in leaks))
    dropped = tuple((manifest.samples[row], copy) for row, copy in leaks.items())
    return Merge(kept, left_out, repeats, dropped, tuple(copies), searches)


def load_sources(texts: Sequence[str], load: Callable[[Path], Manifest]) -> list[Manifest]:
    """Load data sets given as SOURCE or NAME=SOURCE; every row gets a domain.

    NAME becomes the domain of all rows. Without it, rows keep their domain, and those without one
    get the folder's name.

    Args:
        texts: as typed by the user.
        load: reads one data set.

    Raises:
        UsageError: a text is no data set, or a folder's name is the domain of another one.
    """
    manifests = []
    folder_names = set()
    for text in texts:
        name, path = parse_source(text)
        manifest = load(path)
        if name:
            manifest = with_domain(manifest, name)
        elif "" in manifest.domains:
            name = _folder_name(path)
            folder_names.add(name)
            manifest = Manifest(tuple(s if s.domain else replace(s, domain=name) for s in manifest))
        manifests.append(manifest)
    counts = Counter(chain.from_iterable(manifest.domains for manifest in manifests))
    for name in folder_names:
        if counts[name] > 1:
            raise UsageError(
                f"{counts[name]} data sets are called {name!r}; name them: NAME=FOLDER"
            )
    return manifests


def parse_source(text: str) -> tuple[str, Path]:
    """Return the name (or "") and the path of a data set given as SOURCE or NAME=SOURCE.

    Raises:
        UsageError: the name or the path is empty.
    """
    name, equals, path = text.partition("=")
    if not equals or os.path.exists(text):  # noqa: PTH110 - a folder's name may contain "="
        return "", Path(text)
    if not name.strip() or not path:
        raise UsageError(f"a data set must be SOURCE or NAME=SOURCE, not {text!r}")
    return name.strip(), Path(path)


def with_domain(manifest: Manifest, name: str) -> Manifest:
    """Return the manifest with one domain in all rows."""
    return Manifest(tuple(replace(sample, domain=name) for sample in manifest))


def _folder_name(path: Path) -> str:
    place = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
    if place.name == MANIFEST_NAME:
        return place.parent.name
    return (place.stem if place.suffix.lower() == ".csv" else place.name) or "root"


def _with_own_groups(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Rename groups that two manifests call the same by chance."""
    counts = Counter(
        chain.from_iterable({s.group for s in manifest if s.group} for manifest in manifests)
    )
    chance = {name for name, n in counts.items() if n > 1 and not _PHOTO_GROUP.fullmatch(name)}
    return [
        Manifest(
            tuple(
                replace(s, group=f"{s.group} ({number})") if s.group in chance else s
                for s in manifest
            )
        )
        for number, manifest in enumerate(manifests, start=1)
    ]


def _without_repeats(
    manifests: Sequence[Manifest],
) -> tuple[tuple[Sample, ...], tuple[tuple[Sample, Sample], ...]]:
    """Return all rows but those that repeat a file of another manifest, and these."""
    rows = [(number, sample) for number, manifest in enumerate(manifests) for sample in manifest]
    order = sorted(range(len(rows)), key=lambda row: _ORDER.index(rows[row][1].split))
    repeats = {
        order[row]: order[first]
        for row, first in find_repeats([rows[row][1].path for row in order]).items()
        # Within one manifest a row may be repeated on purpose (`data balance --oversample`).
        if rows[order[row]][0] != rows[order[first]][0]
    }
    kept = tuple(sample for row, (_, sample) in enumerate(rows) if row not in repeats)
    return kept, tuple((rows[row][1], rows[first][1]) for row, first in sorted(repeats.items()))


def _find_leaks(manifest: Manifest) -> dict[int, Sample]:
    """Return rows with a copy that another domain keeps in a stricter split, with that copy."""
    best: dict[str, dict[str, Sample]] = defaultdict(dict)  # by group and domain
    for sample in manifest:
        if sample.group and sample.split:
            other = best[sample.group].setdefault(sample.domain, sample)
            if _ORDER.index(sample.split) < _ORDER.index(other.split):
                best[sample.group][sample.domain] = sample
    leaks = {}
    for row, sample in enumerate(manifest):
        if sample.group and sample.split:
            others = (s for d, s in best[sample.group].items() if d != sample.domain)
            strictest = min(others, key=lambda s: _ORDER.index(s.split), default=sample)
            if _ORDER.index(strictest.split) < _ORDER.index(sample.split):
                leaks[row] = strictest
    return leaks


def _similar_labels(manifest: Manifest) -> list[str]:
    """Return a warning for labels that differ only in capitals, blanks or dashes."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in manifest.class_names:
        spellings[re.sub(r"[\s_-]+", " ", label.casefold())].append(label)
    return [
        f"warning: {' and '.join(map(repr, labels))} are separate classes; to merge them: "
        f"--map '{labels[0]}={labels[-1]}'"
        for labels in spellings.values()
        if len(labels) > 1
    ]


def _example(pair: tuple[Sample, Sample]) -> str:
    one, other = (f"{show_path(s.path)} ({s.split or 'no split'})" for s in pair)
    return f"such as {one}, the same as {other}"
