"""How long training takes to a validation accuracy, beside fastai with the same network.

    python benchmarks/time_to_accuracy.py --data photos/trashnet [--recipe quick] [--goals 90 94]
        [--epochs 3]

Each side is one process, timed from its start: reading photos, computing features and validating
count. One after the other, on the same photos, splits and ImageNet weights. fastai fine-tunes as
its tutorials do (`fine_tune`: one epoch with the body frozen, then `--epochs` with all of it;
`aug_transforms`; batches of 64). Needs the full install and `pip install fastai`; nothing else
should run meanwhile.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FASTAI = """
import sys
import pandas as pd
from fastai.vision.all import *
from recyclenet.data.scan import load_dataset
from recyclenet.data.split import with_splits
from recyclenet.models.classifier import create_model
from recyclenet.models.config import ModelConfig

samples = with_splits(load_dataset(Path(sys.argv[1])), 0)
rows = [(str(s.path.absolute()), s.label, s.split == "val") for s in samples if s.split != "test"]
table = pd.DataFrame(rows, columns=["name", "label", "is_valid"])
loaders = ImageDataLoaders.from_df(
    table, path="/", valid_col="is_valid", item_tfms=Resize(224), batch_tfms=aug_transforms(),
    bs=64, num_workers=0,
)
model = create_model(ModelConfig(backbone="tf_efficientnet_lite0"), loaders.c)
loaders.add_tfms([Normalize.from_stats([0.5] * 3, [0.5] * 3)], "after_batch")

def splitter(model):
    head = list(model.backbone.classifier.parameters())
    known = {id(p) for p in head}
    return [[p for p in model.parameters() if id(p) not in known], head]

class Say(Callback):
    order = 60  # after the recorder
    def after_epoch(self):
        print("val accuracy", float(self.recorder.values[-1][-1]), flush=True)

learner = Learner(loaders, model, metrics=accuracy, splitter=splitter, cbs=Say())
with learner.no_bar(), learner.no_logging():
    learner.fine_tune(int(sys.argv[2]))
"""


def reached(command: list[str]) -> list[tuple[float, float]]:
    """Run a command; return (seconds since its start, accuracy) for each accuracy it tells."""
    start = time.perf_counter()
    found: list[tuple[float, float]] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said = line.strip() or said
            if match := re.search(r"val accuracy ([\d.]+)(%?)", line):
                accuracy = float(match[1]) / (100 if match[2] else 1)
                found.append((time.perf_counter() - start, accuracy))
                print(f"  {found[-1][0]:7.1f} s  {accuracy:.2%}", flush=True)
    if process.returncode:
        sys.exit(f"failed: {said}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--goals", type=float, nargs="+", default=[90.0, 94.0], help="percent")
    parser.add_argument("--epochs", type=int, default=3, help="of fastai's second phase")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "recyclenet", "train", "--data", options.data]
        commands = {
            "RecycleNet": [*train, "--recipe", options.recipe, "--out", str(Path(folder) / "run")],
            "fastai": [sys.executable, "-c", FASTAI, options.data, str(options.epochs)],
        }
        results = {}
        for name, command in commands.items():
            print(name)
            results[name] = reached(command)
    for goal in options.goals:
        times = {
            name: next((seconds for seconds, accuracy in found if 100 * accuracy >= goal), None)
            for name, found in results.items()
        }
        own, peer = times["RecycleNet"], times["fastai"]
        said = {n: "not reached" if t is None else f"{t:.0f} s" for n, t in times.items()}
        ratio = f", ratio {peer / own:.1f}" if own and peer else ""
        print(f"{goal:.0f}%: RecycleNet {said['RecycleNet']}, fastai {said['fastai']}{ratio}")


if __name__ == "__main__":
    main()
