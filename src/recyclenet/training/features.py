"""Image features of a network trained on ImageNet; photos of one object have similar features."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recyclenet.core.images import decoded
from recyclenet.core.preprocess import Preprocess
from recyclenet.core.progress import Progress, silent
from recyclenet.core.resources import num_cores
from recyclenet.models.network import create_model
from recyclenet.training.machine import device, prepare_process

BACKBONE = "tf_efficientnet_lite0"
_BATCH = 32


def photo_features(paths: Sequence[Path], progress: Progress = silent) -> npt.NDArray[np.float32]:
    """Return the pooled features of photos, `(N, D)`, from a backbone with ImageNet weights.

    Args:
        paths: the files; each image is stretched, not cropped.
        progress: reports the number of photos done.

    Raises:
        ImageError: a file cannot be read as an image.
    """
    prepare_process()
    model = create_model(BACKBONE, num_classes=2).eval()
    model = model.to(device()).to(memory_format=torch.channels_last)
    preprocess = Preprocess(resize_mode="stretch")

    def read(path: Path) -> npt.NDArray[np.float32]:
        with decoded(path, min_side=preprocess.min_side) as image:
            return preprocess(image)

    found = []
    with ThreadPoolExecutor(num_cores()) as pool, torch.inference_mode():
        for start in range(0, len(paths), _BATCH):
            images = np.stack(list(pool.map(read, paths[start : start + _BATCH])))
            batch = torch.from_numpy(images).to(device(), memory_format=torch.channels_last)
            found.append(model.pre_logits(batch).float().cpu().numpy())
            progress(min(start + _BATCH, len(paths)), len(paths))
    return np.concatenate(found)
