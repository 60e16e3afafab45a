"""What each parameter of each command may be given. A new parameter needs a line in `VALUES`.

Switches and numbers are described by their type. Paths and words mean something, so each has a
line here, under its name, or under the words of its command and its name where commands differ.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from property.datasets import dataset, thing
from property.table import Parameter
from property.worlds import HERE, ROOT, Draw, World, name, oddly, rarely, spelled

CLOSED = "127.0.0.1:9"  # nobody listens there


@dataclass(frozen=True)
class Output:
    """Something that a command is told to write.

    Attributes:
        path: below the root; empty for a path that lies elsewhere or cannot be.
        is_folder: it becomes a folder, so what lies below it may be written too.
        certain: after exit code 0 it is there.
    """

    path: str
    is_folder: bool = False
    certain: bool = True


@dataclass(frozen=True)
class Value:
    """Words for the command line.

    Attributes:
        text: the words.
        output: what the command may write for them.
        read: the path below the root that the command reads for them.
    """

    text: str
    output: Output | None = None
    read: str = ""


Maker = Callable[[Draw, World], Value]


def words(*choices: str, odd: Sequence[str] = ()) -> Maker:
    """One of the sensible words, or, in a case that is not sober, of the odd ones."""

    def make(draw: Draw, world: World) -> Value:
        return Value(draw(st.sampled_from(odd if odd and oddly(draw, world, 0.3) else choices)))

    return make


def any_path(draw: Draw, world: World) -> str:
    """Return something in the tree, or nothing."""
    if world.items and draw(st.booleans()):
        return draw(st.sampled_from(sorted(world.items)))
    way = draw(st.sampled_from(("missing", "thing", "fifo", "below")))
    if way == "missing":
        return world.new_path(draw)
    if way == "below":
        return f"{world.file(world.new_path(draw), 'words')}/x"
    if way == "fifo":
        return world.add(world.new_path(draw), "fifo")
    return thing(draw, world, world.new_path(draw, ".jpg"))


def given(*templates: str, suffix: str) -> Maker:
    """A file of the right kind, whole or damaged; now and then anything else."""

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            return _read(draw, world, any_path(draw, world))
        what = templates[0] if world.sober else draw(st.sampled_from(templates))
        path = world.file(world.new_path(draw, suffix), what)
        if oddly(draw, world):
            content = world.items.pop(os.path.normpath(path)).content
            world.file(path, "damaged " + what, damaged(draw, content))
        return _read(draw, world, path)

    return make


def _read(draw: Draw, world: World, path: str, slash: str = "") -> Value:
    return Value(spelled(draw, world, path) + slash, read=path)


def damaged(draw: Draw, content: bytes) -> bytes:
    """Return content cut short, or with some bytes changed."""
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if draw(st.booleans()):
        return content[:place]
    other = draw(st.binary(min_size=1, max_size=8))
    return content[:place] + other + content[place + len(other) :]


def datasets(draw: Draw, world: World) -> Value:
    path = any_path(draw, world) if oddly(draw, world, 0.1) else dataset(draw, world)
    slash = "/" if oddly(draw, world, 0.1) else ""
    return _read(draw, world, path, slash)


def pictures(draw: Draw, world: World) -> Value:
    ways = ("photo", "photo", "photo", "folder", "glob", "any", "nothing")
    way = draw(st.sampled_from(ways[:5] if world.sober else ways))
    if way == "photo":
        return _read(draw, world, thing(draw, world, world.new_path(draw, ".jpg")))
    if way == "folder":
        return datasets(draw, world)
    if way == "glob":
        return words("*", "**", "**/*.jpg", "[", "*.jpg", "?", "../**", "[!a]*")(draw, world)
    if way == "nothing":
        return Value(
            draw(st.sampled_from(("", "-", ".", "..", "nowhere.jpg", "x" * 300, "a/../b")))
        )
    return _read(draw, world, any_path(draw, world))


def folders_of(template: str, broken: bool = True) -> Maker:
    """A folder that a command made, whole or with one file missing or damaged."""

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            path = any_path(draw, world)
        else:
            path = world.folder(world.new_path(draw), template, earlier=template)
            inside = [p for p in world.items if p.startswith(f"{path}/") and _is_file(world, p)]
            if broken and inside and oddly(draw, world, 0.3):
                place = draw(st.sampled_from(inside))
                item = world.items.pop(place)
                if draw(st.booleans()):
                    content = damaged(draw, item.content)
                    world.file(place, f"damaged {item.what}", content, earlier=template)
        return Value(spelled(draw, world, path), Output(path, is_folder=True, certain=False))

    return make


def _is_file(world: World, path: str) -> bool:
    return world.items[path].kind == "file"


def written(
    suffix: str, template: str = "", *, is_folder: bool = False, certain: bool = True
) -> Maker:
    """A place for an output: mostly new, else something in the way.

    Args:
        suffix: of the name.
        template: what an earlier command of the same kind wrote there.
        is_folder: the output is a folder.
        certain: after exit code 0 it is there.
    """

    def make(draw: Draw, world: World) -> Value:
        path = _place(draw, world, suffix, template, is_folder)
        return Value(spelled(draw, world, path), Output(path, is_folder, certain))

    return make


def _place(draw: Draw, world: World, suffix: str, template: str, is_folder: bool) -> str:
    ways = ("new", "new", "new", "new", "deep", "taken", "earlier", "input", "link")
    way = draw(st.sampled_from(ways[:5] if world.sober and not rarely(draw, 0.2) else ways))
    path = world.new_path(draw, suffix)
    if way == "deep":
        return f"{path}/{name(draw)}/{name(draw, suffix)}"
    if way == "taken":
        kind = draw(st.sampled_from(("file", "file", "folder", "fifo", "socket", "below")))
        if kind == "file" or kind == "below":
            world.file(path, draw(st.sampled_from(("words", "glass.jpg", "empty", "table.csv"))))
            return f"{path}/x{suffix}" if kind == "below" else path
        world.add(path, kind)
        if kind == "folder" and draw(st.booleans()):
            world.file(f"{path}/mine.txt", "words")
            world.file(f"{path}/{draw(st.sampled_from(OWN_NAMES))}", "words")
        return path
    if way == "earlier" and template:
        if is_folder:
            return world.folder(path, template, earlier=template)
        return world.file(path, template, earlier=template)
    if way == "input" and world.items:
        return draw(st.sampled_from(sorted(world.items)))
    if way == "link":
        target = draw(st.sampled_from(("nowhere", "file", "folder")))
        if target == "file":
            target = f"{ROOT}/{world.file('outside/mine.txt', 'words')}"
        elif target == "folder":
            target = f"{ROOT}/{world.add('outside/mine', 'folder')}"
        return world.add(path, "link", target)
    return path


# What commands call their own files, in case a user has such files too.
OWN_NAMES = (
    "manifest.csv",
    "issues.csv",
    "dark.png",
    "moves.csv",
    "000000.jpg",
    "models.csv",
    "recipe.toml",
    "metrics.csv",
    "model.onnx",
    "predictions.csv",
    "folds.csv",
    "ablation.csv",
    "collected.jsonl",
    "glass/glass1.jpg",
)


def text_file(suffix: str, *contents: str, num_good: int = 1) -> Maker:
    """A small file with one of these contents; now and then anything else.

    Args:
        suffix: of its name.
        contents: the first are sensible.
        num_good: so many are.
    """

    def make(draw: Draw, world: World) -> Value:
        if oddly(draw, world):
            return _read(draw, world, any_path(draw, world))
        text = draw(st.sampled_from(contents[:num_good] if world.sober else contents))
        content = text.encode(errors="surrogateescape")
        return _read(draw, world, world.file(world.new_path(draw, suffix), "text", content))

    return make


def either(*makers: Maker) -> Maker:
    """One of these; in a sober case the first."""
    return lambda draw, world: (makers[0] if world.sober else draw(st.sampled_from(makers)))(
        draw, world
    )


def listed(draw: Draw, world: World) -> Value:
    """A SPLIT=FILE of `data split --list`."""
    if oddly(draw, world, 0.2):
        return Value(draw(st.sampled_from(("train", "=", "", "x=y", "train=\x1b"))))
    split = draw(st.sampled_from(("train", "val", "test")))
    content = "".join(f"{letter}.jpg\n" for letter in draw(st.text("abcdefgh\x1b", max_size=6)))
    path = world.file(world.new_path(draw, ".txt"), "text", content.encode())
    if oddly(draw, world):
        path = any_path(draw, world)
    return Value(f"{split}={spelled(draw, world, path)}", read=path)


def whole(draw: Draw, world: World, parameter: Parameter) -> str:
    """A whole number near its limits; large ones would only take long."""
    low = int(parameter.low if parameter.low is not None else -2)
    high = low + 3 if parameter.high is None else int(parameter.high)
    if oddly(draw, world):
        return draw(st.sampled_from((str(low - 1), "", "x", "1.5", "nan", "\u0663", "9" * 5000)))
    return str(draw(st.sampled_from((low, low + 1, low + 2, min(high, low + 3)))))


def real(draw: Draw, world: World, parameter: Parameter) -> str:
    """A number near its limits."""
    low = parameter.low if parameter.low is not None else -1.0
    high = low + 10 if parameter.high is None else parameter.high
    if oddly(draw, world, 0.2):
        return draw(
            st.sampled_from((str(low - 1), "nan", "inf", "-inf", "1e308", "", "x", "1e-320"))
        )
    return repr(draw(st.sampled_from((low, (low + high) / 2, high))))


def value(draw: Draw, world: World, parameter: Parameter) -> Value:
    """Return something to give a parameter."""
    maker = VALUES.get(f"{parameter.command}.{parameter.name}") or VALUES.get(parameter.name)
    if maker is not None:
        return maker(draw, world)
    if parameter.kind is int:
        return Value(whole(draw, world, parameter))
    return Value(real(draw, world, parameter))


def is_described(parameter: Parameter) -> bool:
    """Whether this file knows what to give a parameter."""
    named = parameter.name in VALUES or f"{parameter.command}.{parameter.name}" in VALUES
    return parameter.kind in (bool, int, float) or named


HOSTILE = "\x1b[31m\u202e\x9b"
LINKS = f"http://{CLOSED}"
DEEP = "a = " + "[" * 3000
MANY = "9" * 5000
# A recipe that trains in a second; that of a real name would train for minutes.
RECIPE = either(
    given("tiny.toml", suffix=".toml"),
    given("tiny.toml", suffix=".toml"),
    words("no-such-recipe", "no-such.toml", "", HOSTILE, "a\nb"),
    text_file(".toml", "", "x", "[model]\nbackbone = 5\n", "[fit]\nepochs = 'x'\n", DEEP),
)
MODEL = given(
    *("model", "model", "unsealed.onnx", "wrong facts.onnx", "no facts.onnx", "nasty names.onnx"),
    *("too wide.onnx", "words", "empty"),
    suffix=".onnx",
)
NETWORKS = words(
    *("test_efficientnet", "test_efficientnet@se", "test_resnet", "test_vit"),
    odd=(
        *("nope", "", "@", "+", "test_efficientnet@cbam:x=1", "test_resnet+nope", HOSTILE, "a\nb"),
        *("test_resnet@eca:k=nan", f"test_resnet@eca:kernel_size={MANY}", "../x", "hf-hub:x/y"),
    ),
)
SETTINGS = words(
    *("optim.label_smoothing=0.1", "fit.batch_size=4", "augment.groups=[]"),
    odd=(
        *("fit.batch_size=0", "fit.epochs=-1", "optim.learning_rate=nan", "model.backbone=nope"),
        *("fit.epoch=1", "nonsense", "=", "a.b.c=1", f"fit.seed={MANY}", f"fit.seed={HOSTILE}"),
        *("fit.batch_size='\n'", "fit.seed=" + "[" * 2000, "", "fit=1", "fit.seed.x=1"),
    ),
)

TINY = f'recipe = "{ROOT}/tiny.toml"\n'
VALUES: dict[str, Maker] = {
    # what commands read
    "dataset": datasets,
    "data": datasets,
    "demo.pictures": datasets,
    "paths": pictures,
    "model": MODEL,
    "classify.rules": either(
        text_file(
            ".toml",
            '[bins]\nglass = "bottle bank"\n',
            "[streams]\nglass = 'kitchen'\n",
            '[bins]\nglass = "\\u001b[31m\\u202e"\n',
            '[bins]\nglass = ""\n',
            "[streams]\nglass = 5\n",
            "streams = 3\n",
            "a = 1979-05-27\n",
            DEEP,
            "\x00",
            "",
            num_good=2,
        ),
        words("germany", "shanghai", odd=("nowhere", "x.toml", HOSTILE, "../x")),
    ),
    "recipe": RECIPE,
    "settings": SETTINGS,
    "train.devices": words("1", odd=("cpu", "0", "", "-1", "0,0", "x", "99999999999", MANY)),
    "train.resume": folders_of("run"),
    "export.run": folders_of("run"),
    "ablate.file": text_file(
        ".toml",
        f'{TINY}seeds = [0]\nsplit = "val"\n[factors]\n"fit.batch_size" = [4]\n',
        f'{TINY}seeds = []\n[factors]\n"fit.batch_size" = [4]\n',
        f'{TINY}seeds = [0]\n[factors]\n"fit.nope" = [4]\n',
        f'{TINY}seeds = [0]\n[factors]\n"fit.batch_size" = ["x", nan]\n',
        "seeds = 1",
        "[factors]\n",
        "",
        DEEP,
        "\udcff",
    ),
    "data clean.predictions": given(
        "predictions.csv", "table.csv", "odd predictions.csv", suffix=".csv"
    ),
    "data clean.take": words("dark", "duplicate,dark", odd=("label", "", ",", "nope", HOSTILE)),
    "data undo.quarantine": folders_of("quarantine"),
    "data download.dataset": words("trashnet", odd=("Trashnet", "", HOSTILE)),
    "data download.origin": datasets,
    "data download.source": words(
        f"{LINKS}/x.zip",
        f"{LINKS}/",
        odd=("ftp://x", "", "file:///etc/passwd", "http://[", HOSTILE),
    ),
    "data collect.classes": text_file(
        ".txt",
        "glass\n",
        "glass,bottle,2\nmetal\n",
        "glass,,x\n",
        "",
        "../up\n",
        "a\x1bb\n",
        "a\0b\n",
        ".\n",
        "\udcff",
        "glass,,\u00b2\n",
        f"glass,,{MANY}\n",
        f"{'x' * 300}\n",
        num_good=2,
    ),
    "data collect.urls": text_file(
        ".csv",
        f"glass,{LINKS}/a.jpg\n",
        f"glass,{LINKS}/a.jpg,CC0\nmetal,{LINKS}/b.jpg\n",
        "glass\n",
        "glass,file:///etc/passwd\n",
        "glass,http://[\n",
        "glass,http://127.0.0.1:x/\n",
        f"a\x1b[31mb,{LINKS}/\x1b[31m\n",
        f"{'x' * 300},{LINKS}/a\n",
        f'"a\nb",{LINKS}/a\n',
        f"a\0b,{LINKS}/\n",
        num_good=2,
    ),
    "data collect.engine": words("bing", "baidu", odd=("nope", "", HOSTILE)),
    "data collect.mirror": words(LINKS, odd=("nope", "http://[", f"{LINKS}/{HOSTILE}", "file://x")),
    "data collect.allow_host": words(CLOSED, odd=("x", "", HOSTILE, ":9")),
    "data split.ratios": words(
        *("70/13/17", "1:1", "90/10"),
        odd=("0/0/0", "nan/1", "1e999/1", "-1/2", "", "x", "1/2/3/4", HOSTILE, f"{MANY}/1"),
    ),
    "data split.lists": listed,
    "data augment.groups": words("basic", "flips", "basic,affine", odd=("", "nope", HOSTILE)),
    "data augment.probability": words("low", "high", odd=("nope", "", HOSTILE)),
    "evaluate.split": words("test", "all", odd=("train", "val", "nope", "", HOSTILE)),
    "models list.pattern": words("test_*", "resnet18*", odd=("*", "[", "", "nope", HOSTILE)),
    "models show.name": NETWORKS,
    "benchmark models.names": NETWORKS,
    "models show.weights": either(
        words("none", odd=("nope", "", HOSTILE)), given("words", suffix=".safetensors")
    ),
    # numbers that would take long
    "lr-find.steps": words("20", "21", odd=("19", "x")),
    "models show.image_size": words("32", odd=("33", "31", "nan")),
    "benchmark models.image_size": words("32", odd=("33", "31", "nan")),
    "benchmark models.threads": words("0", "1", odd=("-1",)),
    "benchmark models.repeats": words("1", odd=("0", "x")),
    "crossval.folds": words("2", odd=("1", "x")),
    "data collect.delay": words("0", "0.01", odd=("nan", "-1", "inf")),
    "data collect.deadline": words("0.1", "0.2", odd=("nan", "0", "inf")),
    # what commands write
    "out": written(".csv", "scan.csv"),
    "demo.out": written(".html", "demo.html"),
    "data inspect.out": written(".html", "inspect.html"),
    "evaluate.report": written(".html", "report.html"),
    "evaluate.predictions": written(".csv", "predictions.csv"),
    "export.out": written(".onnx", "model"),
    "lr-find.out": written(".png", "sweep.png"),
    "train.out": written("", "run", is_folder=True),
    "crossval.out": written("", "folds", is_folder=True),
    "ablate.out": written("", "ablation", is_folder=True),
    "benchmark models.out": written("", "costs", is_folder=True),
    "data collect.out": written("", "collected", is_folder=True, certain=False),
    "data clean.report": written("", "faults", is_folder=True),
    "data clean.quarantine": written("", "quarantine", is_folder=True, certain=False),
    "data augment.copies": written("", "copies", is_folder=True, certain=False),
    "data download.to": written("", is_folder=True, certain=False),
}
# Given in every case of a command, since what they are otherwise takes long or leaves this machine.
ALWAYS = {
    "demo": {"pictures", "model"},
    "train": {"recipe"},
    "crossval": {"recipe", "folds"},
    "lr-find": {"recipe", "steps"},
    "data collect": {"delay", "deadline", "mirror"},
    "benchmark models": {"image_size", "repeats"},
    "models show": {"image_size"},
}
# What commands write where nobody says where.
DEFAULTS = {"demo": f"{HERE}/demo.html", "lr-find": f"{HERE}/lr-find.png"}
