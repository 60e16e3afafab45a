"""A replaced head gives the logits, a correction changes them; a hostile one is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from recyclenet import Classifier
from recyclenet.core.model_info import ModelInfo, check_seal, replace_info, seal
from recyclenet.errors import ModelFileError
from recyclenet.inference.head import Head

NAMES = ("glass", "metal", "paper", "battery")
RNG = np.random.default_rng(0)
HEAD = Head(RNG.normal(size=(4, 3)).astype(np.float32), RNG.normal(size=4).astype(np.float32))


def with_head(make_model, values=None, **changes):
    """Return a model file of three logits whose metadata replaces its head by one of four."""
    content = make_model(features=True).read_bytes()
    path = make_model(features=True).parent / "headed.onnx"
    info = Classifier(make_model(features=True)).info
    facts = json.loads(info.to_json()) | {
        "class_names": list(NAMES),
        "streams": dict.fromkeys(NAMES, "recyclable"),
        "statistics": {"head": HEAD.to_statistics() if values is None else values},
    }
    path.write_bytes(replace_info(content, ModelInfo.from_json(json.dumps(facts | changes))))
    return path


def test_a_correction_is_added_and_a_new_class_starts_as_the_mean(make_model):
    statistics = {"correction": HEAD.to_statistics()}
    classifier = Classifier(with_head(make_model, statistics=statistics))
    batch = RNG.normal(size=(5, 3, 16, 16)).astype(np.float32)
    graph = Classifier(make_model(features=True)).outputs(batch).logits
    widened = np.column_stack([graph, graph.mean(axis=1)])
    outputs = classifier.outputs(batch)
    np.testing.assert_allclose(outputs.logits, widened + HEAD(outputs.features), atol=1e-5)


def test_a_graph_with_more_logits_than_classes_cannot_be_corrected(make_model):
    facts = {
        "class_names": list(NAMES[:2]),
        "streams": dict.fromkeys(NAMES[:2], "recyclable"),
        "statistics": {"correction": Head(HEAD.weight[:2], HEAD.bias[:2]).to_statistics()},
    }
    with pytest.raises(
        ModelFileError, match="returns 3 logits per image, but its metadata names 2"
    ):
        Classifier(with_head(make_model, **facts))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 1e-2)])
def test_the_head_gives_the_logits(make_model, dtype, tolerance):
    classifier = Classifier(with_head(make_model, HEAD.to_statistics(dtype)))
    batch = RNG.normal(size=(5, 3, 16, 16)).astype(np.float32)
    outputs = classifier.outputs(batch)
    np.testing.assert_allclose(
        outputs.logits, outputs.features @ HEAD.weight.T + HEAD.bias, atol=tolerance
    )
    picture = np.full((20, 20, 3), 90, np.uint8)
    assert set(classifier.classify(picture).probabilities) == set(NAMES)


def test_the_file_is_onnx_and_holds_one_metadata_and_one_seal(make_model):
    onnx = pytest.importorskip("onnx")
    path = with_head(make_model)
    check_seal(path.read_bytes(), "headed")
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert sorted(prop.key for prop in model.metadata_props) == ["recyclenet", "recyclenet.sha256"]
    again = replace_info(path.read_bytes(), Classifier(path).info)
    assert again == path.read_bytes()


def changed(part, **changes):
    values = HEAD.to_statistics()
    return {**values, part: {**values[part], **changes}}


def packed(*numbers):
    return Head(np.zeros((1, 1)), np.array(numbers)).to_statistics()["bias"]["data"]


@pytest.mark.parametrize(
    "values",
    [
        None,
        "head",
        [],
        {},
        {"weight": HEAD.to_statistics()["weight"]},
        changed("weight", shape=[3, 4]),
        changed("weight", shape=[2**40, 2**40]),
        changed("weight", shape="4 3"),
        changed("weight", dtype="float64"),
        changed("weight", dtype=["float32"]),
        changed("weight", data=""),
        changed("weight", data="AAAA" * 100_000),
        changed("bias", data="not base64!"),
        changed("bias", data="é"),
        changed("bias", data=7),
        changed("bias", data=packed(0, 0, 0, np.nan)),
        changed("bias", data=packed(0, 0, np.inf, 0)),
        {**HEAD.to_statistics(), "bias": 3},
    ],
)
def test_hostile_heads_are_refused_in_one_line(make_model, run_cli, tmp_path, values):
    path = with_head(make_model, HEAD.to_statistics())
    facts = json.loads(Classifier(path).info.to_json())
    facts["statistics"]["head"] = values
    path.write_bytes(replace_info(path.read_bytes(), ModelInfo.from_json(json.dumps(facts))))
    with pytest.raises(ModelFileError, match=r"headed\.onnx: the model file has an invalid head"):
        Classifier(path)


def test_a_hostile_head_ends_the_command_with_exit_code_4(make_model, run_cli, photo_folder):
    path = with_head(make_model, changed("weight", shape=[4, 4]))
    done = run_cli("classify", photo_folder / "glass" / "glass1.jpg", "--model", path)
    assert done.code == 4
    assert done.err.count("\n") == 1
    assert "shape [4, 4], not [4, 3]" in done.err


def test_a_head_needs_features(make_model):
    with pytest.raises(ModelFileError, match="has no features"):
        Classifier(make_model(statistics={"head": HEAD.to_statistics()}))


@pytest.mark.parametrize("content", [b"\x72\x05ab", b"\xff" * 12, b"\x0b\x00", b"\x09\x00"])
def test_what_is_no_protobuf_is_refused(make_model, content):
    info = Classifier(make_model()).info
    with pytest.raises(ModelFileError):
        replace_info(seal(content), info)
