"""Precision and recall of `classify --multi` on composites with known boxes.

    python benchmarks/multi.py --data photos/trashnet --backgrounds photos/mixed --split test

Objects are cut out of the photos of one split and pasted, two to four a picture, on plain
backgrounds (strips of photos of the same split) and on photos of other scenes. Beside the detector
stand two baselines: the whole photo as one box, and a fixed grid of 2 x 2 boxes of which those with
a known answer count. A box is right if its intersection over union with an object's box is at least
0.5; each object counts once. Photos of one object show how often exactly one right box is found,
and backgrounds without objects how many boxes are false. Ranges are 95% bootstrap intervals over
pictures. Needs the full install.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from composites import (
    Composite,
    Cutout,
    compose,
    cut_out,
    photo_background,
)
from recyclenet import Classifier, Detector, load_dataset
from recyclenet.core.detection import Box
from recyclenet.data.manifest import Sample
from recyclenet.data.pictures import find_photos

LEAST_OVERLAP = 0.5
Found = list[tuple[Box, str | None]]
Method = Callable[[npt.NDArray[np.uint8]], Found]


@dataclass
class Score:
    """Counts of each picture: right boxes, right boxes of the right class, boxes, objects."""

    rows: list[tuple[int, int, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, found: Found, truth: Composite, seconds: float) -> None:
        boxes, labels = list(map(Box._make, truth.boxes)), list(truth.labels)
        right = right_class = 0
        pairs = sorted(
            ((box.overlap(other), n, m) for n, (box, _) in enumerate(found)
             for m, other in enumerate(boxes)),
            reverse=True,
        )  # fmt: skip
        used_found: set[int] = set()
        used_truth: set[int] = set()
        for overlap, n, m in pairs:
            if overlap < LEAST_OVERLAP:
                break
            if n in used_found or m in used_truth:
                continue
            used_found.add(n)
            used_truth.add(m)
            right += 1
            right_class += found[n][1] == labels[m]
        self.rows.append((right, right_class, len(found), len(boxes)))
        self.seconds.append(seconds)

    def figures(self) -> dict[str, tuple[float, float, float]]:
        """Return value, low and high of each figure."""
        rows = np.array(self.rows)
        draw = np.random.default_rng(0).integers(len(rows), size=(2000, len(rows)))
        drawn = rows[draw].sum(axis=1)
        total = rows.sum(axis=0)
        names = {"precision": (0, 2), "recall": (0, 3)}
        names |= {"precision, class right": (1, 2), "recall, class right": (1, 3)}
        found = {}
        for name, (top, bottom) in names.items():
            values = drawn[:, top] / np.maximum(drawn[:, bottom], 1)
            low, high = np.percentile(values, (2.5, 97.5))
            found[name] = (float(total[top] / max(total[bottom], 1)), float(low), float(high))
        return found


def whole(classifier: Classifier) -> Method:
    def find(image: npt.NDArray[np.uint8]) -> Found:
        height, width = image.shape[:2]
        return [(Box(0, 0, width, height), classifier.classify(image).label)]

    return find


def grid(classifier: Classifier) -> Method:
    def find(image: npt.NDArray[np.uint8]) -> Found:
        height, width = image.shape[:2]
        rows, columns = (0, height // 2, height), (0, width // 2, width)
        boxes = [
            Box(columns[n], rows[m], columns[n + 1], rows[m + 1]) for m in (0, 1) for n in (0, 1)
        ]
        cells = [image[int(b.top) : int(b.bottom), int(b.left) : int(b.right)] for b in boxes]
        answers = classifier.classify_many(cells)
        return [(box, one.label) for box, one in zip(boxes, answers, strict=True) if one.known]

    return find


def detector(classifier: Classifier, num_runs: list[int]) -> Method:
    finder = Detector(classifier)

    def find(image: npt.NDArray[np.uint8]) -> Found:
        found = finder.detect(image)
        num_runs.append(found.num_runs)
        return [(one.box, one.prediction.label) for one in found.objects]

    return find


def chosen(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    draw = np.random.default_rng(seed)
    return [samples[n] for n in draw.permutation(len(samples))[:count]]


def composites(
    cutouts: list[Cutout], backgrounds: list[npt.NDArray[np.uint8]], count: int, seed: int
) -> list[Composite]:
    draws = [np.random.default_rng([seed, number]) for number in range(count)]
    return [
        compose(backgrounds[number % len(backgrounds)], cutouts, draw)
        for number, draw in enumerate(draws)
    ]


def show(title: str, score: Score) -> None:
    figures = "  ".join(
        f"{name} {value:.2f} ({low:.2f}-{high:.2f})"
        for name, (value, low, high) in score.figures().items()
    )
    print(f"  {title:<11} {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="photos of single objects")
    parser.add_argument("--backgrounds", type=Path, required=True, help="photos of other scenes")
    parser.add_argument("--split", default="val", choices=("train", "val", "test"))
    parser.add_argument("--pictures", type=int, default=40, help="of each kind of background")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--save", type=Path, help="a new folder for the pictures with boxes")
    args = parser.parse_args()
    classifier = Classifier(args.model, threads=args.threads)
    print(f"model {classifier.info.name}, split {args.split}, seed {args.seed}")
    samples = [one for one in load_dataset(args.data).samples if one.split == args.split]
    few = chosen(samples, 4 * args.pictures, args.seed)
    cutouts = [cut for cut in map(cut_out, few) if cut is not None]
    print(f"{len(cutouts)} objects cut out of {len(few)} photos")
    # The test split has every other background, the other splits the rest.
    scenes = find_photos([args.backgrounds], "photos of scenes", print)[args.split == "test" :: 2]
    plain = [cut.background for cut in cutouts if cut.background is not None]
    kinds = {
        "plain": plain[: args.pictures],
        "photo": [photo_background(path) for path in scenes[: args.pictures]],
    }
    num_runs: list[int] = []
    methods = {
        "whole photo": whole(classifier),
        "2 x 2 grid": grid(classifier),
        "detect": detector(classifier, num_runs),
    }
    for kind, backgrounds in kinds.items():
        pictures = composites(cutouts, backgrounds, args.pictures, args.seed)
        scores = {name: Score() for name in methods}
        num_runs.clear()
        for number, picture in enumerate(pictures):
            for name, method in methods.items():
                start = time.perf_counter()
                found = method(picture.image)
                scores[name].add(found, picture, time.perf_counter() - start)
            if args.save is not None:
                save(args.save / f"{kind}{number}", picture, found)
        print(f"{kind}: {len(pictures)} pictures, {sum(len(p.boxes) for p in pictures)} objects")
        for name, score in scores.items():
            show(name, score)
        pairs = zip(scores["detect"].seconds, scores["whole photo"].seconds, strict=True)
        ratio = np.median([slow / quick for slow, quick in pairs])
        print(f"  time of detect over whole photo: {ratio:.1f}; ", end="")
        print(f"runs of the model: median {np.median(num_runs):.0f}, most {max(num_runs)}")
        false = [len(methods["detect"](image)) for image in backgrounds[: args.pictures // 2]]
        print(f"  without objects: {sum(false)} boxes in {len(false)} pictures", flush=True)
    singles = few[: args.pictures]
    exact = right = plain_right = 0
    for one in singles:
        objects = Detector(classifier).detect(one.path).objects
        exact += len(objects) == 1
        right += len(objects) == 1 and objects[0].prediction.label == one.label
        plain_right += classifier.classify(one.path).label == one.label
    print(
        f"photos of one object: {len(singles)}; one box {exact}, and its class right {right}; "
        f"classified right as a whole {plain_right}"
    )


def save(stem: Path, picture: Composite, found: Found) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture.image).save(stem.with_suffix(".png"))
    rows = {"truth": [*zip(picture.boxes, picture.labels, strict=True)], "found": found}
    stem.with_suffix(".json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
