"""Label maps: easy to type, applied once, and wrong ones are refused with the nearest right one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from recyclenet.data.label_map import map_labels, parse_maps
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.errors import DataError, UsageError


def photos(**labels: str) -> Manifest:
    return Manifest(
        tuple(
            Sample(Path(f"{domain}{n}.jpg"), label, domain=domain)
            for domain, names in labels.items()
            for n, label in enumerate(names.split())
        )
    )


def test_maps_are_for_all_domains_or_for_one():
    assert parse_maps(["can=metal, shoe=_", "web:can=glass", "web: x = y "]) == {
        "*": {"can": "metal", "shoe": "_"},
        "web": {"can": "glass", "x": "y"},
    }


@pytest.mark.parametrize("text", ["", "can", "=metal", "can=", "web:", ":a=b", "web:a", "a=b,,c=d"])
def test_what_is_no_map_is_refused(text: str):
    with pytest.raises(UsageError, match="a label map must look like"):
        parse_maps([text])


def test_a_label_is_mapped_once():
    with pytest.raises(UsageError, match="maps 'a' to both 'b' and 'c'"):
        parse_maps(["a=b", "a=c"])
    mapped, _ = map_labels(photos(web="a b"), parse_maps(["a=b,b=a"]))
    assert [s.label for s in mapped] == ["b", "a"]


def test_labels_are_renamed_merged_and_left_out():
    manifest = photos(web="can glass shoe", home="can tin")
    mapped, left_out = map_labels(manifest, parse_maps(["can=metal,tin=metal", "web:shoe=_"]))
    assert mapped.counts == {"glass": 1, "metal": 3}
    assert left_out == Counter({("web", "shoe"): 1})


def test_the_map_of_a_domain_goes_before_that_of_all():
    mapped, _ = map_labels(photos(web="can", home="can"), parse_maps(["can=metal", "web:can=can"]))
    assert [s.label for s in mapped] == ["can", "metal"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("glas=metal", "names 'glas', but no photo has this label: did you mean 'glass'"),
        ("home:glass=metal", "no photo of 'home' has this label: known: can, tin"),
        ("webb:can=metal", "for 'webb', but no photo is from it: did you mean 'web'"),
    ],
)
def test_what_does_not_occur_is_refused_with_the_nearest_right_one(text: str, reason: str):
    with pytest.raises(UsageError) as caught:
        map_labels(photos(web="can glass shoe", home="can tin"), parse_maps([text]))
    assert reason in str(caught.value)


def test_no_map_leaves_out_everything():
    with pytest.raises(DataError, match="all 2 photos"):
        map_labels(photos(web="can can"), parse_maps(["can=_"]))
