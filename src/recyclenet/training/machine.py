"""What the machine offers to training: memory, number formats, devices, other processes."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

import torch

from recyclenet.errors import UsageError
from recyclenet.training.recipe import Recipe

# From malloc.h: never map single blocks (M_MMAP_MAX), keep and take memory in large pieces
# (M_TRIM_THRESHOLD, M_TOP_PAD; bytes).
_GLIBC_KNOBS = {-4: 0, -1: 2**31 - 1, -2: 2**28}


@dataclass(frozen=True, slots=True)
class Devices:
    """What trains together, one process each.

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
        """Refuse a batch that cannot be shared out evenly.

        Raises:
            UsageError: it cannot.
        """
        if batch_size % self.num_processes or batch_size < 2 * self.num_processes:
            raise UsageError(
                f"a batch of {batch_size} cannot be shared by {self.num_processes} processes; set "
                "fit.batch_size"
            )


def find_devices(wanted: str | None) -> Devices:
    """Return what to train on.

    Under torchrun, its processes; otherwise what is wanted: a number of devices ("2"), the numbers
    of GPUs ("0,1"), or None for one.

    Raises:
        UsageError: they are not there.
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
    if numbers and "," not in wanted:
        numbers = list(range(numbers[0]))
    if not numbers or min(numbers) < 0 or len(set(numbers)) < len(numbers):
        raise UsageError(f"--devices takes a number, or numbers such as 0,1; not {wanted!r}")
    there = torch.cuda.device_count() or os.cpu_count() or 1
    if max(numbers) >= there:
        kind = "GPUs" if torch.cuda.is_available() else "processors"
        raise UsageError(f"--devices {wanted}: this machine has {there} {kind}")
    return Devices(tuple(numbers))


def process_rank() -> int:
    """Return the number of this process among those that train together; 0 leads."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def precision(recipe: Recipe) -> str:
    """Return "bf16" or "float32": what the recipe asks for, or what this machine does fast."""
    if recipe.fit.precision != "auto":
        return recipe.fit.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "float32"


def device() -> str:
    """Return where one process computes: "cuda" or "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def autocast(recipe: Recipe) -> torch.autocast:
    """Return the context in which the recipe's network runs."""
    return torch.autocast(device(), torch.bfloat16, enabled=precision(recipe) == "bf16")


def memory_bytes() -> int:
    """Return the size of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def keep_freed_memory() -> None:
    """Have the C library reuse freed memory instead of handing it back at every step.

    A step frees and takes hundreds of large tensors; getting each anew from the system, page by
    page, cost a seventh to a third of the time where it was measured. Only glibc has the knobs.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for knob, value in _GLIBC_KNOBS.items():
        mallopt(knob, value)
