"""Whatever a text file from outside holds, a command answers in one line and obeys none of it."""

from __future__ import annotations

import json
import os
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ESCAPE = "\x1b[31m\x9b2J\u202e\u200b"

CONTENTS = {
    "empty": b"",
    "binary": random.Random(0).randbytes(5000),
    "blank lines": b"\n\n\r\n",
    "utf-16": "path,label\na.jpg,glass\n".encode("utf-16"),
    "zero byte": b"path,label\na\0.jpg,glass\n",
    "long field": b"path,label\n" + b"x" * 200_000 + b",glass\n",
    "many columns": b"path,label\n" + b"," * 1_000_000 + b"\n",
    "lone quote": b'path,label\n"a.jpg,glass\nb.jpg,glass\n',
    "latin-1": b"path,label\nM\xfcll.jpg,M\xfcll\n",
    "old mac": b"path,label\rnone.jpg,glass\r",
    "digits": b"path,label,width\na.jpg,glass," + b"9" * 5000 + b"\n",
    "nan": b"path,label,width\na.jpg,glass,nan\n",
    "negative": b"path,label,height\na.jpg,glass,-1\n",
    "huge": b"path,label,num_bytes\na.jpg,glass,1e308\n",
    "other digits": "path,label,width\na.jpg,glass,²\n".encode(),
    "column twice": b"path,label,path\na.jpg,glass,b.jpg\n",
    "header only": b"path,label\n",
    "escape": f"path,label\n{ESCAPE},{ESCAPE}\n".encode(),
    "long name": b"path,label\n" + b"l" * 300 + b".jpg,glass\n",
    "deep json": b"[" * 100_000,
    "toml": b'[streams]\nglass = "x"\n',
}
READERS: dict[str, Callable[[Path, Path, Path], list[object]]] = {
    "manifest scan": lambda file, _, out: ["data", "scan", file, "--out", out],
    "manifest split": lambda file, _, out: ["data", "split", file, "--out", out],
    "manifest train": lambda file, _, out: ["train", "--data", file, "--out", out],
    "manifest evaluate": lambda file, *_: ["evaluate", "--data", file],
    "predictions": lambda file, photos, _: [
        *("data", "clean", photos, "--predictions", file, "--take", "label", "--dry-run")
    ],
    "classes": lambda file, _, out: [
        *("data", "collect", "--classes", file, "--out", out, "--dry-run")
    ],
    "addresses": lambda file, _, out: [
        *("data", "collect", "--urls", file, "--out", out, "--dry-run")
    ],
    "list": lambda file, photos, _: [
        *("data", "split", photos, "--list", f"train={file}", "--dry-run")
    ],
    "rules": lambda file, photos, _: ["classify", "--rules", file, photos / "none.jpg"],
    "recipe": lambda file, photos, out: ["train", "--recipe", file, "--data", photos, "--out", out],
    "ablation": lambda file, photos, out: ["ablate", file, "--data", photos, "--out", out],
}
# A list of class names or file names may hold nearly anything.
LISTS = ("classes", "list")


def is_inert(*texts: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for text in texts for char in text)


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("reader", READERS)
def test_any_content_is_read_or_refused(command, photo_folder, tmp_path, reader, content):
    if reader == "recipe" and not CONTENTS[content].strip():
        pytest.skip("a recipe without fields is the default one")
    is_toml = reader in ("rules", "recipe", "ablation")
    file = tmp_path / ("file.toml" if is_toml else "file.csv")
    file.write_bytes(CONTENTS[content])
    words = READERS[reader](file, photo_folder, tmp_path / "out")
    code, out, err = command(*words)
    assert code in ((0, 1, 2, 3) if reader in (*LISTS, "rules") else (1, 2))
    assert is_inert(out, err)
    assert all(len(line) < 5000 for line in err.splitlines())


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
@pytest.mark.parametrize("kind", ["fifo", "device", "loop", "folder", "huge"])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_ordinary_file_is_refused_at_once(command, photo_folder, tmp_path, reader, kind):
    file = tmp_path / ("file.toml" if reader in ("rules", "recipe", "ablation") else "file.csv")
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "huge":
        with file.open("wb") as stream:
            stream.truncate(1 << 40)  # sparse: takes no space
    else:
        file.symlink_to("/dev/zero" if kind == "device" else file)
    code, out, err = command(*READERS[reader](file, photo_folder, tmp_path / "out"))
    assert code == 2
    assert is_inert(out, err)


@pytest.fixture
def hostile_folder(tmp_path) -> Path:
    """Photos whose labels and names hold escapes; one of them is damaged."""
    root = tmp_path / "photos"
    for number in range(8):
        label = root / f"glass{ESCAPE}{number % 2}"
        label.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (72, 96, 3), np.uint8)
        Image.fromarray(noise).save(label / f"{ESCAPE}\n{number}.jpg")
    (root / f"glass{ESCAPE}0" / f"bad{ESCAPE}\r.jpg").write_bytes(b"no picture")
    return root


def hostile_commands(root: Path, model: Path, tmp_path: Path) -> Iterator[list[object]]:
    labels = [f"glass{ESCAPE}0", f"glass{ESCAPE}1"]
    table = tmp_path / "table.csv"
    yield ["data", "scan", root, "--out", table]
    yield ["data", "scan", root, "--dry-run", "--json"]
    yield ["data", "inspect", root]
    yield ["data", "inspect", root, "--json"]
    yield ["data", "clean", root, "--dry-run"]
    yield ["data", "clean", root, "--dry-run", "--json", "--min-side", "500"]
    yield ["data", "clean", root, "--apply", "--quarantine", tmp_path / f"q{ESCAPE}"]
    yield ["data", "undo", tmp_path / f"q{ESCAPE}", "--dry-run"]
    yield ["data", "undo", tmp_path / f"q{ESCAPE}"]
    yield ["data", "split", table, "--out", tmp_path / f"split{ESCAPE}.csv"]
    yield ["data", "check-leaks", tmp_path / f"split{ESCAPE}.csv"]
    yield ["data", "balance", tmp_path / f"split{ESCAPE}.csv", "--dry-run"]
    yield ["classify", root, "--model", model]
    yield ["classify", root, "--model", model, "--json"]
    yield ["classify", root, "--model", model, "--top-k", "2", "--rules", tmp_path / "rules.toml"]
    yield ["evaluate", "--data", root, "--model", model]
    yield ["evaluate", "--data", root, "--model", model, "--json"]
    yield ["demo", "--pictures", root, "--model", model, "--out", tmp_path / f"demo{ESCAPE}.html"]
    yield ["doctor", "--model", model]
    yield ["doctor", "--model", model, "--json"]
    yield ["evaluate", "--data", root]  # these labels are not the built-in model's
    yield ["data", "download", "trashnet", "--from", tmp_path / "photos.zip"]
    yield ["data", "download", "trashnet", "--from", tmp_path / "photos.zip", "--json"]
    yield ["data", "download", ESCAPE]
    yield ["data", "collect", "--urls", tmp_path / "urls", "--out", tmp_path / "o", "--dry-run"]
    yield ["models", "list", ESCAPE]
    yield ["models", "show", ESCAPE]
    yield ["train", "--data", root, "--out", tmp_path / "run", "--set", f"fit.epochs='{ESCAPE}'"]
    yield ["train", "--data", root, "--out", tmp_path / "run", "--set", f"{ESCAPE}=1"]
    yield ["train", "--data", root, "--out", tmp_path / "run", "--recipe", ESCAPE]
    yield ["classify", root, "--rules", ESCAPE]
    yield [ESCAPE]
    yield ["data", "undo", "a", ESCAPE]
    yield ["classify", f"--{ESCAPE}"]
    yield ["classify", "x", "--top-k", ESCAPE]
    assert set(labels) == {path.name for path in root.iterdir()}


def test_no_command_passes_an_escape_on(command, make_model, hostile_folder, tmp_path):
    labels = (f"glass{ESCAPE}0", f"glass{ESCAPE}1")
    model = make_model(
        class_names=labels,
        name=f"tiny{ESCAPE}",
        backbone=f"net{ESCAPE}",
        licence=ESCAPE,
    )
    bins = dict.fromkeys(labels, f"bin{ESCAPE}")
    lines = [f"{json.dumps(label)} = {json.dumps(words)}" for label, words in bins.items()]
    (tmp_path / "rules.toml").write_text("\n".join(["[bins]", *lines]))
    (tmp_path / "urls").write_text(f"glass,http://example.org/{ESCAPE}.jpg\n")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for name in (f"x/glass/{ESCAPE}.jpg", "x/../../etc/a.jpg", "/etc/b.jpg", "C:\\x\\con.jpg"):
            archive.writestr(name, b"no picture")
    shown = 0
    for words in hostile_commands(hostile_folder, model, tmp_path):
        code, out, err = command(*words)
        assert code in (0, 1, 2, 3, 4), (words, err)
        assert is_inert(out, err), words
        shown += "\\x1b" in out + err or "\\u001b" in out + err
        if "--json" in words:
            for line in out.splitlines():
                json.loads(line)
    assert shown > 20  # they are made visible, not left out
    assert not (tmp_path.parent / "etc").exists()
