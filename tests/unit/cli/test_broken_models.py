"""Sealed models that no network should be: each ends in one line and exit code 4."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recyclenet import Classifier
from recyclenet.core.model_info import METADATA_KEY, SEAL_LENGTH, ModelInfo, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

NAMES = ("glass", "metal", "paper")
FACTS = ModelInfo(
    name="tiny",
    class_names=NAMES,
    preprocess=Preprocess(image_size=16),
    streams=dict.fromkeys(NAMES, "recyclable"),
).to_json()
PICTURE = np.full((20, 20, 3), 90, np.uint8)
Node = Callable[..., Any]
node: Node = helper.make_node


def value(name: str, shape: Sequence[object], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name: str, *values: float, kind: type = np.int64) -> Any:
    return numpy_helper.from_array(np.array(values, kind), name)


def sealed(
    path: Path,
    *last: Any,
    constants: Sequence[Any] = (),
    inputs: Sequence[Any] = (value("input", ["N", 3, 16, 16]),),
    outputs: Sequence[Any] = (value("logits", ["N", 3]),),
    facts: str = FACTS,
) -> Path:
    """Write a sealed model: the mean of each channel as `means` (N, 3), then the nodes `last`."""
    first = [
        node("GlobalAveragePool", [inputs[0].name], ["pooled"]),
        node("Flatten", ["pooled"], ["means"]),
    ]
    graph = helper.make_graph([*first, *last], "odd", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(model, {METADATA_KEY: facts})
    path.write_bytes(seal(model.SerializeToString()))
    return path


def external(location: str) -> Any:
    """A 3x3 weight that lies in another file."""
    tensor = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[3, 3])
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", "36")):
        tensor.external_data.add(key=key, value=text)
    return tensor


SAME = node("Identity", ["means"], ["logits"])
HUGE = (
    node("ReduceSum", ["huge"], ["sum"], keepdims=0),
    node("Add", ["means", "sum"], ["logits"]),
)
BROKEN: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "input of float64": (
        "cannot be loaded",
        [node("Cast", ["means"], ["logits"], to=TensorProto.FLOAT)],
        {"inputs": [value("input", ["N", 3, 16, 16], TensorProto.DOUBLE)]},
    ),
    "input of float16": (
        "tensor(float16)",
        [node("Cast", ["means"], ["logits"], to=TensorProto.FLOAT)],
        {"inputs": [value("input", ["N", 3, 16, 16], TensorProto.FLOAT16)]},
    ),
    "input of rank 3": ("3x16x16", [SAME], {"inputs": [value("input", ["N", 3, 16])]}),
    "input of one channel": ("3x16x16", [SAME], {"inputs": [value("input", ["N", 1, 16, 16])]}),
    "input of any size": ("3x16x16", [SAME], {"inputs": [value("input", ["N", 3, "H", "W"])]}),
    "input of size 0": ("3x16x16", [SAME], {"inputs": [value("input", ["N", 3, 0, 0])]}),
    "batches of 1 only": (
        "batches of any size",
        [SAME],
        {"inputs": [value("input", [1, 3, 16, 16])]},
    ),
    "two inputs": (
        "3x16x16",
        [node("Add", ["means", "more"], ["logits"])],
        {"inputs": [value("input", ["N", 3, 16, 16]), value("more", ["N", 3])]},
    ),
    "two outputs": (
        "outputs logits, not logits and means",
        [SAME],
        {"outputs": [value("logits", ["N", 3]), value("means", ["N", 3])]},
    ),
    "one class more": (
        "returns 4 logits per image",
        [node("Concat", ["means", "one"], ["logits"], axis=1)],
        {
            "constants": [numpy_helper.from_array(np.ones((1, 1), np.float32), "one")],
            "outputs": [value("logits", ["N", 4])],
        },
    ),
    "one class more than it says": (
        "class",
        [node("Pad", ["means", "pads"], ["logits"])],
        {"constants": [constant("pads", 0, 0, 0, 1)], "outputs": [value("logits", ["N", "K"])]},
    ),
    "output of rank 3": (
        "one row of 3 logits",
        [node("Unsqueeze", ["means", "axis"], ["logits"])],
        {"constants": [constant("axis", 1)], "outputs": [value("logits", ["N", 1, 3])]},
    ),
    "output of text": (
        "tensor(string)",
        [node("Cast", ["means"], ["logits"], to=TensorProto.STRING)],
        {"outputs": [value("logits", ["N", 3], TensorProto.STRING)]},
    ),
    "output of int64": (
        "tensor(int64)",
        [node("Cast", ["means"], ["logits"], to=TensorProto.INT64)],
        {"outputs": [value("logits", ["N", 3], TensorProto.INT64)]},
    ),
    "no row for any picture": (
        "row",
        [node("Slice", ["means", "zero", "zero"], ["logits"])],
        {"constants": [constant("zero", 0)]},
    ),
    "one row too few": (
        "row",
        [node("Slice", ["means", "one", "all"], ["logits"])],
        {"constants": [constant("one", 1), constant("all", 999)]},
    ),
    "twice the rows": ("row", [node("Concat", ["means", "means"], ["logits"], axis=0)], {}),
    "failing as it runs": (
        "failed",
        [node("Gather", ["means", "place"], ["logits"], axis=1)],
        {"constants": [constant("place", 0, 1, 7)]},
    ),
    "operator from elsewhere": (
        "Magic",
        [node("Magic", ["means"], ["logits"], domain="elsewhere")],
        {},
    ),
    "weight in a file beside it": (
        "External data",
        [node("MatMul", ["means", "weight"], ["logits"])],
        {"constants": [external("weight.bin")]},
    ),
    "weight in a file that is not there": (
        "External data",
        [node("MatMul", ["means", "weight"], ["logits"])],
        {"constants": [external("none.bin")]},
    ),
    "constant of 100 GB": (
        "memory",
        [node("ConstantOfShape", ["shape"], ["huge"]), *HUGE],
        {"constants": [constant("shape", 25_000, 1000, 1000)]},
    ),
    "result of 100 GB": (
        "memory",
        [node("Expand", ["means", "shape"], ["huge"]), *HUGE],
        {"constants": [constant("shape", 8_333, 1000, 1000, 1, 3)]},
    ),
    "result of 9 GB": (
        "memory",
        [node("Expand", ["means", "shape"], ["huge"]), *HUGE],
        {"constants": [constant("shape", 750, 1000, 1000, 1, 3)]},
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_model_ends_in_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    from recyclenet.cli.main import main

    words, nodes, parts = BROKEN[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weight.bin").write_bytes(np.eye(3, dtype=np.float32).tobytes())
    model = sealed(tmp_path / "odd.onnx", *nodes, **parts)
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.fromarray(PICTURE).save(name)
    for options in ([], ["--json"], ["--json", "--tta"]):
        monkeypatch.setattr(
            sys, "argv", ["recyclenet", "classify", "--model", str(model), *options, "."]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert ended.value.code == 4, err
        assert out.split() in ([], ["label", "confidence", "bin", "photo"])
        assert err.startswith(("error: odd.onnx", f"error: {model}"))
        assert err.count("\n") == 1
        assert words in err


def logits_of(tmp_path: Path, *factors: float) -> Classifier:
    """A classifier that multiplies the channels' means, which may be zero, by `factors`."""
    return Classifier(
        sealed(
            tmp_path / "odd.onnx",
            node("Mul", ["means", "factors"], ["logits"]),
            constants=[constant("factors", *factors, kind=np.float32)],
        )
    )


@pytest.mark.parametrize("factor", [np.nan, np.inf, -np.inf])
def test_logits_that_are_no_numbers_are_no_answer(tmp_path: Path, factor: float) -> None:
    classifier = logits_of(tmp_path, 1, factor, 1)
    with pytest.raises(ModelFileError, match="non-finite logits"):
        classifier.classify(PICTURE)
    many = classifier.classify_many([PICTURE, b"", PICTURE])
    answers = [next(many) for _ in range(3)]
    with pytest.raises(ModelFileError, match="non-finite logits"):
        next(many)
    assert [answer.label for answer in answers] == [None] * 3
    assert "non-finite logits" in str(answers[0].error)
    assert "empty" in str(answers[1].error)


def sometimes(path: Path) -> Path:
    """A model whose logits are 1 / mean of each channel less 1, not finite for white images."""
    return sealed(
        path,
        node("Sub", ["means", "one"], ["less"]),
        node("Div", ["one", "less"], ["logits"]),
        constants=[constant("one", 1, kind=np.float32)],
    )


WHITE = np.full((20, 20, 3), 255, np.uint8)


def test_the_other_pictures_are_still_answered(tmp_path: Path) -> None:
    classifier = Classifier(sometimes(tmp_path / "odd.onnx"))
    for size in (1, 2, 16):
        first, second, third = classifier.classify_many([WHITE, PICTURE, WHITE], size)
        assert "non-finite logits" in str(first.error)
        assert "non-finite logits" in str(third.error)
        assert second.label in NAMES
        assert (first.label, first.confidence, first.known) == (None, None, False)


def test_classify_and_evaluate_count_them(tmp_path: Path, command: Any) -> None:
    from PIL import Image

    model = sometimes(tmp_path / "odd.onnx")
    photos = tmp_path / "photos" / "glass"
    photos.mkdir(parents=True)
    Image.fromarray(WHITE).save(photos / "white.png")
    for number in range(2):
        Image.fromarray(PICTURE).save(photos / f"{number}.png")
    (photos / "bad.png").write_bytes(b"")
    code, out, err = command("classify", "--json", "--model", model, tmp_path / "photos")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 3
    assert {row["path"][-5:] for row in rows if row["error"] is None} == {"0.png", "1.png"}
    assert "2 of 4 photos have no answer" in err
    page = tmp_path / "page.html"
    code, out, err = command(
        "evaluate", "--json", "--model", model, "--data", tmp_path / "photos", "--report", page
    )
    row = json.loads(out)
    assert code == 3
    assert (row["num_photos"], row["num_unreadable"], row["num_unanswered"]) == (2, 1, 1)
    assert "white.png" in err
    (photos / "0.png").unlink()
    (photos / "1.png").unlink()
    for words in (["classify"], ["evaluate", "--data"]):
        code, out, err = command(*words, tmp_path / "photos", "--model", model)
        assert code == 4
        assert err.splitlines()[-1].startswith("error: ")
        assert "non-finite logits" in err.splitlines()[-1]
    code, out, err = command(
        "demo", "--model", model, "--pictures", tmp_path / "photos", "--out", page
    )
    assert code == 4
    assert "non-finite logits" in err


FACTS_VALUES = json.loads(FACTS)


@pytest.mark.parametrize(
    "facts",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        FACTS.replace('"temperature": 1.0', '"temperature": ' + "9" * 5000),
        FACTS.replace('"temperature": 1.0', '"temperature": 1e999'),
        FACTS.replace('"temperature": 1.0', '"temperature": 1e-320'),
        FACTS.replace('"temperature": 1.0', '"temperature": NaN'),
        FACTS.replace('"temperature": 1.0', '"temperature": 1.0, "temperature": 2.0'),
        FACTS.replace('"name": "tiny"', '"name": "\\ud800"'),
        FACTS.replace('"glass"', '"\\udcff"'),
        FACTS.replace('"threshold": 0.0', '"threshold": NaN'),
        FACTS.replace('"metrics": {}', '"metrics": {"accuracy": NaN}'),
        FACTS.replace('"recipe": {}', '"recipe": ' + "[" * 900 + "]" * 900),
    ],
    ids=lambda facts: facts[:20] if len(facts) > 5000 else facts[-80:],
)
def test_facts_that_no_export_writes_are_refused(facts: str, tmp_path: Path, command: Any) -> None:
    assert facts != FACTS
    model = sealed(tmp_path / "odd.onnx", SAME, facts=facts)
    (tmp_path / "a.png").write_bytes(b"")
    code, out, err = command("classify", "--model", model, tmp_path / "a.png")
    assert (code, out) == (4, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert len(err) < 600


def test_metadata_that_is_no_text_is_refused(tmp_path: Path) -> None:
    model = sealed(tmp_path / "odd.onnx", SAME, facts=FACTS.replace("tiny", "t??y"))
    content = model.read_bytes()[:-SEAL_LENGTH].replace(b"t??y", b"t\xff\xfey")
    model.write_bytes(seal(content))
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        Classifier(model)
