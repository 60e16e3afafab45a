from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recyclenet.errors import UsageError
from recyclenet.training.recipe import (
    Recipe,
    load_recipe,
    parse_setting,
    recipe_names,
    save_recipe,
)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_of_the_package_are_valid_and_survive_saving(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    save_recipe(recipe, tmp_path / "recipe.toml")
    assert load_recipe(str(tmp_path / "recipe.toml")) == recipe


@given(name=st.text(), licence=st.text(), label=st.text())
@example(name="\x7f", licence='"', label="\x00\\")
def test_any_text_survives_saving(
    name: str, licence: str, label: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = Recipe(name=name, licence=licence, streams={label: "other"})
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    save_recipe(recipe, path)
    assert load_recipe(str(path)) == recipe


def test_settings_override_the_file() -> None:
    texts = ["fit.epochs=3", "model.backbone=resnet18", "name='a b'"]
    settings = dict(map(parse_setting, texts))
    recipe = load_recipe("default", settings)
    assert (recipe.fit.epochs, recipe.model.backbone, recipe.name) == (3, "resnet18", "a b")
    default = load_recipe("default")
    assert default.fit.epochs != 3
    assert default.with_settings(settings) == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_a_loaded_recipe_takes_settings_too(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.with_settings({}) == recipe
    assert recipe.with_settings({"model.attention": "cbam"}).model.attention is not None
    with pytest.raises(UsageError, match=r"fit\.epochs"):
        recipe.with_settings({"fit.epochs": "many"})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.fit", "resize_mode"),
        ("fit.accumulate", "micro_batches"),
        ("fit.wise", "wise_ft_alpha"),
        ("fit.balanced_sampling", "sampling"),
    ],
)
def test_fields_of_earlier_releases_are_named_with_their_new_names(old: str, new: str) -> None:
    with pytest.raises(UsageError, match=f"unknown field '{old}', now called '{new}'"):
        load_recipe("default", {old: 1})


def test_the_new_name_of_balanced_sampling_comes_with_its_values() -> None:
    with pytest.raises(UsageError, match=r"now called 'sampling': 'none': each photo once"):
        load_recipe("default", {"fit.balanced_sampling": True})
    with pytest.raises(UsageError, match=r"should be 'none', 'class', 'domain' or .*, not True"):
        load_recipe("default", {"fit.sampling": True})


def test_all_mistakes_are_reported_at_once_with_the_nearest_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[fit]\nepoch = 3\nbatch_size = 0\n[modle]\n[model]\ndrop_rate = 'high'\n")
    with pytest.raises(UsageError) as caught:
        load_recipe(str(path))
    message = str(caught.value)
    assert "unknown field 'fit.epoch', did you mean 'epochs'?" in message
    assert "unknown field 'modle', did you mean 'model'?" in message
    assert "fit.batch_size" in message
    assert "model.drop_rate" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("source", "settings", "said"),
    [
        ("defualt", (), "did you mean 'default'"),
        ("nowhere.toml", (), "cannot read nowhere.toml: No such"),
        ("default", ("fit.epochs",), "SECTION.FIELD=VALUE"),
        ("default", ("name.epochs=3",), "not a section"),
        ("default", ("fit.epochs=many",), "fit.epochs"),
    ],
)
def test_a_wrong_request_is_refused(source: str, settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_recipe(source, dict(map(parse_setting, settings)))


def test_a_file_that_is_no_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(tmp_path / "bad.toml"))
