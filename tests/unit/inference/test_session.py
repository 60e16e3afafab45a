"""A model file is run only if every byte of it is as it was exported and its facts hold."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recyclenet.core.model_info import METADATA_KEY, SCHEMA_VERSION, seal
from recyclenet.errors import ModelFileError, UsageError
from recyclenet.inference import session
from recyclenet.inference.classifier import Classifier
from recyclenet.inference.session import OnnxSession, _options

MODELS = Path(__file__).resolve().parents[2] / "models"


def refusal(path) -> str:
    with pytest.raises(ModelFileError) as caught:
        OnnxSession(path)
    message = str(caught.value)
    assert path.name in message or "class" in message or "facts" in message
    assert "\n" not in message
    return message


def test_model_runs_and_knows_its_facts(tiny_model):
    opened = OnnxSession(tiny_model, threads=1)
    assert opened.info.class_names == ("glass", "metal", "paper")
    batch = np.zeros((2, 3, 16, 16), np.float32)
    batch[0, 1], batch[1, 2] = 1, 1
    logits, features, _ = opened.run(batch)
    assert logits.dtype == np.float32
    assert features is None
    np.testing.assert_allclose(logits, [[4, 0, 0], [0, 4, 0]], atol=1e-5)


def test_same_pictures_give_the_same_bits(tiny_model):
    batch = np.random.default_rng(0).normal(size=(5, 3, 16, 16)).astype(np.float32)
    first, second = (OnnxSession(tiny_model).run(batch).logits for _ in range(2))
    np.testing.assert_array_equal(first, second)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damaged_file_is_refused(tiny_model, tmp_path, place, bit, cut):
    content = bytearray(tiny_model.read_bytes())
    at = int(place * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= 1 << bit
    path = tmp_path / "damaged.onnx"
    path.write_bytes(bytes(content))
    refusal(path)


def test_onnx_file_from_elsewhere_is_refused(make_model):
    assert "recyclenet export" in refusal(make_model(sealed=False))


def test_sealed_file_that_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "sealed.onnx"
    path.write_bytes(seal(b"this is no model" * 50))
    assert "not a valid ONNX file" in refusal(path)


def test_sealed_file_without_facts_is_refused(make_model):
    assert "no RecycleNet metadata" in refusal(make_model(facts=None))


@pytest.mark.parametrize("facts", ["{}", "not JSON", "[1, 2]"])
def test_unusable_facts_are_refused(make_model, facts):
    refusal(make_model(facts=facts))


def test_graph_that_disagrees_with_its_facts_is_refused(make_model):
    from recyclenet.core.preprocess import Preprocess

    assert "returns 4 logits per image" in refusal(make_model(num_outputs=4))
    other_size = make_model(image_size=16, preprocess=Preprocess(image_size=32))
    assert "3x32x32" in refusal(other_size)


def test_features_are_read_by_name_and_need_schema_3(make_model):
    opened = OnnxSession(make_model(features=True))
    batch = np.zeros((2, 3, 16, 16), np.float32)
    batch[0, 1], batch[1, 2] = 1, 2
    logits, features, _ = opened.run(batch)
    assert features is not None
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [[0, 1, 0], [0, 0, 2]], atol=1e-6)
    np.testing.assert_allclose(logits, [[4, 0, 0], [0, 8, 0]], atol=1e-5)
    assert json.loads(opened.info.to_json())["needs_schema"] == 3
    plain = OnnxSession(make_model()).info
    assert json.loads(plain.to_json())["needs_schema"] == 2


def test_features_that_differ_from_the_metadata_are_refused(make_model):
    assert "outputs logits, not" in refusal(make_model(features=True, num_features=0))
    assert "outputs logits and features, not logits" in refusal(make_model(num_features=3))
    message = refusal(make_model(features=True, num_features=5))
    assert "returns 3 features per image, but its metadata says 5" in message
    for value in (-1, 2.0, True, "3"):
        facts = json.loads(OnnxSession(make_model(features=True)).info.to_json())
        refusal(make_model(features=True, facts=json.dumps({**facts, "num_features": value})))


def test_graph_without_a_row_of_answers_is_refused(tmp_path, tiny_model):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    model = onnx.load(tiny_model)
    facts = {p.key: p.value for p in model.metadata_props}[METADATA_KEY]
    model.graph.node.append(helper.make_node("ReduceSum", ["logits"], ["sum"], keepdims=0))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, []))
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: facts})
    path = tmp_path / "scalar.onnx"
    path.write_bytes(seal(model.SerializeToString()))
    refusal(path)


def endless(tiny_model):
    """Return a model whose graph contains a `Loop` that never ends."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    def value(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["x"], ["y"]),
        ],
        "body",
        [
            value("turn", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("x", TensorProto.FLOAT, ["N", 3]),
        ],
        [value("go_on", TensorProto.BOOL, []), value("y", TensorProto.FLOAT, ["N", 3])],
    )
    model = onnx.load(tiny_model)
    model.graph.node[-1].output[0] = "once"
    loop = helper.make_node("Loop", ["", "", "once"], ["logits"], body=body)
    model.graph.node.append(loop)
    return model


def sealed(path, content):
    path.write_bytes(seal(content))
    return path


def test_graph_that_may_never_end_is_refused(tmp_path, tiny_model):
    path = sealed(tmp_path / "endless.onnx", endless(tiny_model).SerializeToString())
    assert "a subgraph in Loop" in refusal(path)


def test_graph_behind_an_oversized_field_number_is_refused(tmp_path, tiny_model):
    model = endless(tiny_model)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    # 2**32 + (7 << 3 | 2): Google's reader drops the excess bit, and sees field 7, the graph.
    size = bytes([len(graph) & 127 | 128, len(graph) >> 7])
    hidden = b"\xba\x80\x80\x80\x10" + size + graph
    path = sealed(tmp_path / "hidden.onnx", model.SerializeToString() + hidden)
    assert "not a valid ONNX file" in refusal(path)


def test_functions_are_refused(tmp_path, tiny_model):
    """Functions that each call the one before twice would be expanded for ever."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper

    model = onnx.load(tiny_model)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    for number in range(40):
        call, domain = (f"F{number - 1}", "own") if number else ("Identity", "")
        nodes = [
            helper.make_node(call, ["a"], ["b"], domain=domain),
            helper.make_node(call, ["b"], ["c"], domain=domain),
        ]
        model.functions.append(
            helper.make_function("own", f"F{number}", ["a"], ["c"], nodes, versions)
        )
    model.opset_import.append(versions[1])
    model.graph.node[-1].output[0] = "once"
    model.graph.node.append(helper.make_node("F39", ["once"], ["logits"], domain="own"))
    assert "a function," in refusal(sealed(tmp_path / "many.onnx", model.SerializeToString()))


def test_other_formats_of_the_runtime_are_not_read(tmp_path, tiny_model):
    """They hold graphs that nobody has checked."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(tiny_model, options)
    content = (tmp_path / "model.ort").read_bytes()
    assert onnxruntime.InferenceSession(content).get_inputs()
    with pytest.raises(Exception, match=r"INVALID_PROTOBUF|parsing failed"):
        onnxruntime.InferenceSession(content, _options(None))


def test_a_file_of_countless_operators_is_refused(tmp_path, tiny_model, monkeypatch):
    monkeypatch.setattr(session, "MAX_FIELDS", 1000)
    OnnxSession(tiny_model)
    content = tiny_model.read_bytes() + b"\x3a\xe8\x0f" + b"\x0a\x00" * 1000
    assert "more than 1,000 fields" in refusal(sealed(tmp_path / "countless.onnx", content))


def test_model_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"no model file .*none\.onnx"):
        OnnxSession(tmp_path / "none.onnx")
    with pytest.raises(UsageError, match="no model file"):
        OnnxSession(tmp_path)


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_files_of_every_schema_are_read(version):
    classifier = Classifier(MODELS / f"schema-{version}.onnx")
    assert classifier.info.preprocess.resize_mode == "stretch"
    assert (classifier.info.temperature, classifier.info.threshold) == (0.5, 0.4)
    for label, colour in (("glass", (0, 200, 0)), ("metal", (0, 0, 200)), ("paper", (200, 0, 0))):
        prediction = classifier.classify(np.full((30, 40, 3), colour, np.uint8))
        assert (prediction.label, prediction.known) == (label, True)


def test_a_run_folder_means_its_model(make_model, tmp_path, photo_folder, run_cli):
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(UsageError, match=r"has no model\.onnx; finish its run"):
        Classifier(run)
    (run / "model.onnx").write_bytes(make_model().read_bytes())
    photo = photo_folder / "glass" / "glass1.jpg"
    assert Classifier(run).classify(photo) == Classifier(make_model()).classify(photo)
    assert run_cli("classify", photo, "--model", run).code == 0
    before = (run / "model.onnx").read_bytes()
    words = ("teach", photo_folder / "glass", "--label", "jar", "--model", run)
    refused = run_cli(*words, "--out", run / "model.onnx", "--force")
    assert refused.code == 2
    assert (run / "model.onnx").read_bytes() == before
