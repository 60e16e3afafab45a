"""What `teach` learns and forgets: a class that a model was trained without, from a few photos.

    python benchmarks/teach.py --model model.onnx --data photos/trashnet --label metal

Teaches random training photos of the class, several times, and prints its recall on the test photos
and the accuracy on the test photos of the other classes, before and after. The model must not have
been taught before.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from recyclenet import Classifier, load_dataset, teach
from recyclenet.inference.head import CORRECTION, read_head, widen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--label", required=True)
    parser.add_argument("--photos", type=int, default=10)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--max-lost", type=float, default=0.01)
    options = parser.parse_args()

    manifest, classifier = load_dataset(options.data), Classifier(options.model)
    test = manifest.select("test").samples
    outputs = [out for _, out, _ in classifier.outputs_many(s.path for s in test)]
    features = np.stack([out.features for out in outputs])
    names = [*classifier.info.class_names, options.label]
    targets = np.array([names.index(sample.label) for sample in test])
    is_new = targets == len(names) - 1
    logits = np.stack([out.logits for out in outputs])
    before = logits[~is_new].argmax(1) == targets[~is_new]
    logits = widen(logits, len(names))
    pool = [s.path for s in manifest.select("train") if s.label == options.label]
    rows = []
    for seed in range(options.draws):
        chosen = np.random.default_rng(seed).choice(len(pool), options.photos, replace=False)
        start = time.perf_counter()
        result = teach(
            [pool[n] for n in chosen], options.label, options.model, max_lost=options.max_lost
        )
        seconds = time.perf_counter() - start
        size = len(names), features.shape[1]
        change = read_head(result.info.statistics, CORRECTION, *size)
        if change is None:
            raise SystemExit("the model was taught by an earlier release; export it again")
        right = (logits + change(features)).argmax(1) == targets
        rows.append((right[is_new].mean(), right[~is_new].mean() - before.mean(), result.recall))
        print(
            f"draw {seed}: recall {rows[-1][0]:.1%} (estimate {result.recall:.0%}), other classes "
            f"{100 * rows[-1][1]:+.2f} points, {seconds:.1f} s",
            flush=True,
        )
    recall, lost, estimate = np.mean(rows, axis=0)
    print(
        f"mean: recall {recall:.1%} (estimate {estimate:.0%}), other classes {100 * lost:+.2f} "
        f"points from {before.mean():.1%}"
    )


if __name__ == "__main__":
    main()
