"""What the machine offers to training: memory, number formats, where tensors live."""

from __future__ import annotations

import ctypes
import os

import torch

from recyclenet.training.recipe import Recipe

# From malloc.h: never map single blocks (M_MMAP_MAX), keep and take memory in large pieces
# (M_TRIM_THRESHOLD, M_TOP_PAD; bytes).
_GLIBC_KNOBS = {-4: 0, -1: 2**31 - 1, -2: 2**28}


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
