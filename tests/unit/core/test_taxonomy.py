"""Which bin a class goes in."""

from __future__ import annotations

import pytest

from recyclenet.core.taxonomy import BINS, STREAMS, assign_streams
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
