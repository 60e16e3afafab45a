"""Each fault is found where it is, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.clean import (
    KINDS,
    Issue,
    find_departures,
    find_issues,
    find_label_issues,
    without,
)
from recyclenet.data.quality.scan import Scan, scan_dataset


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(30, 220, (6, 8, 3), np.uint8))
    fine = random.integers(-25, 26, (size[1], size[0], 3))
    picture = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)) + fine
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def faults(found: Scan, min_side: int = 64) -> list[Issue]:
    return find_issues(found.manifest, found.pairs, min_side=min_side, max_aspect=3)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty good photos and one of each fault, named after it."""
    root = tmp_path_factory.mktemp("faulty")
    for label in ("glass", "paper"):
        (root / label).mkdir()
        for number in range(10):
            scene(number + 10 * (label == "paper")).save(root / label / f"a good{number}.jpg")

    def add(name: str, image: Image.Image, label: str = "glass") -> None:
        image.save(root / label / f"{name}.jpg", quality=92, subsampling=0)

    add("dark", scene(100).point(lambda value: value * 0.15))
    add("overexposed", scene(101).point(lambda value: min(255, value * 3)))
    add("washed_out", scene(106).point(lambda value: min(255, value * 1.7)))
    add("light", Image.new("RGB", (320, 240), (254, 254, 254)))
    add("blurry", scene(102).filter(ImageFilter.GaussianBlur(6)))
    add("grey", scene(103).convert("L"))
    add("small", scene(104, (40, 240)))
    add("odd_aspect", scene(105, (900, 100)))
    add("near_duplicate", scene(3).resize((200, 150)))
    (root / "glass" / "duplicate.jpg").write_bytes((root / "glass" / "a good4.jpg").read_bytes())
    (root / "glass" / "two_labels.jpg").write_bytes((root / "paper" / "a good5.jpg").read_bytes())
    (root / "glass" / "unreadable.jpg").write_bytes(b"\xff\xd8 no picture")
    (root / "paper" / "loop").symlink_to(root)
    return root


def test_each_fault_is_found_once(faulty):
    found = scan_dataset(faulty)
    assert {p.sample.path.name if p.sample else "loop" for p in found.problems} == {
        "unreadable.jpg",
        "loop",
    }
    issues = faults(found)
    named = {(issue.kind, issue.sample.path.name) for issue in issues}
    assert {
        (kind, f"{kind}.jpg")
        for kind in KINDS
        if kind not in ("unreadable", "marked", "label", "low_information")
    } <= named
    # A white picture is empty and grey as well; a good one is nothing of the kind.
    others = {(kind, name) for kind, name in named if name != f"{kind}.jpg"}
    assert {name for _, name in others} <= {
        "a good5.jpg", "light.jpg", "blurry.jpg", "dark.jpg", "overexposed.jpg"
    }  # fmt: skip
    assert {kind for kind, name in others if name == "a good5.jpg"} == {"two_labels"}
    kept = without(found.manifest, issues, ["near_duplicate", "duplicate"])
    gone = {s.path.name for s in found.manifest} - {s.path.name for s in kept}
    assert gone == {"near_duplicate.jpg", "duplicate.jpg"}


def test_of_copies_the_largest_stays(tmp_path):
    (tmp_path / "glass").mkdir()
    for name, size in (("a", (160, 120)), ("b", (320, 240)), ("c", (80, 60))):
        scene(0).resize(size).save(tmp_path / "glass" / f"{name}.png")
    issues = faults(scan_dataset(tmp_path), min_side=1)
    copies = {i.sample.path.stem: i.other.path.stem for i in issues if i.kind == "near_duplicate"}
    assert copies == {"a": "b", "c": "b"}


def test_of_copies_one_without_another_fault_stays(tmp_path):
    (tmp_path / "glass").mkdir()
    scene(0).filter(ImageFilter.GaussianBlur(6)).save(tmp_path / "glass" / "a.png")
    scene(0).resize((240, 180)).save(tmp_path / "glass" / "b.png")
    issues = faults(scan_dataset(tmp_path))
    assert {i.sample.path.stem for i in issues if i.kind == "near_duplicate"} == {"a"}


def test_a_copy_of_a_smaller_copy_is_a_copy_all_the_same(tmp_path):
    (tmp_path / "glass").mkdir()
    scene(0).save(tmp_path / "glass" / "a.png")
    for name in "bc":
        scene(0).resize((160, 120)).save(tmp_path / "glass" / f"{name}.png")
    issues = faults(scan_dataset(tmp_path))
    kinds = {i.sample.path.stem: (i.kind, i.other.path.stem) for i in issues if i.other}
    assert kinds == {"b": ("near_duplicate", "a"), "c": ("duplicate", "b")}
    going = find_departures(issues, ("duplicate", "near_duplicate"))
    stays = {d.sample.path.stem: d.stays.path.stem for d in going if d.stays}
    assert stays == {"b": "a", "c": "a"}
    (departure,) = find_departures(issues, ["duplicate"])
    assert departure.stays is not None
    assert departure.stays.path.stem == "b"


def on_white(number: int) -> Image.Image:
    page = Image.new("RGB", (320, 240), "white")
    page.paste(scene(number, (150 + 5 * number, 150)), (20, 20))
    return page


def overexposed(number: int) -> Image.Image:
    return scene(number).point(lambda value: min(255, value * 3))


def save(root: Path, pictures: dict[str, Image.Image]) -> Path:
    (root / "glass").mkdir(parents=True)
    for name, picture in pictures.items():
        picture.save(root / "glass" / f"{name}.jpg", quality=92, subsampling=0)
    return root


def kinds(root: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {path.name: [] for path in (root / "glass").iterdir()}
    for issue in faults(scan_dataset(root)):
        found[issue.sample.path.name].append(f"{issue.kind}: {issue.detail}")
    return found


PICTURES = {
    **{f"scene{n}": scene(n) for n in range(6)},
    **{f"white{n}": on_white(n) for n in range(6)},
    **{f"bright{n}": overexposed(10 + n) for n in range(6)},
    "dark": scene(20).point(lambda value: value * 0.15),
    "flat": Image.new("RGB", (320, 240), (251, 252, 253)),
}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What is wrong with each picture where it is the only one."""
    root = tmp_path_factory.mktemp("alone")
    found = {}
    for name, picture in PICTURES.items():
        found |= kinds(save(root / name, {name: picture}))
    return found


@settings(max_examples=25, deadline=None)
@given(names=st.sets(st.sampled_from(sorted(PICTURES)), min_size=1))
@example(names={"white1", *(f"scene{n}" for n in range(6))})
def test_a_photo_has_the_same_faults_alone_and_among_any_others(tmp_path_factory, alone, names):
    root = save(tmp_path_factory.mktemp("mixture") / "photos", {n: PICTURES[n] for n in names})
    assert kinds(root) == {name: alone[name] for name in (f"{n}.jpg" for n in names)}


def test_goods_on_white_stay_and_drowned_objects_go(alone):
    for name, found in alone.items():
        goes = any(kind.startswith(("overexposed", "light")) for kind in found)
        assert goes == name.startswith(("bright", "flat")), (name, found)


def test_featureless_pictures_are_no_copies(tmp_path):
    flat = [Image.new("RGB", (320, 240), colour) for colour in ("white", "black", "navy", "white")]
    for label in ("glass", "metal", "paper"):
        (tmp_path / label).mkdir()
        for number, picture in enumerate(flat):
            picture.save(tmp_path / label / f"{number}.jpg")
    found = faults(scan_dataset(tmp_path))
    assert not {"two_labels", "near_duplicate", "duplicate"} & {issue.kind for issue in found}
    assert sum(issue.kind == "low_information" for issue in found) == 12


def test_wrong_labels_are_found():
    random = np.random.default_rng(0)
    names = ("glass", "metal", "paper")
    truth = random.integers(0, 3, 300)
    probabilities = np.full((300, 3), 0.04)
    probabilities[np.arange(300), truth] = 0.92
    given = truth.copy()
    wrong = random.choice(300, 12, replace=False)
    given[wrong] = (given[wrong] + 1) % 3
    samples = [Sample(Path(str(n)), names[label]) for n, label in enumerate(given)]
    issues = find_label_issues(samples, probabilities, names)
    assert {int(issue.sample.path.name) for issue in issues} == set(wrong.tolist())
    first = issues[0]
    right = names[truth[int(first.sample.path.name)]]
    assert first.detail == f"rather {right} (92%, {first.sample.label} 4%)"


def test_a_photo_goes_for_any_of_its_faults():
    samples = tuple(Sample(Path(name), "glass") for name in "abc")
    issues = [Issue(samples[0], "dark", ""), Issue(samples[0], "grey", "")]
    issues.append(Issue(replace(samples[1]), "grey", ""))
    assert [s.path.name for s in without(Manifest(samples), issues, ["dark"])] == ["b", "c"]
