"""How long one answer takes, whole process, beside the usual way with PyTorch and timm.

    python benchmarks/one_photo.py [--photo FILE] [--repeats 7]

Runs both in turn, each in a fresh process, and prints medians, ranges and the ratio. Needs the full
install; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

PEER = """
import sys, timm, torch
from PIL import Image
model = timm.create_model('tf_efficientnet_lite0', num_classes=6).eval()
config = timm.data.resolve_model_data_config(model)
transform = timm.data.create_transform(**config)
with torch.inference_mode():
    print(model(transform(Image.open(sys.argv[1]).convert('RGB'))[None]).softmax(1))
"""


def timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    samples = Path(__file__).resolve().parents[1] / "samples"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photo", default=str(samples / "green_glass_bottle.jpg"))
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    recyclenet = [sys.executable, "-m", "recyclenet"]
    commands = {
        "recyclenet --help": [*recyclenet, "--help"],
        "recyclenet classify": [*recyclenet, "classify", options.photo],
        "timm and PyTorch": [sys.executable, "-c", PEER, options.photo],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_number in range(options.repeats + 1):
        for name, command in commands.items():
            seconds = timed(command)
            if round_number:  # the first round fills the caches
                times[name].append(seconds)
    for name, seconds in times.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"{name:<22} {middle:6.2f} s  ({low:.2f} to {high:.2f})")
    pairs = zip(times["timm and PyTorch"], times["recyclenet classify"], strict=True)
    print(f"ratio, pair by pair: {statistics.median(peer / own for peer, own in pairs):.1f}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest child process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
