"""The machine's resources for training: devices, processes, precision and memory."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

import psutil
import torch

from recyclenet.core.resources import memory_limits, num_cores
from recyclenet.errors import UsageError
from recyclenet.training.recipe import Recipe

# Options from malloc.h: M_MMAP_MAX (0: never use mmap for one block), M_TRIM_THRESHOLD and
# M_TOP_PAD (bytes: return and request memory in large pieces).
_GLIBC_SETTINGS = {-4: 0, -1: 2**31 - 1, -2: 2**28}


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices for distributed training, with one process per device.

    Attributes:
        numbers: indices of this machine's GPUs; on a CPU, one index per process.
        num_nodes: number of machines.
    """

    numbers: tuple[int, ...] = (0,)
    num_nodes: int = 1

    @property
    def num_processes(self) -> int:
        """Number of processes on all machines."""
        return len(self.numbers) * self.num_nodes

    def check(self, batch_size: int) -> None:
        """Check that the processes can share a batch evenly.

        Raises:
            UsageError: the batch size is not a multiple of the processes, or gives each only one.
        """
        if batch_size % self.num_processes or batch_size < 2 * self.num_processes:
            raise UsageError(
                f"fit.batch_size = {batch_size} cannot be shared by {self.num_processes} "
                f"processes; set fit.batch_size to a multiple of {self.num_processes}, at least "
                f"{2 * self.num_processes}"
            )


def find_devices(requested: str | None) -> Devices:
    """Return the devices to train on.

    Args:
        requested: a number of devices ("2"), indices ("0,1"), or None for one device; must be None
            under torchrun, which selects the devices.

    Raises:
        UsageError: the request is invalid, or this machine does not have the devices.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        if requested is not None:
            raise UsageError(
                f"--devices {requested} has no effect under torchrun, which selects the devices; "
                f"leave --devices out"
            )
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return Devices(tuple(range(local)), int(os.environ["WORLD_SIZE"]) // local)
    if requested is None:
        return Devices()
    try:
        numbers = [int(part) for part in requested.split(",")]
    except ValueError:
        numbers = []
    available = torch.cuda.device_count() or num_cores()
    if numbers and "," not in requested:
        numbers = list(range(min(numbers[0], available + 1)))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UsageError(
            f"--devices must be a number of devices, or indices such as 0,1; not {requested!r}"
        )
    if max(numbers) >= available:
        kind = "GPUs" if torch.cuda.is_available() else "processors"
        raise UsageError(f"--devices {requested}: this machine has only {available} {kind}")
    return Devices(tuple(numbers))


def process_rank() -> int:
    """Return the rank of this process; rank 0 writes the files."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def precision(recipe: Recipe) -> str:
    """Return "bf16" or "float32"; "auto" selects bf16 if the hardware supports it."""
    if recipe.fit.precision != "auto":
        return recipe.fit.precision
    if device() == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    has_bf16 = device() == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if has_bf16 else "float32"


def device() -> str:
    """Return the device type: "cuda", "mps" (Apple's GPUs) or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def num_workers() -> int:
    """Return the number of data-loading workers: none on a CPU, which is busy with training."""
    return 0 if device() == "cpu" else min(8, num_cores())


def autocast(recipe: Recipe) -> torch.autocast:
    """Return the autocast context for the recipe's precision."""
    return torch.autocast(device(), torch.bfloat16, enabled=precision(recipe) == "bf16")


def memory_bytes() -> int:
    """Return the memory of the machine or of the container, whichever is smaller."""
    return min([int(psutil.virtual_memory().total), *memory_limits()])


def prepare_process() -> None:
    """Fit PyTorch to the cores of this process, and the C library to its pattern of memory use."""
    if num_cores() < torch.get_num_threads():  # PyTorch does not know a container's limit
        torch.set_num_threads(num_cores())
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the operating system.

    A training step frees and allocates hundreds of large tensors. Requesting their pages again took
    a seventh to a third of the measured time. Other C libraries lack this option.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in _GLIBC_SETTINGS.items():
        mallopt(option, value)
