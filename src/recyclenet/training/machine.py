"""What the machine offers to training: memory, number formats, devices, processes."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from recyclenet.errors import UsageError
from recyclenet.training.recipe import Recipe

# From malloc.h: never map single blocks (M_MMAP_MAX), keep and take memory in large pieces
# (M_TRIM_THRESHOLD, M_TOP_PAD; bytes).
_GLIBC_SETTINGS = {-4: 0, -1: 2**31 - 1, -2: 2**28}
# Where Linux says how much memory a container may use: control groups, version 2 and 1.
_CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True)
class Devices:
    """Devices that train together, one process each.

    Attributes:
        numbers: the GPUs of this machine, or as many numbers as there are processes on its CPU.
        num_nodes: number of machines.
    """

    numbers: tuple[int, ...] = (0,)
    num_nodes: int = 1

    @property
    def num_processes(self) -> int:
        """Number of processes on all machines."""
        return len(self.numbers) * self.num_nodes

    def check(self, batch_size: int) -> None:
        """Refuse a batch that cannot be divided evenly.

        Raises:
            UsageError: it cannot be divided.
        """
        if batch_size % self.num_processes or batch_size < 2 * self.num_processes:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared by {self.num_processes} processes; set "
                "fit.batch_size"
            )


def find_devices(wanted: str | None) -> Devices:
    """Return the devices to train on.

    Args:
        wanted: how many ("2"), which GPUs ("0,1"), or None for one; None under torchrun, which
            chooses them itself.

    Raises:
        UsageError: this machine does not have them.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        if wanted is not None:
            raise UsageError("torchrun chooses the devices; leave --devices out")
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return Devices(tuple(range(local)), int(os.environ["WORLD_SIZE"]) // local)
    if wanted is None:
        return Devices()
    try:
        numbers = [int(part) for part in wanted.split(",")]
    except ValueError:
        numbers = []
    there = torch.cuda.device_count() or os.cpu_count() or 1
    if numbers and "," not in wanted:
        numbers = list(range(min(numbers[0], there + 1)))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UsageError(f"--devices takes a number, or numbers such as 0,1; not {wanted!r}")
    if max(numbers) >= there:
        kind = "GPUs" if torch.cuda.is_available() else "processors"
        raise UsageError(f"--devices {wanted}: this machine has {there} {kind}")
    return Devices(tuple(numbers))


def process_rank() -> int:
    """Return the number of this process among those that train together; 0 leads."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def precision(recipe: Recipe) -> str:
    """Return "bf16" or "float32": the recipe's choice, or what this machine computes fast."""
    if recipe.fit.precision != "auto":
        return recipe.fit.precision
    if device() == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    has_bf16 = device() == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bf16" if has_bf16 else "float32"


def device() -> str:
    """Return where a process computes: "cuda", "mps" (Apple's GPUs) or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def num_workers() -> int:
    """Return how many processes should load photos: a GPU waits for them, a CPU is busy itself."""
    return 0 if device() == "cpu" else min(8, os.cpu_count() or 1)


def autocast(recipe: Recipe) -> torch.autocast:
    """Return the context in which the recipe's network runs."""
    return torch.autocast(device(), torch.bfloat16, enabled=precision(recipe) == "bf16")


def memory_bytes() -> int:
    """Return the size of the machine's memory, or of the container's if that is smaller."""
    total = int(psutil.virtual_memory().total)
    for file in _CONTAINER_LIMITS:
        try:
            total = min(total, int(file.read_text()))
        except (OSError, ValueError):  # not Linux, not a container, or no limit ("max")
            continue
    return total


def keep_freed_memory() -> None:
    """Make glibc keep freed memory instead of returning it to the system at every step.

    A step frees and allocates hundreds of large tensors; getting each page from the system again
    cost a seventh to a third of the time where it was measured. Other C libraries lack the setting.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for knob, value in _GLIBC_SETTINGS.items():
        mallopt(knob, value)
