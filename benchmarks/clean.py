"""What `recyclenet data clean` finds and what it takes wrongly, on photos of several sources.

    python benchmarks/clean.py exposure FOLDER...    # untouched photos, and three times as bright
    python benchmarks/clean.py copies FOLDER...      # pairs; copies turned by 90 degrees, and crops
    python benchmarks/clean.py labels FOLDER...      # planted wrong labels, by size and rate

Folders hold one folder per class. `exposure` fits the weights in `data/quality/clean.py` on half of
the photos and measures on the rest. `labels` predicts with a five-fold logistic regression on the
features of a frozen backbone, in place of `recyclenet crossval`. Needs the extras `data`, `train`.
"""

from __future__ import annotations

import argparse
import io
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from recyclenet.core.images import decode_image
from recyclenet.data.dataset import load_dataset
from recyclenet.data.manifest import Manifest, Sample
from recyclenet.data.quality.clean import (
    MIN_CLIPPED,
    OVEREXPOSED,
    WASHED_OUT,
    WEIGHTS,
    exposure_shares,
    find_label_issues,
    shrunk,
)
from recyclenet.data.quality.duplicates import MAX_DISTANCE, find_pairs, is_copy, perceptual_hashes

Array = npt.NDArray[np.float64]
TURNS = ("ROTATE_90", "ROTATE_270", "TRANSPOSE", "TRANSVERSE")
CROPS = (0.95, 0.9, 0.8, 0.7)
SIZES, RATES, SEEDS = (60, 150, 500, 2500), (0.02, 0.05, 0.1), range(5)


def jpeg(image: Image.Image, quality: int) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return content.getvalue()


def tones(path: Path) -> list[list[float]]:
    """Return the shares of a photo and of the same one made three times as bright, and `light`."""
    from cleanvision.issue_managers.image_property import calc_percentile_brightness

    bright = Image.fromarray(decode_image(path)).point(lambda value: min(255, value * 3))
    rows = []
    for picture in (shrunk(path), shrunk(jpeg(bright, 90))):
        low, high = calc_percentile_brightness(picture, [5, 99])
        shares = exposure_shares(np.asarray(picture))
        rows.append([*(shares[name] for name in WEIGHTS), float(low > 0.95), float(high < 0.32)])
    return rows


def exposure(folders: list[Path]) -> None:
    from sklearn.linear_model import LogisticRegression

    found: dict[str, Array] = {}
    for folder in folders:
        with ProcessPoolExecutor() as pool:
            paths = [sample.path for sample in load_dataset(folder)]
            found[folder.name] = np.array(list(pool.map(tones, paths, chunksize=16)))
    fitted = [rows[::2] for rows in found.values()]
    features = np.concatenate([rows[:, k, :3] for rows in fitted for k in (0, 1)]) ** 0.5
    bright = np.concatenate([np.full(len(rows), k) for rows in fitted for k in (0, 1)])
    alike = np.concatenate([np.full(len(rows), 1e3 / len(rows)) for rows in fitted for _ in (0, 1)])
    model = LogisticRegression(C=10, max_iter=5000).fit(features, bright, alike)
    print("fitted", dict(zip(WEIGHTS, model.coef_[0].round(1), strict=True)))
    scores = [(rows[:, 0, :3] ** 0.5) @ model.coef_[0] for rows in fitted]
    print(f"99.3% of the worst source are below {max(np.quantile(s, 0.993) for s in scores):.2f}")
    rest = {name: rows[1::2] for name, rows in found.items()}
    for name, rows in {**rest, "all together": np.concatenate(list(rest.values()))}.items():
        score = (rows[..., :3] ** 0.5) @ np.array(list(WEIGHTS.values()))
        over = (score > OVEREXPOSED) & (rows[..., 0] > MIN_CLIPPED)
        light, dark = rows[..., 3] > 0, rows[..., 4] > 0
        washed = (score > WASHED_OUT) & ~over
        print(
            f"{name}: of {len(rows)} untouched overexposed {over[:, 0].mean():.2%}, "
            f"light {light[:, 0].mean():.2%}, dark {dark[:, 0].mean():.2%}, "
            f"any {(over | light | dark)[:, 0].mean():.2%}, washed out {washed[:, 0].mean():.2%}; "
            f"three times as bright: go {(over | light)[:, 1].mean():.1%}, "
            f"or are washed out {(over | light | washed)[:, 1].mean():.1%}"
        )


def views(path: Path) -> dict[str, str]:
    """Return the hashes of a photo, and of its copies by what was done to them."""
    photo = Image.fromarray(decode_image(path))
    width, height = photo.size
    random = np.random.default_rng(list(path.name.encode()))
    small = photo.resize((max(1, width * 3 // 5), max(1, height * 3 // 5)))
    made = {"as it is": photo}
    made |= {turn: small.transpose(Image.Transpose[turn]) for turn in TURNS}
    for share in CROPS:
        w, h = int(width * share), int(height * share)
        corners = {"centre": ((width - w) // 2, (height - h) // 2)}
        corners["anywhere"] = tuple(random.integers(0, (width - w + 1, height - h + 1)).tolist())
        for place, (x, y) in corners.items():
            made[f"crop {share:.0%} {place}"] = photo.crop((x, y, x + w, y + h))
    return {
        name: perceptual_hashes(decode_image(jpeg(image, 85 if "crop" in name else 60)))
        for name, image in made.items()
    }


def copies(folders: list[Path]) -> None:
    for folder in folders:
        paths = [sample.path for sample in load_dataset(folder)]
        with ProcessPoolExecutor() as pool:
            hashes = list(pool.map(hashes_of, paths, chunksize=32))
            made = list(pool.map(views, paths[::12], chunksize=8))
        rows = [Sample(p, p.parent.name, phash=h) for p, h in zip(paths, hashes, strict=True)]
        for number in (4, 8):
            some = (
                Sample(r.path, r.label, phash="-".join(r.phash.split("-")[:number])) for r in rows
            )
            pairs = find_pairs(Manifest(tuple(some)))
            print(f"{folder.name}: {len(pairs)} pairs within {MAX_DISTANCE} by {number} hashes")
        for name in list(made[0])[1:]:
            share = np.mean([is_copy(row["as it is"], [row[name]]) for row in made])
            print(f"{folder.name}: {name} found {share:.1%} of {len(made)}")


def hashes_of(path: Path) -> str:
    return perceptual_hashes(decode_image(path, min_side=64))


def labels(folders: list[Path]) -> None:
    from recyclenet.training.features import photo_features

    for folder in folders:
        samples = load_dataset(folder).samples
        features = photo_features([sample.path for sample in samples])
        for size in SIZES:
            for rate in RATES:
                rows = [planted(samples, features, size, rate, seed) for seed in SEEDS]
                hits, named, wrong = np.array(rows).sum(0)
                print(
                    f"{folder.name}: {size} photos, {rate:.0%} wrong ({wrong / len(rows):.0f}): "
                    f"found {hits / wrong:.0%}, wrong of those named {hits / max(1, named):.0%} "
                    f"({named / len(rows):.1f} named)",
                    flush=True,
                )


def planted(
    samples: tuple[Sample, ...],
    features: npt.NDArray[np.float32],
    size: int,
    rate: float,
    seed: int,
) -> tuple[int, int, int]:
    """Return how many planted wrong labels are found, how many are named, how many there are."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(seed)
    names = sorted({sample.label for sample in samples})
    chosen = random.permutation(len(samples))[:size]
    given = np.array([names.index(samples[row].label) for row in chosen])
    wrong = random.choice(len(chosen), max(1, round(rate * len(chosen))), replace=False)
    given[wrong] = (given[wrong] + random.integers(1, len(names), len(wrong))) % len(names)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=200))
    folds = StratifiedKFold(min(5, np.bincount(given).min()), shuffle=True, random_state=seed)
    found = cross_val_predict(model, features[chosen], given, cv=folds, method="predict_proba")
    rows = [Sample(Path(str(row)), names[label]) for row, label in enumerate(given)]
    doubted = {int(issue.sample.path.name) for issue in find_label_issues(rows, found, names)}
    return len(doubted & set(wrong.tolist())), len(doubted), len(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    jobs = {job.__name__: job for job in (exposure, copies, labels)}
    parser.add_argument("job", choices=jobs)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    options = parser.parse_args()
    jobs[options.job](options.folders)


if __name__ == "__main__":
    main()
