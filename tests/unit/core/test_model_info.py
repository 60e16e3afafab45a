"""The facts in a model file come back as they went in, and no change to the file goes unseen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.core.model_info import SCHEMA_VERSION, SEAL_LENGTH, ModelInfo, check_seal, seal
from recyclenet.core.preprocess import Preprocess
from recyclenet.errors import ModelFileError


def info(**changes) -> ModelInfo:
    names = tuple(changes.get("class_names", ("玻璃", "metal 🥫")))
    values = {
        "name": "tiny",
        "class_names": names,
        "preprocess": Preprocess(image_size=32, resize_mode="stretch", mean=(0.1, 0.2, 0.3)),
        "temperature": 1.5,
        "threshold": 0.4,
        "streams": dict.fromkeys(names, "recyclable"),
        "backbone": "some_backbone",
        "data_fingerprint": "ab" * 32,
        "metrics": {"accuracy": 0.953},
        "recipe": {"fit": {"epochs": 3}},
        "licence": "CC BY 4.0 «own»",
        "version": "0.1.0",
    }
    return ModelInfo(**{**values, **changes})


def test_facts_survive_the_model_file():
    assert ModelInfo.from_json(info().to_json()) == info()
    assert "玻璃" in info().to_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ("glass",)}, "at least two"),
        ({"class_names": ()}, "at least two"),
        ({"class_names": ("glass", "glass")}, "different"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": 1e-320}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"temperature": "1"}, "temperature must be a number, not str"),
        ({"temperature": True}, "temperature must be a number, not bool"),
        ({"threshold": None}, "threshold must be a number"),
        ({"class_names": ("glass", 3), "streams": {}}, "must be non-empty text"),
        ({"class_names": ("glass", ""), "streams": {}}, "must be non-empty text"),
        ({"streams": ["recyclable"]}, "streams must be a table, not list"),
        ({"metrics": None}, "metrics must be a table"),
        ({"recipe": "default"}, "recipe must be a table"),
        ({"name": 3}, "name must be text"),
        ({"licence": None}, "licence must be text"),
        ({"temperature": float("inf")}, "temperature"),
        ({"num_features": -1}, "num_features"),
        ({"num_features": 2.5}, "num_features must be an integer, not float"),
        ({"threshold": 1.0}, "threshold"),
        ({"threshold": -0.1}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"thresholds": {"risk": "0.5"}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": True}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": None}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": [0.5]}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": float("nan")}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": float("-inf")}}, "every threshold must be a finite number"),
        ({"thresholds": {"risk": 10**400}}, "every threshold must be a finite number"),
        ({"streams": {"玻璃": "recyclable"}}, "metal"),
        ({"streams": {"玻璃": "recyclable", "metal 🥫": "compost"}}, "disposal stream"),
    ],
)
def test_facts_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ModelFileError, match=message):
        info(**changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("class_names", "glass"),
        ("class_names", {"glass": 1, "metal": 2}),
        ("class_names", [["glass"], ["metal"]]),
        ("class_names", ["glass", "\ud800"]),
        ("streams", {"玻璃": ["recyclable"], "metal 🥫": "other"}),
        ("metrics", {"accuracy": float("nan")}),
        ("recipe", {"fit": {"rate": float("inf")}}),
    ],
)
def test_facts_of_the_wrong_type_are_refused(key, value):
    values = json.loads(info().to_json())
    values[key] = value
    with pytest.raises(ModelFileError):
        ModelInfo.from_json(json.dumps(values))


def test_facts_are_strict_json():
    twice = info().to_json().replace('"threshold"', '"temperature": 2.0, "threshold"')
    with pytest.raises(ModelFileError, match="duplicate key"):
        ModelInfo.from_json(twice)
    for text in ("[" * 100_000, "[" * 100_000 + "]" * 100_000, "9" * 5000, "NaN", "1e999"):
        with pytest.raises(ModelFileError) as caught:
            ModelInfo.from_json('{"schema_version": 1, "a": ' + text + "}")
        assert len(str(caught.value)) < 300


def test_file_of_another_schema_says_which_release_reads_it():
    values = json.loads(info(version="9.8.7").to_json())
    values["schema_version"] = values["needs_schema"] = SCHEMA_VERSION + 1
    with pytest.raises(ModelFileError, match=rf"schema {SCHEMA_VERSION + 1}.*9\.8\.7"):
        ModelInfo.from_json(json.dumps(values))


def test_facts_of_later_releases_are_ignored():
    values = json.loads(info().to_json())
    values |= {"schema_version": SCHEMA_VERSION + 7, "colour": "green"}
    assert ModelInfo.from_json(json.dumps(values)) == info()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"schema_version": 1}',
        '"text"',
    ],
)
def test_text_that_holds_no_facts(text):
    with pytest.raises(ModelFileError):
        ModelInfo.from_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    key=st.sampled_from(
        ["class_names", "preprocess", "temperature", "threshold", "streams", "schema_version"]
    ),
    value=JSON,
)
def test_facts_of_any_shape_are_read_or_refused(key, value):
    values = json.loads(info().to_json())
    values[key] = value
    try:
        read = ModelInfo.from_json(json.dumps(values))
    except ModelFileError:
        return
    assert len(read.class_names) >= 2
    assert read.temperature > 0


@pytest.mark.parametrize("key", ["name", "class_names", "preprocess", "streams"])
def test_missing_fact_is_refused(key):
    values = json.loads(info().to_json())
    del values[key]
    with pytest.raises(ModelFileError):
        ModelInfo.from_json(json.dumps(values))


@given(st.binary(min_size=1))
def test_sealed_bytes_pass(content):
    check_seal(seal(content), "model.onnx")


def test_sealed_file_is_an_ordinary_onnx_file(tiny_model):
    onnx = pytest.importorskip("onnx")
    content = tiny_model.read_bytes()
    check_seal(content, "tiny")
    model = onnx.load(tiny_model)
    onnx.checker.check_model(model)
    props = {prop.key: prop.value for prop in model.metadata_props}
    assert len(props["recyclenet.sha256"]) == 64
    assert ModelInfo.from_json(props["recyclenet"]).class_names == ("glass", "metal", "paper")


@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_seen(tiny_model, place, bit):
    content = bytearray(tiny_model.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    with pytest.raises(ModelFileError, match=r"the-name\.onnx"):
        check_seal(bytes(content), "the-name.onnx")


def test_every_flipped_bit_of_the_seal_itself_is_seen():
    content = seal(b"model")
    for place in range(len(content) - SEAL_LENGTH, len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            with pytest.raises(ModelFileError):
                check_seal(bytes(changed), "m")


def test_every_truncation_is_seen(tiny_model):
    content = tiny_model.read_bytes()
    for length in range(len(content)):
        with pytest.raises(ModelFileError):
            check_seal(content[:length], "m")


@given(st.binary(min_size=1, max_size=200), st.integers(0, 10))
def test_bytes_added_or_moved_are_seen(tiny_model, extra, place):
    content = tiny_model.read_bytes()
    at = len(content) * place // 10
    with pytest.raises(ModelFileError):
        check_seal(content[:at] + extra + content[at:], "m")


def test_a_seal_alone_is_no_model():
    with pytest.raises(ModelFileError, match="not a RecycleNet model"):
        check_seal(seal(b""), "m")
