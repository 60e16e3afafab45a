"""Sending one blank picture through a network, to see what happens inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def run_blank(
    network: nn.Module, image_size: int, run: Callable[[torch.Tensor], Any] | None = None
) -> Any:
    """Return what a network gives for a blank picture; the network is left as it was.

    Args:
        network: put into evaluation mode meanwhile.
        image_size: side of the picture, pixels.
        run: what to call with the picture `(1, 3, S, S)`; the network itself by default.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return (run or network)(torch.zeros(1, 3, image_size, image_size))
    finally:
        network.train(was_training)
