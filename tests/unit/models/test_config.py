from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recyclenet.errors import UsageError
from recyclenet.models.config import ModelConfig


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "resnet18.a1_in1k@se:reduction=8",
        "resnet18@recyclenet:combine=max,spatial=true",
        "resnet18@se:placement=features",
        "efficientnetv2_rw_t+eca+fused_eca+leaky_relu",
        "mobilevit_s+inverted_residuals@recyclenet",
    ],
)
def test_a_name_and_its_configuration_are_the_same_thing(name: str) -> None:
    config = ModelConfig.from_name(name)
    assert config.name == name
    assert ModelConfig.from_name(config.name) == config
    assert ModelConfig.model_validate(config.model_dump()) == config


def test_a_table_says_the_same_as_a_name() -> None:
    table = {"backbone": "resnet18", "attention": {"name": "recyclenet", "combine": "sum"}}
    assert ModelConfig.model_validate(table).name == "resnet18@recyclenet:combine=sum"
    assert ModelConfig.model_validate({**table, "attention": "none"}).attention is None


def test_an_option_that_only_wide_maps_can_take_is_taken() -> None:
    name = "resnet18@recyclenet:reduction=128"
    assert ModelConfig.from_name(name).name == name


def test_attention_goes_where_its_kind_goes_unless_told() -> None:
    for name, placement in [
        ("resnet18@recyclenet", "features"),
        ("resnet18@se", "blocks"),
        ("resnet18@se:placement=features", "features"),
    ]:
        attention = ModelConfig.from_name(name).attention
        assert attention is not None
        assert attention.placement == placement


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("resnet18@recylenet", "did you mean 'recyclenet'"),
        ("resnet18@se:reductio=3", "did you mean 'reduction'"),
        ("resnet18@recyclenet:kernel_size=big", "such as 7, not 'big'"),
        ("resnet18@recyclenet:channel=1", "such as True, not 1"),
        ("resnet18@glu:groups=11", "groups must divide"),
        ("resnet18@recyclenet:combine=min", "combine must be sum, max or mul, not 'min'"),
        ("resnet18@recyclenet:channel=false,spatial=false", "both false"),
        ("resnet18@recyclenet:kernel_size=4", "must be odd and positive, not 4"),
        ("resnet18@se:reduction=0", "must be 1 or more"),
        ("resnet18@se:placement=block", "'features' or 'blocks'"),
        ("resnet18@se:reduction", "must be NAME=VALUE"),
        ("resnet18@", "attention"),
        ("resnet18+leaky", "did you mean 'leaky_relu'"),
    ],
)
def test_a_wrong_part_is_named_with_what_is_right(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        ModelConfig.from_name(name)


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        config = ModelConfig.from_name(text)
    except UsageError:
        return
    assert ModelConfig.from_name(config.name) == config
