"""Which bin a class goes in."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from recyclenet.core.taxonomy import (
    BINS,
    STREAMS,
    assign_streams,
    known_streams,
    load_rules,
    rules_names,
)
from recyclenet.errors import UsageError

TRASHNET = ("cardboard", "glass", "metal", "paper", "plastic", "trash")


def test_trashnets_classes_go_where_they_belong():
    streams = assign_streams(TRASHNET)
    assert tuple(streams) == TRASHNET
    assert streams.pop("trash") == "other"
    assert set(streams.values()) == {"recyclable"}


def test_every_stream_has_a_bin():
    assert set(BINS) == set(STREAMS)


def test_users_map_goes_first_and_capitals_do_not_matter():
    assert assign_streams(["Glass", "Batteries"], {"Batteries": "hazardous"}) == {
        "Glass": "recyclable",
        "Batteries": "hazardous",
    }
    assert assign_streams(["glass"], {"glass": "other"}) == {"glass": "other"}


def test_class_that_nobody_knows_spoils_no_recycling():
    assert assign_streams(["玻璃"]) == {"玻璃": "other"}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"glass": "recycleable"}, "did you mean 'recyclable'"),
        ({"glas": "other"}, "did you mean 'glass'"),
        ({"glass": ""}, "unknown stream ''"),
    ],
)
def test_mistakes_in_a_users_map_are_named(own, message):
    with pytest.raises(UsageError, match=message):
        assign_streams(["glass", "metal"], own)


def test_taxonomies_name_each_class_once_and_only_real_streams():
    known = known_streams()
    assert set(known.values()) == set(STREAMS)
    assert known["coffee_grounds"] == "kitchen"
    assert known["有害垃圾_纽扣电池"] == "hazardous"
    folder = files("recyclenet") / "taxonomies"
    tables = [tomllib.loads(path.read_text("utf-8")) for path in folder.iterdir()]
    assert sum(len(names) for table in tables for names in table.values()) == len(known)


def test_chinese_names_go_by_their_group():
    assert assign_streams(["厨余垃圾_新菜", "可回收物_新瓶", "草莓"]) == {
        "厨余垃圾_新菜": "kitchen",
        "可回收物_新瓶": "recyclable",
        "草莓": "other",
    }


@pytest.mark.parametrize("name", rules_names())
def test_rules_of_the_package_are_valid(name):
    rules = load_rules(name)
    for label, stream in known_streams().items():
        assert rules.bin_of(label, stream)


def test_a_class_comes_before_its_stream(tmp_path):
    path = tmp_path / "city.toml"
    path.write_text(
        '[streams]\npaper_cups = "recyclable"\n[bins]\nglass = "bottle bank"\nother = "grey bin"\n'
    )
    rules = load_rules(str(path))
    assert rules.streams == {"paper_cups": "recyclable"}
    assert rules.bin_of("glass", "recyclable") == "bottle bank"
    assert rules.bin_of("metal", "recyclable") == BINS["recyclable"]
    assert rules.bin_of("trash", "other") == "grey bin"


def test_costs_are_of_classes_streams_and_bins(tmp_path):
    path = tmp_path / "city.toml"
    path.write_text("[bins]\npaper = 'blue bin'\n")
    rules = load_rules(str(path))
    assert (rules.costs, rules.abstain) == (None, None)
    path.write_text("[costs]\n")
    assert load_rules(str(path)).costs == {}
    path.write_text(
        "[bins]\npaper = 'blue bin'\n[costs]\nabstain = 0.3\n[costs.hazardous]\nrecyclable = 10\n"
        "[costs.glass]\n'blue bin' = 2\n[costs.'blue bin']\n'recycling bin' = 0.5\n"
    )
    rules = load_rules(str(path))
    assert rules.abstain == 0.3
    assert rules.costs == {
        "hazardous": {"recyclable": 10},
        "glass": {"blue bin": 2},
        "blue bin": {"recycling bin": 0.5},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[streams]\nglas = "other"', "did you mean 'glass'"),
        ('[streams]\nglass = "recycleable"', "did you mean 'recyclable'"),
        ("[streams]\nglass = 3", "stream 3 for 'glass'"),
        ('[bins]\nkichen = "x"', "did you mean 'kitchen'"),
        ("[bins]\nglass = 1", "must be non-empty text"),
        ('[bin]\nglass = "x"', r"has 'bin'; only the tables"),
        ("streams = 1", "has 'streams'; only the tables"),
        ("nonsense", "not valid TOML"),
        ("[[streams]]\nglass = 'other'", "has 'streams'; only the tables"),
        ("[streams]\nglass = ['other']", r"stream \['other'\] for 'glass'"),
        ("[streams]\nglass = {a = 1}", "for 'glass'"),
        ("[bins]\nglass = nan", "must be non-empty text"),
        ("[bins]\nglass = 1979-05-27", "must be non-empty text"),
        ("[bins]\nglass = '  '", "must be non-empty text"),
        ("costs = 1", "has 'costs'; only the tables"),
        ("[costs]\nhazardous = 3", "costs of 'hazardous' must be a table"),
        ("[costs.hazardos]\nother = 3", "did you mean 'hazardous'"),
        ("[costs.hazardous]\nothr = 3", "unknown stream or bin 'othr': did you mean 'other'"),
        ("[costs.hazardous]\nother = -1", "a number from 0 to 1,000,000, not -1"),
        ("[costs.hazardous]\nother = nan", "a number from 0 to 1,000,000, not nan"),
        ("[costs.hazardous]\nother = inf", "a number from 0 to 1,000,000, not inf"),
        ("[costs.hazardous]\nother = true", "a number from 0 to 1,000,000, not True"),
        ("[costs.hazardous]\nother = '3'", "a number from 0 to 1,000,000, not '3'"),
        ("[costs]\nabstain = [1]", "'abstain' must be a number"),
    ],
)
def test_mistakes_in_rules_are_named(tmp_path, text, message):
    path = tmp_path / "city.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_rules(str(path))


def test_rules_that_are_not_there_are_named():
    with pytest.raises(UsageError, match="did you mean 'germany'"):
        load_rules("germny")
    with pytest.raises(UsageError, match=r"cannot read nowhere.toml"):
        load_rules("nowhere.toml")
