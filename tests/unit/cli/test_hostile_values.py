"""Whatever number or path an option is given, the command answers in one line and ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recyclenet.cli.app import commands

NUMBERS = ["nan", "inf", "-inf", "-1", "1e308", "9" * 30, "9" * 5000, "1" + "0" * 12, "", "x"]
# In place of numbers, in text that holds some.
TEXTS = ["nan/1/1", "1e308/1e308/1", "-1/1/1", "0/0/0", "1", "9" * 5000 + "/1", "1/2/3/4", ""]


def leaves(group=None, words=()):
    """Yield each command with the words that call it."""
    group = group or commands()
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        else:
            yield (*words, name), command


def of_type(*types: type) -> list[tuple[tuple[str, ...], str]]:
    return [
        (words, parameter.opts[0])
        for words, command in leaves()
        for parameter in command.params
        if parameter.get_runtime_param().annotation in types and parameter.opts[0].startswith("--")
    ]


def arguments(words: tuple[str, ...], photos: Path, out: Path) -> list[str]:
    """Return what else a command needs; nothing of it exists that would take long."""
    none = out / "none"
    return {
        "audit": [str(photos / "none.jpg")],
        "classify": [str(photos / "none.jpg")],
        "compare": [none, none],
        "benchmark models": ["no_such_network"],
        "demo": ["--pictures", none, "--out", out / "x.html"],
        "evaluate": ["--data", none],
        "explain": [str(photos / "none.jpg")],
        "serve": ["--model", none],
        "watch": ["--source", str(none)],
        "runs card": [none],
        "stress": ["--data", none],
        "models show": ["no_such_network"],
        "crossval": ["--data", none, "--out", out],
        "lodo": ["--data", none, "--out", out],
        "lr-find": ["--data", none, "--out", out / "x.png"],
        "teach": ["--label", "x", none, "--out", out / "x.onnx"],
        "train": ["--data", none, "--out", out],
        "data collect": ["--classes", none, "--out", out],
        "data import-feedback": [none, "--out", out],
    }.get(" ".join(words), [none, "--dry-run"])


def check_refused(result: tuple[int, str, str], codes=(1, 2)) -> None:
    code, out, err = result
    assert code in codes, (out, err)
    assert len(err.strip().splitlines()[-1]) < 5000
    assert err.isprintable() or all(char.isprintable() or char == "\n" for char in err)


def test_the_options_are_found():
    numeric = of_type(int, float)
    assert len(numeric) > 20
    assert (("data", "collect"), "--delay") in numeric


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: value[:8])
@pytest.mark.parametrize(
    ("words", "option"),
    of_type(int, float),
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_any_number_is_taken_or_refused(command, photo_folder, tmp_path, words, option, value):
    more = arguments(words, photo_folder, tmp_path)
    check_refused(command(*words, *more, option, value), (1, 2, 3))


@pytest.mark.parametrize(
    ("words", "option"),
    of_type(float),
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e308"])
def test_no_option_takes_what_is_no_finite_number(
    command, photo_folder, tmp_path, words, option, value
):
    more = arguments(words, photo_folder, tmp_path)
    code, _, err = command(*words, *more, option, value)
    assert code == 2
    assert option in err


@pytest.mark.parametrize("kind", ["", "a\0b", "l" * 300, "loop", "\udcff\ud800"])
@pytest.mark.parametrize(
    ("words", "option"),
    of_type(Path),
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_any_path_is_taken_or_refused(command, tmp_path, words, option, kind):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    value = str(tmp_path / "loop") if kind == "loop" else kind
    more = arguments(words, tmp_path, tmp_path / "out")
    check_refused(command(*words, *more, option, value), (2,) if kind != "\udcff\ud800" else (1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


@pytest.mark.parametrize(
    "words",
    [("data", name) for name in ("scan", "inspect", "split", "check-leaks", "clean", "undo")]
    + [("classify",), ("export",), ("ablate",), ("data", "balance"), ("data", "augment")],
    ids=" ".join,
)
@pytest.mark.parametrize("kind", ["", "l" * 300, "loop"])
def test_any_argument_is_taken_or_refused(command, tmp_path, words, kind):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    value = str(tmp_path / "loop") if kind == "loop" else kind
    more = ["--data", tmp_path / "x", "--out", tmp_path / "y"] if words == ("ablate",) else []
    check_refused(command(*words, *more, value), (2, 3) if words == ("classify",) else (2,))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_folder_is_named(command, tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    check_refused(command("data", "scan", tmp_path / "locked" / "x.csv"), (2,))


@pytest.mark.parametrize("ratios", TEXTS, ids=lambda value: value[:14])
def test_ratios(command, photo_folder, ratios):
    check_refused(command("data", "split", photo_folder, "--ratios", ratios, "--dry-run"), (2,))


@pytest.mark.parametrize("devices", ["nan", "-1", "9" * 12, "9" * 5000, "0,99999", "", "1,1"])
def test_devices(command, photo_folder, tmp_path, devices):
    pytest.importorskip("torch")
    more = ["--data", photo_folder, "--out", tmp_path / "out"]
    check_refused(command("train", *more, "--devices", devices), (2,))


@pytest.mark.parametrize(
    "setting",
    [
        "fit.epochs=nan",
        "fit.epochs=inf",
        "fit.epochs=-1",
        "fit.epochs=1e308",
        f"fit.epochs={10**30}",
        f"fit.epochs={'9' * 5000}",
        f"fit.seed={2**32}",
        f"fit.batch_size={10**30}",
        "fit.cached_views=100000000",
        "optim.learning_rate=nan",
        "optim.learning_rate=inf",
        "optim.learning_rate=1979-05-27",
        "optim.weight_decay=Infinity",
        "augment.mixup=inf",
        "split=[nan, 1, 1]",
        "fit.epochs=" + "[" * 100_000,
        "model.attention={name='se', options=3}",
        "model.attention=se:reduction=" + "9" * 5000,
        "model.attention=se:reduction=" + "9" * 30,
        "model.attention=eca:kernel_size=" + "9" * 18,
        "fit=3",
        "a" + ".a" * 5000 + "=1",
        "=",
        "",
        "model.backbone=\x1b[31m",
    ],
    ids=lambda value: repr(value[:30]),
)
def test_settings(command, photo_folder, tmp_path, setting):
    pytest.importorskip("torch")
    more = ["--data", photo_folder, "--out", tmp_path / "out"]
    check_refused(command("train", *more, "--set", setting), (2,))


def test_repeated_photos_have_a_bound(command, photo_folder, tmp_path):
    table = tmp_path / "m.csv"
    assert command("data", "split", photo_folder, "--out", table)[0] == 0
    code, _, err = command("data", "balance", table, "--oversample", "1000000000", "--dry-run")
    assert (code, "at most 1,000,000" in err) == (2, True)


def test_engine_address_that_is_none(command, tmp_path):
    (tmp_path / "classes").write_text("glass\n")
    more = ["--classes", tmp_path / "classes", "--out", tmp_path / "out"]
    check_refused(command("data", "collect", *more, "--engine-address", "http://["), (2,))
    assert not (tmp_path / "out").exists()
