"""Ctrl-C and SIGTERM end a command soon, whatever it is doing, with nothing half written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")

# Native code that holds no lock, minds no signal, and takes minutes.
ENDLESS = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
# Pictures called slow take that long to decode.
SLOW = f"""
import os, simplejpeg
decode = simplejpeg.decode_jpeg
def slow(content, **options):
    if b"slow" in content[-8:]:
        os.write(2, b"decoding\\n")  # at once: two threads may write
        {ENDLESS}
    return decode(content, **options)
simplejpeg.decode_jpeg = slow
from recyclenet.cli.main import main
main()
"""


def start(program: str, *words: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[str], told: signal.Signals) -> tuple[str, str]:
    """Send a signal; the process and all that it has started must be gone soon."""
    sent = time.monotonic()
    process.send_signal(told)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - sent < 5  # one, on a machine that has nothing else to do
    assert process.returncode == 128 + told, err
    assert "Traceback" not in err
    return out, err


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stderr is not None
    while (read := process.stderr.readline()) != line:
        assert read, "ended before it was told to"


@pytest.fixture
def photos(photo_folder: Path, tmp_path: Path) -> Path:
    """Photos of which the last of each class takes minutes."""
    shutil.copytree(photo_folder, tmp_path / "photos")
    for path in (tmp_path / "photos").glob("*/*12.jpg"):
        path.write_bytes(path.read_bytes() + b"slow")
    return tmp_path / "photos"


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_while_threads_decode(photos: Path, tmp_path: Path, tiny_model: Path, told) -> None:
    few = [photos / "glass" / f"glass{n}.jpg" for n in range(1, 5)] * 20
    words = ("classify", "--json", "--model", tiny_model, *few, photos)
    process = start(SLOW, *words, cwd=tmp_path)
    wait_for(process, "decoding\n")
    out, err = stop(process, told)
    assert err.splitlines()[-1] == "stopped"
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows  # what was done has been printed
    assert all(row["label"] == "glass" for row in rows)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_while_the_main_thread_decodes(photos: Path, tmp_path: Path, tiny_model: Path, told):
    process = start(SLOW, "demo", "--pictures", photos, "--model", tiny_model, cwd=tmp_path)
    wait_for(process, "decoding\n")
    _, err = stop(process, told)
    assert err == "stopped\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_while_a_file_is_written(tmp_path: Path, told) -> None:
    (tmp_path / "out.txt").write_text("earlier")
    program = f"""
import sys
from pathlib import Path
from recyclenet.cli import app, main
from recyclenet.core.files import atomic_writer
def run():
    with atomic_writer(Path("out.txt")) as file:
        file.write(b"half")
        print("writing", file=sys.stderr, flush=True)
        {ENDLESS}
app.run = run
main.main()
"""
    process = start(program, cwd=tmp_path)
    wait_for(process, "writing\n")
    stop(process, told)
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]
    assert (tmp_path / "out.txt").read_text() == "earlier"


def test_a_command_that_tidies_up_quickly_speaks_for_itself(tmp_path: Path) -> None:
    program = """
import sys, time
from recyclenet.cli import app, main
from recyclenet.errors import Interrupted
def run():
    try:
        print("working", file=sys.stderr, flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.2)
        raise Interrupted("stopped; the same command goes on") from None
app.run = run
main.main()
"""
    for told in (signal.SIGINT, signal.SIGTERM):
        process = start(program, cwd=tmp_path)
        wait_for(process, "working\n")
        _, err = stop(process, told)
        assert err == "error: stopped; the same command goes on\n"


def test_a_signal_that_the_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    program = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from recyclenet.cli import app, main
app.run = lambda: os.kill(os.getpid(), signal.SIGINT) or 0
main.main()
"""
    process = start(program, cwd=tmp_path)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_no_process_is_left_behind(photo_folder: Path, tmp_path: Path, told) -> None:
    pytest.importorskip("joblib")
    pictures = sorted(photo_folder.rglob("*.jpg"))
    for number in range(3000):
        path = tmp_path / "many" / pictures[number % 36].parent.name / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(pictures[number % 36])
    program = "from recyclenet.cli.main import main; main()"
    words = ("data", "scan", tmp_path / "many", "--out", tmp_path / "m.csv")
    process = start(program, *words, cwd=tmp_path)
    while process.poll() is None and len(members(process.pid)) < 3:
        time.sleep(0.01)
    _, err = stop(process, told)
    assert err.splitlines()[-1] == "stopped"
    deadline = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(process.pid) == []
    assert not (tmp_path / "m.csv").exists()


def members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[3]) == session:
            found.append(int(place.name))
    return found


def test_a_command_outlives_a_process_that_it_ends(tmp_path: Path) -> None:
    """As pools of processes do, such as cleanlab's."""
    program = """
import multiprocessing, time
from recyclenet.cli.stopping import GRACE, stoppable
with stoppable():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    child.terminate()
    child.join()
    time.sleep(GRACE + 0.5)
print(child.exitcode, flush=True)
"""
    process = start(program, cwd=tmp_path)
    assert process.communicate(timeout=60) == (f"{-signal.SIGTERM}\n", "")
    assert process.returncode == 0
