"""No command leaves a file that was not asked for, and none but those that fetch opens a socket.

`serve` opens one, to listen; it never connects to anything.
"""

from __future__ import annotations

import http.client
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import no_sockets
from forks import Finished, Fork

pytest.importorskip("torch")
matplotlib = pytest.importorskip("matplotlib")
TINY = Path(__file__).resolve().parents[1] / "tiny.toml"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in no_sockets.OPEN_SOCKET,
    reason="the kernel's filter of system calls is Linux's",
)


def start(
    *words: object, place: Path, may: str = "nothing", **settings: str
) -> subprocess.Popen[str]:
    """Start Python in `place`, watched from its start.

    Args:
        words: of the command line.
        place: for the user's folders and the current one, `here`.
        may: "nothing", or "listen".
        settings: environment variables.
    """
    return subprocess.Popen(
        [sys.executable, no_sockets.__file__, may, *map(str, words)],
        env=home(place, **settings),
        cwd=place / "here",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def home(place: Path, **settings: str) -> dict[str, str]:
    """Make `place` the home of a new user, whose folders are empty; return the environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        # ONNX Runtime keeps still where it sees a build server; users have none.
        if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")
    }
    # matplotlib's list of the machine's fonts, which takes seconds; docs/design.md speaks of it.
    environment["MPLCONFIGDIR"] = matplotlib.get_cachedir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"):
        (place / name).mkdir(parents=True, exist_ok=True)
        environment[name] = str(place / name)
    (place / "here").mkdir(exist_ok=True)
    return {**environment, "PYTHONDONTWRITEBYTECODE": "1", **settings}


def watched(*words: object, place: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python as `start` does, to its end."""
    with start(*words, place=place, **settings) as process:
        out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def watched_fork(*words: object, place: Path) -> Finished:
    """Run a command in `place` in a fork, watched from there on."""
    env = home(place)
    return Fork(words, cwd=place / "here", env=env, before=no_sockets.forbid_sockets).wait()


def left(place: Path) -> set[str]:
    """Return what lies in `place`."""
    return {
        path.relative_to(place).as_posix()
        for folder in place.iterdir()
        for path in folder.iterdir()
    }


@pytest.fixture(scope="module")
def run(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a finished tiny training, a watched command as the others are."""
    place = tmp_path_factory.mktemp("trained")
    words = ("--data", photo_folder, "--recipe", TINY, "--seed", 1, "--out", "run")
    done = watched("-m", "recyclenet", "train", *words, place=place)
    assert done.returncode == 0, done.stderr
    assert left(place) == {"here/run"}
    return place / "here" / "run"


# Commands that import PyTorch run in forks, which are watched from there on. Of the imports, the
# training above tells.
IN_FORKS = ("export", "crossval", "lodo", "lr-find", "models", "benchmark", "data augment")
COMMANDS = {
    "classify {photos}": (),
    "classify --json --tta {photos}/glass/*.jpg": (),
    "audit {photos} --model {model} --report a.html": ("a.html",),
    "evaluate --data {photos} --model {model} --report r.html --predictions p.csv": (
        "r.html",
        "p.csv",
    ),
    "compare {model} {model} --data {photos} --report c.html": ("c.html",),
    "runs list {photos}": (),
    "runs card {run} --out card.md": ("card.md",),
    "stress --data {photos} --model {model} --limit 2 --report s.html": ("s.html",),
    "demo --pictures {photos} --model {model} --out d.html": ("d.html",),
    "doctor": (),
    "data scan {photos} --out m.csv": ("m.csv",),
    "data inspect {photos} --out i.html": ("i.html",),
    "data clean {photos} --report faults --out c.csv": ("faults", "c.csv"),
    "data merge {photos} {samples} --out merged.csv": ("merged.csv",),
    "data split {photos} --out s.csv": ("s.csv",),
    "data check-leaks {run}/manifest.csv": (),
    "data balance {photos} --cap 5 --out b.csv": ("b.csv",),
    "data augment {photos} --groups flips --copies copies --out a.csv": ("copies", "a.csv"),
    "export {run} --out model.onnx": ("model.onnx",),
    "crossval --data {photos} --recipe {tiny} --folds 2 --out folds": ("folds",),
    "lodo --data a={photos} --data {samples} --recipe {tiny} --out domains": ("domains",),
    "lr-find --data {photos} --recipe {tiny} --steps 20 --out lr.png": ("lr.png",),
    "models list": (),
    "models show test_efficientnet": (),
    "benchmark models test_efficientnet --image-size 32 --repeats 1 --out cost": ("cost",),
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_writes_what_is_named_and_opens_no_socket(
    line: str,
    photo_folder: Path,
    decisive_model: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    values = {"photos": photo_folder, "model": decisive_model, "tiny": TINY}
    values["samples"] = TINY.parents[1] / "samples"
    if "{run}" in line:
        values["run"] = request.getfixturevalue("run")
    words = line.format(**values).split()
    if line.startswith(IN_FORKS):
        forked = watched_fork(*words, place=tmp_path)
        code, err = forked.code, forked.err
    else:
        done = watched("-m", "recyclenet", *words, place=tmp_path)
        code, err = done.returncode, done.stderr
    assert code in (0, 1 if words[0] == "demo" else 0), err
    assert left(tmp_path) == {f"here/{name}" for name in COMMANDS[line]}
    assert "elemetry" not in err


def test_watch_sends_nothing(decisive_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="needs the extra: camera")
    from videos import block, frames_of, write_video

    clip = write_video(tmp_path / "clip.avi", frames_of([block("glass")]))
    words = ("--headless", "--source", clip, "--model", decisive_model, "--save", "seen")
    done = watched("-m", "recyclenet", "watch", *words, place=tmp_path / "user")
    assert (done.returncode, done.stdout.split()[0]) == (0, "glass"), done.stderr
    assert left(tmp_path / "user") == {"here/seen"}


def test_serve_sends_nothing(photo_folder: Path, decisive_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs the extra: serve")
    words = ("serve", "--port", "0", "--model", decisive_model, "--feedback", "feedback")
    # As for whoever has a collector of traces for other programs.
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
    photo = (photo_folder / "glass" / "glass1.jpg").read_bytes()
    image = {"Content-Type": "image/jpeg"}
    form = b'--b\r\nContent-Disposition: form-data; name="label"\r\n\r\nglass\r\n--b--\r\n'
    asked = [
        ("/v1/classify", photo, image),
        ("/v1/classify", photo[:99], image),
        ("/v1/explain", photo, image),
        ("/v1/feedback", form, {"Content-Type": "multipart/form-data; boundary=b"}),
        *((path, None, {}) for path in ("/", "/readyz", "/metrics", "/v2", "/openapi.json")),
    ]
    with start("-m", "recyclenet", *words, place=tmp_path, may="listen", **settings) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("serving on "), line
        port = int(line.split(" ")[2].rpartition(":")[2])
        statuses = []
        for path, body, headers in asked:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            connection.request("GET" if body is None else "POST", path, body, headers)
            statuses.append(connection.getresponse().status)
            connection.close()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=120)
    assert statuses == [200, 422, 200, 201, 200, 200, 200, 200, 200]
    assert (process.returncode, err) == (0, "")
    assert left(tmp_path) == {"here/feedback"}


def test_as_a_library_too(tmp_path: Path) -> None:
    program = "import numpy, recyclenet as r; r.Classifier().classify(numpy.zeros((9, 9), 'uint8'))"
    done = watched("-c", program, place=tmp_path)
    assert done.returncode == 0, done.stderr
    assert left(tmp_path) == set()


def test_whoever_wants_telemetry_has_it(tmp_path: Path) -> None:
    program = "import os, recyclenet; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert watched("-c", program, place=tmp_path).stdout == "1\n"
    chosen = watched("-c", program, place=tmp_path, ORT_DISABLE_TELEMETRY="0")
    assert chosen.stdout == "0\n"


@pytest.mark.parametrize(
    "program",
    [
        "import socket; socket.socket()",
        "import ctypes; ctypes.CDLL(None).socket(10, 1, 0)",
        "import subprocess as s, sys; c = [sys.executable, '-c', 'import socket; socket.socket()'];"
        "import os; os.kill(os.getpid(), -s.run(c).returncode)",
        "import socket; socket.getaddrinfo('example.org', 80)",
    ],
    ids=["Python", "native code", "a process it starts", "a name looked up"],
)
def test_the_watch_sees_sockets(program: str, tmp_path: Path) -> None:
    assert watched("-c", program, place=tmp_path).returncode == -signal.SIGSYS


@pytest.mark.parametrize(
    "program",
    ["socket.socket().connect(('127.0.0.1', 9))", "socket.socket(type=socket.SOCK_DGRAM)"],
    ids=["a connection", "a datagram"],
)
def test_the_watch_of_serve_sees_what_is_sent(program: str, tmp_path: Path) -> None:
    with start("-c", f"import socket; {program}", place=tmp_path, may="listen") as process:
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGSYS


def test_the_watch_sees_a_command_that_fetches(tmp_path: Path) -> None:
    words = ("data", "download", "trashnet", "--to", "photos")
    done = watched("-m", "recyclenet", *words, place=tmp_path)
    assert done.returncode == -signal.SIGSYS, done.stderr
    assert watched_fork(*words, place=tmp_path).code == -signal.SIGSYS
