"""Running a command line in this process, in a fork of a clean one, or in a process of its own."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forks import context
from recyclenet.cli.main import main

LIMIT_S = 240  # far more than any case takes, also on a busy machine


@dataclass
class Result:
    """How a command ended.

    Attributes:
        code: its exit code.
        out: on stdout.
        err: on stderr; with the traceback of what it let through.
        asked: the hosts beyond this machine that it tried to reach.
        left: processes that it left behind.
    """

    code: int
    out: bytes
    err: bytes
    asked: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Hung(BaseException):
    """The command did not end."""


@dataclass
class Guard:
    """What watches a command's calls of the system: none leaves this machine.

    Attributes:
        active: whether a command runs.
        asked: hosts beyond this machine that it tried to reach.
        calls_left: so many more changes of files; then the process is killed. None: no limit.
        room_left: for so many more new files and folders; then the disk is full. None: no limit.
    """

    active: bool = False
    asked: list[str] = field(default_factory=list)
    calls_left: int | None = None
    room_left: int | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event == "socket.connect":
            address = arguments[1]
            if isinstance(address, tuple) and not str(address[0]).startswith(("127.", "::1")):
                self._refuse(str(address[0]))
        elif event == "socket.getaddrinfo":
            if arguments[0] not in (None, "localhost", "127.0.0.1", b"127.0.0.1"):
                self._refuse(str(arguments[0]))
        elif self.calls_left is not None and _changes_files(event, arguments):
            self.calls_left -= 1
            if self.calls_left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        elif self.room_left is not None and _needs_room(event, arguments):
            self.room_left -= 1
            if self.room_left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _refuse(self, host: str) -> None:
        self.asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


CHANGING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.utime")


def _changes_files(event: str, arguments: tuple[Any, ...]) -> bool:
    return event in CHANGING or _is_writing(event, arguments)


def _needs_room(event: str, arguments: tuple[Any, ...]) -> bool:
    return event in ("os.mkdir", "os.link", "os.symlink") or _is_writing(event, arguments)


def _is_writing(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a file is opened for writing; devices are always there."""
    if event != "open" or not isinstance(arguments[2], int):
        return False
    writes = bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
    return writes and not os.fsdecode(arguments[0]).startswith("/dev/")


GUARD = Guard()
sys.addaudithook(GUARD)


def run_here(arguments: Sequence[str], root: Path, room: int | None = None) -> Result:
    """Run a command line in this process, from the folder `here` below the root.

    Args:
        arguments: after the program's name.
        root: of the tree.
        room: for so many new files and folders; then the disk is full.
    """
    before = _children()
    with _streams() as printed, _surroundings(arguments, root):
        if room is not None:
            del os.environ["RECYCLENET_DEBUG"]  # a full disk is reported where it is met
        GUARD.asked, GUARD.room_left, GUARD.active = [], room, True
        try:
            code = _call_main()
        finally:
            GUARD.active, GUARD.room_left = False, None
        out, err = printed()
    left = [command for pid, command in _children().items() if pid not in before]
    return Result(code, out, err, GUARD.asked, left)


def run_apart(arguments: Sequence[str], root: Path, calls: int | None = None) -> Result:
    """Run a command line in a fork of a clean process.

    Args:
        arguments: after the program's name.
        root: of the tree.
        calls: kill the process without warning before it changes files once more than this.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = context().Process(target=_child, args=(tuple(arguments), root, folder, calls))
        process.start()
        process.join(LIMIT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
        code = process.exitcode
        out, err = (Path(folder, name).read_bytes() for name in ("out", "err"))
        left = _kill_session(process.pid)
    return Result(code if code >= 0 else 128 - code, out, err, [], left)


def _child(arguments: tuple[str, ...], root: Path, folder: str, calls: int | None) -> None:
    os.setsid()
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    os.chdir(root / "here")
    os.environ.update(environment(root))
    sys.argv = ["recyclenet", *arguments]
    GUARD.active, GUARD.calls_left = True, calls
    code = _call_main()
    GUARD.active = False
    sys.stdout.flush()
    os._exit(code)


def run_program(arguments: Sequence[str], root: Path) -> Result:
    """Run a command line in a process of its own, as a user does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recyclenet", *arguments],
        cwd=root / "here",
        env={**os.environ, **environment(root)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    return Result(process.returncode, out, err, [], _kill_session(process.pid))


def _call_main() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _children() -> dict[int, str]:
    """Return the commands of this process's children; what the harness itself keeps is left out."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile, as may a child
            pids |= set(map(int, (task / "children").read_text().split()))
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    kept = ("resource_tracker", "forkserver")
    return {pid: command for pid, command in found.items() if not any(k in command for k in kept)}


def _kill_session(session: int | None) -> list[str]:
    """End what still runs of a process's session; return what that was."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                os.kill(int(place.name), signal.SIGKILL)
    return found


@contextlib.contextmanager
def _surroundings(arguments: Sequence[str], root: Path) -> Iterator[None]:
    kept = os.getcwd(), sys.argv, dict(os.environ), tempfile.tempdir, time.sleep
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def hung(*_: object) -> None:
        raise Hung

    alarm = signal.signal(signal.SIGALRM, hung)
    try:
        os.chdir(root / "here")
        sys.argv = ["recyclenet", *arguments]
        os.environ.update(environment(root))
        tempfile.tempdir = None
        time.sleep = lambda seconds: kept[4](min(seconds, 0.001))
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in signals.items():
            signal.signal(number, handler)
        os.chdir(kept[0])
        sys.argv = kept[1]
        os.environ.clear()
        os.environ.update(kept[2])
        tempfile.tempdir = kept[3]
        time.sleep = kept[4]


def environment(root: Path) -> dict[str, str]:
    """Return where a command may put what is temporary, far from the tester's own."""
    return {
        "TMPDIR": f"{root}/tmp",
        "HOME": f"{root}/home",
        "no_proxy": "*",
        "RECYCLENET_DEBUG": "1",  # what no command foresaw has its traceback
    }


@contextlib.contextmanager
def _streams() -> Iterator[Callable[[], tuple[bytes, bytes]]]:
    """Yield a function that returns what was printed so far, also past Python."""
    kept = sys.stdout, sys.stderr, os.dup(1), os.dup(2)
    for stream in kept[:2]:
        stream.flush()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        # Logging keeps the stream that it first saw, so these are never closed.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        OPENED.extend((sys.stdout, sys.stderr))

        def printed() -> tuple[bytes, bytes]:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            out.seek(0)
            err.seek(0)
            return out.read(), err.read()

        try:
            yield printed
        finally:
            sys.stdout, sys.stderr = kept[:2]
            for number, copy in ((1, kept[2]), (2, kept[3])):
                os.dup2(copy, number)
                os.close(copy)


OPENED: list[io.TextIOWrapper] = []
