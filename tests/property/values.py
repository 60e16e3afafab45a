"""What each parameter of each command may be given. A new parameter needs a line in `VALUES`.

Switches and numbers are described by their type. Paths and words mean something, so each has a
line here, under its name, or under the words of its command and its name where commands differ.
"""

from __future__ import annotations

from hypothesis import strategies as st

from property.makers import (
    Maker,
    Value,
    datasets,
    either,
    folders_of,
    given,
    listed,
    named_datasets,
    pictures,
    text_file,
    words,
    written,
)
from property.table import Parameter
from property.worlds import HERE, ROOT, Draw, World, oddly

CLOSED = "127.0.0.1:9"  # nobody listens there


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
    *("too wide.onnx", "no statistics.onnx", "wrong statistics.onnx", "words", "empty"),
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

MAPS = words(
    *("glass=metal", "glass=_", "paper=metal,glass=_"),
    odd=("", "=", "a", "glass=", "x:glass=metal", ":", "glass=_,metal=_,paper=_", HOSTILE, "a=b"),
)
TINY = f'recipe = "{ROOT}/tiny.toml"\n'
VALUES: dict[str, Maker] = {
    # what commands read
    "dataset": datasets,
    "data": datasets,
    "data merge.sources": named_datasets,
    "train.data": named_datasets,
    "lodo.data": named_datasets,
    "maps": MAPS,
    "evaluate.model_map": words(
        *("glass=metal", "paper=_", "paper=x"),
        odd=("", "=", "x=glass", "glass=_,metal=_,paper=_", "a:glass=metal", HOSTILE),
    ),
    "demo.pictures": datasets,
    "paths": pictures,
    "model": MODEL,
    "compare.items": either(
        given("predictions.csv", "predictions.csv", "odd predictions.csv", suffix=".csv"),
        MODEL,
        folders_of("run", broken=False),
        words("built-in", odd=("", "-", HOSTILE, "built-in/x", "x" * 300)),
    ),
    "runs list.folder": either(
        folders_of("run"), datasets, words(".", "..", odd=("", "x", HOSTILE))
    ),
    "runs card.item": either(
        MODEL, folders_of("run"), words("built-in", odd=("", HOSTILE, "x" * 300))
    ),
    "runs card.out": written(".md", "card.md"),
    "stress.also": named_datasets,
    "stress.limit": words("1", "2", odd=("0", "x", MANY)),
    "rules": either(
        text_file(
            ".toml",
            '[bins]\nglass = "bottle bank"\n',
            "[streams]\nglass = 'kitchen'\n",
            '[bins]\nglass = "\\u001b[31m\\u202e"\n',
            "[costs]\nabstain = 0.1\n[costs.glass]\nother = 3\n",
            '[bins]\nglass = ""\n',
            "[costs.glass]\nother = nan\n",
            "[costs.glass]\n'\\u001b[31m' = 1\n",
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
    "explain.method": words("occlusion", odd=("gradcam", "feature-map", "", "nope", HOSTILE)),
    "explain.label": words("glass", "metal", odd=("", "nope", HOSTILE, "x" * 200)),
    "explain.against": MODEL,
    "teach.label": words("glass", "coffee capsule", odd=("", " ", HOSTILE, "x" * 200)),
    "teach.stream": words("kitchen", odd=("compost", "", HOSTILE)),
    "train.devices": words("1", odd=("cpu", "0", "", "-1", "0,0", "x", "99999999999", MANY)),
    "train.resume": folders_of("run"),
    "export.run": folders_of("run"),
    "negatives": pictures,
    "backgrounds": pictures,
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
    "data clean.marks": text_file(
        ".csv",
        "path,label,action\na.jpg,glass,remove\n",
        "path,label,action\n",
        "path,label,action\na.jpg,glass,burn\n",
        "path,label,action\na.jpg\n",
        f"path,label,action\n{HOSTILE},{HOSTILE},relabel\n",
        "path,label\na.jpg,glass\n",
        "",
        "\udcff",
        num_good=2,
    ),
    "data clean.take": words("dark", "duplicate,dark", odd=("label", "", ",", "nope", HOSTILE)),
    "data undo.quarantine": folders_of("quarantine"),
    "data import-feedback.folder": folders_of("feedback"),
    "data import-feedback.new_class": words("shoe", odd=("", "../up", "Glass", HOSTILE, "x" * 300)),
    "models promote.new": MODEL,
    "models promote.to": either(folders_of("models"), written("", is_folder=True, certain=False)),
    "models promote.split": words("all", odd=("train", "val", "nope", "", HOSTILE)),
    "models rollback.folder": folders_of("models"),
    "name": words("waste", odd=("", "../x", "nope", HOSTILE, "x" * 300)),
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
    "compare.split": words("test", "all", odd=("train", "val", "nope", "", HOSTILE)),
    "stress.split": words("test", "all", odd=("train", "val", "nope", "", HOSTILE)),
    "watch.source": either(
        datasets,
        words("63", f"{LINKS}/camera", "nowhere.avi", "ftp://x", "http://[", "concat:a|b", HOSTILE),
    ),
    "watch.webhook": words(LINKS, odd=("ftp://x", "", "file:///etc/passwd", "http://[", HOSTILE)),
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
    "audit.report": written(".html", "audit.html"),
    "classify.out": written("", is_folder=True, certain=False),
    "explain.out": written("", is_folder=True, certain=False),
    "explain.report": written(".html", "explain.html"),
    "compare.report": written(".html", "report.html"),
    "stress.report": written(".html", "report.html"),
    "watch.save": written("", is_folder=True, certain=False),
    "evaluate.report": written(".html", "report.html"),
    "evaluate.predictions": written(".csv", "predictions.csv"),
    "evaluate.metrics": written(".json", "metrics.json"),
    "teach.out": written(".onnx", "model"),
    "export.out": written(".onnx", "model"),
    "lr-find.out": written(".png", "sweep.png"),
    "train.out": written("", "run", is_folder=True),
    "crossval.out": written("", "folds", is_folder=True),
    "lodo.out": written("", is_folder=True),
    "ablate.out": written("", "ablation", is_folder=True),
    "benchmark models.out": written("", "costs", is_folder=True),
    "data import-feedback.out": written("", is_folder=True, certain=False),
    "data collect.out": written("", "collected", is_folder=True, certain=False),
    "data clean.report": written("", "faults", is_folder=True),
    "data clean.quarantine": written("", "quarantine", is_folder=True, certain=False),
    "data augment.copies": written("", "copies", is_folder=True, certain=False),
    "data download.to": written("", is_folder=True, certain=False),
}
# Given in every case of a command, since what they are otherwise takes long or leaves this machine.
ALWAYS = {
    "demo": {"pictures", "model"},
    "explain": {"model"},
    "watch": {"headless"},
    "train": {"recipe"},
    "crossval": {"recipe", "folds"},
    "lodo": {"recipe"},
    "lr-find": {"recipe", "steps"},
    "data collect": {"delay", "deadline", "mirror"},
    "benchmark models": {"image_size", "repeats"},
    "models show": {"image_size"},
}
# What commands write where nobody says where.
DEFAULTS = {"demo": f"{HERE}/demo.html", "lr-find": f"{HERE}/lr-find.png"}
