"""The real command in a fork of a process that has imported PyTorch, which takes seconds.

A fork is a process of its own: its memory, signals, working folder and exit code are no other's.
Only what happens at import has happened before.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMPORTED = (
    "recyclenet.cli.app",
    "recyclenet.operations.train",
    "cleanvision",
    "scipy.ndimage",
)
# Elsewhere, such as on Windows, each process imports for itself.
HAS_FORKS = "forkserver" in multiprocessing.get_all_start_methods()


@dataclass(frozen=True)
class Finished:
    """How a command ended.

    Attributes:
        code: its exit code; if a signal ended it, that signal's number, negative.
        out: on stdout.
        err: on stderr.
        command: its words.
    """

    code: int
    out: str
    err: str
    command: list[str] = field(repr=False)


def context() -> Any:
    """Return what starts processes that are forks of the one with everything imported."""
    if not HAS_FORKS:
        return multiprocessing.get_context("spawn")
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(list(IMPORTED))
    return found


class Fork:
    """A command that runs in a fork.

    Args:
        words: after the program's name.
        cwd: its working folder; this process's by default.
        env: its environment; this process's by default.
        before: called in the fork, before the command. The fork imports it, so it lies in a module
            of this folder.

    """

    def __init__(
        self,
        words: Sequence[object],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self._words = [os.fspath(w) if isinstance(w, Path) else str(w) for w in words]
        self._folder = Path(tempfile.mkdtemp(prefix="recyclenet-"))
        environment = dict(os.environ if env is None else env)
        arguments = (self._words, cwd or Path.cwd(), environment, self._folder, before)
        self._process = context().Process(target=_run, args=arguments)
        self._process.start()

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def is_running(self) -> bool:
        return bool(self._process.is_alive())

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the command has ended."""
        if self.is_running():
            os.kill(self.pid, number)

    def wait(self, seconds: float = 600) -> Finished:
        """Return how the command ended; after so many seconds, kill it."""
        self._process.join(seconds)
        late = self.is_running()
        if late:
            self._process.kill()
            self._process.join()
        finished = Finished(
            self._process.exitcode, self._printed("out"), self._printed("err"), self._words
        )
        shutil.rmtree(self._folder)
        assert not late, f"not done in {seconds} s: {finished.command} {finished.err}"
        return finished

    def _printed(self, name: str) -> str:
        path = self._folder / name
        return path.read_bytes().decode() if path.exists() else ""  # killed before it was made


def _run(
    words: list[str],
    place: Path,
    environment: dict[str, str],
    folder: Path,
    before: Callable[[], None] | None,
) -> None:
    """Run a command in this process, the fork."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), number)
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    os.chdir(place)
    sys.argv = ["recyclenet", *words]
    if before is not None:
        before()
    from recyclenet.cli.main import main

    try:
        main()
    finally:
        # A child of multiprocessing skips this, which tells idle worker processes to end.
        threading._shutdown()
        atexit._run_exitfuncs()
