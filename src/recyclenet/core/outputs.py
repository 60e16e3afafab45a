"""The rule on overwriting: a command may replace only an earlier output of the same kind.

The content of a file, not its name, decides whether it is an earlier output.
"""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from recyclenet.core.files import ESCAPED, GENERATOR, is_stream
from recyclenet.errors import RecycleNetError, UsageError

_HEAD = 1 << 16


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file that commands write.

    Attributes:
        name: for error messages, such as "manifest".
        matches: returns whether the content of an open file is an earlier output.
    """

    name: str
    matches: Callable[[IO[bytes]], bool]


@dataclass(frozen=True, slots=True)
class Folder:
    """The files that a command writes into one folder.

    Attributes:
        files: returns file name to kind.
    """

    files: Callable[[], Mapping[str, Kind]]


@dataclass(frozen=True, slots=True)
class Output:
    """One file that a command is about to write.

    Attributes:
        option: the command-line option that names it.
        path: the file to write.
        kind: the kind of the file.
    """

    option: str
    path: Path
    kind: Kind


def expand(option: str, path: Path, kind: Kind | Folder) -> list[Output]:
    """Return the files that one option of a command stands for.

    Raises:
        UsageError: the option takes a folder, but the path is something else.
    """
    if isinstance(kind, Kind):
        return [Output(option, path, kind)]
    try:
        if not stat.S_ISDIR(path.stat().st_mode):
            raise UsageError(f"{path} is not a folder; choose another {option}")
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(option, path, error) from error
    return [Output(option, path / name, file_kind) for name, file_kind in kind.files().items()]


def check_outputs(
    outputs: Sequence[Output], reads: Iterable[tuple[str, Path]], force: bool = False
) -> None:
    """Refuse outputs that would replace an input or the user's own file.

    Call it before the work starts.

    Args:
        outputs: the files that the command will write.
        reads: option and path of each input; consumed only if an output exists.
        force: allow replacing files that are not earlier outputs.

    Raises:
        UsageError: an output is an input, or is not an earlier output of its kind, or is the same
            file as another output, or cannot be a file.
        RecycleNetError: a folder is not writable.
    """
    existing = [output for output in outputs if _would_replace(output)]
    _check_distinct(outputs)
    if existing:
        _check_reads(existing, reads)
    for output in existing:
        if not force and not is_earlier(output.path, output.kind):
            raise UsageError(
                f"{output.option} {output.path} exists and is not a {output.kind.name} that "
                f"RecycleNet wrote; choose another {output.option}, move the file, or replace it "
                f"with --force"
            )


def is_earlier(path: Path, kind: Kind) -> bool:
    """Return whether a file is empty or an earlier output of a kind."""
    try:
        with path.open("rb") as file:
            return not os.fstat(file.fileno()).st_size or kind.matches(file)
    except OSError:
        return False


def _would_replace(output: Output) -> bool:
    """Return whether the output replaces a file; raise an error if it cannot be written."""
    try:
        if is_stream(output.path):
            return False
        target = Path(os.path.realpath(output.path))
        if os.path.lexists(target):
            mode = target.stat().st_mode
            if stat.S_ISDIR(mode):
                raise UsageError(
                    f"{output.option} {output.path} is a folder; give the path of a "
                    f"{output.kind.name}"
                )
        folder = next(parent for parent in target.parents if os.path.lexists(parent))
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise NotADirectoryError(None, f"{folder} is not a folder")
    except OSError as error:
        raise _unusable(output.option, output.path, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RecycleNetError(
            f"cannot write {output.path}: the folder {folder} is not writable; choose another "
            f"{output.option}, or change the permissions"
        )
    return target.exists()


def _unusable(option: str, path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write {path}: {error.strerror}; choose another {option}")


def _check_distinct(outputs: Sequence[Output]) -> None:
    """Refuse two outputs that are the same file, and an output below another."""
    by_identity: dict[str, Output] = {}
    for output in outputs:
        if not is_stream(output.path):
            other = by_identity.setdefault(_identity(output.path), output)
            if other is not output:
                raise UsageError(
                    f"{other.option} and {output.option} both name {output.path}; choose two files"
                )
    for identity, output in by_identity.items():
        for parent in Path(identity).parents:
            above = by_identity.get(str(parent))
            if above is not None:
                raise UsageError(
                    f"{output.option} {output.path} needs {above.path} to be a folder, but "
                    f"{above.option} writes it as a file; choose another {output.option}"
                )


def _identity(path: Path) -> str:
    """Return the same text for every path of one file."""
    try:
        status = path.stat()
        return f"{status.st_dev}:{status.st_ino}"
    except OSError:
        return os.path.realpath(path)


def _check_reads(existing: Sequence[Output], reads: Iterable[tuple[str, Path]]) -> None:
    """Refuse outputs that are also inputs, even under another path."""
    statuses = [(output, output.path.stat()) for output in existing]
    for option, path in reads:
        try:
            status = path.stat()
        except (OSError, ValueError):  # the command reports it
            continue
        for output, output_status in statuses:
            if os.path.samestat(output_status, status):
                raise UsageError(
                    f"{output.option} {output.path} is also an input ({option}); choose another "
                    f"{output.option}"
                )


def _head(file: IO[bytes]) -> bytes:
    return file.read(_HEAD)


def _begins(*texts: str) -> Callable[[IO[bytes]], bool]:
    starts = tuple(text.encode() for text in texts)
    return lambda file: _head(file).startswith(starts)


def _columns(*names: str, more: Callable[[str], bool] | None = None) -> Callable[[IO[bytes]], bool]:
    """Recognise a table by its column names.

    Args:
        names: the first columns.
        more: returns whether a further column is allowed; None: no further columns.
    """

    def matches(file: IO[bytes]) -> bool:
        text = _head(file).decode("utf-8", errors="replace")
        try:
            row = next(csv.reader(io.StringIO(text, newline="")), [])
        except csv.Error:
            return False
        if row[-1:] == [ESCAPED]:
            row.pop()
        rest = row[len(names) :]
        return tuple(row[: len(names)]) == names and all(more and more(name) for name in rest)

    return matches


def _is_page(file: IO[bytes]) -> bool:
    return f'<meta name="generator" content="{GENERATOR} '.encode() in _head(file)


def _is_picture(file: IO[bytes]) -> bool:
    head = _head(file)
    return head.startswith(b"\x89PNG\r\n\x1a\n") and f"Software\0{GENERATOR} ".encode() in head


def _is_model(file: IO[bytes]) -> bool:
    from recyclenet.core.model_info import is_sealed

    return is_sealed(file)


MANIFEST = Kind(
    "manifest",
    _columns(
        "path", "label", "split", "sha256",
        more={
            "width", "height", "num_bytes", "taken", "source", "licence", "phash", "group",
            "domain",
        }.__contains__,
    ),
)  # fmt: skip
PREDICTIONS = Kind(
    "table of predictions", _columns("path", "target", more=lambda name: name.startswith("logit_"))
)
ISSUES = Kind("table of faults", _columns("path", "label", "kind", "detail", "other"))
MOVES = Kind(
    "list of moved photos",
    _columns("path", "place", "reason", "sha256", more={"link"}.__contains__),
)
FOLDS = Kind("table of folds", _columns("fold", "num_photos", "accuracy", "nll"))
DOMAINS = Kind(
    "table of domains",
    _columns(
        "domain", "num_photos", "num_left_out", "num_copies", "accuracy", "balanced_accuracy",
        "nll", "ece", "refused", "num_home", "home_accuracy",
    ),
)  # fmt: skip
ABLATION = Kind(
    "ablation table",
    _columns(
        "variant", "num_seeds", "accuracy", "low", "high", "difference", "p_value", "parameters",
        "latency_ms",
    ),
)  # fmt: skip
ABLATION_TEXT = Kind("ablation table", _begins("| variant | accuracy | 95% interval | difference"))
COSTS = Kind(
    "table of costs",
    _columns(
        "name", "runtime", "parameters", "multiply_adds", "memory_mb", "latency_ms",
        "latency_low_ms", "latency_high_ms", "throughput", "throughput_low", "throughput_high",
    ),
)  # fmt: skip
EPOCHS = Kind(
    "table of epochs",
    _columns("epoch", "train_loss", "val_loss", "val_accuracy", "lr", "seconds"),
)
RECIPE = Kind("recipe", _begins('name = "'))
COLLECTED = Kind("list of collected photos", _begins('{"url": "'))
PAGE = Kind("page", _is_page)
METRICS = Kind("file of metrics", _begins(f'{{\n "generator": "{GENERATOR} '))
PICTURE = Kind("picture", _is_picture)
MODEL = Kind("model file", _is_model)
