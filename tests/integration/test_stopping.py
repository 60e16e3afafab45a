"""Ctrl-C and SIGTERM end a command soon, whatever it is doing, with nothing half written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
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
PLAIN = """
import os
from recyclenet.cli.main import main
def say(line):
    os.write(2, f"{line}\\n".encode())
main()
"""
both = pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])


def command(body: str) -> str:
    """Return a program that runs `body` as if it were a command of `recyclenet`."""
    run = "def run():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    imports = "import time\nfrom pathlib import Path\nfrom recyclenet.cli import app\n"
    return PLAIN.replace("main()", f"{imports}{run}\napp.run = run\nmain()")


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a program in an empty folder; after the test, or 30 seconds, all of it is killed."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "folder").mkdir()
    (tmp_path / "temporary").mkdir()

    def start(program: str, *words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, words)],
            cwd=tmp_path / "folder",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        )
        started.append(process)
        return process

    def kill() -> None:
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(30, kill)
    timer.start()
    yield start
    timer.cancel()
    kill()
    for process in started:
        process.communicate()
    assert not list((tmp_path / "temporary").iterdir())


def stop(process: subprocess.Popen[str], told: signal.Signals) -> tuple[str, str]:
    """Send a signal; the process must end soon, with the right exit code and no traceback."""
    sent = time.monotonic()
    process.send_signal(told)
    out, err = process.communicate()
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


@both
def test_while_threads_decode(start: Start, photos: Path, tiny_model: Path, told) -> None:
    few = [photos / "glass" / f"glass{n}.jpg" for n in range(1, 5)] * 20
    process = start(SLOW, "classify", "--json", "--model", tiny_model, *few, photos)
    wait_for(process, "decoding\n")
    out, err = stop(process, told)
    assert err.splitlines()[-1] == "stopped"
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows  # what was done has been printed
    assert all(row["label"] == "glass" for row in rows)


@both
def test_while_the_main_thread_decodes(start: Start, photos: Path, tmp_path, tiny_model, told):
    process = start(SLOW, "demo", "--pictures", photos, "--model", tiny_model)
    wait_for(process, "decoding\n")
    _, err = stop(process, told)
    assert err == "stopped\n"
    assert not list((tmp_path / "folder").iterdir())


@both
def test_while_files_are_written(start: Start, tmp_path: Path, told) -> None:
    (tmp_path / "folder" / "out.txt").write_text("earlier")
    process = start(
        command(f"""
            from recyclenet.core.files import atomic_writer, temporary_folder
            with temporary_folder() as folder, atomic_writer(Path("out.txt")) as file:
                file.write(b"half")
                (folder / "model.onnx").write_bytes(b"half")
                say("working")
                {ENDLESS}
        """)
    )
    wait_for(process, "working\n")
    stop(process, told)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["out.txt"]
    assert (tmp_path / "folder" / "out.txt").read_text() == "earlier"


@both
def test_while_a_server_does_not_answer(start: Start, tmp_path: Path, told) -> None:
    pytest.importorskip("httpcore2")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        host = "{}:{}".format(*server.getsockname())
        (tmp_path / "urls.csv").write_text(f"glass,http://{host}/1.jpg\n")
        words = ("--urls", tmp_path / "urls.csv", "--out", "photos", "--allow-host", host)
        process = start(PLAIN, "data", "collect", *words)
        connection, _ = server.accept()
        with connection:
            assert connection.recv(99)
            assert "run the same command again" in stop(process, told)[1]
    assert not list((tmp_path / "folder").iterdir())


@both
def test_while_a_server_is_looked_up(start: Start, tmp_path: Path, told) -> None:
    pytest.importorskip("httpcore2")
    (tmp_path / "urls.csv").write_text("glass,http://photos.example/1.jpg\n")
    look_up = f"""
import socket
def look_up(*_, **__):
    say("asked")
    {ENDLESS}
socket.getaddrinfo = look_up
main()
"""
    program = PLAIN.replace("main()\n", look_up)
    words = ("--urls", tmp_path / "urls.csv", "--out", "photos")
    process = start(program, "data", "collect", *words)
    wait_for(process, "asked\n")
    assert "run the same command again" in stop(process, told)[1]
    assert not list((tmp_path / "folder").iterdir())


@both
def test_a_command_that_tidies_up_quickly_speaks_for_itself(start: Start, told) -> None:
    process = start(
        command("""
            from recyclenet.errors import Interrupted
            try:
                say("working")
                time.sleep(60)
            except KeyboardInterrupt:
                time.sleep(0.2)
                raise Interrupted("stopped; the same command goes on") from None
        """)
    )
    wait_for(process, "working\n")
    assert stop(process, told)[1] == "error: stopped; the same command goes on\n"


def test_told_twice_a_command_ends_at_once(start: Start) -> None:
    process = start(command(f"say('working')\n{ENDLESS}"))
    wait_for(process, "working\n")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert stop(process, signal.SIGINT)[1] == "stopped\n"


def test_a_signal_that_the_caller_ignores_stays_ignored(start: Start) -> None:
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    process = start(ignored + command("os.kill(os.getpid(), 2); time.sleep(1)"))
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


def test_signals_for_other_processes_do_not_end_this_one(start: Start) -> None:
    process = start(
        command("""
            import multiprocessing
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            time.sleep(0.3)
            child.terminate()
            child.join()
            time.sleep(1.5)
        """)
    )
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


@both
def test_while_threads_outlast_a_failed_command(start: Start, told) -> None:
    process = start(
        command(f"""
            import threading
            from recyclenet.errors import DataError
            def decode():
                {ENDLESS}
            threading.Thread(target=decode).start()
            raise DataError("no photo")
        """)
    )
    wait_for(process, "error: no photo\n")
    time.sleep(0.2)
    process.send_signal(told)
    _, err = process.communicate()
    assert (process.returncode, err) == (-told, "")


@both
def test_while_python_unloads(start: Start, told) -> None:
    process = start(
        command("""
            import hashlib, sys
            class Large:
                def __del__(self, slow=hashlib.pbkdf2_hmac):
                    slow("sha256", b"", b"", 2**31 - 1)
            sys.modules["large"] = Large()
            say("working")
            time.sleep(60)
        """)
    )
    wait_for(process, "working\n")
    assert stop(process, told)[1] == "stopped\n"


def test_while_nobody_reads_the_errors(start: Start) -> None:
    process = start(
        command(f"""
            os.set_blocking(2, False)
            try:
                while True:
                    os.write(2, b"full")
            except BlockingIOError:
                os.set_blocking(2, True)
            print("working", flush=True)
            {ENDLESS}
        """)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 128 + signal.SIGTERM


@pytest.fixture(scope="module")
def many(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many photos that processes share the work."""
    pictures = sorted(photo_folder.rglob("*.jpg"))
    folder = tmp_path_factory.mktemp("many")
    for number in range(1000):
        picture = pictures[number % len(pictures)]
        path = folder / picture.parent.name / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(picture)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@both
@pytest.mark.parametrize("num_processes", [2, 4])
def test_no_process_is_left_behind(start: Start, many: Path, tmp_path, told, num_processes) -> None:
    """Neither when workers start nor when they work."""
    pytest.importorskip("joblib")
    process = start(PLAIN, "data", "scan", many, "--out", "m.csv")
    while process.poll() is None and len(members(process.pid)) < num_processes:
        time.sleep(0.01)
    if told == signal.SIGINT:  # a terminal sends it to all processes
        os.killpg(process.pid, told)
    _, err = stop(process, told)
    assert err == "stopped\n"
    deadline = time.monotonic() + 10
    while members(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert members(process.pid) == []
    assert not list((tmp_path / "folder").iterdir())


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


def test_a_command_outlives_a_process_that_it_ends(start: Start) -> None:
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
    process = start(program)
    assert process.communicate(timeout=60) == (f"{-signal.SIGTERM}\n", "")
    assert process.returncode == 0
