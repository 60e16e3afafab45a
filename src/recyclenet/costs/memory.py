"""Measure a network's peak memory in this process: `python -m recyclenet.costs.memory`.

Arguments: runtime, model name or ONNX file, image size, threads. Prints MB (10^6 bytes), or "nan"
on systems other than Linux, where a process cannot reset its peak.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Run = Callable[[npt.NDArray[np.float32]], object]
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def main(runtime: str, network: str, image_size: int, threads: int) -> float:
    """Return the peak memory of loading a network and running it on one image, MB.

    The memory that the process held before is not counted.
    """
    batch = np.zeros((1, 3, image_size, image_size), np.float32)
    if runtime == "pytorch":
        import torch

        from recyclenet.costs.models import torch_run

        if threads:
            torch.set_num_threads(threads)
    try:
        _RESET.write_text("5")  # proc(5): sets the peak to the current memory
        before = _kilobytes("VmRSS")
    except OSError:
        return float("nan")
    if runtime == "onnxruntime":
        onnx_run(Path(network), threads)(batch)
    else:
        torch_run(network, image_size)(batch)
    return (_kilobytes("VmHWM") - before) * 1024 / 1e6


def onnx_run(file: Path, threads: int) -> Run:
    """Return a function that runs an ONNX file on a batch, on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"batch": batch})


def _kilobytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    assert found, field
    return int(found[1])


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
