"""One network's peak memory, in a process of its own: `python -m recyclenet.costs.memory`.

Arguments: the runtime, the model name or the ONNX file, the image size, the threads. Prints MB of
10^6 bytes, or "nan" on systems other than Linux, which alone lets a process reset its peak.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def main(runtime: str, what: str, image_size: int, threads: int) -> float:
    """Return the peak, MB, of loading a network and running one picture, above what was there."""
    import torch

    from recyclenet.costs import models

    if threads:
        torch.set_num_threads(threads)
    batch = np.zeros((1, 3, image_size, image_size), np.float32)
    try:
        _RESET.write_text("5")  # proc(5): the peak becomes what is held now
        before = _kilobytes("VmRSS")
    except OSError:
        return float("nan")
    if runtime == "onnxruntime":
        models.onnx_run(Path(what), threads)(batch)
    else:
        models.torch_run(what, image_size)(batch)
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def _kilobytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found, field
    return int(found[1])


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
