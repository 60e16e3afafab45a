"""How fast a network trains on this machine's CPU, beside PyTorch's usual ways.

    python benchmarks/training_step.py [--model tf_efficientnet_lite0] [--image-size 224]

One step is forward, backward and AdamW on 32 random pictures. The ways take turns, round by round,
in one process: PyTorch as it comes (float32), PyTorch in bfloat16 with channels last, and the same
with RecycleNet's depthwise gradients, which is what `recyclenet train` does where the processor
computes in bfloat16. Prints the median, the quartiles and the ratio to the first. Nothing else
should run meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F

from recyclenet.models.config import ModelConfig
from recyclenet.models.network import create_model
from recyclenet.training.convolution import Float32Gradients

BATCH = 32
WAYS = ("float32", "bf16, channels last", "bf16, channels last, depthwise gradients")


def trainer(name: str, image_size: int, way: str) -> Callable[[], None]:
    torch.manual_seed(0)
    config = ModelConfig.from_name(name, weights="none", image_size=image_size)
    model = create_model(config, 6).train()
    images = torch.randn(BATCH, 3, image_size, image_size)
    targets = torch.randint(0, 6, (BATCH,))
    if way != WAYS[0]:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters())

    def step() -> None:
        with (
            torch.autocast("cpu", torch.bfloat16, enabled=way != WAYS[0]),
            Float32Gradients() if way == WAYS[2] else nullcontext(),
        ):
            logits = model(images)
        F.cross_entropy(logits.float(), targets).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    steps = {way: trainer(arguments.model, arguments.image_size, way) for way in WAYS}
    for step in steps.values():
        step()
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for way, step in steps.items():
            start = time.perf_counter()
            step()
            rates[way].append(BATCH / (time.perf_counter() - start))
    base = float(np.median(rates[WAYS[0]]))
    print(f"{arguments.model}, {arguments.image_size} px, {torch.get_num_threads()} threads")
    for way, found in rates.items():
        low, middle, high = np.quantile(found, (0.25, 0.5, 0.75))
        quartiles = f"({low:.1f}-{high:.1f})"
        print(f"{way:42} {middle:6.1f} pictures/s {quartiles:14} x {middle / base:.2f}")


if __name__ == "__main__":
    main()
