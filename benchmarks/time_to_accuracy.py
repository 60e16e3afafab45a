"""How long training takes to a validation accuracy, beside fastai with the same network.

    python benchmarks/time_to_accuracy.py --data photos/trashnet [--recipes quick default]
        [--goals 90 94] [--epochs 5] [--lr-mults 100 1]

Each side is one process, timed from its start: reading photos, computing features and validating
count; it is stopped when it has reached all goals. One after the other, on the same photos, splits
and ImageNet weights. fastai fine-tunes as its tutorials do: `vision_learner(...).fine_tune(5)`, its
own head, `aug_transforms`, batches of 64, once for each `lr_mult`: how many times slower than its
head the rest learns (fastai's own default is 100). Needs the full install and `pip install fastai`;
nothing else should run meanwhile.
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
import timm
from fastai.vision.all import *
from safetensors.torch import save_file
from recyclenet.data.dataset import load_dataset
from recyclenet.data.splits.split import with_splits
from recyclenet.models.weights import imagenet_weights

data, folder, epochs, lr_mult = sys.argv[1:]
samples = with_splits(load_dataset(Path(data)), 0)
rows = [(str(s.path.absolute()), s.label, s.split == "val") for s in samples if s.split != "test"]
loaders = ImageDataLoaders.from_df(
    pd.DataFrame(rows, columns=["name", "label", "is_valid"]), path="/", valid_col="is_valid",
    item_tfms=Resize(224), batch_tfms=aug_transforms(),
)
name, weights = "tf_efficientnet_lite0", f"{folder}/weights.safetensors"
state = imagenet_weights(name, timm.create_model(name))
save_file({key: tensor.contiguous() for key, tensor in state.items()}, weights)

class Say(Callback):
    order = 60  # after the recorder
    def after_epoch(self):
        print("val accuracy", float(self.recorder.values[-1][-1]), flush=True)

learner = vision_learner(
    loaders, name, metrics=accuracy, cbs=Say(), pretrained_cfg_overlay={"file": weights}
)
with learner.no_bar(), learner.no_logging():
    learner.fine_tune(int(epochs), lr_mult=float(lr_mult))
"""


def reached(command: list[str], enough: float) -> list[tuple[float, float]]:
    """Run a command; return (seconds since its start, percent) for each accuracy it tells.

    Args:
        command: the words of it.
        enough: the accuracy in percent at which it is stopped.
    """
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
                percent = float(match[1]) * (1 if match[2] else 100)
                found.append((time.perf_counter() - start, percent))
                print(f"  {found[-1][0]:7.1f} s  {percent:.2f}%", flush=True)
                if percent >= enough:
                    process.terminate()
                    return found
    if process.returncode:
        sys.exit(f"failed: {said}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--recipes", nargs="*", default=["quick", "default"])
    parser.add_argument("--goals", type=float, nargs="+", default=[90.0, 94.0], help="percent")
    parser.add_argument("--epochs", type=int, default=5, help="of fastai's second phase")
    parser.add_argument("--lr-mults", type=float, nargs="+", default=[100.0, 1.0])
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        train = [sys.executable, "-m", "recyclenet", "train", "--data", options.data]
        commands = {
            recipe: [*train, "--recipe", recipe, "--out", str(Path(folder) / recipe)]
            for recipe in options.recipes
        }
        script = [sys.executable, "-c", FASTAI, options.data, folder, str(options.epochs)]
        peers = {f"fastai, lr_mult={mult:g}": [*script, str(mult)] for mult in options.lr_mults}
        for name, command in (commands | peers).items():
            print(name)
            results[name] = reached(command, max(options.goals))
    for goal in options.goals:
        times = {
            name: next((seconds for seconds, percent in found if percent >= goal), None)
            for name, found in results.items()
        }
        peer = min((seconds for name in peers if (seconds := times[name])), default=None)
        print(f"{goal:.0f}%")
        for name, seconds in times.items():
            said = "not reached" if seconds is None else f"{seconds:.0f} s"
            if seconds and peer and name not in peers:
                said += f", {peer / seconds:.1f} times as fast as fastai"
            print(f"  {name}: {said}")


if __name__ == "__main__":
    main()
