"""Compare networks: parameters, multiply-adds, memory, latency and throughput.

One process times all networks in turn, round by round, so that a slow moment of the machine affects
all of them. Memory is measured in a separate process per network.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from recyclenet.core.files import temporary_folder, write_table
from recyclenet.core.progress import Progress, silent
from recyclenet.costs.memory import Run, onnx_run
from recyclenet.errors import RecycleNetError, UsageError
from recyclenet.models.config import ModelConfig
from recyclenet.models.cost import multiply_adds, num_parameters
from recyclenet.models.network import Network, create_model
from recyclenet.models.onnx import to_onnx

NUM_CLASSES = 6
BATCH = 16
WARM_UP = 2


@dataclass(frozen=True, slots=True)
class CostRow:
    """The cost of one network in one runtime. Latency and throughput are medians.

    Attributes:
        name: model name.
        runtime: "pytorch", "onnxruntime" or "pytorch-cuda".
        parameters: number of parameters.
        multiply_adds: number of multiply-adds for one image.
        memory_mb: peak memory for loading the network and running a batch of 1, without the
            runtime's own memory, MB (10^6 bytes); GPU memory for "pytorch-cuda".
        latency_ms: latency for a batch of 1, ms.
        latency_low_ms: lower quartile.
        latency_high_ms: upper quartile.
        throughput: images per second in batches of 16.
        throughput_low: lower quartile.
        throughput_high: upper quartile.
    """

    name: str
    runtime: str
    parameters: int
    multiply_adds: int
    memory_mb: float
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    throughput: float
    throughput_low: float
    throughput_high: float


def measure_models(
    names: Sequence[str],
    image_size: int,
    repeats: int,
    threads: int = 0,
    progress: Progress = silent,
) -> list[CostRow]:
    """Measure networks in float32 in PyTorch and ONNX Runtime, and on a GPU if there is one.

    Args:
        names: model names without duplicates.
        image_size: side of the input images, pixels.
        repeats: number of timed rounds.
        threads: threads per runtime; 0 for the runtime's default.
        progress: reports networks prepared and rounds timed.

    Raises:
        UsageError: a name is unknown or given twice.
        RecycleNetError: a network cannot be exported or measured.
    """
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"the network {twice} is given twice; name each network once")
    if threads:
        torch.set_num_threads(threads)
    configs = [ModelConfig.from_name(n, weights="none", image_size=image_size) for n in names]
    models = [create_model(config, NUM_CLASSES).eval() for config in configs]
    runs: dict[tuple[int, str], Run] = {}
    memory: dict[tuple[int, str], float] = {}
    with temporary_folder() as folder:
        for index, model in enumerate(models):
            progress(index, len(models), "preparing")
            file = folder / f"{index}.onnx"
            file.write_bytes(to_onnx(model, image_size).SerializeToString())
            runs[index, "pytorch"] = _torch_run(model, "cpu")
            runs[index, "onnxruntime"] = onnx_run(file, threads)
            for runtime, network in (("pytorch", names[index]), ("onnxruntime", str(file))):
                memory[index, runtime] = _memory(runtime, network, image_size, threads)
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                runs[index, "pytorch-cuda"] = run = _torch_run(
                    create_model(configs[index], NUM_CLASSES).eval(), "cuda"
                )
                run(np.zeros((1, 3, image_size, image_size), np.float32))
                peak = torch.cuda.max_memory_allocated() - before
                memory[index, "pytorch-cuda"] = peak / 1e6
        times = _time(runs, image_size, repeats, progress)
    sizes = [(num_parameters(model), multiply_adds(model, image_size)) for model in models]
    rows = []
    for (index, runtime), (single, batch) in times.items():
        low, median, high = (float(q) for q in np.quantile(single, (0.25, 0.5, 0.75)))
        slow, typical, fast = (float(q) for q in np.quantile(BATCH / batch, (0.25, 0.5, 0.75)))
        rows.append(
            CostRow(
                name=configs[index].name,
                runtime=runtime,
                parameters=sizes[index][0],
                multiply_adds=sizes[index][1],
                memory_mb=round(memory[index, runtime], 1),
                latency_ms=round(1000 * median, 3),
                latency_low_ms=round(1000 * low, 3),
                latency_high_ms=round(1000 * high, 3),
                throughput=round(typical, 2),
                throughput_low=round(slow, 2),
                throughput_high=round(fast, 2),
            )
        )
    return rows


def write_costs(rows: Sequence[CostRow], path: Path) -> None:
    """Write the rows as CSV."""
    write_table(path, [[field.name for field in fields(CostRow)], *map(astuple, rows)])


def torch_run(name: str, image_size: int) -> Run:
    """Return a function that runs a network on a batch in PyTorch, on the CPU."""
    config = ModelConfig.from_name(name, weights="none", image_size=image_size)
    return _torch_run(create_model(config, NUM_CLASSES).eval(), "cpu")


def _torch_run(model: Network, device: str) -> Run:
    model = model.to(torch.device(device)).to(memory_format=torch.channels_last)

    def run(batch: npt.NDArray[np.float32]) -> object:
        images = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            return model(images).cpu()

    return run


def _time(
    runs: dict[tuple[int, str], Run], image_size: int, repeats: int, progress: Progress
) -> dict[tuple[int, str], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Return, for each run, the times `(repeats,)` of batches of 1 and of 16, seconds."""
    random = np.random.default_rng(0)
    batches = [
        random.standard_normal((size, 3, image_size, image_size)).astype(np.float32)
        for size in (1, BATCH)
    ]
    seconds = {key: np.empty((2, repeats)) for key in runs}
    for repeat in range(-WARM_UP, repeats):
        progress(repeat + WARM_UP, repeats + WARM_UP, "measuring")
        for batch_index, batch in enumerate(batches):
            for key, run in runs.items():
                start = time.perf_counter()
                run(batch)
                if repeat >= 0:
                    seconds[key][batch_index, repeat] = time.perf_counter() - start
    return {key: (both[0], both[1]) for key, both in seconds.items()}


def _memory(runtime: str, network: str, image_size: int, threads: int) -> float:
    """Return the peak memory of one network, measured in a new process, MB."""
    command = [sys.executable, "-m", "recyclenet.costs.memory", runtime, network]
    done = subprocess.run(
        [*command, str(image_size), str(threads)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        exit_code = f"the process ended with exit code {done.returncode}"
        reason = (done.stderr.strip().splitlines() or [exit_code])[-1]
        raise RecycleNetError(f"cannot measure the memory of {network}: {reason}")
    return float(done.stdout)
